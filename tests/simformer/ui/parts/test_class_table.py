from __future__ import annotations

import numpy as np
import pytest

from simformer.segmentation import Segmentation
from simformer.ui.parts.class_table import Row, class_areas, class_rows, mask_agreement, table_html

CLASSES, ROLES = ("sky", "grass", "cat"), ("base", "base", "novel")


def segmentation(rows, classes=CLASSES, roles=ROLES, score=0.5):
    labels = np.array(rows, dtype=np.uint8)
    return Segmentation(labels, np.full((len(classes), *labels.shape), score, np.float32), classes, roles, "some")


MAIN = segmentation([[0, 0, 2, 2], [0, 0, 2, 255]])
CAM = segmentation([[0, 2, 2, 2], [0, 1, 1, 1]])


def test_rows_worked_out_by_hand():
    sky, cat, grass = class_rows(MAIN, CAM)
    assert (sky.name, sky.role, sky.area, sky.agreement) == ("sky", "base", 4 / 8, 2 / 4)
    assert sky.score == pytest.approx(0.5)
    assert (cat.name, cat.role, cat.area, cat.agreement) == ("cat", "novel", 3 / 8, 2 / 4)
    assert grass == Row("grass", "base", 0.0, None, 0.0)


def test_without_a_second_model_there_is_no_agreement():
    assert [row.agreement for row in class_rows(MAIN, None)] == [None, None]


def test_class_lists_may_differ():
    other = segmentation([[1, 1, 0, 0], [1, 1, 0, 0]], ("boat", "sky"), ("novel", "base"))
    rows = {row.name: row for row in class_rows(MAIN, other)}
    assert rows["sky"].agreement == 1
    assert rows["cat"].agreement == 0
    assert rows["boat"] == Row("boat", "novel", 0.0, None, 0.0)


def test_a_class_in_neither_mask_has_no_agreement():
    assert mask_agreement(segmentation([[0]]), segmentation([[0]]), "cat") is None


def test_areas_are_sorted_and_leave_unsure_pixels_out():
    assert class_areas(MAIN) == {"sky": 4 / 8, "cat": 3 / 8}
    assert list(class_areas(CAM)) == ["grass", "cat", "sky"]


def test_table_in_html():
    html = table_html([Row("a<b", "novel", 0.5, 0.25, None), Row("sky", "base", 0.0, None, 0.0)], "SimFormer", "CAM")
    assert "a&lt;b" in html and "<td>0.25</td>" in html and "Agrees with CAM" in html
    assert "Agrees" not in table_html([Row("sky", "base", 1.0, 0.5, None)], "SimFormer", None)
    assert "left out" in table_html([], "SimFormer", "CAM")
