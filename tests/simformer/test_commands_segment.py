from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from simformer import __main__ as command_line
from simformer.palette import class_colors


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
    result = segment(photos / "one.jpg", "--model", "cam", "--threshold", 2)
    assert result.exit_code == 0, result.output
    assert "unsure 100%" in result.stdout
    with Image.open(tmp_path / "out" / "one.png") as image:
        assert np.unique(np.array(image)).tolist() == [255]
    content = json.loads((tmp_path / "out" / "one.json").read_text())
    assert (content["model"], content["unsure"], content["table"]) == ("cam", 1.0, [])


def test_a_bad_file_is_reported_and_the_others_are_done(segment, photos, tmp_path):
    result = segment(photos / "broken.jpg", photos / "none.jpg", photos, photos / "one.jpg")
    assert result.exit_code == 1
    assert (tmp_path / "out" / "one.png").is_file()
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 3
    assert all("was not segmented" in line for line in lines)
    assert [name in line for name, line in zip(("broken.jpg", "none.jpg", "photos"), lines, strict=True)] == [
        True
    ] * 3


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


def test_a_second_run_replaces_its_own_results(segment, photos):
    assert segment(photos / "one.jpg").exit_code == 0
    assert segment(photos / "one.jpg").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "split8"], "Error: split8 is neither a weights file nor a model"),
        (["--out", "{photo}"], "Error: the folder {photo} cannot be made"),
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
