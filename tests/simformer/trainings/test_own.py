from __future__ import annotations

import pytest
import torch

from simformer.checkpoint import build_network, save_checkpoint
from simformer.errors import ConfigError, UnknownClassError
from simformer.trainings.own import OwnRuns, own_table, rotation, split_name

CLASSES = ("sky", "grass", "cat", "dog", "boat")


def test_in_a_rotation_every_class_is_novel_once_and_frequent_ones_are_apart():
    sets = rotation(CLASSES, [90, 80, 5, 4, 3], 2)
    assert sorted(name for novel in sets for name in novel) == sorted(CLASSES)
    assert sets == [["sky", "cat", "boat"], ["grass", "dog"]]
    assert len(rotation([str(number) for number in range(21)], [1] * 21)) == 5
    assert all(len(novel) == 1 for novel in rotation(CLASSES, [1] * 5, 5))
    for groups in (1, 6):
        with pytest.raises(ConfigError, match="2 to 5 role sets"):
            rotation(CLASSES, [1] * 5, groups)


def test_names_tell_role_sets_apart_and_may_be_a_files():
    assert split_name(["cat", "dog"]) == split_name(["dog", "cat"]).replace("dog-cat", "cat-dog")
    assert len({split_name([name]) for name in ("a b", "a-b", "a/b", "ä b", "../x")}) == 5
    assert all("/" not in split_name([name]) and "." not in split_name([name]) for name in ("a/b", "../x", "猫"))


def test_a_table_has_the_role_sets_and_once_what_every_expectation_needs(tmp_path):
    table, trainings = own_table(tmp_path, CLASSES, [["dog", "cat"], ["sky"]])
    assert [cell["settings"].get("novel") for cell in table["cells"]] == [["cat", "dog"], ["sky"], None, None]
    assert [one.title.split(",")[0] for one in trainings] == ["SimFormer+", "SimFormer+", "FullyOracle", "CAM"]
    assert [one.name.partition("_")[0] for one in trainings] == [cell["name"] for cell in table["cells"]]
    for novel, words in (([], "every class gets masks"), (CLASSES, "no class gets masks")):
        with pytest.raises(ConfigError, match=words):
            own_table(tmp_path, CLASSES, [novel])
    with pytest.raises(UnknownClassError, match="horse"):
        own_table(tmp_path, CLASSES, [["horse"]])


def test_models_are_those_of_trainings_that_are_done(tmp_path, monkeypatch, make_card):
    monkeypatch.setenv("SIMFORMER_RUNS", str(tmp_path / "runs"))
    runs = OwnRuns(tmp_path / "data")
    assert OwnRuns(tmp_path / "other" / "data").folder != runs.folder and runs.models() == {}
    torch.manual_seed(0)
    for name, kind, split in (("plus_no-cat-1", "simformer", "no-cat-1"), ("cam_all_base", "cam", "all_base")):
        folder = runs.folder / "runs" / "table" / name
        folder.mkdir(parents=True)
        card = make_card(kind, split=split)
        save_checkpoint(folder / "weights.safetensors", build_network(card).state_dict(), card)
    assert runs.models() == {}
    for folder in (runs.folder / "runs" / "table").iterdir():
        (folder / "result.json").write_text("{}")
    assert set(runs.models()) == {"no-cat-1", "cam"}
