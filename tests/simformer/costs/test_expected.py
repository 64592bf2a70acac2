from __future__ import annotations

import pytest

from simformer.costs.expected import COCO_STUFF, NotMeasured, PaperSplits
from simformer.splits import dataset_classes, load_split

CLASSES = ("sky", "cat", "boat")


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


def test_nothing_measured():
    expected = NotMeasured("Why.").expect(CLASSES, ["sky"])
    assert expected.miou is None and expected.missing == CLASSES and expected.note == "Why."
