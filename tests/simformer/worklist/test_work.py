from __future__ import annotations

import pytest

from simformer.errors import ConfigError, DatasetError, UnknownClassError
from simformer.worklist import work as works
from simformer.worklist.candidates import read_candidates
from simformer.worklist.looking import best_model
from simformer.worklist.work import Worklist


def test_what_photos_show_and_what_is_drawn(folder):
    classes, found = read_candidates(folder)
    assert classes == ("sky", "cow", "cat")
    said = {one.name: (one.shown, one.drawn) for one in found}
    assert said == {
        "a": ({0, 1}, {0, 1}), "b": ({0, 1, 2}, {0}), "c": ({2}, set()), "d": (None, set()), "e": ({1}, set()),
    }  # fmt: skip
    (folder / "train.txt").write_text("c\na\n")
    assert [one.name for one in read_candidates(folder)[1]] == ["c", "a"]
    (folder / "mine.txt").write_text("d\n")
    assert [one.name for one in read_candidates(folder, "mine.txt")[1]] == ["d"]


def test_rows_by_hand(folder, inputs, halves):
    work = Worklist(folder, inputs, ["cat", "cow"], halves)
    assert work.chosen == ("cow", "cat") and len(work) == 4 and list(work.look()) == [1, 2, 3, 4]
    assert len(work.problems) == 1 and "e.png" in work.problems[0]
    rows = {row.photo: row for row in work.rows()}
    assert set(rows) == {"b.png", "c.png", "d.png"} and [row.place for row in work.rows()] == [1, 2, 3]
    # Two cows and a cat, 36 s each and a quarter more; an image label says that they are there, so nobody is asked.
    both, cat, unlabelled = (rows[f"{name}.png"] for name in "bcd")
    assert both.draw == ("cow", "cat") and both.seconds == 3 * 45 and both.money == pytest.approx(3.75)
    assert cat.draw == cat.model_has_drawn == ("cat",) and cat.seconds == 45
    # Of d nobody has said anything: it shows what the model sees, and sky is asked for.
    assert unlabelled.draw == ("cow", "cat") and unlabelled.known_from == "model"
    assert unlabelled.seconds == pytest.approx((3 * 36 + 1) * 1.25, abs=0.06)
    assert work.rows()[-1].money_so_far == pytest.approx(sum(row.money for row in rows.values()), abs=1e-3)
    assert len(work.rows(2)) == 2 and "2 of 3 photos" in work.said(2) and "halves has drawn" in work.said(2)


def test_the_model_draws_only_what_is_needed(folder, inputs, halves):
    work = Worklist(folder, inputs, ["cow", "cat"], halves)
    list(work.look())
    left, right = work.labels("b")[:, :14], work.labels("b")[:, 18:]
    assert (left == 0).all() and (right == 1).all()
    # c is not said to show a cow: nothing is drawn at its left.
    left, right = work.labels("c")[:, :14], work.labels("c")[:, 18:]
    assert (left == 255).all() and (right == 1).all()


def test_without_a_model_photos_of_known_classes_are_listed(folder, inputs):
    work = Worklist(folder, inputs, ["cow", "cat"])
    list(work.look())
    assert {row.photo for row in work.rows()} == {"b.png", "c.png"}
    assert all(row.uncertainty is None and row.model_has_drawn == () for row in work.rows())
    assert (work.labels("b") == 255).all() and work.labels("b").shape == (24, 32)


def test_masks_that_are_there_are_work_only_to_be_checked(folder, inputs):
    (folder / "train.txt").write_text("a\n")
    done = Worklist(folder, inputs, ["cow"])
    assert list(done.look()) == [] and done.rows() == [] and "every photo known to show cow has masks" in done.said(0)
    checked = Worklist(folder, inputs, ["cow"], again=True)
    list(checked.look())
    assert [row.draw for row in checked.rows()] == [("cow",)]
    nothing = Worklist(folder, inputs, ["cat"])
    assert "has no photo that shows them" in nothing.said(0)


def test_stopped_it_lists_what_was_looked_at(folder, inputs, halves):
    work = Worklist(folder, inputs, ["cow", "cat"], halves)
    assert next(work.look()) == 1 and len(work.rows()) == 1
    assert list(work.look()) == [2, 3, 4] and len(work.rows()) == 3


def test_of_too_many_photos_some_are_looked_at(folder, inputs, halves, monkeypatch):
    monkeypatch.setattr(works, "MOST_PHOTOS", 2)
    work = Worklist(folder, inputs, ["cow", "cat"], halves)
    assert len(work) == 2 and work.left_out == 2
    list(work.look())
    assert "2 further photos" in work.said(1)


def test_what_does_not_fit_is_a_sentence(folder, inputs, halves):
    with pytest.raises(ConfigError, match="nothing to draw"):
        Worklist(folder, inputs, [])
    with pytest.raises(UnknownClassError, match="horse"):
        Worklist(folder, inputs, ["horse"])
    halves.classes = ("sky", "cat", "cow")
    with pytest.raises(ConfigError, match="halves knows other classes"):
        Worklist(folder, inputs, ["cow"], halves)
    (folder / "labels" / "a.png").write_bytes((folder / "images" / "c.png").read_bytes())
    with pytest.raises(DatasetError, match=r"a\.png"):
        Worklist(folder, inputs, ["cow"])


def test_the_best_model_is_the_one_that_is_best_at_these_classes(make_card):
    def card(*iou):
        return make_card(metrics={"per_class": list(iou)} if iou else {})

    cards = {"a": card(90, 10, 10), "b": card(10, 80, None), "c": card()}
    classes = cards["a"].classes
    assert best_model(cards, classes, [classes[0]]) == "a" and best_model(cards, classes, classes[1:]) == "b"
    assert best_model({"c": cards["c"]}, classes, classes[:1]) == "c"
    assert best_model(cards, classes[::-1], classes[:1]) is None and best_model({}, classes, classes) is None
