from __future__ import annotations

from functools import partial

import gradio as gr
import pytest
from drawn_classes import CLASSES, write_three_classes

from simformer.costs import KINDS
from simformer.costs.evidence import NOT_MEASURED
from simformer.errors import SimFormerError
from simformer.results import read_results
from simformer.trainings.background import Trainer
from simformer.ui.costs import tab as costs
from simformer.ui.costs.calculating import typed_plan
from simformer.ui.costs.measuring import BEST, PRESENT, ROTATION, begin, go_on, look, role_sets, show
from simformer.ui.parts.context import only_for_its_owner
from simformer.ui.parts.models import Models


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMFORMER_RUNS", str(tmp_path / "runs"))
    return write_three_classes(tmp_path / "scenes", (48, 64))


def typed(classes=CLASSES, masked=("sky",), budget=None):
    rows = [[name, 50, 1] for name in classes]
    first = [5, rows, list(masked), 36.0, "EUR", 0, 1.0, budget, NOT_MEASURED, "", [], "hand", 100]
    return [*first, *([10.0] * len(KINDS))]


def test_the_roles_of_the_plan_are_trained(root, tmp_path):
    plan_of = partial(typed_plan, tmp_path)
    assert role_sets(root, plan_of, PRESENT, *typed()) == [["grass", "cat"]]
    turns = role_sets(root, plan_of, ROTATION, *typed())
    assert sorted(name for novel in turns for name in novel) == sorted(CLASSES)
    with pytest.raises(SimFormerError, match="type one"):
        role_sets(root, plan_of, BEST, *typed())
    with pytest.raises(SimFormerError, match="other classes than those of scenes"):
        role_sets(root, plan_of, PRESENT, *typed(classes=("sky", "cow")))
    with pytest.raises(SimFormerError, match="only numbers can be changed"):
        role_sets(root, partial(typed_plan, tmp_path, names=CLASSES), PRESENT, *typed(classes=CLASSES[:2]))


def test_what_cannot_be_trained_is_a_sentence(root, tmp_path):
    trainer = Trainer(root)
    with pytest.raises(gr.Error, match="every class gets masks"):
        begin(root, trainer, Models(()), partial(typed_plan, tmp_path), PRESENT, *typed(masked=CLASSES))
    with pytest.raises(gr.Error, match="no training to go on with"):
        go_on(trainer, Models(()))


def test_a_new_result_is_expected_from_at_once(root, synthetic_results):
    trainer, rows = Trainer(root), [["cow", 1, 1]]
    cells = read_results(synthetic_results, part_masked=True)
    progress, train, stop, resume, expected, seen = look(trainer, Models(()), (synthetic_results,), 3, rows)
    assert "Nothing was trained" in progress and train.interactive and not stop.visible and not resume.visible
    assert seen == len(cells) and expected.value == "msrc21/synthetic"
    assert look(trainer, Models(()), (synthetic_results,), seen, rows)[4:] == (gr.skip(), gr.skip())


def test_models_that_wait_for_the_next_start_are_told(root, monkeypatch):
    trainer, models = Trainer(root), Models(())
    models.names = ("cam",)
    for names, told in ((("cam",), False), (("cam", "no-cat-1"), True)):
        monkeypatch.setattr(trainer.runs, "models", lambda names=names: dict.fromkeys(names, root))
        assert ("when you start the page again" in show(trainer, models)[0]) is told


@pytest.mark.parametrize("training", [False, True])
def test_training_is_there_only_where_the_app_was_told_so(lay_out, root, synthetic_results, training):
    page = lay_out(costs.build, results_folder=synthetic_results, data=root, training=training)
    ids = {getattr(block, "elem_id", None) for block in page.blocks.values()}
    assert ("measure-train" in ids) is training and "work-make" in ids


def test_who_reaches_a_page(monkeypatch):
    for name in ("SPACE_ID", "GRADIO_SERVER_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert only_for_its_owner(None, False) and only_for_its_owner("localhost", False)
    assert not only_for_its_owner("0.0.0.0", False) and not only_for_its_owner(None, True)
    assert not only_for_its_owner("192.168.1.5", False)
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    assert not only_for_its_owner(None, False)
    monkeypatch.setenv("GRADIO_SERVER_NAME", "127.0.0.1")
    monkeypatch.setenv("SPACE_ID", "me/space")
    assert not only_for_its_owner(None, False)
