from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from simformer.compare.columns import INPUT, ROLES, TRUTH
from simformer.compare.figure import MOST_ROWS, _font, _legend_lines, caption, draw_figure, save_figure
from simformer.compare.pictures import best_columns, classes_in, role_picture, row_pictures
from simformer.errors import ConfigError
from simformer.utils.palette import BASE_COLOR, NOVEL_COLOR, class_colors

PAIR = {"split": "s1", "columns": ["CAM", "SimFormer"], "first": "SimFormer", "second": "CAM"}


@pytest.fixture
def shown(drawn):
    view = drawn.view(PAIR)
    list(drawn.make(drawn.to_make(view)))
    return view, [drawn.row(view, index) for index in range(3)]


def test_pictures_of_a_row(shown):
    view, rows = shown
    pictures = row_pictures(view, rows[0], 30)
    assert list(pictures) == [INPUT, TRUTH, ROLES, "CAM", "SimFormer"]
    assert all(picture.size == (30, 20) for picture in pictures.values())
    colors = class_colors(("sky", "grass", "cat"))
    assert pictures[TRUTH].convert("RGB").getpixel((0, 0)) == tuple(colors[2])
    assert pictures["CAM"].convert("RGB").getpixel((0, 19)) == tuple(colors[1])
    assert pictures[ROLES].convert("RGB").getpixel((0, 0)) == NOVEL_COLOR
    assert pictures[ROLES].convert("RGB").getpixel((29, 0)) == BASE_COLOR


def test_void_is_neither_base_nor_novel():
    picture = role_picture(np.array([[0, 1, 255]], dtype=np.uint8), [1]).convert("RGB")
    assert [picture.getpixel((x, 0)) for x in range(3)] == [BASE_COLOR, NOVEL_COLOR, (224, 224, 224)]


def test_classes_of_the_legend(shown):
    view, rows = shown
    assert classes_in(view, rows) == [1, 2]
    rows[0].cells["CAM"].labels[:10] = 0
    assert classes_in(view, rows) == [0, 1, 2]
    rows[0].cells["CAM"].labels[1:10] = 1  # 60 of 2400 pixels
    rows[0].cells["CAM"].labels[0, 20:] = 1  # 20: less than one in a hundred
    assert classes_in(view, rows) == [1, 2]


def test_a_figure_has_every_picture_in_its_place(shown):
    view, rows = shown
    figure = np.asarray(draw_figure(view, rows, 120))
    cat, grass = (tuple(color) for color in class_colors(("cat", "grass")))
    heights = np.flatnonzero((figure == cat).all(axis=2).any(axis=1))
    # Five columns of 120 pixels with gaps of 3.
    assert figure.shape[1] == 5 * 123 - 3 + 6
    first, last = heights.min(), heights[heights < heights.min() + 100].max()
    truth, simformer = 3 + 123, 3 + 4 * 123
    row = figure[(first + last) // 2 + 10]
    assert tuple(row[truth + 30]) == tuple(row[simformer + 30]) == cat
    assert tuple(row[truth + 90]) == tuple(row[simformer + 90]) == grass
    assert tuple(figure[first + 70][3 + 3 * 123 + 30]) == grass  # where CAM misses the cat


def test_what_the_view_leaves_out_is_not_in_the_figure(drawn, shown):
    _, rows = shown
    for left_out, shown_titles in (([ROLES], [INPUT, TRUTH]), ([INPUT, TRUTH, ROLES], [])):
        view = drawn.view({**PAIR, "left_out": left_out})
        assert list(row_pictures(view, rows[0], 30)) == [*shown_titles, "CAM", "SimFormer"]
        assert draw_figure(view, rows, 100).width == (2 + len(shown_titles)) * 102 + 2


def test_what_is_written_is_in_the_font(shown, monkeypatch):
    view, rows = shown
    cells = {name: replace(cell, iou=None) for name, cell in rows[0].cells.items()}
    rows[0] = replace(rows[0], cells=cells)
    written, draw_text = [], ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "text",
        lambda draw, at, text, *a, **k: written.append(text) or draw_text(draw, at, text, *a, **k),
    )
    draw_figure(view, rows)
    unknown = bytes(_font(30).getmask("\uffff"))
    letters = set("".join(written)) - {" "}
    assert letters and not [letter for letter in letters if bytes(_font(30).getmask(letter)) == unknown]


