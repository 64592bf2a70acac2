"""Classes of one's own in the planner: from a CSV file, a folder, the page's data set."""

from __future__ import annotations

import gradio as gr
import pytest

from simformer.costs.typed import MOST_CLASSES, folder_rows, uploaded_rows
from simformer.datasets.synthetic import SYNTHETIC_CLASSES, write_scenes
from simformer.errors import ConfigError, DatasetError
from simformer.ui.costs.tab import RoleSets, count_folder, upload_classes

NO_ROLES = ([], [], RoleSets([], []))


def test_own_classes_from_a_csv_file(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("class,share,instances\nunicorn,0.25,3\ncow,0.5,\n")
    rows = [["unicorn", 25.0, 3.0], ["cow", 50.0, None]]
    assert uploaded_rows(str(file)) == rows
    table, masked, split, have, away, names = upload_classes(None, str(file), ["cow", "sky"], ["sky"], RoleSets([], []))
    assert table.value["data"] == rows
    assert [name for name, _ in masked.choices] == ["unicorn", "cow"] and masked.value == ["cow"]
    assert [key for _, key in split.choices] == ["own"]
    assert [name for name, _ in have.choices] == ["unicorn", "cow"] and have.value == []
    assert away == RoleSets(["sky"], ["sky"]) and names == ["unicorn", "cow"]


def test_taking_the_file_away_brings_the_first_classes_and_their_roles_back(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("class,share,instances\nunicorn,0.25,3\ncow,0.5,\n")
    *_, away, _ = upload_classes(None, str(file), ["cow", "sky"], ["sky"], RoleSets([], []))
    # The cow loses its masks meanwhile, the unicorn gets some.
    _, masked, split, have, away, _ = upload_classes(None, None, ["unicorn"], ["unicorn"], away)
    assert len(masked.choices) == 21 and masked.value == ["sky"] and have.value == ["sky"]
    assert ("Split 1: tree, sheep, bicycle, road, dog", "msrc21/s1") in split.choices
    _, masked, *_ = upload_classes(None, str(file), masked.value, have.value, away)
    assert masked.value == ["unicorn"]


def test_taking_the_file_away_brings_the_pages_own_data_set_back(tmp_path):
    write_scenes(tmp_path, 4, seed=1, size=(48, 64))
    table, masked, *_ = upload_classes(tmp_path, None, *NO_ROLES)
    assert table.value["data"] == folder_rows(str(tmp_path))
    assert [name for name, _ in masked.choices] == list(SYNTHETIC_CLASSES)
    # One that cannot be counted leaves the shipped classes, with which the page began.
    assert len(upload_classes(tmp_path / "nowhere", None, *NO_ROLES)[1].choices) == 21


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "mine.csv must begin with"),
        ("a,b\n1,2\n", "mine.csv must begin with"),
        ("class,share\ncow,7\n", "mine.csv, line 2: share"),
        ("class,share\n", "mine.csv names no class"),
        ("class,share\n" + "".join(f"c{i},0.1\n" for i in range(MOST_CLASSES + 1)), "a plan can hold 300"),
    ],
)
def test_a_bad_csv_file_is_one_sentence_without_the_servers_folders(tmp_path, text, words):
    file = tmp_path / "mine.csv"
    file.write_text(text)
    with pytest.raises(gr.Error) as error:
        upload_classes(None, str(file), *NO_ROLES)
    assert words in error.value.message and str(tmp_path) not in error.value.message


def test_a_binary_file_is_one_sentence(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_bytes(b"\xff\xfe\x00class")
    with pytest.raises(gr.Error, match=r"mine\.csv is not UTF-8"):
        upload_classes(None, str(file), *NO_ROLES)


def test_own_classes_from_a_folder(tmp_path):
    write_scenes(tmp_path, 4, seed=1, size=(48, 64))
    rows = folder_rows(f" {tmp_path} ")
    assert [row[0] for row in rows] == list(SYNTHETIC_CLASSES)
    assert max(row[1] for row in rows) <= 100
    _, masked, *_ = count_folder(str(tmp_path), *NO_ROLES)
    assert [name for name, _ in masked.choices] == list(SYNTHETIC_CLASSES)
    with pytest.raises(ConfigError, match="name the folder"):
        folder_rows("  ")
    with pytest.raises(DatasetError):
        folder_rows(str(tmp_path / "nowhere"))
    with pytest.raises(gr.Error):
        count_folder(str(tmp_path / "nowhere"), *NO_ROLES)
