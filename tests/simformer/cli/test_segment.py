from __future__ import annotations

import json
import os
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from typer.testing import CliRunner

from simformer import __main__ as command_line
from simformer import predictor
from simformer.errors import SimFormerError
from simformer.utils.palette import class_colors


@pytest.fixture
def photos(tmp_path):
    """Folder with two photos of different sizes and one file that is not a photo."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("one.jpg", (40, 60)), ("two.v2.png", (30, 20))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 not a photo")
    return folder


@pytest.fixture
def segment(shipped, tmp_path):
    def run(*arguments):
        words = ["segment", *map(str, arguments), "--out", str(tmp_path / "out"), "--device", "cpu"]
        return CliRunner().invoke(command_line.app, words)

    return run


def test_label_map_and_table_of_each_photo(segment, photos, tmp_path):
    result = segment(photos / "one.jpg", photos / "two.v2.png")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "one.json",
        "one.png",
        "two.v2.json",
        "two.v2.png",
    ]
    for name, (height, width) in (("one", (40, 60)), ("two.v2", (30, 20))):
        content = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        with Image.open(tmp_path / "out" / f"{name}.png") as image:
            assert (image.mode, image.size) == ("P", (width, height))
            labels = np.array(image)
            palette = np.array(image.getpalette()).reshape(-1, 3)
        assert content["size"] == {"width": width, "height": height}
        assert content["classes"] == ["sky", "grass", "cat"]
        assert content["roles"] == ["base", "base", "novel"]
        assert content["model"] == "split1"
        assert np.array_equal(palette[:3], class_colors(("sky", "grass", "cat")))
        areas = {row["index"]: row["area"] for row in content["table"]}
        assert areas == {index: pytest.approx((labels == index).mean()) for index in np.unique(labels)}


def test_threshold_and_model(segment, photos, tmp_path):
    result = segment(photos / "one.jpg", "--weights", "cam", "--threshold", 2)
    assert result.exit_code == 0, result.output
    assert "unsure 100%" in result.stdout
    with Image.open(tmp_path / "out" / "one.png") as image:
        assert np.unique(np.array(image)).tolist() == [255]
    content = json.loads((tmp_path / "out" / "one.json").read_text())
    assert (content["model"], content["unsure"], content["table"]) == ("cam", 1.0, [])


def test_roles_in_place_of_weights(segment, photos, tmp_path):
    result = segment(photos / "one.jpg", photos / "broken.jpg", "--roles", "cat")
    assert result.exit_code == 1 and "broken.jpg was not segmented" in result.stderr
    content = json.loads((tmp_path / "out" / "one.json").read_text())
    assert (content["model"], content["roles"]) == ("split1", ["base", "base", "novel"])
    assert "1 of 1 photos are done already" in segment(photos / "one.jpg", "--roles", "cat").stdout
    assert "done already" not in segment(photos / "one.jpg", "--weights", "split1").stdout
    for words in (("--weights", "split1"), ("--batch", 2), ("--ray", "local"), ("--dataset", "unheard-of")):
        assert isinstance(segment(photos / "one.jpg", "--roles", "cat", *words).exception, SimFormerError)


def test_roles_need_no_model_of_a_certain_name(segment, photos, shipped, tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    folder.mkdir()
    shutil.copy(shipped / "split1.safetensors", folder / "mine.safetensors")
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(folder))
    result = segment(photos / "one.jpg", "--roles", "cat")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out" / "one.json").read_text())["model"] == "mine"


def test_a_bad_file_is_reported_and_the_others_are_done(segment, photos, tmp_path):
    result = segment(photos / "broken.jpg", photos / "none.jpg", photos / "one.jpg")
    assert result.exit_code == 1
    assert (tmp_path / "out" / "one.png").is_file()
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 2
    assert all("was not segmented" in line for line in lines)
    assert [name in line for name, line in zip(("broken.jpg", "none.jpg"), lines, strict=True)] == [True, True]


def test_two_photos_of_one_name_do_not_replace_each_other(segment, photos, tmp_path):
    with Image.open(photos / "two.v2.png") as image:
        image.save(photos / "ONE.png")
    result = segment(photos / "one.jpg", photos / "ONE.png")
    assert result.exit_code == 1
    assert f"would replace those of {photos / 'one.jpg'}" in result.stderr
    with Image.open(tmp_path / "out" / "one.png") as image:
        assert image.size == (60, 40)
    assert not (tmp_path / "out" / "ONE.png").exists()


def test_a_failed_photo_leaves_its_name_to_another(segment, photos):
    (photos / "one.png").write_bytes(b"broken")
    result = segment(photos / "one.png", photos / "one.jpg")
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_photo_is_never_replaced_by_its_label_map(shipped, photos):
    before = (photos / "two.v2.png").read_bytes()
    words = ["segment", str(photos / "two.v2.png"), "--out", str(photos), "--device", "cpu"]
    result = CliRunner().invoke(command_line.app, words)
    assert result.exit_code == 1
    assert "would replace the photo" in result.stderr
    assert (photos / "two.v2.png").read_bytes() == before


def test_a_stranger_s_png_is_not_replaced(segment, photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one.png").write_bytes(b"precious")
    result = segment(photos / "one.jpg")
    assert result.exit_code == 1
    assert "is not replaced" in result.stderr
    assert (tmp_path / "out" / "one.png").read_bytes() == b"precious"


@pytest.fixture
def nested(photos):
    """The folder with a folder in it that has a photo of the same name, and things that are no photos."""
    (photos / "broken.jpg").unlink()
    (photos / "day 1" / "empty").mkdir(parents=True)
    (photos / "two.v2.png").rename(photos / "day 1" / "one.PNG")
    (photos / "day 1" / "notes.txt").write_text("")
    (photos / ".thumbnails").mkdir()
    (photos / ".thumbnails" / "one.jpg").write_bytes(b"broken")
    return photos


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_folder_without_the_folders_in_it(segment, nested, tmp_path):
    result = segment(nested)
    assert result.exit_code == 0, result.output
    assert files(tmp_path / "out") == ["one.json", "one.png"]


def test_folders_in_folders(segment, nested, tmp_path):
    result = segment(nested, "--recursive")
    assert result.exit_code == 0, result.output
    assert files(tmp_path / "out") == ["day 1/one.json", "day 1/one.png", "one.json", "one.png"]
    assert json.loads((tmp_path / "out" / "day 1" / "one.json").read_text())["photo"] == "day 1/one.PNG"
    sizes = [Image.open(tmp_path / "out" / name).size for name in ("one.png", "day 1/one.png")]
    assert sizes == [(60, 40), (20, 30)]


def test_a_photo_named_twice_is_done_once(segment, nested):
    result = segment(nested, nested / "one.jpg", nested)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 1


def test_results_inside_the_photos_folder_are_not_taken_for_photos(shipped, nested):
    words = ["segment", str(nested), "--recursive", "--out", str(nested / "masks"), "--device", "cpu"]
    assert CliRunner().invoke(command_line.app, words).exit_code == 0
    before = files(nested)
    assert CliRunner().invoke(command_line.app, words).exit_code == 0
    assert files(nested) == before


def test_results_among_the_photos_are_refused(shipped, photos):
    words = ["segment", str(photos), "--out", str(photos / ".." / "photos"), "--device", "cpu"]
    result = CliRunner().invoke(command_line.app, words)
    assert isinstance(result.exception, SimFormerError)
    assert "the results cannot go into" in str(result.exception)


def test_empty_folder(segment, photos, tmp_path):
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    result = segment(tmp_path / "empty", photos / "one.jpg")
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert "empty was not segmented: there are no photos in it (folders in it" in line
    assert (tmp_path / "out" / "one.png").is_file()
    [line] = segment(tmp_path / "empty", "--recursive").stderr.splitlines()
    assert line.endswith("there are no photos in it")


def test_unreadable_folder(segment, nested, tmp_path, monkeypatch):
    scandir = os.scandir

    def refuse(path="."):
        if str(path).endswith("day 1"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = segment(nested, "--recursive")
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert line == f"{nested / 'day 1'} was not segmented: the folder cannot be read: permission denied"
    assert files(tmp_path / "out") == ["one.json", "one.png"]


def test_an_interrupted_run_goes_on(segment, photos, tmp_path, monkeypatch):
    whole = predictor.Predictor.segment_batch

    def interrupted(self, batch, **options):
        if batch[0].size == (30, 20):
            raise KeyboardInterrupt
        return whole(self, batch, **options)

    (photos / "broken.jpg").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(predictor.Predictor, "segment_batch", interrupted)
        assert segment(photos).exit_code != 0
    assert files(tmp_path / "out") == ["one.json", "one.png"]
    first = (tmp_path / "out" / "one.png").stat()
    result = segment(photos)
    assert result.exit_code == 0, result.output
    assert "1 of 2 photos are done already" in result.stdout
    assert files(tmp_path / "out") == ["one.json", "one.png", "two.v2.json", "two.v2.png"]
    assert (tmp_path / "out" / "one.png").stat().st_mtime_ns == first.st_mtime_ns


def done_again(segment, photos, *arguments) -> list[str]:
    """Names of the photos that a further run segments."""
    result = segment(photos, *arguments)
    assert result.exit_code == 0, result.output
    return [line.split(":")[0].rsplit("/")[-1] for line in result.stdout.splitlines() if ":" in line]


def test_what_is_done_again(segment, photos, tmp_path, shipped):
    (photos / "broken.jpg").unlink()
    out = tmp_path / "out"
    both = ["one.jpg", "two.v2.png"]
    assert done_again(segment, photos) == both
    assert done_again(segment, photos) == []
    (out / "one.png").unlink()
    assert done_again(segment, photos) == ["one.jpg"]
    (out / "two.v2.json").write_text('{"classes": ')
    (out / "two.v2.png").unlink()
    assert done_again(segment, photos) == ["two.v2.png"]
    Image.new("RGB", (50, 40)).save(photos / "one.jpg")
    assert done_again(segment, photos) == ["one.jpg"]
    assert Image.open(out / "one.png").size == (50, 40)
    os.utime(photos / "two.v2.png", ns=(0, 0))
    assert done_again(segment, photos) == ["two.v2.png"]
    assert done_again(segment, photos, "--threshold", 0.2) == both
    assert done_again(segment, photos, "--threshold", 0.2) == []
    assert done_again(segment, photos, "--threshold", 0.2, "--again") == both
    assert done_again(segment, photos, "--threshold", 0.2, "--weights", "cam") == both
    retrained = tmp_path / "cam.safetensors"  # other weights under the same name
    retrained.write_bytes((shipped / "split1.safetensors").read_bytes())
    assert done_again(segment, photos, "--threshold", 0.2, "--weights", retrained) == both


def test_coco_of_a_folder_is_its_label_maps(segment, nested, tmp_path):
    assert segment(nested / "one.jpg").exit_code == 0
    (nested / "bad.jpg").write_bytes(b"no photo")
    result = segment(nested, "--recursive", "--threshold", 0.05, "--format", "coco")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    coco = COCO(str(tmp_path / "out" / "annotations.coco.json"))
    images = {image["file_name"]: image for image in coco.imgs.values()}
    assert set(images) == {"one.jpg", "day 1/one.PNG"}
    for name, image in images.items():
        with Image.open(tmp_path / "out" / f"{name[:-4]}.png") as file:
            expected = np.array(file)
        assert (image["height"], image["width"]) == expected.shape
        decoded = np.full(expected.shape, 255, dtype=np.uint8)
        for annotation in coco.imgToAnns[image["id"]]:
            decoded[coco.annToMask(annotation) == 1] = annotation["category_id"] - 1
        assert np.array_equal(decoded, expected)


def test_export_of_results_that_were_done_before(segment, nested, tmp_path):
    assert segment(nested, "--recursive").exit_code == 0
    result = segment(nested, "--recursive", "--format", "labelme", "--min-area", 10)
    assert result.exit_code == 0, result.output
    names = zipfile.ZipFile(tmp_path / "out" / "annotations.labelme.zip").namelist()
    assert sorted(names) == ["day 1/one.json", "one.json"]
    shapes = json.loads(zipfile.ZipFile(tmp_path / "out" / "annotations.labelme.zip").read("one.json"))["shapes"]
    everything = json.loads((tmp_path / "out" / "one.json").read_text())["table"]
    assert {shape["label"] for shape in shapes} <= {row["name"] for row in everything}


def test_a_damaged_label_map_is_left_out_of_the_export(segment, photos, tmp_path):
    (photos / "broken.jpg").unlink()
    assert segment(photos).exit_code == 0
    (tmp_path / "out" / "one.png").write_bytes(b"damaged")
    result = segment(photos, "--format", "cvat")
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert line.startswith(f"{photos / 'one.jpg'} is not in the export")
    names = zipfile.ZipFile(tmp_path / "out" / "annotations.cvat.zip").namelist()
    assert [name for name in names if name.startswith("SegmentationClass/")] == ["SegmentationClass/two.v2.png"]


def test_a_photo_called_like_the_export(segment, photos):
    (photos / "one.jpg").rename(photos / "annotations.coco.jpg")
    result = segment(photos / "annotations.coco.jpg", "--format", "coco")
    assert result.exit_code == 1
    assert "would replace those of" in result.stderr


def test_in_batches_as_one_by_one(segment, photos, tmp_path):
    for number in range(3):
        (photos / f"copy{number}.jpg").write_bytes((photos / "one.jpg").read_bytes())
    assert segment(photos).exit_code == 1  # for broken.jpg
    one_by_one = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.png")}
    assert len(one_by_one) == 5
    assert segment(photos, "--batch", 3, "--again").exit_code == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.png")} == one_by_one


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--weights", "split8"], "Error: split8 is neither a weights file nor a model"),
        (["--out", "{photo}"], "Error: the folder {photo} cannot be made"),
        (["--format", "voc"], "Error: there is no export format 'voc'"),
        (["--min-area", "9"], "Error: --min-area is for an export"),
    ],
)
def test_main_ends_with_one_sentence(shipped, photos, tmp_path, monkeypatch, capsys, arguments, sentence):
    photo = str(photos / "one.jpg")
    words = [
        "segment",
        photo,
        "--out",
        str(tmp_path / "out"),
        *(word.format(photo=photo) for word in arguments),
    ]
    monkeypatch.setattr("sys.argv", ["simformer", *words])
    with pytest.raises(SystemExit) as exit_:
        command_line.main()
    assert exit_.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith(sentence.format(photo=photo))
    assert error.count("\n") == 1


def test_help_needs_no_torch(run_python):
    printed = run_python(
        "import sys; from typer.testing import CliRunner; import simformer.__main__ as m;"
        "print(CliRunner().invoke(m.app, ['--help']).output); print('torch' in sys.modules)"
    )
    assert all(name in printed for name in ("segment", "evaluate", "bench"))
    assert printed.strip().endswith("False")
