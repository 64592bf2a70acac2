"""A tiny download in the format of NYUv2 becomes a data set; wrong ones are named."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import typer
from scipy.io import savemat
from typer.testing import CliRunner

from simformer.datasets.folder import FolderDataset
from simformer.errors import DatasetError
from simformer.labels import VOID
from simformer.splits import dataset_classes
from train.prepare import nyuv2 as nyu
from train.prepare.common import read_list

h5py = pytest.importorskip("h5py")

CLASSES = dataset_classes("nyuv2")
# Raw classes: not labelled, and some that become a class or, as the last three, one of the 40 that are void.
UNLABELLED, WALL, FLOOR, BAG, BOTTLE, DISHWASHER, GARBAGE_BIN = 0, 21, 11, 55, 2, 8, 12
RED, GREEN, BLUE, WHITE = (200, 40, 40), (40, 200, 40), (40, 40, 200), (255, 255, 255)


def photo():
    """480 x 640 x 3, uint8: green below red on the left, blue on the right, a white frame of 8 pixels."""
    pixels = np.full((480, 640, 3), WHITE, dtype=np.uint8)
    pixels[8:-8, 8:-8] = BLUE
    pixels[8:240, 8:164] = RED
    pixels[240:-8, 8:164] = GREEN
    return pixels


def raw_labels(upper_left=WALL):
    """480 x 640, uint16, the regions of `photo`; the rightmost column that the small copies show is bag."""
    labels = np.full((480, 640), UNLABELLED, dtype=np.uint16)
    labels[8:-8, 8:-8] = DISHWASHER
    labels[8:240, 8:164] = upper_left
    labels[240:-8, 8:164] = FLOOR
    labels[8:-8, 631] = BAG
    return labels


def write_mat(path, photos, labels):
    """As MATLAB 7.3 does, which stores columns first."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["images"] = np.stack([pixels.transpose(2, 1, 0) for pixels in photos])
        file["labels"] = np.stack([values.T for values in labels])
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def write_splits(path, train, test):
    numbers = {"trainNdxs": train, "testNdxs": test}
    savemat(path, {key: np.array(values, dtype=np.uint16)[:, None] for key, values in numbers.items()})


@pytest.fixture
def download(tmp_path):
    """Four photos, of which the lists take numbers 2 and 3 for training and 4 for evaluation."""
    source = tmp_path / "download"
    source.mkdir()
    others = [np.full((480, 640, 3), value, dtype=np.uint8) for value in (0, 90, 180)]
    labels = [np.full((480, 640), value, dtype=np.uint16) for value in (WALL, BOTTLE, GARBAGE_BIN)]
    write_mat(source / "labeled.mat", [others[0], photo(), *others[1:]], [labels[0], raw_labels(), *labels[1:]])
    write_splits(source / "splits.mat", [3, 2], [1, 4])
    (source / "nyuv2_train.txt").write_text("0001\n0002\n")
    (source / "nyuv2_val.txt").write_text("0003\n")
    return source


def prepare(source, target, full=False):
    return nyu.prepare_nyuv2(source / "labeled.mat", source / "splits.mat", target, full, workers=1, lists=source)


def mean_colors(image, *places):
    return [np.asarray(image[:, rows, columns], dtype=float).mean((1, 2)).round() for rows, columns in places]


def test_it_becomes_a_data_set(download, tmp_path):
    assert prepare(download, tmp_path / "out") == 3
    train, val = (FolderDataset(tmp_path / "out", file) for file in ("train.txt", "val.txt"))
    assert train.classes == CLASSES and train.names == ["0001", "0002"] and val.names == ["0003"]
    for dataset in (train, val):
        dataset.check()
    # 100 of 624 columns are 100 of 400, 150 rows the upper half; not a white pixel is left.
    image = train.image(0)
    assert image.shape == (3, 300, 400) and (tmp_path / "out/images/0001.jpg").is_file()
    parts = [(slice(0, 146), slice(0, 96)), (slice(154, 300), slice(0, 96)), (slice(0, 300), slice(104, 400))]
    for found, color in zip(mean_colors(image, *parts), (RED, GREEN, BLUE), strict=True):
        assert np.abs(found - color).max() <= 3
    expected = np.full((300, 400), VOID)
    expected[:150, :100], expected[150:, :100] = CLASSES.index("wall"), CLASSES.index("floor")
    expected[:, 399] = CLASSES.index("bag")
    assert (train.label_map(0).numpy() == expected).all()
    assert train.label_map(1).unique().tolist() == val.label_map(0).unique().tolist() == [VOID]


def test_the_full_size(download, tmp_path):
    assert prepare(download, tmp_path / "out", full=True) == 3
    train = FolderDataset(tmp_path / "out")
    assert (train.image(0).permute(1, 2, 0).numpy() == photo()).all()
    expected = np.full((480, 640), VOID)
    expected[8:240, 8:164], expected[240:-8, 8:164], expected[8:-8, 631] = 0, 1, 36
    assert (train.label_map(0).numpy() == expected).all()


