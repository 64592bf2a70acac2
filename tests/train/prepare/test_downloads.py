"""Downloads in the official formats, tiny, become data sets; wrong ones are named."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import typer
from PIL import Image
from scipy.io import savemat
from typer.testing import CliRunner

from simformer.datasets.folder import FolderDataset
from simformer.errors import DatasetError
from simformer.splits import dataset_classes
from train.prepare import ade20k as ade
from train.prepare import coco_stuff10k as coco
from train.prepare.common import Photo
from train.prepare.common import write_photo as write_one

COCO, ADE = dataset_classes("coco_stuff_10k"), dataset_classes("ade20k")
COCO_COUNTS, ADE_COUNTS = {"train": 2, "test": 1}, {"training": 2, "validation": 1}
# Version 1.0: 1 unlabeled, 2 person, 81 toothbrush, 82 banner, 172 wood. Version 1.1: COCO's ids.
V1_0 = np.array([[1, 2, 81], [82, 172, 3]], dtype=np.uint8)
V1_1 = np.array([[0, 1, 90], [92, 182, 2]], dtype=np.uint8)
HEADER_7_3 = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"  # in front of HDF5
EXPECTED = [[255, 0, 79], [80, 170, 1]]


def write_photo(path, size=(3, 2)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 100, 50)).save(path)


def names(count):
    return np.array([f"class {i}" for i in range(count)], dtype=object)[:, None]


@pytest.fixture
def stuff(tmp_path):
    """cocostuff-10k of three photos."""
    source = tmp_path / "cocostuff"
    for folder in ("annotations", "imageLists"):
        (source / folder).mkdir(parents=True)
    for name in "abc":
        write_photo(source / "images" / f"{name}.jpg")
        savemat(source / "annotations" / f"{name}.mat", {"S": V1_0, "names": names(172), "captions": names(5)})
    (source / "imageLists" / "train.txt").write_text("b\na\n")
    (source / "imageLists" / "test.txt").write_text("c\n")
    return source


@pytest.fixture
def challenge(tmp_path):
    """ADEChallengeData2016 of three photos."""
    source = tmp_path / "ADEChallengeData2016"
    for part, stems in (("training", ("t1", "t2")), ("validation", ("v1",))):
        (source / "annotations" / part).mkdir(parents=True)
        for name in stems:
            write_photo(source / "images" / part / f"{name}.jpg")
            values = np.array([[0, 1, 150], [2, 2, 2]], dtype=np.uint8)
            Image.fromarray(values).save(source / "annotations" / part / f"{name}.png")
    return source


def prepare_coco(source, target, layout=coco.FOLDER):
    return coco.prepare_coco_stuff10k(source, target, layout, workers=1, counts=COCO_COUNTS)


def prepare_ade(source, target, layout=ade.FOLDER):
    return ade.prepare_ade20k(source, target, layout, workers=1, counts=ADE_COUNTS)


def test_the_classes_of_version_1_0_are_the_splits():
    assert (COCO[0], COCO[79], COCO[80], COCO[170], len(COCO)) == ("person", "toothbrush", "banner", "wood", 171)


def test_coco_stuff_becomes_a_data_set(stuff, tmp_path):
    assert prepare_coco(stuff, tmp_path / "out") == 3
    train, val = (FolderDataset(tmp_path / "out", file) for file in ("train.txt", "val.txt"))
    assert train.classes == COCO and train.names == ["b", "a"] and val.names == ["c"]
    for dataset in (train, val):
        dataset.check()
        assert dataset.label_map(0).tolist() == EXPECTED
    assert (tmp_path / "out/images/a.jpg").read_bytes() == (stuff / "images/a.jpg").read_bytes()


@pytest.mark.parametrize("count", [182, 183])
def test_version_1_1_has_other_numbers(stuff, count):
    path = stuff / "annotations" / "a.mat"
    savemat(path, {"S": V1_1, "names": names(count)})
    assert coco.read_mat(path).tolist() == EXPECTED


def test_the_ids_of_version_1_1_leave_gaps():
    things = {12: -1, 13: 11, 25: 23, 27: 24, 90: 79, 91: -1, 92: 80, 182: 170, 0: 255}
    assert {label: int(coco.V1_1[label]) for label in things} == things
    assert sorted(coco.V1_1[coco.V1_1 >= 0].tolist()) == [*range(171), 255]


def test_matlab_7_3(stuff):
    h5py = pytest.importorskip("h5py")
    path = stuff / "annotations" / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["S"] = V1_0.T.astype(np.float64)
        file.create_dataset("names", (172, 1), dtype=h5py.ref_dtype)
    with path.open("r+b") as file:
        file.write(HEADER_7_3)
    labels = coco.read_mat(path)
    assert labels.tolist() == EXPECTED and labels.dtype == np.uint8


def test_matlab_7_3_without_its_reader(stuff, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    path = stuff / "annotations" / "a.mat"
    path.write_bytes(HEADER_7_3 + bytes(400))
    with pytest.raises(DatasetError, match="pip install h5py"):
        coco.read_mat(path)


def test_ade20k_becomes_a_data_set(challenge, tmp_path):
    assert prepare_ade(challenge, tmp_path / "out") == 3
    train, val = (FolderDataset(tmp_path / "out", file) for file in ("train.txt", "val.txt"))
    assert train.classes == ADE and train.names == ["t1", "t2"] and val.names == ["v1"]
    assert val.label_map(0).tolist() == [[255, 0, 149], [1, 1, 1]]
    assert train.image_labels(0) == (0, 1, 149)


def test_the_layouts_of_detectron2(stuff, challenge, tmp_path):
    prepare_coco(stuff, tmp_path / "coco", coco.DETECTRON2)
    prepare_ade(challenge, challenge, ade.DETECTRON2)  # beside the download's own folders
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*_detectron2/*/*")}
    assert found == {
        *(f"coco/images_detectron2/{name}.jpg" for name in ("train/a", "train/b", "test/c")),
        *(f"coco/annotations_detectron2/{name}.png" for name in ("train/a", "train/b", "test/c")),
        *(f"{challenge.name}/annotations_detectron2/{name}.png" for name in
          ("training/t1", "training/t2", "validation/v1")),
    }  # fmt: skip
    assert not (tmp_path / "coco/train.txt").exists()


def test_what_is_there_is_kept(stuff, tmp_path):
    out = tmp_path / "out"
    prepare_coco(stuff, out)
    (out / "labels/a.png").unlink()
    (out / "images/b.jpg").unlink()
    kept = (out / "labels/c.png").stat().st_mtime_ns
    assert prepare_coco(stuff, out) == 2
    assert (out / "labels/c.png").stat().st_mtime_ns == kept
    assert prepare_coco(stuff, out) == 0


def test_a_disk_without_links(stuff, tmp_path, monkeypatch):
    def refuse(*paths):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("train.prepare.common.os.link", refuse)
    photo = Photo("a", "train", stuff / "images/a.jpg", stuff / "annotations/a.mat")
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    write_one(photo, tmp_path, coco.FOLDER, coco.read_mat)
    assert (tmp_path / "images/a.jpg").read_bytes() == (stuff / "images/a.jpg").read_bytes()
    assert (tmp_path / "images/a.jpg").stat().st_nlink == 1


def test_photos_that_are_links_in_the_download(stuff, tmp_path):
    photo, out = stuff / "images/a.jpg", tmp_path / "out"
    photo.rename(tmp_path / "elsewhere.jpg")
    photo.symlink_to("../../elsewhere.jpg")
    prepare_coco(stuff, out)
    assert (out / "images/a.jpg").read_bytes() == (tmp_path / "elsewhere.jpg").read_bytes()
    (out / "images/a.jpg").unlink()
    (out / "images/a.jpg").symlink_to("nowhere.jpg")  # left by an earlier version
    prepare_coco(stuff, out)
    assert (out / "images/a.jpg").read_bytes() == (tmp_path / "elsewhere.jpg").read_bytes()


# --- refused ----------------------------------------------------------------------------------------------


def broken(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("spoil, words", [
    (lambda s: (s / "imageLists/test.txt").unlink(), r"there is no list .*test\.txt"),
    (lambda s: (s / "imageLists/train.txt").write_text("a\n"), "has 1 photos of 'train', the official download 2"),
    (lambda s: (s / "images/b.jpg").unlink(), r"1 files are missing, the first is .*b\.jpg"),
    (lambda s: (s / "annotations/c.mat").unlink(), r"1 files are missing, the first is .*c\.mat"),
    (lambda s: broken(s / "annotations/c.mat"), r"c\.mat is damaged"),
    (lambda s: savemat(s / "annotations/c.mat", {"names": names(172)}), r"c\.mat is damaged or no annotation"),
    (lambda s: savemat(s / "annotations/c.mat", {"S": V1_0, "names": names(9)}), r"c\.mat has 9 class names"),
    (lambda s: savemat(s / "annotations/c.mat", {"S": V1_1, "names": names(172)}), r"c\.mat holds the label 0"),
    (lambda s: savemat(s / "annotations/c.mat", {"S": V1_0 + 1, "names": names(172)}), "holds the label 173"),
    (lambda s: write_photo(s / "images/c.jpg", (4, 2)), r"c\.mat is 3 x 2 pixels, but .*c\.jpg is 4 x 2"),
    (lambda s: broken(s / "images/c.jpg"), r"c\.jpg is damaged"),
])  # fmt: skip
def test_a_wrong_download_of_coco_stuff(stuff, tmp_path, spoil, words):
    spoil(stuff)
    with pytest.raises(DatasetError, match=words) as caught:
        prepare_coco(stuff, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out/train.txt").exists()


@pytest.mark.parametrize("spoil, words", [
    (lambda s: (s / "images/training/t1.jpg").unlink(), "has 1 photos of 'training', the official download 2"),
    (lambda s: (s / "annotations/validation/v1.png").unlink(), r"the first is .*v1\.png"),
    (
        lambda s: Image.new("L", (3, 2), 151).save(s / "annotations/validation/v1.png"),
        r"v1\.png holds the label 151",
    ),
    (lambda s: broken(s / "annotations/validation/v1.png"), r"v1\.png cannot be read"),
])  # fmt: skip
def test_a_wrong_download_of_ade20k(challenge, tmp_path, spoil, words):
    spoil(challenge)
    with pytest.raises(DatasetError, match=words):
        prepare_ade(challenge, tmp_path / "out")


def test_another_data_set_is_not_overwritten(stuff, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/classes.txt").write_text("mine\n")
    with pytest.raises(DatasetError, match="holds another data set"):
        prepare_coco(stuff, tmp_path / "out")


@pytest.mark.parametrize("module, part", [(coco, "9,000"), (ade, "20,210")])
def test_the_commands_want_the_official_counts(stuff, challenge, tmp_path, module, part):
    app = typer.Typer()
    app.command()(module.main)
    source = stuff if module is coco else challenge
    result = CliRunner().invoke(app, [str(source), str(tmp_path / "out")])
    assert result.exit_code == 1 and f"the official download {part}" in result.stderr