def test_rectangles_are_drawn_on_every_picture(shown):
    view, rows = shown
    with_boxes = np.asarray(draw_figure(view, rows[:1], 120)).astype(int)
    without = np.asarray(draw_figure(view, [replace(rows[0], boxes=())], 120)).astype(int)
    changed = np.abs(with_boxes - without).sum(axis=(0, 2)) > 0
    assert all(changed[3 + number * 123 : 3 + number * 123 + 120].any() for number in range(5))


def test_the_file_says_what_it_was_made_of(shown, tmp_path):
    view, rows = shown
    save_figure(draw_figure(view, rows), tmp_path / "figure.png", view, rows)
    with Image.open(tmp_path / "figure.png") as image:
        image.load()
        text = image.text
    assert text["Title"] == "custom, split s1"
    assert text["Photos"] == "a, b, c"
    assert text["Weights"].startswith(f"CAM: sha256 {view.columns[0].fingerprint}\nSimFormer: ")
    assert "Dotted: where only one of SimFormer and CAM is right." in text["Description"]
    assert "IoU of cat" in caption(view) or "mean IoU of the photo's novel classes" in caption(view)


def test_what_is_missing_leaves_its_place(drawn):
    view = drawn.view(PAIR)
    rows = [drawn.row(view, 0)]  # nothing is made
    (drawn.photos.root / "images" / "b.png").write_bytes(b"broken")
    rows.append(drawn.row(view, 1))
    assert draw_figure(view, rows, 100).width == 5 * 102 + 2


def test_portraits_are_no_taller_than_wide(shown):
    view, rows = shown
    upright = [
        replace(
            row,
            image=row.image.transpose(1, 2),
            truth=row.truth.T.copy(),
            cells={name: replace(cell, labels=cell.labels.T.copy()) for name, cell in row.cells.items()},
        )
        for row in rows[:1]
    ]
    assert draw_figure(view, upright, 120).height - draw_figure(view, rows[:1], 120).height == 120 - 80


def test_how_many_rows(shown):
    view, rows = shown
    for wrong in ([], rows * 20):
        with pytest.raises(ConfigError, match=f"1 to {MOST_ROWS} rows"):
            draw_figure(view, wrong)


def test_the_best_of_those_that_know_less_than_every_mask(drawn, shown):
    view, rows = shown
    assert [best_columns(view, row) for row in rows] == [{"SimFormer"}, {"SimFormer", "CAM"}, {"CAM"}]
    with_oracle = drawn.view({**PAIR, "columns": ["SimFormer", "FullyOracle"], "second": "FullyOracle"})
    list(drawn.make(drawn.to_make(with_oracle)))
    assert best_columns(with_oracle, drawn.row(with_oracle, 0)) == set()


def test_a_group_of_the_legend_goes_on_below_its_classes(shown):
    view, rows = shown
    text = 12
    width = 130  # for the head and one class
    lines = list(_legend_lines(view, rows, width, _font(text), text))
    words = [[name for name, _ in items] for _, items in lines]
    assert words == [["Base:", "grass"], ["Novel:", "cat"]]
    rows[0].cells["CAM"].labels[:10] = 0
    lines = list(_legend_lines(view, rows, width, _font(text), text))
    assert [[name for name, _ in items] for _, items in lines] == [["Base:", "sky"], ["grass"], ["Novel:", "cat"]]
    assert lines[0][0] == lines[2][0] == 0 < lines[1][0]
