"""python -m train.prepare.nyuv2 MAT SPLITS DST: NYUv2 with 37 classes as downloaded -> a folder data set.

MAT is nyu_depth_v2_labeled.mat (2.8 GB), SPLITS the official splits.mat
(https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html). A photo's name is its place in MAT, counted from 0, in four
digits: 0002 is the third. train.txt holds the 795 official training photos, val.txt 200 of the 654 official test
photos (train/prepare/lists).

What was measured here read smaller copies: without the outer 8 pixels of each edge, which are blank, and 400 x 300, the
photos as JPEG. Such copies are what is written; with --full it is the whole 640 x 480, the photos as PNG. The copies'
label maps are those of the measured results pixel for pixel; which filter shrank their photos is not known, so that
scores may differ in their last digits.

Of the 894 raw classes train/prepare/lists/nyuv2_894_to_40.json makes 40, of which the last three (other structure,
other furniture, other props) are void, as is what nobody labelled.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat

from simformer.errors import DatasetError, exit_on_error
from simformer.labels import VOID
from simformer.splits import dataset_classes
from simformer.utils.files import atomic_write
from train.prepare.common import Labels, Layout, Workers, places, read_list, relabel, write_missing

if TYPE_CHECKING:
    import h5py

LISTS = Path(__file__).parent / "lists"
FOLDER = Layout("images", "labels", {"train": "train.txt", "val": "val.txt"})
NUMBERS = {"train": "trainNdxs", "val": "testNdxs"}

WIDTH, HEIGHT = 640, 480
FRAME = (8, 8, WIDTH - 8, HEIGHT - 8)  # left, upper, right and lower edge of what the small copies show
SMALL = (400, 300)
CLASSES = 37


@dataclass(frozen=True)
class Frame:
    """One photo of MAT: an `Entry` with its place there, counted from 0."""

    name: str
    part: str
    suffix: str
    index: int


def prepare_nyuv2(
    mat: Path, splits: Path, target: Path, full: bool = False, workers: int | None = None, lists: Path = LISTS
) -> int:
    """Prepare the data set; how many photos were written, the others were there.

    Args:
        full: photos and label maps of 640 x 480 instead of 400 x 300.
        lists: folder of nyuv2_train.txt and nyuv2_val.txt: names of photos.

    Raises:
        DatasetError: a download is missing, damaged or another version, or `target` holds photos of another size.
        SimFormerError: `target` cannot be written.
    """
    names = {part: read_list(lists / f"nyuv2_{part}.txt") for part in ("train", "val")}
    frames = [Frame(name, part, ".png" if full else ".jpg", int(name)) for part in names for name in names[part]]
    official = read_splits(splits)
    wrong = [frame for frame in frames if frame.index + 1 not in official[frame.part]]
    if wrong:
        raise DatasetError(
            f"{splits} does not have photo {wrong[0].index + 1:,} in {NUMBERS[wrong[0].part]}: it is another version"
        )
    with open_mat(mat) as file:
        check_mat(file, mat, sum(map(len, official.values())))
    check_size(frames, target, (WIDTH, HEIGHT) if full else SMALL)
    write = functools.partial(write_frame, mat=mat, target=target, table=class_table(), full=full)
    return write_missing(frames, target, FOLDER, dataset_classes("nyuv2"), write, workers)


def class_table() -> NDArray[np.int16]:
    """Table for `relabel`: raw class (0 = not labelled) -> class index, or 255."""
    of_40 = json.loads((LISTS / "nyuv2_894_to_40.json").read_text(encoding="utf-8"))["map"]
    return np.array([VOID, *(number - 1 if number <= CLASSES else VOID for number in of_40)], dtype=np.int16)


def read_splits(path: Path) -> dict[str, set[int]]:
    """Numbers, from 1, of the official training photos ("train") and test photos ("val").

    Raises:
        DatasetError: the file is missing, damaged or no splits.mat: together they are 1, 2, ... without a gap.
    """
    if not path.is_file():
        raise DatasetError(f"there is no file {path}")
    try:
        content = loadmat(path, variable_names=tuple(NUMBERS.values()))
        found = {part: np.asarray(content[key]).ravel().tolist() for part, key in NUMBERS.items()}
    except Exception as error:  # readers of damaged files raise nearly anything
        raise DatasetError(f"{path} is damaged or not the splits.mat of NYUv2; download it again") from error
    numbers = sorted(number for part in found.values() for number in part)
    if numbers != list(range(1, len(numbers) + 1)):
        raise DatasetError(f"{path} does not divide the photos into training and test; download it again")
    return {part: set(numbers) for part, numbers in found.items()}


@contextmanager
def open_mat(path: Path) -> Iterator[h5py.File]:
    """The MATLAB 7.3 file, open for reading. Raises DatasetError if it is missing, damaged or cannot be read."""
    try:
        import h5py
    except ImportError as error:
        raise DatasetError(f"{path} is a MATLAB 7.3 file; to read such files: pip install h5py") from error
    if not path.is_file():
        raise DatasetError(f"there is no file {path}")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DatasetError:
        raise
    except Exception as error:  # readers of damaged files raise nearly anything
        raise DatasetError(f"{path} is damaged or not nyu_depth_v2_labeled.mat; download it again") from error


def check_mat(file: h5py.File, path: Path, count: int) -> None:
    """Raise DatasetError unless the file holds `count` photos and label maps of 640 x 480."""
    # MATLAB stores columns first: its 480 x 640 x 3 x count array is found with the axes turned round.
    for key, shape, dtype in (("images", (count, 3, WIDTH, HEIGHT), "uint8"), ("labels", (count, WIDTH, HEIGHT), "u2")):
        found: Any = file.get(key)  # an array, if it is the right file
        if getattr(found, "shape", None) != shape or found.dtype != np.dtype(dtype):
            raise DatasetError(
                f"{path} does not hold the {key} of {count:,} photos of {WIDTH} x {HEIGHT}: it is another version"
            )


def check_size(frames: list[Frame], target: Path, size: tuple[int, int]) -> None:
    """Raise DatasetError where `target` was begun with photos of another size; its first label map tells."""
    for frame in frames:
        path = places(frame, target, FOLDER)[1]
        if not path.is_file():
            continue
        try:
            with Image.open(path) as image:
                found = image.size
        except OSError as error:
            raise DatasetError(f"{path} is damaged; delete it") from error
        if found != size:
            raise DatasetError(f"{target} holds photos of {found[0]} x {found[1]}; prepare those of another size apart")
        return


def read_frame(mat: Path, index: int, table: NDArray[np.int16]) -> tuple[Image.Image, Labels]:
    """A photo, 640 x 480, and its label map: uint8, 480 x 640, class index or 255. Raises DatasetError."""
    with open_mat(mat) as file:
        images: Any = file["images"]
        label_maps: Any = file["labels"]
        image, labels = images[index], label_maps[index]
    photo = Image.fromarray(np.ascontiguousarray(image.transpose(2, 1, 0)))
    return photo, relabel(labels.T, table, f"{mat}, photo {index + 1:,},")


def write_frame(frame: Frame, mat: Path, target: Path, table: NDArray[np.int16], full: bool) -> None:
    """Read one photo and put it and its label map in their places. Raises DatasetError."""
    photo, labels = read_frame(mat, frame.index, table)
    label_map = Image.fromarray(labels)
    if not full:
        photo = photo.crop(FRAME).resize(SMALL, Image.Resampling.BICUBIC)  # Pillow's filters widen as photos shrink
        label_map = label_map.crop(FRAME).resize(SMALL, Image.Resampling.NEAREST)
    image_place, label_place = places(frame, target, FOLDER)
    with atomic_write(label_place) as file:
        label_map.save(file, "PNG")
    with atomic_write(image_place) as file:
        photo.save(file, "PNG") if full else photo.save(file, "JPEG", quality=90)


def main(
    mat: Annotated[Path, typer.Argument(metavar="MAT", help="the file nyu_depth_v2_labeled.mat")],
    splits: Annotated[Path, typer.Argument(metavar="SPLITS", help="the file splits.mat")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="where the data set goes")],
    full: Annotated[bool, typer.Option("--full", help="photos of 640 x 480, not 400 x 300")] = False,
    workers: Workers = None,
) -> None:
    """Turn NYUv2 into a folder data set. What is there already is kept, so it can be stopped and started."""
    with exit_on_error():
        written = prepare_nyuv2(mat, splits, target, full, workers)
    print(f"{target}: 795 training and 200 evaluation photos, {written:,} of them written now")


if __name__ == "__main__":
    typer.run(main)
