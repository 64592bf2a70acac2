"""cost: what annotation costs, what mIoU it buys, and which classes to mask for a budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simformer.errors import ConfigError

if TYPE_CHECKING:
    from simformer.costs import ClassFrequency, CostInputs, Decisions, Expected, Scenario
    from simformer.costs.plan import Plan
    from simformer.worklist.work import Row

DATASET = "msrc21"
IMAGES = 1000


def cost(
    images: Annotated[
        int | None, typer.Option(help="Photos to annotate; by default those of --data that are counted, else 1000.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Data set whose class frequencies, splits and measured IoU are used; by default msrc21."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Count the classes of this folder data set instead: its train.txt, or all photos without."),
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
    quality_control: Annotated[
        float, typer.Option(help="Percent of the annotation time that checking adds; 20 is a fifth more.")
    ] = 0.0,
    instances: Annotated[
        float | None, typer.Option(help="Of a class in a photo that shows it, where they were not counted.")
    ] = None,
    label_seconds: Annotated[float | None, typer.Option(help="To answer if a class is in a photo.")] = None,
    point_seconds: Annotated[float | None, typer.Option(help="For a point on a class.")] = None,
    scribble_seconds: Annotated[float | None, typer.Option(help="For a scribble on a class.")] = None,
    box_seconds: Annotated[float | None, typer.Option(help="For a box around an instance.")] = None,
    mask_seconds: Annotated[float | None, typer.Option(help="For the mask of an instance, by hand.")] = None,
    assisted_mask_seconds: Annotated[float | None, typer.Option(help="The same with an assistant.")] = None,
    have: Annotated[
        list[str] | None, typer.Option(help="This class has masks already and costs nothing. Repeat for more.")
    ] = None,
    drawn_by: Annotated[str, typer.Option(help="How masks are drawn: by hand, or with an assistant.")] = "hand",
    mask_share: Annotated[
        float, typer.Option(help="Part of the photos, above 0 to 1, in which masks are drawn; the others get labels.")
    ] = 1.0,
    budget: Annotated[float | None, typer.Option(help="Find the best classes to mask for this money.")] = None,
    wish: Annotated[
        list[str] | None,
        typer.Option(help="Asked of the best classes for the budget, such as 'person at least 60'. Repeat for more."),
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder of measured results, with --data beside the shipped ones.")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="Which table of them; by default one that has measured the classes.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Write the plan (the budget's, else the present roles') as CSV.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the same plan as a page to print, with its assumptions.")
    ] = None,
    worklist: Annotated[
        Path | None,
        typer.Option(help="Write the photos of --data to draw masks in to this folder: CVAT, Label Studio, CSV."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Model that draws first; by default the best of these classes. 'none' for none."),
    ] = None,
    photos: Annotated[int, typer.Option(min=1, help="Of the worklist at most; the most useful ones.")] = 100,
    again: Annotated[bool, typer.Option(help="Also photos that have their masks already, to be checked.")] = False,
    url: Annotated[str, typer.Option(help="Put before photos' names where Label Studio wants a web address.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the frontier.")] = False,
) -> None:
    """Print hours, money and expected mIoU of all masks, weak-shot and image labels only."""
    from simformer.costs.evidence import planning_cells
    from simformer.costs.plan import plan_for
    from simformer.costs.typed import read_inputs
    from simformer.costs.wishes import read_wishes
    from simformer.results import to_csv
    from simformer.trainings.own import results_folders
    from simformer.utils.files import atomic_write

    if mask and split is not None:
        raise ConfigError("give --split or --mask, not both")
    if worklist is not None and data is None:
        raise ConfigError("--worklist is a list of the photos of a folder data set, which --data names")
    seconds = {
        "image_label": label_seconds,
        "point": point_seconds,
        "scribble": scribble_seconds,
        "box": box_seconds,
        "mask": mask_seconds,
        "assisted_mask": assisted_mask_seconds,
    }
    classes, counted, number = _classes(dataset, data, csv_file)
    images = number if images is None else images
    inputs = read_inputs(
        images, classes, seconds, rate, quality_control, instances, currency, have=have or (), drawn_by=drawn_by,
        mask_share=mask_share,
    )  # fmt: skip

    def warn(problem: str) -> None:
        typer.echo(f"Warning: {problem}", err=True)

    cells = planning_cells(results_folders(data, results), report=warn)
    found = plan_for(
        inputs,
        cells,
        masked=mask or None,
        split=split,
        dataset=dataset,
        expected_from=schedule and f"{dataset or DATASET}/{schedule}",
        budget=budget,
        wishes=read_wishes(wish),
    )
    answer = found.answer()
    if plan is not None:
        with atomic_write(plan, "w") as file:
            file.write(to_csv(found.best_rows or found.rows))
    typer.echo(json.dumps(answer, indent=1, ensure_ascii=False) if as_json else _text(found, counted))
    rows = _write_worklist(found, data, worklist, weights, photos, again, url) if data and worklist else []
    if html is not None:
        from simformer.worklist.printed import printed_plan

        with atomic_write(html, "w") as file:
            file.write(printed_plan(found, data.resolve().name if data else "Annotation", counted, rows, best=True))


def _write_worklist(
    found: Plan, data: Path, out: Path, weights: str | None, photos: int, again: bool, url: str
) -> list[Row]:
    """Files of the photos to draw the plan's masks in: the budget's, else the present roles'; says what they are."""
    from tqdm import tqdm

    from simformer.datasets.folder_files import read_classes
    from simformer.predictor import Predictor
    from simformer.weights import available_models, readable_cards
    from simformer.worklist.looking import best_model
    from simformer.worklist.work import Worklist
    from simformer.worklist.write import write_worklist

    masked = found.to_draw(found.chosen(best=found.best is not None))
    if weights is None:
        weights = best_model(readable_cards(available_models())[0], read_classes(data), masked)
    predictor = None if weights in (None, "none") else Predictor.load(weights)
    work = Worklist(data, found.inputs, masked, predictor, again=again)
    for _ in tqdm(work.look(), total=len(work), unit="photo", disable=None):
        pass
    rows = work.rows(photos)
    files = write_worklist(work, rows, out, url=url) if rows else []
    typer.echo(f"\n{work.said(len(rows))}", err=True)
    for problem in work.problems:
        typer.echo(f"Warning: {problem}", err=True)
    for file in files:
        typer.echo(str(file), err=True)
    return rows


