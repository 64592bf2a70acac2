"""Official downloads -> the folders that training reads: in parallel, resumable, nothing but whole files.

What train.prepare.coco_stuff10k, train.prepare.ade20k, train.prepare.msrc21 and train.prepare.nyuv2 have in common.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from simformer.errors import DatasetError
from simformer.labels import VOID
from simformer.utils.files import atomic_write, make_folder

Labels = NDArray[np.uint8]
# The option that all commands have.
Workers = Annotated[int | None, typer.Option(min=1, help="processes; by default one a core")]


class Entry(Protocol):
    """One photo of a download.

    Attributes:
        part: the download's name of its share: train, validation ...
        suffix: of the file it becomes, with the dot.
    """

    @property
    def name(self) -> str: ...
    @property
    def part(self) -> str: ...
    @property
    def suffix(self) -> str: ...


AnEntry = TypeVar("AnEntry", bound=Entry)


@dataclass(frozen=True)
class Photo:
    """An `Entry` that is a file of its own, with a file of labels, in the download."""

    name: str
    part: str
    image: Path
    labels: Path

    @property
    def suffix(self) -> str:
        return self.image.suffix


@dataclass(frozen=True)
class Layout:
    """Where things go below the target; {part} is the photo's part.

    Attributes:
        images, labels: folders.
        lists: part -> list file; None where no classes.txt and no lists are wanted.
    """

    images: str
    labels: str
    lists: dict[str, str] | None = None


def prepare(
    photos: Sequence[Photo],
    target: Path,
    layout: Layout,
    classes: Sequence[str],
    read_labels: Callable[[Path], Labels],
    workers: int | None = None,
) -> int:
    """Write every photo and its label map that is not there yet, then classes.txt and the lists.

    The lists come last, so that a folder that was left half done is not taken for a data set.

    Args:
        photos: all of the download.
        target: the folder; made if it is missing.
        classes: K names.
        read_labels: label file -> uint8, H x W, class index or 255. Importable: other processes call it.
        workers: processes; None takes one a core.

    Returns:
        How many photos were written; the others were there.

    Raises:
        DatasetError: a photo or label file is damaged, they differ in size, or `target` is another data set.
        SimFormerError: `target` cannot be written.
    """
    write = functools.partial(write_photo, target=target, layout=layout, read_labels=read_labels)
    return write_missing(photos, target, layout, classes, write, workers)


def write_missing(
    photos: Sequence[AnEntry],
    target: Path,
    layout: Layout,
    classes: Sequence[str],
    write: Callable[[AnEntry], None],
    workers: int | None = None,
) -> int:
    """`prepare` for photos that are not files of their own.

    Args:
        write: puts a photo and its label map where `places` says. Importable: other processes call it.
    """
    text = "\n".join(classes) + "\n"
    known = target / "classes.txt"
    if layout.lists and known.exists() and known.read_text(encoding="utf-8") != text:
        raise DatasetError(f"{target} holds another data set: its classes.txt has other classes")
    for part in {photo.part for photo in photos}:
        for folder in (layout.images, layout.labels):
            make_folder(target / folder.format(part=part))
    missing = [photo for photo in photos if not all(path.is_file() for path in places(photo, target, layout))]
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        done = pool.map(write, missing, chunksize=16)
        for _ in tqdm(done, total=len(photos), initial=len(photos) - len(missing), unit="photo"):
            pass
    if layout.lists:
        write_text(known, text)
        for part, file in layout.lists.items():
            write_text(target / file, "".join(f"{photo.name}\n" for photo in photos if photo.part == part))
    return len(missing)


def places(photo: Entry, target: Path, layout: Layout) -> tuple[Path, Path]:
    """Where a photo and its label map go."""
    images, labels = (target / folder.format(part=photo.part) for folder in (layout.images, layout.labels))
    return images / f"{photo.name}{photo.suffix}", labels / f"{photo.name}.png"


def write_photo(photo: Photo, target: Path, layout: Layout, read_labels: Callable[[Path], Labels]) -> None:
    """Check one photo against its label map and put both in their places. Raises DatasetError."""
    labels = read_labels(photo.labels)
    try:
        with Image.open(photo.image) as image:
            image.load()
            width, height = image.size
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        raise DatasetError(f"{photo.image} is damaged ({error}); download it again") from error
    if labels.shape != (height, width):
        shape = f"{labels.shape[1]} x {labels.shape[0]} pixels"
        raise DatasetError(f"{photo.labels} is {shape}, but {photo.image} is {width} x {height}")
    image_place, label_place = places(photo, target, layout)
    with atomic_write(label_place) as file:
        Image.fromarray(labels).save(file, "PNG")
    if image_place.is_file():
        return
    try:
        image_place.unlink(missing_ok=True)  # a link to nothing
        os.link(photo.image.resolve(), image_place)  # one copy on the disk serves both folders
    except OSError:  # another disk, or one without links
        with photo.image.open("rb") as source, atomic_write(image_place) as file:
            shutil.copyfileobj(source, file)


def relabel(values: NDArray, table: NDArray[np.int16], path: Path | str) -> Labels:
    """Values looked up in a table whose -1 stands for "no such label".

    Args:
        path: where the values are from, for the error's sentence.

    Raises:
        DatasetError: a value is not in the table; names it and the file.
    """
    if values.ndim != 2 or values.dtype.kind not in "iuf" or values.size == 0:
        raise DatasetError(f"{path} holds no label map")
    found = np.unique(values)
    wrong = [value for value in found.tolist() if not 0 <= value < len(table) or table[int(value)] < 0]
    if wrong:
        raise DatasetError(f"{path} holds the label {wrong[0]:g}, which this data set does not have")
    return table[values.astype(np.int64)].astype(np.uint8)


def label_table(labels: Iterable[int], void: Iterable[int]) -> NDArray[np.int16]:
    """Table for `relabel`: the first of `labels` becomes class 0, the next class 1 ...; each of `void` becomes 255."""
    labels, void = list(labels), list(void)
    table = np.full(1 + max(*labels, *void), -1, dtype=np.int16)
    table[labels] = np.arange(len(labels))
    table[void] = VOID
    return table


def check_download(photos: Sequence[Photo], counts: dict[str, int], source: Path) -> None:
    """Raise DatasetError where a part has another number of photos than the official one, or a file is missing."""
    for part, count in counts.items():
        found = sum(photo.part == part for photo in photos)
        if found != count:
            raise DatasetError(
                f"{source} has {found:,} photos of {part!r}, the official download {count:,}: "
                "it is incomplete or another version"
            )
    missing = [path for photo in photos for path in (photo.image, photo.labels) if not path.is_file()]
    if missing:
        raise DatasetError(f"{source} is incomplete: {len(missing):,} files are missing, the first is {missing[0]}")


def read_list(path: Path) -> list[str]:
    """Names of photos, one a line. Raises DatasetError if there is no such file."""
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"there is no list {path}; unpack the whole download into one folder") from error


def write_text(path: Path, text: str) -> None:
    with atomic_write(path, "w") as file:
        file.write(text)
