"""python -m train.prepare.ade20k SRC DST: ADE20K as downloaded -> a folder data set.

SRC is the folder ADEChallengeData2016 (150 classes; http://sceneparsing.csail.mit.edu). The validation photos become
val.txt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simformer.errors import exit_on_error
from simformer.labels import read_label_png
from simformer.splits import dataset_classes
from train.prepare.common import Labels, Layout, Photo, Workers, check_download, label_table, prepare, relabel

COUNTS = {"training": 20_210, "validation": 2_000}
FOLDER = Layout("images", "labels", {"training": "train.txt", "validation": "val.txt"})
DETECTRON2 = Layout("images/{part}", "annotations_detectron2/{part}")

# 0 is "other objects": not labelled.
TABLE = label_table(range(1, 151), void=[0])


def prepare_ade20k(
    source: Path, target: Path, layout: Layout = FOLDER, workers: int | None = None, counts: dict[str, int] = COUNTS
) -> int:
    """Prepare the data set; how many photos were written, the others were there.

    Args:
        counts: photos that each folder must hold.

    Raises:
        DatasetError: the download is incomplete, damaged or another version.
    """
    photos = [
        Photo(path.stem, part, path, source / "annotations" / part / f"{path.stem}.png")
        for part in counts
        for path in sorted((source / "images" / part).glob("*.jpg"))
    ]
    check_download(photos, counts, source)
    return prepare(photos, target, layout, dataset_classes("ade20k"), read_annotation, workers)


def read_annotation(path: Path) -> Labels:
    """The label map of one annotation: 150 class indices, 255 = not labelled. Raises DatasetError."""
    return relabel(read_label_png(path), TABLE, path)


def main(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="the folder ADEChallengeData2016")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="where the data set goes")],
    workers: Workers = None,
    detectron2: Annotated[
        bool, typer.Option("--detectron2", help="images/ and annotations_detectron2/, by part, instead")
    ] = False,
) -> None:
    """Turn ADE20K into a folder data set. What is there already is kept, so it can be stopped and started."""
    with exit_on_error():
        written = prepare_ade20k(source, target, DETECTRON2 if detectron2 else FOLDER, workers)
    shares = f"{COUNTS['training']:,} training and {COUNTS['validation']:,} validation photos"
    print(f"{target}: {shares}, {written:,} of them written now")


if __name__ == "__main__":
    typer.run(main)
