"""python -m train.prepare.coco_stuff10k SRC DST: COCO-Stuff-10K as downloaded -> a folder data set.

SRC holds what cocostuff-10k-v1.0.zip (or v1.1) unpacks to: images/, annotations/ and imageLists/
(https://github.com/nightrome/cocostuff10k). The test list becomes val.txt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.io import loadmat

from simformer.errors import DatasetError, exit_on_error
from simformer.splits import dataset_classes
from train.prepare.common import (
    Labels,
    Layout,
    Photo,
    Workers,
    check_download,
    label_table,
    prepare,
    read_list,
    relabel,
)

COUNTS = {"train": 9_000, "test": 1_000}
FOLDER = Layout("images", "labels", {"train": "train.txt", "test": "val.txt"})
DETECTRON2 = Layout("images_detectron2/{part}", "annotations_detectron2/{part}")

# Version 1.0 counts its 172 names from 1, "unlabeled" being the first.
V1_0 = label_table(range(2, 173), void=[1])
# Version 1.1 has COCO's ids, of which 11 were never annotated; 0 is unlabeled.
UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91}
V1_1 = label_table(sorted(set(range(1, 183)) - UNUSED), void=[0])
TABLES = {172: V1_0, 182: V1_1, 183: V1_1}


def prepare_coco_stuff10k(
    source: Path, target: Path, layout: Layout = FOLDER, workers: int | None = None, counts: dict[str, int] = COUNTS
) -> int:
    """Prepare the data set; how many photos were written, the others were there.

    Args:
        counts: photos that each list of imageLists must name.

    Raises:
        DatasetError: the download is incomplete, damaged or another version.
    """
    photos = [
        Photo(name, part, source / "images" / f"{name}.jpg", source / "annotations" / f"{name}.mat")
        for part in counts
        for name in read_list(source / "imageLists" / f"{part}.txt")
    ]
    check_download(photos, counts, source)
    return prepare(photos, target, layout, dataset_classes("coco_stuff_10k"), read_mat, workers)


def read_mat(path: Path) -> Labels:
    """The label map of one annotation: 171 class indices, 255 = unlabeled. Its number of names tells the version.

    Raises:
        DatasetError: the file is damaged, or of an unknown version.
    """
    try:
        try:
            content = loadmat(path, variable_names=("S", "names"))
            values, names = np.asarray(content["S"]), content["names"].size
        except NotImplementedError:  # MATLAB 7.3 files, as those of version 1.0, are HDF5
            values, names = read_hdf5(path)
    except DatasetError:
        raise
    except Exception as error:  # readers of damaged files raise nearly anything
        raise DatasetError(f"{path} is damaged or no annotation of COCO-Stuff; download it again") from error
    if names not in TABLES:
        raise DatasetError(f"{path} has {names} class names; version 1.0 has 172 and version 1.1 has 183")
    return relabel(values, TABLES[names], path)


def read_hdf5(path: Path) -> tuple[NDArray, int]:
    """Label values, H x W, and how many class names there are."""
    try:
        import h5py
    except ImportError as error:
        raise DatasetError(f"{path} is a MATLAB 7.3 file; to read such files: pip install h5py") from error
    with h5py.File(path, "r") as file:
        labels, names = file["S"], file["names"]
        if not isinstance(labels, h5py.Dataset) or not isinstance(names, h5py.Dataset):
            raise KeyError("S and names are no arrays")
        return labels[()].T, int(np.prod(names.shape))  # MATLAB stores columns first


def main(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="the unpacked download")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="where the data set goes")],
    workers: Workers = None,
    detectron2: Annotated[
        bool, typer.Option("--detectron2", help="images_detectron2/ and annotations_detectron2/ instead")
    ] = False,
) -> None:
    """Turn COCO-Stuff-10K into a folder data set. What is there already is kept, so it can be stopped and started."""
    with exit_on_error():
        written = prepare_coco_stuff10k(source, target, DETECTRON2 if detectron2 else FOLDER, workers)
    print(f"{target}: {COUNTS['train']:,} training and {COUNTS['test']:,} test photos, {written:,} of them written now")


if __name__ == "__main__":
    typer.run(main)
