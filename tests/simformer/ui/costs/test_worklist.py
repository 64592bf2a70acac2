from __future__ import annotations

import zipfile
from functools import partial

import gradio as gr
import pytest
from drawn_classes import CLASSES, write_three_classes

from simformer.costs import KINDS
from simformer.costs.evidence import NOT_MEASURED
from simformer.ui.costs.calculating import typed_plan
from simformer.ui.costs.own import own_rows
from simformer.ui.costs.worklist import AT_HAND, BEST, NOBODY, PRESENT, begin, finish, make


@pytest.fixture
def root(tmp_path):
    """Eight scenes, five of them for training; in the first nobody has drawn, and it is said to show <cat>."""
    root = write_three_classes(tmp_path / "scenes", (48, 64))
    (root / "labels" / "scene_00000.png").unlink()
    (root / "image_labels.csv").write_text("photo,class\nscene_00000,cat\nscene_00000,sky\n")
    return root


def typed(root, **changes):
    values = {
        "images": 5, "classes": own_rows(root), "masked": ["cat"], "rate": 36.0, "currency": "<EUR>", "control": 0,
        "instances": 1.0, "budget": None, "expected_from": NOT_MEASURED, "wishes": "", "have": [],
        "drawn_by": "hand", "mask_share": 100,
    }  # fmt: skip
    return [*{**values, **changes}.values(), *([10.0] * len(KINDS))]


@pytest.mark.parametrize("model", [AT_HAND, NOBODY, "cam"])
def test_a_worklist_is_shown_and_saved(root, models, tmp_path, model):
    updates = list(make(root, models, partial(typed_plan, tmp_path), PRESENT, model, 9, False, *typed(root)))
    answer, save, job, go, stop = updates[-1]
    assert any("<progress" in update[0] for update in updates[:-1])
    assert "1 of 1 photos that need masks of cat" in answer and "1. scene_00000.jpg" in answer
    assert "&lt;EUR&gt;" in answer and "<EUR>" not in answer
    assert job is None and save.visible and go.visible and not stop.visible
    with zipfile.ZipFile(save.value["path"] if isinstance(save.value, dict) else save.value) as archive:
        names = set(archive.namelist())
        assert b"1. scene_00000.jpg" in archive.read("plan.html")
    assert {"worklist.csv", "cvat.zip", "cvat_labels.json", "label_studio.json", "label_studio.xml"} <= names


def test_stopped_it_shows_what_was_looked_at(root, models, tmp_path):
    steps = make(root, models, partial(typed_plan, tmp_path), PRESENT, NOBODY, 9, True, *typed(root))
    job = next(steps)[2]
    next(job.work.look())
    answer, save, *_ = finish(root, job)
    assert "1 of 1 photos" in answer and save.visible
    assert finish(root, None)[0] == gr.skip()


def test_without_a_best_choice_or_with_a_wrong_number_it_is_a_sentence(root, models, tmp_path):
    plan_of = partial(typed_plan, tmp_path)
    with pytest.raises(gr.Error, match="type one"):
        list(make(root, models, plan_of, BEST, NOBODY, 9, False, *typed(root)))
    with pytest.raises(gr.Error, match="hourly_rate"):
        list(make(root, models, plan_of, PRESENT, NOBODY, 9, False, *typed(root, rate=-1)))
    with pytest.raises(gr.Error, match="nothing to draw"):
        list(make(root, models, plan_of, PRESENT, NOBODY, 9, False, *typed(root, masked=[])))
    given = partial(typed_plan, tmp_path, names=[row[0] for row in own_rows(root)])
    with pytest.raises(gr.Error, match="only numbers can be changed"):
        list(make(root, models, given, PRESENT, NOBODY, 9, False, *typed(root, classes=own_rows(root)[1:])))


def test_the_model_at_hand_knows_these_classes(root, models, tmp_path):
    plan = typed_plan(tmp_path, *typed(root))
    work, best = begin(root, models, plan, PRESENT, AT_HAND, False)
    assert not best and work.segmenter is not None and work.segmenter.classes == CLASSES
    (root / "classes.txt").write_text("sky\ngrass\ndog\n")
    (root / "image_labels.csv").unlink()
    plan = typed_plan(
        tmp_path, *typed(root, classes=[["sky", 10, 1], ["grass", 10, 1], ["dog", 10, 1]], masked=["dog"])
    )
    assert begin(root, models, plan, PRESENT, AT_HAND, False)[0].segmenter is None