def _classes(
    dataset: str | None, data: Path | None, csv_file: Path | None
) -> tuple[tuple[ClassFrequency, ...], str, int]:
    """Frequencies, what they were counted on, and how many photos to annotate unless somebody says."""
    from tqdm import tqdm

    from simformer.costs import csv_frequency, folder_frequency, shipped_frequency
    from simformer.datasets.folder_files import names_to_annotate
    from simformer.splits import DATASET_TITLES

    if data is not None and csv_file is not None:
        raise ConfigError("give --data or --csv, not both")
    if data is not None:
        classes = folder_frequency(data, progress=lambda indices: tqdm(indices, unit="photo", disable=None))
        names, which = names_to_annotate(data)
        return classes, which, len(names)
    if csv_file is not None:
        return csv_frequency(csv_file), csv_file.name, IMAGES
    name = dataset or DATASET
    return shipped_frequency(name), f"the training photos of {DATASET_TITLES.get(name, name)}", IMAGES


def _text(plan: Plan, counted: str) -> str:
    from simformer.costs.role_expectation import LEVELS

    inputs, unit = plan.inputs, plan.inputs.currency
    lines = [f"{inputs.images:,} photos, {len(inputs.classes)} classes, {inputs.hourly_rate:,.2f} {unit} an hour"]
    lines.append(f"Classes occur as on {counted}.")
    if inputs.have:
        lines.append(f"Masks are there already, at no cost, of {', '.join(inputs.have)}.")
    if inputs.share_note:
        lines.append(inputs.share_note)
    if plan.evidence:
        lines.append(LEVELS[plan.evidence])
    if plan.assistant_note:
        lines.append(plan.assistant_note)
    lines += ["", *_scenario_lines(inputs, plan.scenarios)]
    if plan.best is not None:
        lines += [
            "",
            *_scenario_lines(inputs, [plan.best]),
            f"  masks for: {', '.join(plan.best.masked) or 'no class'}",
            f"  {plan.best.how}",
        ]
    lines += _decision_lines(plan.decisions)
    lines += ["", "If a mask takes longer or shorter, weak-shot costs"]
    for row in plan.sensitivity:
        lines.append(f"  x{row.factor:<5g} {row.weak_shot:>14,.2f} {unit}  (all masks {row.all_masks:,.2f})")
    lines += ["", "Every class annotated with"]
    for row in plan.kinds:
        kind = row.kind.replace("_", " ")
        lines.append(f"  {kind:<13} {row.hours:>10,.1f} h {row.money:>14,.2f} {unit}")
    return "\n".join(lines)


def _scenario_lines(inputs: CostInputs, scenarios: list[Scenario]) -> list[str]:
    lines = []
    for scenario in scenarios:
        expected = scenario.expected
        groups = f"base {_percent(expected.base)}, novel {_percent(expected.novel)}"
        lines.append(
            f"{scenario.name:<18} {scenario.hours:>10,.1f} h {scenario.money:>14,.2f} {inputs.currency}  "
            f"mIoU {_percent(expected.miou)}{_interval(expected)} ({groups})"
        )
        lines.append(f"  {expected.note}")
        if expected.missing:
            shown = ", ".join(expected.missing[:5]) + (", ..." if len(expected.missing) > 5 else "")
            count = f"{len(expected.missing)} of {expected.counted}"
            lines.append(f"  Without a measurement in this role: {count} classes ({shown})")
    return lines


def _decision_lines(decisions: Decisions | None) -> list[str]:
    """Classes by decision; how often undecided ones get masks; the next training."""
    if decisions is None:
        return []
    lines = ["  decided by how many resampled fits of the expectation have a class masked in their best choice:"]
    for verdict in ("mask", "labels will do", "undecided"):
        rows = [row for row in decisions.classes if row.decision == verdict]
        if rows:
            lines.append(f"    {verdict}: " + ", ".join(f"{row.class_name} ({row.share:.0%})" for row in rows))
    if decisions.next_training is not None:
        novel = ", ".join(decisions.next_training.novel)
        part = decisions.next_training.settles
        lines.append(f"  the next training that would settle most ({part:.0%} of what is open): novel {novel}")
    return lines


def _interval(expected: Expected) -> str:
    return "" if expected.low is None else f", {expected.low:.1f} to {expected.high:.1f}"


def _percent(value: float | None) -> str:
    return "missing" if value is None else f"{value:.1f}"
