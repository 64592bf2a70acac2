"""The files of a folder data set beside its pictures: classes, lists of photos, image-level labels."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from simformer.errors import DatasetError
from simformer.labels import VOID
from simformer.splits import class_lines

TRAIN, VAL = "train.txt", "val.txt"
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


def read_classes(root: Path) -> tuple[str, ...]:
    """The class names in classes.txt. Raises DatasetError: it is missing, empty or too long, or names one twice."""
    path = root / "classes.txt"
    classes = class_lines(_text(path), path)
    if not 1 <= len(classes) <= VOID:
        raise DatasetError(f"{path} names {len(classes)} classes; between 1 and {VOID} are possible")
    if len(set(classes)) < len(classes):
        raise DatasetError(f"{path} names a class twice: {_repeated(classes)!r}")
    return tuple(classes)


def find_photos(root: Path) -> dict[str, Path]:
    """Name -> file of every photo in images. Raises DatasetError: there is no folder, or two photos have one name."""
    folder = root / "images"
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {folder}")
    photos: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in PHOTO_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in photos:
            raise DatasetError(f"{photos[path.stem]} and {path} are two photos of one name")
        photos[path.stem] = path
    return photos


def listed_names(path: Path) -> list[str]:
    """The lines of a list of photos, as they stand there, without blank ones. Raises DatasetError: unreadable."""
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def read_names(root: Path, list_file: str, photos: Mapping[str, Path]) -> list[str]:
    """The names in a list of photos. Raises DatasetError: it names a photo twice, or one that is not there."""
    path = root / list_file
    names = listed_names(path)
    if len(set(names)) < len(names):
        raise DatasetError(f"{path} names a photo twice: {_repeated(names)!r}")
    for name in names:
        if name not in photos:
            hint = "; write names without extension" if name.lower().endswith(PHOTO_SUFFIXES) else ""
            raise DatasetError(f"{path} names {name!r}, which is not in {root / 'images'}{hint}")
    return names


def training_list(root: str | Path) -> str | None:
    """The list of photos to annotate where nobody names one: train.txt, or None, which is all, where it is missing."""
    return TRAIN if (Path(root) / TRAIN).is_file() else None


def names_to_annotate(root: str | Path) -> tuple[list[str], str]:
    """The photos that `training_list` names, and which those are, in a few words. Raises DatasetError."""
    root = Path(root)
    photos, list_file = find_photos(root), training_list(root)
    if list_file is None:
        return sorted(photos), f"all photos of {root.resolve().name}"
    return read_names(root, list_file, photos), f"the photos in {list_file} of {root.resolve().name}"


def labelled_names(root: str | Path) -> list[str]:
    """Those of `names_to_annotate` that have a label map or image labels. Raises DatasetError."""
    root = Path(root)
    listed = read_image_labels(root, read_classes(root), find_photos(root))
    names, _ = names_to_annotate(root)
    return [name for name in names if name in listed or (root / "labels" / f"{name}.png").is_file()]


def read_image_labels(root: Path, classes: Sequence[str], photos: Mapping[str, Path]) -> dict[str, set[int]]:
    """Photo name -> indices of the classes that image_labels.csv gives it; nothing without that file.

    Raises:
        DatasetError: a line names a class or a photo that is not there, or the first line is another.
    """
    path = root / "image_labels.csv"
    if not path.is_file():
        return {}
    index_of = {name: index for index, name in enumerate(classes)}
    rows = csv.DictReader(_text(path).splitlines(), skipinitialspace=True)
    try:
        return _listed_labels(rows, path, index_of, photos)
    except csv.Error as error:
        raise DatasetError(f"{path}, line {rows.line_num + 1}: {error}") from error


def _listed_labels(
    rows: csv.DictReader[str], path: Path, index_of: Mapping[str, int], photos: Mapping[str, Path]
) -> dict[str, set[int]]:
    if not {"photo", "class"} <= set(rows.fieldnames or ()):
        raise DatasetError(f"{path} must begin with the line photo,class")
    labels: dict[str, set[int]] = {}
    for row in rows:
        photo, class_name = (row["photo"] or "").strip(), (row["class"] or "").strip()
        if class_name not in index_of:
            raise DatasetError(f"{path}, line {rows.line_num}: classes.txt has no class {class_name!r}")
        name = photo if photo in photos else Path(photo).stem
        if name not in photos:
            raise DatasetError(f"{path}, line {rows.line_num}: there is no photo {photo!r} in images")
        labels.setdefault(name, set()).add(index_of[class_name])
    return labels


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DatasetError(f"there is no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as UTF-8 text ({error})") from error


def _repeated(names: list[str]) -> str:
    return next(name for name, times in Counter(names).items() if times > 1)
