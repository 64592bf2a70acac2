from __future__ import annotations

import json

import numpy as np
import pytest
from made_cells import CLASSES, make_cell
from typer.testing import CliRunner

from simformer.__main__ import app
from simformer.errors import ConfigError
from simformer.results import SEALED, UNFINISHED, write_result


def cell(rng, name, novel, method="SimFormer", **changes):
    iou = {label: float(rng.uniform(20, 40) if label in novel else rng.uniform(70, 80)) for label in CLASSES}
    return make_cell(iou, method=method, split=name, novel=sorted(novel), **changes)


@pytest.fixture
def results(tmp_path):
    """Made-up cells in a folder: five role sets (one with two seeds), one more as sealed, FullyOracle."""
    rng = np.random.default_rng(0)
    write_result(make_cell(80.0, method="FullyOracle", split="all", points=None), tmp_path)
    for index in range(5):
        folder = tmp_path / UNFINISHED if index > 2 else tmp_path
        novel = set(rng.permutation(CLASSES)[: 3 + index].tolist())
        write_result(cell(rng, f"r{index}", novel), folder)
        if index == 0:
            write_result(cell(rng, "r0", novel, seed=1), folder)
    write_result(cell(rng, "hidden", {"cat", "boat", "sky"}), tmp_path / UNFINISHED / SEALED)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["backtest", *map(str, arguments)])


def test_json(results):
    found = json.loads(run("--results", results, "--json").stdout)
    assert found.keys() == {"msrc21"}
    report = found["msrc21"]
    assert [row["name"] for row in report["rows"]] == ["r0", "r1", "r2", "r3", "r4"]
    assert report["rows"][0].keys() == {"name", "expected", "low", "high", "measured"}
    assert len(report["novel_rows"]) == 5
    off = [abs(row["expected"] - row["measured"]) for row in report["novel_rows"]]
    assert report["novel_error"] == pytest.approx(np.mean(off))
    for name in ("count_only_error", "noise_floor", "novel_count_only_error", "novel_noise_floor"):
        assert report[name] > 0
    assert "sealed" not in report
    *groups, together = report["preferences"]
    assert together["most"] is None and together["pairs"] == sum(group["pairs"] for group in groups)
    covered = report["levels"]
    assert covered["role sets"] == {
        "role_sets": 5, "coverage": report["coverage"], "novel_coverage": report["novel_coverage"],
    }  # fmt: skip
    assert covered["pilot"] is None and covered["other data sets"] is None
    assert "pilot            not measured: no other data set" in run("--results", results).stdout


def test_sealed_results_are_read_only_with_the_flag(results):
    for path in (results / UNFINISHED / SEALED).iterdir():
        path.write_text("not read")
    plain = run("--results", results)
    assert plain.exit_code == 0 and "hidden" not in plain.output and "Warning" not in plain.output
    assert "Warning" in run("--results", results, "--sealed").output


def test_sealed_role_sets(results):
    report = json.loads(run("--results", results, "--json", "--sealed").stdout)["msrc21"]
    assert [row["name"] for row in report["sealed"]["rows"]] == ["hidden"]
    text = run("--results", results, "--sealed").stdout
    assert "sealed role sets" in text and "hidden" in text and "off on the mean" in text


def test_a_method_without_results_is_one_sentence(results):
    with pytest.raises(ConfigError, match="4 role sets of RETAB"):
        CliRunner().invoke(app, ["backtest", "--results", str(results), "--method", "RETAB"], catch_exceptions=False)


def test_the_shipped_results_have_a_backtest():
    found = json.loads(run("--json").stdout)
    assert {row["name"] for row in found["msrc21"]["rows"]} >= {"s1", "s2", "s3", "s4"}


def test_a_learning_curve_needs_more_role_sets_than_these(results):
    found = run("--results", results, "--learning-curve", 2, "--json")
    assert json.loads(found.stdout)["msrc21"]["learning_curve"] == []
    assert "has 5 role sets: a learning curve needs 8" in found.stderr
