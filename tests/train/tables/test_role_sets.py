from __future__ import annotations

import typer
import yaml
from typer.testing import CliRunner

from simformer.paths import ROOT
from train.tables.draws import role_set_name
from train.tables.role_sets import as_text, main


def test_the_command_prints_names_before_anything_is_trained(table):
    draw = {"count": 3, "novel": [2, 12]}
    path = table(
        {"name": "plus", "random_splits": draw},
        {"name": "again", "random_splits": {**draw, "first": 1}, "seeds": [1, 2]},
        {"name": "basic", "splits": ["s1"]},
        {"name": "test", "random_splits": {"count": 2, "novel": [3, 9], "seed": 1, "after": draw}, "sealed": True},
        dataset="msrc21",
        novel=None,
    )
    command = typer.Typer()
    command.command()(main)
    outcome = CliRunner().invoke(command, [str(path)])
    assert outcome.exit_code == 0, outcome.output
    read = yaml.safe_load(outcome.output)
    assert list(read) == ["msrc21"] and len(read["msrc21"]) == 5
    assert all(role_set_name(novel) == name for name, novel in read["msrc21"].items())
    marked = [line.endswith("  # sealed") for line in outcome.output.splitlines()]
    assert marked == [False] * 4 + [True] * 2
    plain = CliRunner().invoke(command, [str(table({"name": "basic"}))])
    assert plain.exit_code == 1 and "has no random_splits" in plain.output


def test_the_shipped_tables_draw_what_was_written_down():
    folder = ROOT / "train"
    written = (folder / "tables" / "role_sets.yaml").read_text(encoding="utf-8")
    drawn = [as_text(folder / "configs" / f"table_{name}.yaml", ["data=DATA"]) for name in ("msrc21", "nyuv2")]
    assert [line for line in written.splitlines() if not line.startswith("#")] == "\n".join(drawn).splitlines()
