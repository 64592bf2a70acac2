"""backtest: how far expectations of role sets are off, every measured one predicted without it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simformer.errors import ConfigError

if TYPE_CHECKING:
    from simformer.costs.backtest import Backtest, Errors, Trial
    from simformer.costs.role_sets import MeasuredSets
    from simformer.results import ResultCell


def backtest(
    method: Annotated[
        str | None, typer.Option(help="Whose role sets; by default SimFormer+ where measured, else SimFormer.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder of measured results, and those of its folder unfinished.")
    ] = None,
    sealed: Annotated[
        bool, typer.Option("--sealed", help="Predict the sealed role sets, too: once, when all else is decided.")
    ] = False,
    curve: Annotated[
        int,
        typer.Option(
            "--learning-curve",
            min=0,
            metavar="N",
            help="Fit few of the role sets, N random choices of each number, and predict others: how many it takes.",
        ),
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a data set's name over its numbers.")] = False,
) -> None:
    """Predict every measured role set without it and those nested with it; print errors beside simple predictions."""
    from simformer.costs import role_sets
    from simformer.results import RESULTS_FOLDER, SEALED, UNFINISHED

    folder = results or RESULTS_FOLDER
    folders = [folder, folder / UNFINISHED]
    tables = role_sets.measured_sets(_cells(folders), method)
    hidden = _cells([one / SEALED for one in folders]) if sealed else None
    report: dict[str, dict[str, Any]] = {}
    problems = []
    for dataset, measured in tables.items():
        try:
            report[dataset] = _tested(measured, tables, hidden)
            if curve:
                report[dataset]["learning_curve"] = _curve(measured, curve)
        except ConfigError as error:
            problems.append(str(error))
    if not report:
        raise ConfigError("; ".join(problems))
    for problem in problems:
        typer.echo(f"Warning: {problem}", err=True)
    if as_json:
        typer.echo(json.dumps(report, indent=1, ensure_ascii=False))
    else:
        typer.echo("\n\n".join(_text(dataset, found) for dataset, found in report.items()))


def _cells(folders: list[Path]) -> list[ResultCell]:
    """The cells of several folders; of two files of one name the first."""
    from simformer.results import read_results

    found: dict[str, ResultCell] = {}
    for folder in folders:
        for cell in read_results(folder, report=lambda problem: typer.echo(f"Warning: {problem}", err=True)):
            found.setdefault(str(cell.file), cell)
    return list(found.values())


def _tested(measured: MeasuredSets, tables: dict[str, MeasuredSets], hidden: list[ResultCell] | None) -> dict[str, Any]:
    from simformer.costs import backtest as tests
    from simformer.costs.role_sets import sets_like

    found = tests.backtest(measured)
    report = {
        "method": found.method,
        "schedule": found.schedule,
        "terms": list(found.terms),
        "count_alone": found.count_alone,
        "verdict": found.verdict,
        **_numbers(found),
        "noise_floor": found.noise_floor,
        "novel_noise_floor": found.novel_noise_floor,
        "rank_correlation": asdict(found.ranks),
        "not_predicted": list(found.not_predicted),
        "preferences": _preferences(measured),
        "from_other": {},
        "levels": {"role sets": _coverage([found]), "pilot": None, "other data sets": None},
    }
    pilots, unknown = [], []
    for other in tables.values():
        if other.dataset != measured.dataset and other.method == measured.method:
            count_alone = tests.backtest(other).count_alone
            pilots.append(tests.from_other(other, measured, count_alone=count_alone))
            unknown.append(tests.in_other_shares(other, measured, count_alone=count_alone))
            report["from_other"][other.dataset] = _numbers(pilots[-1])
    report["levels"] |= {"pilot": _coverage(pilots), "other data sets": _coverage(unknown)}
    if hidden is not None:
        sealed = sets_like(measured, hidden)
        trial = tests.of_sealed(measured, sealed, count_alone=found.count_alone) if sealed else None
        report["sealed"] = None if trial is None else _numbers(trial)
    return report


def _curve(measured: MeasuredSets, choices: int) -> list[dict[str, float]]:
    """None of it where too few role sets are measured."""
    from simformer.costs.learning_curve import learning_curve

    try:
        return [asdict(point) for point in learning_curve(measured, choices)]
    except ConfigError as error:
        typer.echo(f"Warning: {error}", err=True)
        return []


def _preferences(measured: MeasuredSets) -> list[dict[str, Any]] | None:
    """Of role sets that cost about the same; None where it is not known how often the classes occur."""
    from simformer.costs.frequency import shipped_frequency
    from simformer.costs.preferences import preferences

    try:
        found = preferences(measured, shipped_frequency(measured.dataset))
    except ConfigError:
        return None
    # JSON has no infinity.
    return [{**asdict(row), "most": row.most if math.isfinite(row.most) else None} for row in found]


def _coverage(trials: Sequence[Backtest | Trial]) -> dict[str, float] | None:
    """Share of all role sets inside their 80 % interval, over all and over novel classes; None without any."""
    counts = [len(trial.rows) for trial in trials]
    if not sum(counts):
        return None
    pairs = list(zip(counts, trials, strict=True))
    return {
        "role_sets": sum(counts),
        "coverage": sum(count * trial.all.coverage for count, trial in pairs) / sum(counts),
        "novel_coverage": sum(count * trial.novel.coverage for count, trial in pairs) / sum(counts),
    }


def _numbers(found: Backtest | Trial) -> dict[str, Any]:
    """Rows and errors; those over novel classes are named so."""

    def errors(of: Errors, prefix: str) -> dict[str, float]:
        return {f"{prefix}{name}": value for name, value in asdict(of).items()}

    return {
        "rows": [asdict(row) for row in found.rows],
        "novel_rows": [asdict(row) for row in found.novel_rows],
        **errors(found.all, ""),
        **errors(found.novel, "novel_"),
    }


def _text(dataset: str, found: dict[str, Any]) -> str:
    lines = [f"{dataset}, {found['method']} ({found['schedule']}): {found['verdict']}"]
    lines += _rows(found)
    lines += _errors(found, found["noise_floor"], found["novel_noise_floor"])
    lines.append("  inside their 80% interval, by what is known of the classes:")
    for level, covered in found["levels"].items():
        said = "not measured: no other data set has role sets"
        if covered is not None:
            said = (
                f"{covered['coverage']:.0%} (novel classes {covered['novel_coverage']:.0%}) of {covered['role_sets']}"
            )
        lines.append(f"    {level:16} {said}")
    ranks = found["rank_correlation"]
    if ranks["mean"] is not None:
        lines.append(
            f"  which novel classes keep their IoU: rank correlation {ranks['mean']:.2f} "
            f"({ranks['low']:.2f} to {ranks['high']:.2f}), {ranks['role_sets']} role sets"
        )
    lines += _preferred(found["preferences"] or [])
    if found["not_predicted"]:
        lines.append(f"  too few others are left to predict: {', '.join(found['not_predicted'])}")
    for other, trial in found["from_other"].items():
        lines += [f"  predicted from {other} alone:", *_errors(trial)]
    for point in found.get("learning_curve", []):
        lines.append(
            f"  fitted to {point['role_sets']} role sets: {point['all']:.1f} off over all classes (a constant "
            f"{point['constant']:.1f}), {point['novel']:.1f} over novel ones ({point['novel_constant']:.1f}); mean of "
            f"{point['choices']} choices, {point['count_alone']:.0%} with the number of novel classes alone"
        )
    if found.get("sealed"):
        lines += ["  sealed role sets:", *_rows(found["sealed"]), *_errors(found["sealed"])]
    elif "sealed" in found:
        lines.append("  no sealed role set is measured")
    return "\n".join(lines)


def _preferred(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"    {_apart(row):26} {row['by_model']:.0%} of {row['pairs']} pairs, "
        f"by the number of novel classes alone {row['by_count']:.0%}"
        for row in rows
        if row["pairs"]
    ]
    head = "  of two role sets whose costs differ by less than 10%, the better one was expected to be better:"
    return [head, *lines] if lines else []


def _apart(row: dict[str, Any]) -> str:
    """By how many points of mIoU the pairs of a row differ, in words."""
    least, most = row["least"], row["most"]
    if most is None:
        return f"{least:g} points apart or more" if least else "all"
    return f"{least:g} to {most:g} points apart" if least else f"less than {most:g} points apart"


def _rows(found: dict[str, Any]) -> list[str]:
    width = max(len(row["name"]) for row in found["rows"])
    lines = [f"  {'mIoU':{width}}  {'all classes: expected, measured':36}  novel classes"]
    for of_all, of_novel in zip(found["rows"], found["novel_rows"], strict=True):
        both = [
            f"{row['expected']:5.1f} ({row['low']:5.1f} to {row['high']:5.1f}) {row['measured']:5.1f}"
            for row in (of_all, of_novel)
        ]
        lines.append(f"  {of_all['name']:{width}}  {both[0]:36}  {both[1]}")
    return lines


def _errors(found: dict[str, Any], floor: float | None = None, novel_floor: float | None = None) -> list[str]:
    lines = []
    for prefix, name, noise in (("", "all classes", floor), ("novel_", "novel classes", novel_floor)):
        against = [
            f"{found[prefix + 'error']:.1f} off on the mean",
            f"a constant {found[prefix + 'constant_error']:.1f}",
            f"the number of novel classes alone {found[prefix + 'count_only_error']:.1f}",
        ]
        against += [f"noise of seeds {noise:.1f}"] if noise is not None else []
        lines.append(
            f"  {name}: {', '.join(against)}; {found[prefix + 'coverage']:.0%} inside their 80% interval, "
            f"interval score {found[prefix + 'interval_score']:.1f}"
        )
    return lines
