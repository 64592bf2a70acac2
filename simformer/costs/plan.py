"""The planner: from what somebody typed to a plan. No page, no HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simformer import costs
from simformer.costs.expected import COCO_STUFF
from simformer.errors import ConfigError
from simformer.results import ResultCell, of_table
from simformer.splits import DATASET_TITLES, Role, class_index, datasets, load_split
from simformer.utils.validation import first_problem

PAPER = "paper"
NOT_MEASURED = "none"
MOST_CLASSES = 500
"""More classes than any data set has, few enough for one page."""
FRONTIER_POINTS = 80

# A row of the table of classes: name, share of the photos in percent, instances in a photo that shows the class.
FrequencyRow = Sequence[Any]


@dataclass(frozen=True)
class Plan:
    """All answers to one set of inputs.

    Attributes:
        scenarios: all masks, weak-shot with the present roles, image labels only.
        efficient: the frontier of expected mIoU against money; empty without measurements.
        present: the present roles over the same classes as the frontier.
        best: the best roles for the budget; None without a budget, or for the reason in `problem`.
        rows, best_rows: class by class, with the present roles and with the best.
    """

    scenarios: list[costs.Scenario]
    efficient: list[costs.Scenario]
    present: costs.Scenario | None
    best: costs.Scenario | None
    problem: str
    sensitivity: list[costs.Sensitivity]
    kinds: list[costs.KindCost]
    rows: list[costs.PlanRow]
    best_rows: list[costs.PlanRow]


def make_plan(
    inputs: costs.CostInputs, masked: Collection[str], expectation: costs.Expectation, budget: float | None = None
) -> Plan:
    """Everything the planner has to say.

    Args:
        masked: the classes that get masks at present.
        budget: in the inputs' currency; None = no budget is set.

    Raises:
        UnknownClassError: a masked class is not among the classes. ConfigError: the budget is negative.
    """
    if budget is not None and not 0 <= budget < float("inf"):
        raise ConfigError(f"the budget is {budget:,.2f} {inputs.currency}; it has to be zero or more")
    measured = expectation if isinstance(expectation, costs.MeasuredRoles) else None
    best, problem = None, ""
    if budget is not None:
        try:
            best = costs.best_for_budget(inputs, measured or costs.MeasuredRoles({}), budget)
        except ConfigError as error:
            problem = str(error)
    efficient = costs.frontier(inputs, measured, limit=FRONTIER_POINTS) if measured else []
    return Plan(
        scenarios=costs.scenarios(inputs, masked, expectation),
        efficient=efficient,
        present=costs.on_frontier(inputs, measured, masked) if efficient else None,
        best=best,
        problem=problem,
        sensitivity=costs.sensitivity(inputs, masked, measured=measured, budget=budget if best else None),
        kinds=costs.cost_by_kind(inputs),
        rows=costs.plan_rows(inputs, masked, measured),
        best_rows=costs.plan_rows(inputs, best.masked, measured) if best else [],
    )


# --------------------------------------------------------------------------------------------- inputs


def read_inputs(
    images: float,
    classes: Sequence[FrequencyRow],
    seconds: Mapping[str, float],
    hourly_rate: float,
    quality_control: float,
    instances: float,
    currency: str,
) -> costs.CostInputs:
    """The planner's inputs from what was typed.

    Args:
        classes: rows of the table of classes; shares in percent, empty instances = not counted.
        quality_control: percent of the annotation time.

    Raises:
        ConfigError: the first value that does not fit, in one sentence.
    """
    return costs.cost_inputs(
        images=images,
        classes=frequencies(classes),
        seconds=dict(seconds),
        hourly_rate=hourly_rate,
        quality_control=quality_control / 100,
        instances=instances,
        currency=currency.strip(),
    )


def frequencies(rows: Sequence[FrequencyRow]) -> tuple[costs.ClassFrequency, ...]:
    """Class frequencies of the rows of the table of classes; rows without a name are passed over.

    Raises:
        ConfigError: names the class whose numbers do not fit.
    """
    found = []
    for row in rows:
        name, share, instances = (("" if value is None else str(value).strip()) for value in row)
        if not name:
            continue
        try:
            percent = float(share)
        except ValueError:
            raise ConfigError(f"{name}: {share!r} is not a share of the photos in percent") from None
        if not 0 <= percent <= 100:
            raise ConfigError(f"{name}: it cannot be in {share} % of the photos, only in 0 to 100 %")
        try:
            found.append(costs.ClassFrequency(name=name, share=percent / 100, instances=instances or None))
        except ValidationError as error:
            raise ConfigError(f"{name}: {first_problem(error)}") from error
    if not found:
        raise ConfigError("there is no class: give at least one its share of the photos")
    return tuple(found)


def frequency_rows(classes: Iterable[costs.ClassFrequency]) -> list[list[Any]]:
    """The rows of the table of classes, as `frequencies` reads them: with so many digits that amounts stay the same."""
    return [
        [found.name, round(100 * found.share, 3), None if found.instances is None else round(found.instances, 3)]
        for found in classes
    ]


def uploaded_rows(path: str) -> list[list[Any]]:
    """Rows of the table of classes from an uploaded CSV file. Raises ConfigError, which names the file alone."""
    try:
        found = costs.csv_frequency(path)
        return frequency_rows(_few(found))
    except ConfigError as error:
        raise ConfigError(str(error).replace(path, Path(path).name)) from error


def folder_rows(folder: str, progress: Callable[[Iterable[int]], Iterable[int]] = iter) -> list[list[Any]]:
    """Rows of the table of classes, counted on the label maps of a folder data set.

    Raises:
        DatasetError: as `folder_frequency`. ConfigError: no folder was named, or it has too many classes.
    """
    if not folder.strip():
        raise ConfigError("name the folder first")
    return frequency_rows(_few(costs.folder_frequency(folder.strip(), progress=progress)))


def _few(found: Sequence[costs.ClassFrequency]) -> Sequence[costs.ClassFrequency]:
    if len(found) > MOST_CLASSES:
        raise ConfigError(f"there are {len(found):,} classes; at most {MOST_CLASSES} fit on this page")
    return found


# ---------------------------------------------------------------------------------------- expectations


def expectation_choices(cells: Iterable[ResultCell]) -> list[tuple[str, str]]:
    """(label, key) of everything that can say what mIoU to expect; measured tables first, own data last of them."""
    choices = [
        (f"{DATASET_TITLES.get(dataset, dataset)}, measured ({schedule})", f"{dataset}/{schedule}")
        for dataset, schedule in _tables(cells)
    ]
    paper = ("COCO-Stuff-10K, the paper's splits 4 to 9", PAPER)
    return [*(choices or [("Nothing is measured yet", NOT_MEASURED)]), paper]


def fitting_expectation(cells: Iterable[ResultCell], names: Collection[str]) -> str | None:
    """The first key of `expectation_choices` whose table has measured all of these classes; None if none has."""
    cells = list(cells)
    for dataset, schedule in _tables(cells):
        key = f"{dataset}/{schedule}"
        if set(names) <= expectation(cells, key).iou.keys():
            return key
    return None


def _tables(cells: Iterable[ResultCell]) -> list[tuple[str, str]]:
    """(data set, schedule) of every table; of one data set's that which measured SimFormer most often is the first."""
    strict = of_strict(cells)
    measured = Counter((cell.dataset, cell.schedule) for cell in strict if cell.method == "SimFormer")
    tables = {(cell.dataset, cell.schedule) for cell in strict}
    return sorted(tables, key=lambda table: (table[0] not in datasets(), table[0], -measured[table], table))


