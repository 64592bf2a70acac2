"""cost: what annotation costs, what mIoU it buys, and which classes to mask for a budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simformer.errors import ConfigError

if TYPE_CHECKING:
    from simformer.costs import ClassFrequency, CostInputs, Expectation, Scenario


def cost(
    images: Annotated[int, typer.Option(help="Photos to annotate.")] = 1000,
    dataset: Annotated[
        str, typer.Option(help="Data set whose class frequencies, splits and measured IoU are used.")
    ] = "msrc21",
    folder: Annotated[
        Path | None, typer.Option(help="Count the classes of this folder data set (its train.txt) instead.")
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Read class,share,instances or photo,class from here.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Present roles: this split of the data set.")] = None,
    mask: Annotated[
        list[str] | None, typer.Option(help="Present roles: this class gets masks. Repeat for more.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Price of an hour; a starting value, set your own.")] = 15.0,
    currency: Annotated[str, typer.Option(help="Shown beside amounts.")] = "USD",
    quality_control: Annotated[float, typer.Option(help="Share of time for checking; 0.2 = 20% more.")] = 0.0,
    label_seconds: Annotated[float | None, typer.Option(help="To answer if a class is in a photo.")] = None,
    point_seconds: Annotated[float | None, typer.Option(help="For a point on a class.")] = None,
    scribble_seconds: Annotated[float | None, typer.Option(help="For a scribble on a class.")] = None,
    box_seconds: Annotated[float | None, typer.Option(help="For a box around an instance.")] = None,
    mask_seconds: Annotated[float | None, typer.Option(help="For the mask of an instance.")] = None,
    budget: Annotated[float | None, typer.Option(help="Find the best classes to mask for this money.")] = None,
    results: Annotated[Path | None, typer.Option(help="Folder of measured results.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Which table of them, where there are several.")] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Write the plan (the budget's, else the present roles') as CSV.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the frontier.")] = False,
) -> None:
    """Print hours, money and expected mIoU of all masks, weak-shot and image labels only."""
    from simformer import costs
    from simformer.results import to_csv
    from simformer.utils.files import atomic_write

    classes = _classes(dataset, folder, csv_file)
    seconds = {
        "image_label": label_seconds,
        "point": point_seconds,
        "scribble": scribble_seconds,
        "box": box_seconds,
        "mask": mask_seconds,
    }
    inputs = costs.cost_inputs(
        images=images,
        classes=classes,
        seconds={kind: value for kind, value in seconds.items() if value is not None},
        hourly_rate=rate,
        quality_control=quality_control,
        currency=currency,
    )
    masked = _masked(inputs, dataset, split, mask)
    expectation = _expectation(dataset, results, schedule)
    measured = expectation if isinstance(expectation, costs.MeasuredRoles) else None
    if budget is not None and measured is None:
        raise ConfigError(f"the best classes for a budget need measured IoU per class, which {dataset} lacks")
    best = None if budget is None else costs.best_for_budget(inputs, measured, budget)

    if plan is not None:
        rows = costs.plan_rows(inputs, best.masked if best else masked, measured)
        with atomic_write(plan, "w") as file:
            file.write(to_csv(rows))
    report = {
        "scenarios": costs.scenarios(inputs, masked, expectation),
        "best_for_budget": best,
        "sensitivity": costs.sensitivity(inputs, masked, measured=measured, budget=budget),
        "kinds": costs.cost_by_kind(inputs),
    }
    if as_json:
        report["frontier"] = costs.frontier(inputs, measured) if measured else []
        report["inputs"] = inputs
        typer.echo(json.dumps(report, default=lambda model: model.model_dump(), indent=1, ensure_ascii=False))
    else:
        typer.echo(_text(inputs, report))


def _classes(dataset: str, folder: Path | None, csv_file: Path | None) -> tuple[ClassFrequency, ...]:
    from tqdm import tqdm

    from simformer.costs import csv_frequency, folder_frequency, shipped_frequency

    if folder is not None and csv_file is not None:
        raise ConfigError("give --folder or --csv, not both")
    if folder is not None:
        return folder_frequency(folder, progress=lambda indices: tqdm(indices, unit="photo"))
    return shipped_frequency(dataset) if csv_file is None else csv_frequency(csv_file)


def _masked(inputs: CostInputs, dataset: str, split: str | None, mask: list[str] | None) -> list[str]:
    """The classes masked at present: --mask, or the base classes of --split (s1 unless told)."""
    from simformer.costs.plan import matching_datasets, split_masked
    from simformer.splits import class_index

    if mask and split is not None:
        raise ConfigError("give --split or --mask, not both")
    if not mask and split is None and dataset not in matching_datasets(inputs.names):
        raise ConfigError("name the classes that get masks, one --mask each")
    masked = mask or split_masked(dataset, split or "s1")
    for name in masked:
        class_index(inputs.names, name)
    return masked


def _expectation(dataset: str, results: Path | None, schedule: str | None) -> Expectation:
    from simformer.costs.plan import expectation_on
    from simformer.results import RESULTS_FOLDER, of_table, read_results

    cells = read_results(results or RESULTS_FOLDER, report=lambda problem: typer.echo(f"Warning: {problem}", err=True))
    return expectation_on(dataset, of_table(cells, dataset, schedule))


def _text(inputs: CostInputs, report: dict) -> str:
    unit = inputs.currency
    lines = [f"{inputs.images:,} photos, {len(inputs.classes)} classes, {inputs.hourly_rate:,.2f} {unit} an hour"]
    lines += ["", *_scenario_lines(inputs, report["scenarios"])]
    if report["best_for_budget"] is not None:
        best = report["best_for_budget"]
        lines += [
            "",
            *_scenario_lines(inputs, [best]),
            f"  masks for: {', '.join(best.masked) or 'no class'}",
        ]
    lines += ["", "If a mask takes longer or shorter, weak-shot costs"]
    for row in report["sensitivity"]:
        lines.append(f"  x{row.factor:<5g} {row.weak_shot:>14,.2f} {unit}  (all masks {row.all_masks:,.2f})")
    lines += ["", "Every class annotated with"]
    for row in report["kinds"]:
        kind = row.kind.replace("_", " ")
        lines.append(f"  {kind:<12} {row.hours:>10,.1f} h {row.money:>14,.2f} {unit}")
    return "\n".join(lines)


def _scenario_lines(inputs: CostInputs, scenarios: list[Scenario]) -> list[str]:
    lines = []
    for scenario in scenarios:
        expected = scenario.expected
        groups = f"base {_percent(expected.base)}, novel {_percent(expected.novel)}"
        lines.append(
            f"{scenario.name:<18} {scenario.hours:>10,.1f} h {scenario.money:>14,.2f} {inputs.currency}  "
            f"mIoU {_percent(expected.miou)} ({groups})"
        )
        lines.append(f"  {expected.note}")
        if expected.missing:
            shown = ", ".join(expected.missing[:5]) + (", ..." if len(expected.missing) > 5 else "")
            count = f"{len(expected.missing)} of {expected.counted}"
            lines.append(f"  Without a measurement in this role: {count} classes ({shown})")
    return lines


def _percent(value: float | None) -> str:
    return "missing" if value is None else f"{value:.1f}"
