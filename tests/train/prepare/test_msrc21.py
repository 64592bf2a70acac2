"""A tiny download in the format of MSRC v2 becomes a data set; wrong ones are named."""

from __future__ import annotations

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from simformer.datasets.folder import FolderDataset
from simformer.errors import DatasetError
from simformer.labels import VOID
from simformer.results import read_results
from simformer.splits import dataset_classes
from train.prepare import msrc21 as msrc
from train.prepare.common import read_list

CLASSES = dataset_classes("msrc21")
HORSE, MOUNTAIN, BLACK = msrc.NOT_SCORED


def write_truth(path, colors):
    """A picture two pixels high: every color twice, one below the other."""
    Image.fromarray(np.array([colors, colors], dtype=np.uint8)).save(path)


@pytest.fixture
def download(tmp_path):
    """MSRC_ObjCategImageDatabase_v2 of three photos, of which the lists take two."""
    source, lists = tmp_path / "download", tmp_path / "lists"
    for folder in (source / "Images", source / "GroundTruth", lists):
        folder.mkdir(parents=True)
    for name in ("1_1", "2_1", "3_1"):
        Image.new("RGB", (4, 2), (200, 100, 50)).save(source / "Images" / f"{name}_s.bmp")
        truth = [msrc.COLORS["building"], msrc.COLORS["boat"], HORSE, BLACK]
        write_truth(source / "GroundTruth" / f"{name}_s_GT.bmp", truth)
    (lists / "msrc21_train.txt").write_text("1_1\n")
    (lists / "msrc21_val.txt").write_text("3_1\n")
    return source, lists


def prepare(download, target):
    source, lists = download
    return msrc.prepare_msrc21(source, target, workers=1, lists=lists)


def test_it_becomes_a_data_set(download, tmp_path):
    assert prepare(download, tmp_path / "out") == 2
    train, val = (FolderDataset(tmp_path / "out", file) for file in ("train.txt", "val.txt"))
    assert train.classes == CLASSES and train.names == ["1_1"] and val.names == ["3_1"]
    for dataset in (train, val):
        dataset.check()
        assert dataset.label_map(0).tolist() == [[0, 20, VOID, VOID]] * 2
        assert dataset.image(0).shape == (3, 2, 4)
    assert prepare(download, tmp_path / "out") == 0


def test_every_class_has_one_color():
    assert set(msrc.COLORS) == set(CLASSES)
    assert len({*msrc.COLORS.values(), *msrc.NOT_SCORED}) == len(CLASSES) + 3


def test_the_shipped_lists_are_those_of_the_measured_results():
    train, val = (read_list(msrc.LISTS / f"msrc21_{part}.txt") for part in ("train", "val"))
    assert len({*train, *val}) == len(train) + len(val)
    assert {cell.images for cell in read_results() if cell.dataset == "msrc21"} == {len(val)}
    assert len(train) == 391  # what docs/ and the command say


@pytest.mark.parametrize("spoil, words", [
    (lambda s: (s / "Images/1_1_s.bmp").unlink(), r"1 files are missing, the first is .*1_1_s\.bmp"),
    (lambda s: (s / "GroundTruth/3_1_s_GT.bmp").unlink(), r"the first is .*3_1_s_GT\.bmp"),
    (lambda s: (s / "GroundTruth/3_1_s_GT.bmp").write_bytes(b"BM"), r"3_1_s_GT\.bmp is damaged"),
    (lambda s: write_truth(s / "GroundTruth/3_1_s_GT.bmp", [(1, 2, 3)] * 4), r"holds the color \(1, 2, 3\)"),
    (lambda s: write_truth(s / "GroundTruth/3_1_s_GT.bmp", [BLACK]), r"is 1 x 2 pixels, but .* is 4 x 2"),
])  # fmt: skip
def test_a_wrong_download(download, tmp_path, spoil, words):
    spoil(download[0])
    with pytest.raises(DatasetError, match=words):
        prepare(download, tmp_path / "out")
    assert not (tmp_path / "out/train.txt").exists()


def test_the_command_wants_the_official_photos(tmp_path):
    app = typer.Typer()
    app.command()(msrc.main)
    result = CliRunner().invoke(app, [str(tmp_path), str(tmp_path / "out")])
    assert result.exit_code == 1 and "incomplete: 982 files are missing" in result.stderr
