from __future__ import annotations

import pytest

from simformer.costs.expected import COCO_STUFF, MeasuredRoles, PaperSplits
from simformer.splits import dataset_classes, load_split

CLASSES = ("sky", "cat", "boat")
IOU = {
    "sky": {"base": 90.0, "novel": 80.0, "cam": 60.0, "oracle": 92.0},
    "cat": {"base": 70.0, "novel": 50.0, "cam": 40.0, "oracle": 71.0},
    "boat": {"base": 50.0, "novel": 20.0, "cam": 20.0, "oracle": 53.0},
}


def without(class_name, role):
    return {name: {r: v for r, v in iou.items() if (name, r) != (class_name, role)} for name, iou in IOU.items()}


def test_each_class_counts_with_the_iou_of_its_role():
    expected = MeasuredRoles(IOU).expect(CLASSES, ["sky", "cat"])
    assert expected.miou == pytest.approx((90 + 70 + 20) / 3)
    assert expected.base == pytest.approx(80)
    assert expected.novel == pytest.approx(20)
    assert expected.counted == 3
    assert expected.missing == ()


def test_no_masks_is_cam_and_all_masks_is_the_oracle():
    measured = MeasuredRoles(IOU, dataset="msrc21")
    labels, masks = measured.expect(CLASSES, []), measured.expect(CLASSES, CLASSES)
    assert labels.miou == pytest.approx((60 + 40 + 20) / 3)
    assert labels.base is None
    assert "CAM" in labels.note and "msrc21" in labels.note
    assert masks.miou == pytest.approx((92 + 71 + 53) / 3)
    assert masks.novel is None
    assert "FullyOracle" in masks.note


def test_all_masks_without_an_oracle_are_the_base_iou():
    expected = MeasuredRoles(without("cat", "oracle")).expect(CLASSES, CLASSES)
    assert expected.miou == pytest.approx((90 + 70 + 50) / 3)
    assert "SimFormer" in expected.note


def test_a_missing_measurement_is_missing_not_zero():
    measured = MeasuredRoles(without("boat", "novel"))
    expected = measured.expect(CLASSES, ["sky", "cat"])
    assert expected.miou is None and expected.novel is None
    assert expected.base == pytest.approx(80)
    assert expected.missing == ("boat",)
    assert expected.note.startswith("Missing")
    assert measured.gain("boat") is None
    assert measured.comparable(CLASSES) == ("sky", "cat")
    # Over the classes that are known, the mean is known.
    assert measured.expect(CLASSES, ["sky"], over=["sky", "cat"]).miou == pytest.approx((90 + 50) / 2)


def test_a_model_trained_with_just_these_roles_is_told():
    reached = {frozenset({"sky", "cat"}): {"all": 61.0, "base": 75.5, "novel": 32.04}}
    measured = MeasuredRoles(IOU, trained=reached)
    told = (
        "A SimFormer trained with just these roles reached 61.0 over all classes, 75.5 over base, 32.0 over novel ones."
    )
    assert measured.expect(CLASSES, ["cat", "sky"]).note.endswith(told)
    assert "just these roles" not in measured.expect(CLASSES, ["sky"]).note
    assert "just these roles" not in measured.expect(("sky", "cat"), ["sky", "cat"]).note  # other classes


def test_nothing_measured():
    expected = MeasuredRoles.from_cells([]).expect(CLASSES, ["sky"])
    assert expected.miou is None
    assert expected.missing == CLASSES


def test_more_novel_classes_than_measured_is_said():
    measured = MeasuredRoles(IOU, largest_share=1 / 3)
    assert not measured.expect(CLASSES, ["sky", "cat"]).extrapolated
    beyond = measured.expect(CLASSES, ["sky"])
    assert beyond.extrapolated
    assert "67%" in beyond.note and "33%" in beyond.note
    # CAM and FullyOracle were themselves measured.
    assert not measured.expect(CLASSES, []).extrapolated
    assert not measured.expect(CLASSES, CLASSES).extrapolated


def masks_but_for(novel_count):
    classes = dataset_classes(COCO_STUFF)
    return classes, classes[novel_count:]


def test_the_papers_number_where_it_has_one():
    split = load_split(COCO_STUFF, "s4")
    expected = PaperSplits().expect(split.classes, [split.classes[index] for index in split.base])
    assert expected.novel == 29.5
    assert expected.miou is None and expected.base is None
    assert expected.note.startswith("Published") and "36.0" in expected.note


def test_between_two_splits_it_is_interpolated_and_says_so():
    few, more = (len(load_split(COCO_STUFF, name).novel) for name in ("s4", "s5"))
    assert (few, more) == (43, 51)
    expected = PaperSplits().expect(*masks_but_for(45))
    assert expected.novel == pytest.approx(29.5 + (27.1 - 29.5) * 2 / 8)
    assert expected.note.startswith("Interpolated, not measured")
    assert "s4" in expected.note and "s5" in expected.note
    star = PaperSplits("SimFormer*").expect(*masks_but_for(45))
    assert star.novel == pytest.approx(31.7 + (28.3 - 31.7) * 2 / 8)


@pytest.mark.parametrize("novel", [0, 10, 42, 150, 171])
def test_outside_the_papers_splits_it_is_missing(novel):
    expected = PaperSplits().expect(*masks_but_for(novel))
    assert expected.novel is None
    assert expected.note.startswith("Missing")


def test_the_papers_numbers_are_not_for_other_classes():
    assert PaperSplits().expect(CLASSES, ["sky"]).novel is None
