"""What a table's file says, as cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from simformer.errors import ConfigError
from simformer.paths import ROOT
from simformer.splits import dataset_classes
from train.config import load_config
from train.tables.cells import as_overrides, read_table

CONFIGS = ROOT / "train" / "configs"
DRAW = {"count": 4, "novel": [2, 12], "seed": 3}
MSRC = {"dataset": "msrc21", "novel": None}


def test_a_table_becomes_cells(table, tmp_path):
    path = table(
        {"name": "ours", "splits": ["s1", "s2"]},
        {"name": "basic", "seeds": [0, 3], "settings": {"pairing": "none", "model": {"queries": 9}}},
        steps=7,
    )
    cells = read_table(path, ["learning_rate=0.5"], tmp_path / "runs")
    assert [cell.name for cell in cells] == ["ours_s1", "ours_s2", "basic_s1", "basic_s1_seed3"]
    assert [cell.settings.split for cell in cells] == ["s1", "s2", "s1", "s1"]
    assert [cell.settings.seed for cell in cells] == [0, 0, 0, 3]
    assert {cell.settings.steps for cell in cells} == {7} and {cell.settings.learning_rate for cell in cells} == {0.5}
    assert [cell.settings.pairing for cell in cells] == ["cross", "cross", "none", "none"]
    assert cells[2].settings.model == cells[0].settings.model | {"queries": 9}  # the width stays tiny
    assert cells[0].out == tmp_path / "runs" / "table" / "ours_s1"


def test_settings_become_overrides(table, tmp_path):
    names = [f"class number {number}" for number in range(40)]  # longer than a line of YAML
    given = {"novel": names, "scale": [0.5, 1], "model": {"width": 64}, "split": "1e3", "hold_out": 1e-5}
    overrides = list(as_overrides(given))
    assert overrides[2] == "model.width=64"
    config = load_config(tmp_path / "tiny.yaml", overrides)
    assert config.novel == names and config.split == "1e3" and config.hold_out == 1e-5


@pytest.mark.parametrize("name", ["group #1", "2024", "no", "a: b", "{x}", "&x", "[a", "'", "null", "s1", "big cats"])
def test_names_of_splits_are_taken_as_they_are(table, tmp_path, name):
    [cell] = read_table(table({"name": "a", "splits": [name]}), [], tmp_path / "runs")
    assert cell.settings.split == name
    settings = load_config(Path(cell.command[3]), cell.command[4:-1])
    assert (settings.split, settings.out) == (name, tmp_path / "runs" / "table" / f"a_{name}")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("table_*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_table_is_valid(path):
    assert read_table(path, [], Path("runs"))


def test_drawn_role_sets_become_cells(table, tmp_path):
    path = table(
        {"name": "all", "random_splits": DRAW},
        {"name": "again", "random_splits": {**DRAW, "first": 2}, "seeds": [1]},
        {"name": "after", "random_splits": {**DRAW, "count": 1, "seed": 4, "after": DRAW}, "sealed": True},
        **MSRC,
    )
    cells = read_table(path, [], tmp_path / "runs")
    names = [cell.settings.split for cell in cells]
    assert [len(cell.settings.novel) for cell in cells[:4]] == [3, 8, 6, 11]
    assert names[4:6] == names[:2] and names[6] not in names[:6]
    assert [cell.name for cell in cells[4:]] == [f"again_{name}_seed1" for name in names[4:6]] + [f"after_{names[6]}"]
    assert [cell.sealed for cell in cells] == [False] * 6 + [True] and all(cell.drawn for cell in cells)
    for cell in cells:
        assert cell.settings.dataset == "msrc21" and set(cell.settings.novel) <= set(dataset_classes("msrc21"))
        assert load_config(Path(cell.command[3]), cell.command[4:-1]).novel == cell.settings.novel


def test_a_role_set_is_sealed_in_all_its_cells_or_in_none(table, tmp_path):
    path = table({"name": "a", "random_splits": DRAW, "sealed": True}, {"name": "b", "random_splits": DRAW}, **MSRC)
    with pytest.raises(ConfigError, match="is sealed in some of its cells and not in others"):
        read_table(path, [], tmp_path / "runs")