def test_what_is_there_is_kept(download, tmp_path):
    out = tmp_path / "out"
    prepare(download, out)
    (out / "labels/0001.png").unlink()
    (out / "images/0002.jpg").unlink()
    (out / "train.txt").unlink()
    kept = (out / "labels/0003.png").stat().st_mtime_ns
    assert prepare(download, out) == 2
    assert (out / "labels/0003.png").stat().st_mtime_ns == kept
    assert FolderDataset(out).names == ["0001", "0002"]
    assert prepare(download, out) == 0
    with pytest.raises(DatasetError, match="holds photos of 400 x 300; prepare those of another size apart"):
        prepare(download, out, full=True)


def test_the_894_raw_classes():
    table = nyu.class_table()
    assert sorted({*table.tolist()}) == [*range(37), VOID]
    # By the download's names: wall, floor, cabinet, books, bag; book, dishwasher, garbage bin and the last one, torah.
    raw = {21: "wall", 11: "floor", 3: "cabinet", 85: "books", 55: "bag", 5: "chair", 83: "sofa"}
    assert {number: CLASSES[table[number]] for number in raw} == raw
    assert len(table) == 895 and table[[0, 1, 8, 12, 894]].tolist() == [VOID] * 5
    assert "Gupta" in json.loads((nyu.LISTS / "nyuv2_894_to_40.json").read_text())["source"]


def test_the_shipped_lists():
    train, val = (read_list(nyu.LISTS / f"nyuv2_{part}.txt") for part in ("train", "val"))
    assert (len(train), len(val), len({*train, *val})) == (795, 200, 995)  # what docs/ and the command say
    assert all(len(name) == 4 and 0 <= int(name) < 1449 for name in (*train, *val))
    assert train == sorted(train) and val == sorted(val)


def without(source, key, **more):
    with h5py.File(source / "labeled.mat", "r+") as file:
        values = file[key][()]
        del file[key]
        for name, change in more.items():
            file[name] = change(values)


def broken(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("spoil, words", [
    (lambda s: (s / "labeled.mat").unlink(), r"there is no file .*labeled\.mat"),
    (lambda s: broken(s / "labeled.mat"), r"labeled\.mat is damaged or not nyu_depth_v2_labeled\.mat"),
    (lambda s: (s / "labeled.mat").write_bytes(b"nothing"), r"labeled\.mat is damaged"),
    (lambda s: without(s, "labels"), r"labeled\.mat does not hold the labels of 4 photos of 640 x 480"),
    (lambda s: without(s, "images", images=lambda a: a[:3]), "does not hold the images of 4 photos"),
    (lambda s: without(s, "images", images=lambda a: a.astype(float)), "does not hold the images of 4 photos"),
    (lambda s: without(s, "images", **{"images/1": lambda a: a}), "does not hold the images of 4 photos"),
    (lambda s: without(s, "labels", labels=lambda a: a + 850), r"labeled\.mat, photo 2, holds the label 905, which"),
    (lambda s: (s / "splits.mat").unlink(), r"there is no file .*splits\.mat"),
    (lambda s: broken(s / "splits.mat"), r"splits\.mat is damaged or not the splits\.mat of NYUv2"),
    (lambda s: savemat(s / "splits.mat", {"trainNdxs": [[1]]}), r"splits\.mat is damaged or not"),
    (lambda s: write_splits(s / "splits.mat", [2, 3], [3, 4]), "does not divide the photos"),
    (lambda s: write_splits(s / "splits.mat", [1, 2], [3, 4]), "does not have photo 3 in trainNdxs: it is another"),
    (lambda s: write_splits(s / "splits.mat", [2, 3, 4], [1]), "does not have photo 4 in testNdxs: it is another"),
    (lambda s: (s / "nyuv2_val.txt").unlink(), r"there is no list .*nyuv2_val\.txt"),
])  # fmt: skip
def test_a_wrong_download(download, tmp_path, spoil, words):
    spoil(download)
    with pytest.raises(DatasetError, match=words) as caught:
        prepare(download, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out/train.txt").exists()


def test_without_the_reader_of_matlab_7_3(download, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DatasetError, match="pip install h5py"):
        prepare(download, tmp_path / "out")


def test_a_label_map_left_half_written_by_another_program(download, tmp_path):
    (tmp_path / "out/labels").mkdir(parents=True)
    (tmp_path / "out/labels/0001.png").write_bytes(b"\x89PNG")
    with pytest.raises(DatasetError, match=r"0001\.png is damaged; delete it"):
        prepare(download, tmp_path / "out")


def test_the_command_wants_the_official_split(download, tmp_path):
    app = typer.Typer()
    app.command()(nyu.main)
    paths = [download / "labeled.mat", download / "splits.mat", tmp_path / "out"]
    result = CliRunner().invoke(app, [str(path) for path in paths])
    assert result.exit_code == 1 and "splits.mat does not have photo 4 in trainNdxs" in result.stderr