def expectation(cells: Iterable[ResultCell], key: str) -> costs.Expectation:
    """What a key of `expectation_choices` stands for. Raises ConfigError for an unknown key."""
    if key == PAPER:
        return costs.PaperSplits()
    if key == NOT_MEASURED:
        return costs.MeasuredRoles({})
    dataset, _, schedule = key.partition("/")
    found = of_table(cells, dataset, schedule)
    if not found:
        raise ConfigError(f"there are no measured results of the table {key!r}")
    return costs.MeasuredRoles.from_cells(found)


def expectation_on(dataset: str, cells: Sequence[ResultCell]) -> costs.Expectation:
    """What a data set's measured cells, all of one table, say; the paper's splits where COCO-Stuff-10K has none."""
    return costs.PaperSplits() if dataset == COCO_STUFF and not cells else costs.MeasuredRoles.from_cells(cells)


def of_strict(cells: Iterable[ResultCell]) -> list[ResultCell]:
    """Cells whose training saw image-level labels alone for novel classes: what a plan buys."""
    return [cell for cell in cells if cell.label_rule == "strict"]


# ----------------------------------------------------------------------------------------------- roles


def matching_datasets(names: Collection[str]) -> list[str]:
    """Data sets with exactly these classes, whose splits therefore fit."""
    return [name for name in datasets() if set(load_split(name, "all_base").classes) == set(names)]


def split_masked(dataset: str, split: str) -> list[str]:
    """The classes that get masks under a shipped split. Raises ConfigError for an unknown one."""
    roles = load_split(dataset, split)
    return [roles.classes[index] for index in roles.base]


def roles_for(classes: Sequence[str], names: Collection[str], masked: Collection[str]) -> tuple[Role, ...]:
    """A plan's roles in the order of a model's classes.

    Args:
        classes: those of the model. names: those of the plan. masked: those of them that get masks.

    Raises:
        ConfigError: the plan is made for other classes; the sentence names one.
        UnknownClassError: a masked class is not among the plan's.
    """
    if not classes:
        raise ConfigError("the Segment tab has no model that these roles could be sent to")
    names = tuple(names)
    for name in masked:
        class_index(names, name)
    if set(names) != set(classes):
        lacking = [name for name in classes if name not in names]
        unknown = [name for name in names if name not in classes]
        why = f"do not know {unknown[0]!r}" if unknown else f"also need a role for {lacking[0]!r}"
        raise ConfigError(f"only plans for the models' own {len(classes)} classes fit the Segment tab: they {why}")
    return tuple("base" if name in masked else "novel" for name in classes)
