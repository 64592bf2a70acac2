"""python -m train.prepare.msrc21 SRC DST: MSRC v2 as downloaded -> the folder data set of the measured results.

SRC is the folder MSRC_ObjCategImageDatabase_v2 with Images/ and GroundTruth/
(https://www.microsoft.com/en-us/research/project/image-understanding/, for research use). Of its 591 photos the lists
in train/prepare/lists take 491. What was measured here read JPEG copies of the photos; the download holds them as BMP,
so that scores may differ in their last digit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from simformer.errors import DatasetError, exit_on_error
from simformer.labels import VOID
from simformer.splits import dataset_classes
from train.prepare.common import Labels, Layout, Photo, Workers, check_download, prepare, read_list

LISTS = Path(__file__).parent / "lists"
FOLDER = Layout("images", "labels", {"train": "train.txt", "val": "val.txt"})

COLORS = {
    "building": (128, 0, 0), "grass": (0, 128, 0), "tree": (128, 128, 0), "cow": (0, 0, 128),
    "sheep": (0, 128, 128), "sky": (128, 128, 128), "aeroplane": (192, 0, 0), "water": (64, 128, 0),
    "face": (192, 128, 0), "car": (64, 0, 128), "bicycle": (192, 0, 128), "flower": (64, 128, 128),
    "sign": (192, 128, 128), "bird": (0, 64, 0), "book": (128, 64, 0), "chair": (0, 192, 0),
    "road": (128, 64, 128), "cat": (0, 192, 128), "dog": (128, 192, 128), "body": (64, 64, 0),
    "boat": (192, 64, 0),
}  # fmt: skip
# Horse and mountain are in too few photos to be scored, as everywhere in the literature; black was not labelled.
NOT_SCORED = ((128, 0, 128), (64, 0, 0), (0, 0, 0))


def prepare_msrc21(source: Path, target: Path, workers: int | None = None, lists: Path = LISTS) -> int:
    """Prepare the data set; how many photos were written, the others were there.

    Args:
        lists: folder of msrc21_train.txt and msrc21_val.txt: names of photos without the download's ending _s.

    Raises:
        DatasetError: the download is incomplete, damaged or another version.
    """
    names = {part: read_list(lists / f"msrc21_{part}.txt") for part in ("train", "val")}
    photos = [
        Photo(name, part, source / "Images" / f"{name}_s.bmp", source / "GroundTruth" / f"{name}_s_GT.bmp")
        for part in names
        for name in names[part]
    ]
    check_download(photos, {part: len(names[part]) for part in names}, source)
    return prepare(photos, target, FOLDER, dataset_classes("msrc21"), read_colors, workers)


def read_colors(path: Path) -> Labels:
    """The label map of a picture in the download's colors: 21 class indices, 255 = not labelled or not scored.

    Raises:
        DatasetError: the file is damaged or holds a color of no class.
    """
    try:
        with Image.open(path, formats=("BMP",)) as image:
            found = np.array(image.convert("RGB"))
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        raise DatasetError(f"{path} is damaged ({error}); download it again") from error
    index_of = {COLORS[name]: index for index, name in enumerate(dataset_classes("msrc21"))}
    index_of |= dict.fromkeys(NOT_SCORED, VOID)
    colors, places = np.unique(found.reshape(-1, 3), axis=0, return_inverse=True)
    wrong = [color for color in map(tuple, colors.tolist()) if color not in index_of]
    if wrong:
        raise DatasetError(f"{path} holds the color {wrong[0]}, which no class of MSRC v2 has")
    table = np.array([index_of[color] for color in map(tuple, colors.tolist())], dtype=np.uint8)
    return table[places].reshape(found.shape[:2])


def main(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="the folder MSRC_ObjCategImageDatabase_v2")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="where the data set goes")],
    workers: Workers = None,
) -> None:
    """Turn MSRC v2 into a folder data set. What is there already is kept, so it can be stopped and started."""
    with exit_on_error():
        written = prepare_msrc21(source, target, workers)
    print(f"{target}: 391 training and 100 evaluation photos, {written:,} of them written now")


if __name__ == "__main__":
    typer.run(main)
