from __future__ import annotations

import re

import numpy as np
import pytest
from downloads import saved_csv

from simformer.batch.gallery import Evaluation, arrange
from simformer.ui.data.looking import ANY_CLASS, evaluate, gallery, measured
from simformer.ui.data.matrix import MOST, confusion_html, together_html

CLASSES = ("sky", "grass", "cat")


def scored(*photos):
    evaluation = Evaluation(3)
    for index, (prediction, truth) in enumerate(photos):
        evaluation.add(index, np.array([prediction], np.uint8), np.array([truth], np.uint8))
    return evaluation


def cells(html):
    """(row, column) -> what the cell's button says."""
    return {tuple(map(int, pair.split(","))): words for pair, words in re.findall(
        r'<button type="button" tabindex="-1" data-pair="([\d,]+)" aria-label="([^"]+)"', html)}  # fmt: skip


def test_cells_by_hand():
    evaluation = scored(([0, 0, 1, 2], [0, 0, 0, 0]), ([1, 255], [1, 1]))
    found = cells(confusion_html(CLASSES, evaluation))
    assert found == {
        (0, 0): "sky: 50 % right",
        (0, 1): "sky taken for grass: 25 %, 1 pixels",
        (0, 2): "sky taken for cat: 25 %, 1 pixels",
        (1, 1): "grass: 50 % right",
        (1, 3): "grass taken for unsure: 50 %, 1 pixels",
    }


def test_the_costliest_confusions_come_first():
    evaluation = scored(([0, 1, 1, 1], [0, 0, 0, 0]), ([2, 1], [1, 1]))
    html = confusion_html(CLASSES, evaluation)
    assert re.findall(r'<li><button type="button" data-pair="(\d,\d)"', html) == ["0,1", "1,2"]
    assert "Every labelled pixel is right" in confusion_html(CLASSES, scored(([0], [0])))
    assert "appears here" in confusion_html(CLASSES, Evaluation(3))


def test_of_very_many_classes_the_most_frequent_are_shown():
    count = MOST + 5
    evaluation = Evaluation(count)
    truth = np.repeat(np.arange(count), np.arange(1, count + 1)).astype(np.uint8)[None]
    evaluation.add(0, truth, truth)
    names = [f"class {index}" for index in range(count)]
    html = confusion_html(names, evaluation)
    assert html.count("<tr>") == MOST + 1 and ">class 4<" not in html and ">class 5<" in html
    assert f"The {MOST} most frequent of {count} classes" in html


def test_together_says_shares_of_the_row():
    html = together_html(("sky", "<b>"), np.array([[4, 1], [1, 2]]))
    assert "25 % of the 4 photos with sky show &lt;b&gt;" in html
    assert "50 % of the 2 photos with &lt;b&gt; show sky" in html
    assert "<b>" not in html and "button" not in html
    assert together_html(("sky",), np.zeros((1, 1), int)) == ""


def test_a_cell_opens_the_photos_behind_it(own, models):
    list(evaluate(own, models, "split1"))
    evaluation = own.evaluation("split1")
    for pair in cells(measured(own, models, "split1")):
        html, _ = gallery(own, "split1", "best", ANY_CLASS, pair)
        indices = arrange(own.dataset, evaluation, pair=pair)
        assert re.findall(r"<strong>(scene_\d+)</strong>", html) == [own.dataset.names[index] for index in indices]
        assert f"{evaluation.photos[indices[0]].confusion[pair]:,} pixels" in html and "most pixels first" in html


def test_csv_files(own, models):
    assert "download" not in measured(own, models, "split1")
    list(evaluate(own, models, "split1"))
    html, evaluation = measured(own, models, "split1"), own.evaluation("split1")
    files = {name: saved_csv(html, name) for name in ("classes.csv", "photos.csv", "confusion.csv")}
    assert [row["class"] for row in files["classes.csv"]] == list(CLASSES)
    ious = evaluation.scores().per_class
    assert [float(row["iou"]) for row in files["classes.csv"]] == pytest.approx(ious, abs=1e-3)
    assert [row["photo"] for row in files["photos.csv"]] == own.dataset.names
    assert [[int(value) for value in list(row.values())[1:]] for row in files["confusion.csv"]] == (
        evaluation.matrix.counts.tolist()
    )
