"""Rows of the gallery as one picture for a paper: heads, pictures, IoU, dotted rectangles, legend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from simformer.compare.columns import INPUT, ROLES, TRUTH
from simformer.compare.gallery import Cell, Row, View
from simformer.compare.pictures import best_columns, classes_in, row_pictures, weak_columns
from simformer.compare.regions import Box
from simformer.errors import ConfigError
from simformer.labels import VOID, VOID_COLOR
from simformer.utils.files import atomic_write
from simformer.utils.palette import BASE_COLOR, NOVEL_COLOR, class_colors

MOST_ROWS = 24
CELL = 320
"""Width of a picture in pixels; the other lengths follow from it."""

_INK, _SUBDUED, _PAPER = (20, 20, 20), (90, 90, 90), (255, 255, 255)
# Of the cell's width.
_GAP, _TEXT, _DOT = 0.025, 0.085, 0.012
_TALLEST = 1.0
# Of the text's size: what the figure means, below it.
_SMALL = 0.85


def draw_figure(view: View, rows: Sequence[Row], cell: int = CELL) -> Image.Image:
    """The rows, one below the other.

    Args:
        rows: of `Gallery.row` for this view.
        cell: pixels of a picture's width.

    Returns:
        RGB, on white.

    Raises:
        ConfigError: no row, or more than `MOST_ROWS`.
    """
    if not 0 < len(rows) <= MOST_ROWS:
        raise ConfigError(f"a figure has 1 to {MOST_ROWS} rows, not {len(rows)}")
    without_model = (INPUT, TRUTH, ROLES) if any(row.truth is not None for row in rows) else (INPUT,)
    titles = [*(title for title in without_model if title not in view.query.left_out), *rows[0].cells]
    gap, text = max(2, round(_GAP * cell)), max(8, round(_TEXT * cell))
    font = _font(text)
    scored = any(found.iou is not None for row in rows for found in row.cells.values())
    heights = [_height(row, cell) for row in rows]
    line = round(1.5 * text)
    top = line + gap
    body = sum(heights) + len(rows) * ((line if scored else 0) + gap)
    width = len(titles) * (cell + gap) - gap
    legend = list(_legend_lines(view, rows, width, font, text))
    said = caption(view)
    height = top + body + gap + (len(legend) + 1) * line + gap
    image = Image.new("RGB", (width + 2 * gap, height), _PAPER)
    draw = ImageDraw.Draw(image)
    for number, title in enumerate(titles):
        middle = gap + number * (cell + gap) + cell // 2
        draw.text((middle, gap + line // 2), title, _INK, _fitting(title, font, cell, text), anchor="mm")
    y = top + gap
    for row, height in zip(rows, heights, strict=True):
        pictures = row_pictures(view, row, 2 * cell)
        best = best_columns(view, row)
        for number, title in enumerate(titles):
            x = gap + number * (cell + gap)
            _paste(image, pictures[title], (x, y), (cell, height), row.boxes, cell)
            found = row.cells.get(title)
            if found is not None and scored:
                _number(draw, (x + cell // 2, y + height + line // 2), found, font, bold=title in best)
        y += height + (line if scored else 0) + gap
    for number, (inset, items) in enumerate(legend):
        _draw_legend(draw, items, gap + inset, y + number * line, line, font, text)
    small = _fitting(said, _font(_SMALL * text), width, round(_SMALL * text))
    draw.text((gap, y + len(legend) * line + line // 2), said, _SUBDUED, small, anchor="lm")
    return image


def save_figure(image: Image.Image, path: str | Path, view: View, rows: Sequence[Row]) -> None:
    """Write the figure as PNG, with what it was made of (split, photos, weights) in its text fields.

    Raises:
        SimFormerError: the file cannot be written.
    """
    with atomic_write(path) as file:
        image.save(file, format="PNG", optimize=True, dpi=(300, 300), pnginfo=description(view, rows))


def description(view: View, rows: Sequence[Row]) -> PngInfo:
    """What a figure was made of, as text fields of a PNG."""
    info = PngInfo()
    info.add_itxt("Title", f"{view.split.dataset}, split {view.split.name}")
    info.add_itxt("Description", caption(view))
    info.add_itxt("Photos", ", ".join(row.name for row in rows))
    weights = (f"{column.name}: sha256 {column.fingerprint}" for column in view.columns)
    info.add_itxt("Weights", "\n".join(weights))
    return info


def caption(view: View) -> str:
    """What the numbers and the rectangles mean, in three sentences at most."""
    name = view.query.class_name
    what = f"IoU of {name}" if name else "mean IoU of the photo's novel classes"
    text = f"Numbers: {what}, percent."
    if len(weak_columns(view)) > 1:
        text += " Bold: the best without masks of novel classes."
    if view.first and view.second:
        text += f" Dotted: where only one of {view.first.name} and {view.second.name} is right."
    return text


def _height(row: Row, cell: int) -> int:
    if row.image is None:
        return cell // 2
    height, width = row.image.shape[1:]
    return round(cell * min(height / width, _TALLEST))


def _paste(
    image: Image.Image,
    picture: Image.Image | None,
    corner: tuple[int, int],
    size: tuple[int, int],
    boxes: Sequence[Box],
    cell: int,
) -> None:
    """Lay a picture into a place of (width, height), in its middle, with the rectangles on it."""
    draw = ImageDraw.Draw(image)
    (x, y), (width, height) = corner, size
    if picture is None:
        draw.rectangle((x, y, x + width - 1, y + height - 1), outline=(200, 200, 200))
        return
    scale = min(width / picture.width, height / picture.height)
    shown = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    kind = Image.Resampling.NEAREST if picture.mode == "P" else Image.Resampling.LANCZOS
    x, y = x + (width - shown[0]) // 2, y + (height - shown[1]) // 2
    image.paste(picture.resize(shown, kind).convert("RGB"), (x, y))
    for box in boxes:
        corners = (
            x + box.left * shown[0], y + box.top * shown[1], x + box.right * shown[0], y + box.bottom * shown[1],
        )  # fmt: skip
        _dotted(draw, corners, max(2, round(_DOT * cell)))


def _dotted(draw: ImageDraw.ImageDraw, corners: tuple[float, float, float, float], dot: int) -> None:
    """A rectangle of white dots with dark rims, which is seen on every color."""
    left, top, right, bottom = (round(value) for value in corners)
    left, top, right, bottom = left + dot // 2, top + dot // 2, right - dot // 2 - 1, bottom - dot // 2 - 1
    for x0, y0, x1, y1 in ((left, top, right, top), (right, top, right, bottom), (right, bottom, left, bottom),
                           (left, bottom, left, top)):  # fmt: skip
        length = abs(x1 - x0) + abs(y1 - y0)
        count = max(1, round(length / (2.2 * dot)))
        for number in range(count):
            x, y = x0 + (x1 - x0) * number / count, y0 + (y1 - y0) * number / count
            half = dot / 2
            draw.ellipse((x - half, y - half, x + half, y + half), fill=_PAPER, outline=_INK)


def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # so it is wherever a size is given
    return font


def _number(
    draw: ImageDraw.ImageDraw, middle: tuple[int, int], cell: Cell, font: ImageFont.FreeTypeFont, *, bold: bool
) -> None:
    text = "-" if cell.iou is None else f"{cell.iou:.1f}"  # the font has no dash
    # The font has one weight: a thin stroke makes the bold one.
    draw.text(middle, text, _INK, font, anchor="mm", stroke_width=font.size / 40 if bold else 0)


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: int, size: int) -> ImageFont.FreeTypeFont:
    return font if font.getlength(text) <= width else _font(size * 0.98 * width / font.getlength(text))


Item = tuple[str, tuple[int, int, int]]


def _legend_lines(view: View, rows: Sequence[Row], width: int, font, text: int) -> Iterator[tuple[float, list[Item]]]:
    """The classes with their colors, base and novel ones apart, broken into lines of at most `width` pixels.

    With each line how far it is set in: the second one of a group begins below the first one's classes.
    """
    classes, colors = view.split.classes, class_colors(view.split.classes).tolist()
    shown = classes_in(view, rows)
    novel = set(view.split.novel)
    for title, color, group in (
        ("Base:", BASE_COLOR, [index for index in shown if index not in novel]),
        ("Novel:", NOVEL_COLOR, [index for index in shown if index in novel]),
    ):
        if not group:
            continue
        line: list[Item] = [(title, color)]
        begin, inset = 0.0, _item_width(line[0], font, text)
        for index in group:
            item = (classes[index], tuple(colors[index]))
            if begin + sum(_item_width(each, font, text) for each in (*line, item)) > width:
                yield begin, line
                begin, line = inset, []
            line.append(item)
        yield begin, line
    truth_is_seen = not {TRUTH, ROLES} <= view.query.left_out
    if truth_is_seen and any(row.truth is not None and (row.truth == VOID).any() for row in rows):
        yield 0.0, [("void: no truth", VOID_COLOR)]


def _item_width(item: Item, font, text: int) -> float:
    return font.getlength(item[0]) + 2.6 * text


def _draw_legend(
    draw: ImageDraw.ImageDraw, items: Sequence[Item], x: float, y: int, line: int, font, text: int
) -> None:
    for item in items:
        name, color = item
        top = y + (line - text) // 2
        draw.rectangle((x, top, x + text, top + text), fill=tuple(color), outline=_SUBDUED)
        draw.text((x + 1.4 * text, y + line // 2), name, _INK, font, anchor="lm")
        x += _item_width(item, font, text)
