from __future__ import annotations

import shlex

import pytest

from simformer.costs.typed import folder_rows
from simformer.results import read_results, write_result
from simformer.ui.costs.own import own_rows, own_splits
from simformer.ui.costs.tab import RoleSets, own_classes, split_choices, take_split
from simformer.ui.data import tab as own_tab
from simformer.ui.data.checking import check_html, look
from simformer.ui.data.deciding import decide_html
from simformer.ui.data.measuring import measure
from train.config import load_config

CLASSES = ("sky", "grass", "cat")


def test_the_tab_has_four_steps_and_an_endpoint(root, lay_out, models, synthetic_results):
    page = lay_out(own_tab.build, models, data=root, results_folder=synthetic_results)
    labels = [block.label for block in page.blocks.values() if type(block).__name__ == "Tab"]
    assert labels[1:] == ["1. Check", "2. Compare with the truth", "3. Decide", "4. Measure"]
    [named] = [function for function in page.fns.values() if function.api_name == "check"]
    answer = named.fn()
    assert (answer["lists"], answer["label_maps"]) == ({"train.txt": 5, "val.txt": 3}, 8)
    assert [row["name"] for row in answer["classes"]] == list(CLASSES)


def test_check_shows_counts_and_what_is_wrong(own, root):
    *_, html = look(own)
    assert "<dt>photos in train.txt</dt><dd>5</dd>" in html and "<dt>label maps</dt><dd>8</dd>" in html
    assert "Which classes occur together" in html and "Wrong" not in html
    (root / "images" / "scene_00000.jpg").write_bytes(b"broken")
    *_, same = look(own)
    assert same == html
    *_, html = look(own, again=True)
    assert "<strong>Wrong:</strong> Photos that cannot be read: 1. Save them again" in html
    assert "images/scene_00000.jpg" in html and str(root) not in html


def test_check_says_how_far_it_is(own, monkeypatch):
    monkeypatch.setattr("simformer.ui.data.checking.PROGRESS_SECONDS", 0)
    texts = list(look(own))
    assert "0 of 8 photos looked at" in texts[0] and "3 of 8 photos looked at" in texts[3]
    assert "progress" not in texts[-1]
    assert "Nothing is wrong so far" in texts[0] or "mistakes" in texts[0]


def test_names_are_escaped(own, root):
    (root / "train.txt").write_text("<i>\nscene_00000\n")
    html = check_html(own.new_check())
    assert "<li>&lt;i&gt;</li>" in html and "<i>" not in html


@pytest.fixture
def own_results(tmp_path, synthetic_results):
    """Cells as a table over own data leaves them: two choices of novel classes."""
    folder = tmp_path / "results"
    cell = next(cell for cell in read_results(synthetic_results) if cell.method == "SimFormer")
    ious = dict.fromkeys(CLASSES, 50.0)
    for split, novel in (("animals", ["cat"]), ("plants", ["grass"])):
        scores = cell.scores.model_copy(update={"miou": 50.0, "base": 50.0, "novel": 50.0, "per_class": ious})
        own = {"dataset": "custom", "split": split, "novel": novel, "scores": scores}
        write_result(cell.model_copy(update=own), folder)
    return folder


def test_decide_counts_the_folder(root, own_results, tmp_path):
    html = decide_html(root, own_results)
    assert "5 photos (the photos in train.txt of scenes)" in html and "masks for all 3 classes cost" in html
    assert "Measured on these classes: animals, plants" in html and "No mIoU" not in html
    assert "No mIoU is known for these classes yet" in decide_html(root, tmp_path / "none")


def test_a_folder_that_cannot_be_counted_says_why(root, tmp_path):
    (root / "labels" / "scene_00000.png").write_bytes(b"broken")
    assert "cannot be read as a PNG label map" in decide_html(root, tmp_path)
    assert all(update["__type__"] == "update" for update in own_classes(root, [], [], RoleSets([], [])))


def test_the_planner_takes_the_classes_and_the_splits_of_own_data(root, own_results):
    table, masked, *_ = own_classes(root, ["cat", "cow"], [], RoleSets([], []))
    assert own_rows(root) == folder_rows(str(root)) and [row[0] for row in own_rows(root)] == list(CLASSES)
    assert masked.value == ["cat"] and table.value["data"] == own_rows(root)
    cells = read_results(own_results)
    assert own_splits(cells, CLASSES) == {"custom/animals": ["sky", "grass"], "custom/plants": ["sky", "cat"]}
    assert own_splits(cells, ("sky",)) == {}
    assert split_choices(CLASSES, cells)[:2] == [
        ("Measured: animals", "custom/animals"),
        ("Measured: plants", "custom/plants"),
    ]
    assert take_split(own_results, "custom/animals", own_rows(root)) == ["sky", "grass"]


def test_without_a_list_of_training_photos_all_are_counted(root):
    (root / "train.txt").unlink()
    assert [row[0] for row in folder_rows(str(root))] == list(CLASSES)


@pytest.mark.parametrize("novel, models", [([], ["oracle", "cam"]), (["cat"], ["mine", "oracle", "cam"])])
def test_the_commands_train_what_they_say(own, novel, models, monkeypatch):
    sentence, text = measure(own, novel)
    assert ("this trains FullyOracle" in sentence) == (not novel)
    trainings = [shlex.split(line)[3:] for line in text.splitlines() if line.startswith("python -m train")]
    assert [words[-1] for words in trainings] == [f"out=runs/{name}" for name in models]
    for config, *overrides in trainings:
        settings = load_config(config, overrides)
        assert settings.data == own.dataset.root.resolve()
        assert (settings.novel or []) == (novel if overrides[-1] == "out=runs/mine" else [])
    assert text.splitlines()[-1].endswith(f"python app.py --data {own.dataset.root}")


def test_all_classes_novel_is_no_training(own):
    sentence, text = measure(own, list(CLASSES))
    assert "Without any base class" in sentence and "novel=" not in text
