"""The results tables of docs/results.md."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
import typer
from typer.testing import CliRunner

from simformer.errors import ConfigError
from simformer.paths import RESULTS, ROOT
from simformer.results import (
    CellScores,
    MiouRow,
    ResultCell,
    Transfer,
    TransferAuc,
    published,
    read_results,
    write_result,
)
from simformer.splits import dataset_classes, load_split
from train.tables.report import (
    AVERAGED,
    BEGIN,
    END,
    differences,
    grid,
    insert,
    main,
    missing,
    report,
    show,
    transfers,
)


def row(method: str, split: str, miou: float | None, **changes) -> MiouRow:
    fields = {
        "origin": "measured", "dataset": "msrc21", "table": "t", "method": method, "split": split, "points": None,
        "label_rule": "strict", "group": "novel", "novel_share": 0.2,
        "miou": miou, "lowest": miou, "highest": miou, "seeds": 1,
    }  # fmt: skip
    return MiouRow(**{**fields, **changes})


def test_one_line_a_method_one_column_a_split_and_gaps_stay_gaps():
    rows = [row("CAM", "s1", 40.04), row("CAM", "s2", None), row("SimFormer", "s2", 55.5, points=50)]
    rows.append(row("CAM", "s1", 99.0, group="base"))
    assert grid(rows, "novel").splitlines() == [
        "| novel classes | s1 | s2 |",
        "| --- | ---: | ---: |",
        "| CAM | 40.0 | – |",
        "| SimFormer (J = 50) | – | 55.5 |",
    ]


def test_what_is_not_measured_yet_is_said():
    rows = [row("CAM", "s1", 40.0), row("SimFormer", "s2", 55.0, points=50), row("Basic Model", "s5", 1.0)]
    rows += [row("SimFormer+", split, 60.0) for split in AVERAGED]
    assert missing(rows) == ["Not measured yet: s1, s3, s4 of SimFormer (J = 50)."]
    rows += [row("Basic Model", split, 50.0) for split in ("s1", "s2", "s3")]
    rows += [row("RETAB", split, 50.0) for split in ("s1", "s2", "s3")]
    [sentence] = missing(rows)
    assert "s4 of RETAB, Basic Model" in sentence and sentence.count("SimFormer") == 1
    assert missing([row("SimFormer+", split, 60.0) for split in AVERAGED]) == missing([]) == []


def test_several_seeds_show_their_spread():
    assert show(row("SimFormer", "s1", 50.0, lowest=48.25, highest=52.0, seeds=3)) == "50.0 (48.2 to 52.0)"


def test_tables_of_two_data_sets_and_of_two_rules_stay_apart(tmp_path):
    for dataset, rule, percent in (("msrc21", "strict", 11.0), ("ade20k", "strict", 22.0), ("ade20k", "crop", 33.0)):
        classes = load_split(dataset, "s1").classes
        cell = ResultCell(
            method="Basic Model", dataset=dataset, split="s1", seed=0, steps=7, images=5, pixels=9, config={},
            command="", commit="", device="a device", wall_seconds=1, date=datetime.now(UTC), schedule="paper",
            label_rule=rule, scores=CellScores(miou=percent, per_class=dict.fromkeys(classes, percent)),
        )  # fmt: skip
        write_result(cell, tmp_path)
    found = {}
    for part in report(tmp_path).split("Published: ")[0].split("Measured: ")[1:]:
        heading, tables = part.split(".", 1)
        found[heading.split(",")[0], "crop" in heading] = {each for each in ("11.0", "22.0", "33.0") if each in tables}
    assert found == {("msrc21", False): {"11.0"}, ("ade20k", False): {"22.0"}, ("ade20k", True): {"33.0"}}


def role_set(count: int, percent: float) -> ResultCell:
    classes = dataset_classes("msrc21")
    return ResultCell(
        method="Basic Model", dataset="msrc21", split=f"r{count:02d}-abcd", novel=classes[:count], seed=0, steps=7,
        images=5, pixels=9, config={}, command="", commit="", device="a device", wall_seconds=1,
        date=datetime.now(UTC), schedule="paper",
        scores=CellScores(miou=percent, per_class=dict.fromkeys(classes, percent)),
    )  # fmt: skip


def test_role_sets_are_counted_and_have_no_column(tmp_path):
    write_result(role_set(2, 11.0), tmp_path)
    only = report(tmp_path).split("Published: ")[0]
    assert "on one more role set with 2 novel classes, which no column" in only and "| novel" not in only
    write_result(role_set(12, 22.0), tmp_path)
    shipped = role_set(5, 33.0).model_copy(update={"split": "s1", "novel": None})
    write_result(shipped, tmp_path)
    text = report(tmp_path).split("Published: ")[0]
    assert "| novel classes | s1 |" in text and "33.0" in text
    assert "Measured on 2 more role sets with 2 to 12 novel classes, which" in text
    assert not any(each in text for each in ("11.0", "22.0", "abcd"))


def test_differences_are_paired_over_the_splits():
    splits = ("s1", "s2", "s3", "s4")
    rows = [
        row(method, split, miou, group=group)
        for method, values in (("Basic Model", (50, 60, 70, 80)), ("RETAB", (51, 63, 70, 84)), ("CAM", (1, 2)))
        for split, miou in zip(splits, values, strict=False)
        for group in ("novel", "base", "all")
    ]
    (table,) = differences(rows, "Basic Model")
    # 1, 3, 0, 4: mean 2, standard deviation 1.826, t 3.182.
    assert table.splitlines()[2:] == ["| RETAB | +2.0 ± 2.9 | +2.0 ± 2.9 | +2.0 ± 2.9 |"]
    (other,) = differences(rows, "RETAB")
    assert other.splitlines()[0].startswith("| minus RETAB, s1–s4 |")
    assert other.splitlines()[2:] == ["| Basic Model | -2.0 ± 2.9 | -2.0 ± 2.9 | -2.0 ± 2.9 |"]
    assert differences(rows[:12], "Basic Model") == [] and differences(rows, "CAM") == []


def test_who_tells_pixels_apart_is_the_mean_over_runs(make_result):
    runs = [
        make_result("SimFormer", split, transfer=Transfer(teacher=TransferAuc(novel=teacher), student=student))
        for split, teacher, student in (("s1", 0.5, TransferAuc(novel=0.9, base=0.8)), ("s2", 0.6, None))
    ]
    (table,) = transfers([*runs, make_result("CAM", "all")])
    assert table.splitlines()[-1] == "| SimFormer | 0.55 | 0.90 | – | 0.80 | 2 |"
    assert transfers([make_result("CAM", "all")]) == []


def test_how_much_mask_is_enough(synthetic_results, tmp_path):
    text = report(synthetic_results)
    [sentence, table, *_] = text[text.index("How much mask is enough?") :].split("\n\n")
    assert "4 more trainings of 0.1 hours" in sentence
    assert [line.split(" |")[0] for line in table.splitlines()] == [
        "| s1: masks on", "| ---", "| SimFormer, novel classes", "| FullyOracle, masked photos alone, novel classes",
        "| SimFormer, all classes", "| FullyOracle, masked photos alone, all classes",
    ]  # fmt: skip
    assert table.splitlines()[0] == "| s1: masks on | 10 % | 50 % | 100 % | 100 %, 8 corners |"
    for cell in read_results(synthetic_results):
        write_result(cell, tmp_path)
    assert "How much mask" not in report(tmp_path) and report(tmp_path) in text.replace(
        f"\n\n{sentence}\n\n{table}", ""
    )


def test_only_what_stands_between_the_markers_changes():
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = insert(text, "tables")
    assert new == f"before\n{BEGIN}\n\ntables\n\n{END}\nafter\n"
    assert insert(new, "tables") == new


def test_a_file_without_markers_is_refused():
    with pytest.raises(ConfigError, match="no place"):
        insert("nothing here", "tables")


def test_the_mean_over_disjoint_splits_needs_all_four():
    rows = [row for row in published() if row.table in ("pairing", "more novel classes")]
    lines = {line.split(" |")[0].strip("| "): line for line in grid(rows, "novel").splitlines()}
    assert lines["novel classes"].endswith("| mean of s1–s4 |")
    assert lines["Basic Model"].endswith("| 26.3 |")  # of 27.0, 23.6, 29.1, 25.6
    assert lines["RETAB*"].endswith("| – |")
    assert "mean" not in grid([row for row in rows if row.split != "s2"], "novel")


def test_the_written_tables_are_those_of_the_shipped_results():
    text = (ROOT / "docs" / "results.md").read_text()
    assert insert(text, report(RESULTS)) == text


def test_no_result_replaces_no_table(tmp_path):
    page = tmp_path / "results.md"
    page.write_text(f"{BEGIN}\nmeasured\n{END}\n")
    with pytest.raises(ConfigError, match="there is no result in"):
        report(tmp_path / "mistyped")
    command = typer.Typer()
    command.command()(main)
    for options in (["--file", str(page), "--results", str(tmp_path)], ["--file", str(tmp_path / "none.md")]):
        outcome = CliRunner().invoke(command, options)
        assert outcome.exit_code == 1 and isinstance(outcome.exception, SystemExit), outcome.output
    assert page.read_text() == f"{BEGIN}\nmeasured\n{END}\n"


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["results", "/", "elsewhere/results"])
def test_where_the_results_lie_does_not_decide_where_the_tables_go(tmp_path, folder):
    command = [sys.executable, "-m", "train.tables.report", "--help"]
    env = {**os.environ, "SIMFORMER_RESULTS": folder, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "markers" in done.stdout, done.stderr


def test_a_pipe_in_a_name_does_not_break_the_table():
    assert grid([row("CAM", "a|b", 40.0)], "novel").splitlines()[0] == r"| novel classes | a\|b |"
