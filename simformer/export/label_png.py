"""Palette PNGs: pixel value = class index, drawn in the class's color; and the classes as a CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from simformer.errors import DatasetError
from simformer.export.annotation import Annotation, distinct
from simformer.export.tree import open_tree
from simformer.labels import VOID, VOID_COLOR, palette_image
from simformer.splits import class_lines
from simformer.utils.palette import hex_colors

CLASSES_FILE = "classes.csv"
VOID_NAME = "unsure"


def write(annotations: Iterable[Annotation], classes: Sequence[str], out: Path) -> list[Path]:
    """Write PHOTO.png for every photo, in the photos' folders, and classes.csv (columns index, class, color).

    Args:
        out: a folder, or a .zip that will hold the same tree.
    """
    with open_tree(out) as tree:
        for annotation in distinct(annotations, lambda annotation: annotation.stem):
            file = io.BytesIO()
            palette_image(annotation.labels, classes).save(file, format="PNG")
            tree.add(f"{annotation.stem}.png", file.getvalue())
        tree.add(CLASSES_FILE, class_csv(classes).encode())
    return tree.paths


def class_csv(classes: Sequence[str]) -> str:
    """index,class,color lines for the values in the PNGs, 255 included; color is #rrggbb."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("index", "class", "color"))
    colors = hex_colors(classes)
    rows.writerows((index, name, colors[name]) for index, name in enumerate(classes))
    rows.writerow((VOID, VOID_NAME, "#{:02x}{:02x}{:02x}".format(*VOID_COLOR)))
    return text.getvalue()


def read_classes(path: Path) -> tuple[str, ...]:
    """Class names in the order of their indices, from the CSV that `write` makes or from lines of text.

    Raises:
        DatasetError: the file is missing, is not UTF-8 text, or its indices are not 0, 1, 2 ...
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DatasetError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as UTF-8 text ({error})") from error
    if path.suffix.lower() != ".csv":
        return tuple(class_lines(text, path))
    rows = csv.DictReader(io.StringIO(text))
    if not {"index", "class"} <= set(rows.fieldnames or ()):
        raise DatasetError(f"{path} must begin with a line that names the columns index and class")
    listed = [(row["index"], row["class"]) for row in rows if row["index"] != str(VOID)]
    if [index for index, _ in listed] != [str(index) for index in range(len(listed))]:
        raise DatasetError(f"{path}: the column index must count 0, 1, 2 ...")
    return tuple((name or "").strip() for _, name in listed)
