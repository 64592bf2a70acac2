"""export: a folder of label PNGs in the format of an annotation tool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from simformer.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from simformer.export import Annotation


def export(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Folder of label PNGs and of such folders.")],
    out: Annotated[Path, typer.Option(help="File to write; for png and labelme also a folder.")],
    format_name: Annotated[str, typer.Option("--format", help="png, coco, cvat, labelme or label-studio.")] = "coco",
    classes: Annotated[
        Path | None,
        typer.Option(help="Class names, one a line, or a CSV. By default LABELS/classes.csv or classes.txt."),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder of the photos: gives their names, and their sizes are compared."),
    ] = None,
    photo_extension: Annotated[str, typer.Option(help="Of the photos' names, without --photos.")] = ".jpg",
    min_area: Annotated[int, typer.Option(help="Leave out regions of fewer pixels.")] = 1,
    url: Annotated[
        str, typer.Option(help="Put before the photos' names where Label Studio and COCO want a web address.")
    ] = "",
) -> None:
    """Convert label maps: 8-bit PNGs whose values are class indices, 255 = unsure."""
    from tqdm import tqdm

    from simformer.export import find_format
    from simformer.export.label_png import read_classes

    chosen = find_format(format_name)
    if not labels.is_dir():
        raise DatasetError(f"there is no folder {labels}")
    if chosen.name == "png" and out.resolve().is_relative_to(labels.resolve()):
        raise ConfigError(f"{out} lies in {labels}, where it would replace label maps; choose another --out")
    names = read_classes(classes or _default_classes(labels))
    files = sorted(path for path in labels.rglob("*.png") if not path.name.startswith("."))
    if not files:
        raise DatasetError(f"there are no PNGs in {labels}")
    bar = tqdm(files, unit="photo", disable=None)
    annotations = _annotations(bar, labels, photos, photo_extension, url)
    written = chosen.write(annotations, names, out, min_area=min_area)
    typer.echo(f"{chosen.label}: {len(files)} label maps, {len(written)} files written, the first {written[0]}")


def _default_classes(labels: Path) -> Path:
    for name in ("classes.csv", "classes.txt"):
        if (labels / name).is_file():
            return labels / name
    raise DatasetError(f"{labels} has neither classes.csv nor classes.txt; name the classes with --classes")


def _annotations(
    files: Iterable[Path], labels: Path, photos: Path | None, extension: str, url: str
) -> Iterator[Annotation]:
    from simformer.export import Annotation
    from simformer.labels import read_label_png

    found = {} if photos is None else _photos_by_stem(photos, labels)
    for path in files:
        label_map = read_label_png(path)
        stem = _stem(path, labels)
        name = f"{stem}.{extension.removeprefix('.')}"
        if photos is not None:
            if stem not in found:
                raise DatasetError(f"{photos} has no photo for {path}")
            _check_size(found[stem], path, label_map.shape)
            name = found[stem].relative_to(photos).as_posix()
        yield Annotation(name, label_map, url and url + quote(name))


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _photos_by_stem(photos: Path, labels: Path) -> dict[str, Path]:
    """The photos under a folder by their name in it, without extension."""
    from simformer.batch.find import photo_suffixes

    if not photos.is_dir():
        raise DatasetError(f"there is no folder {photos}")
    suffixes = photo_suffixes()
    if photos.resolve() == labels.resolve():
        suffixes -= {".png"}  # those are the label maps
    found: dict[str, Path] = {}
    for path in sorted(photos.rglob("*")):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            earlier = found.setdefault(_stem(path, photos), path)
            if earlier is not path:
                raise DatasetError(f"{earlier} and {path} are two photos of one name")
    return found


def _check_size(photo: Path, label_map: Path, shape: tuple[int, ...]) -> None:
    from simformer.utils.apart import load_apart

    size = load_apart(photo).size
    if size != shape[::-1]:
        raise DatasetError(
            f"{label_map} has {shape[1]} x {shape[0]} pixels, but its photo {photo} has {size[0]} x {size[1]}"
        )
