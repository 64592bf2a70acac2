"""The planner: from what somebody typed to a plan. No page, no HTML.

The Annotation cost tab, the endpoint `/costs` and `python -m simformer cost` all ask here, so that they answer alike:
`read_inputs`, then `plan_for`. What they call a share is 0 to 1; quality control and IoU are in percent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from simformer import costs
from simformer.costs.expected import COCO_STUFF
from simformer.errors import ConfigError
from simformer.results import ResultCell, of_table
from simformer.splits import DATASET_TITLES, Role, class_index, dataset_classes, datasets, load_split
from simformer.utils.validation import first_problem

PAPER = "paper"
NOT_MEASURED = "none"
MOST_CLASSES = 500
"""More classes than any data set has, few enough for one page."""
FRONTIER_POINTS = 80
TRAIN = "train.txt"
FIRST_SPLIT = "s1"
"""Whose base classes get masks until somebody says which."""

# A row of the table of classes: name, share of the photos in percent, instances in a photo that shows the class.
FrequencyRow = Sequence[Any]


@dataclass(frozen=True)
class Plan:
    """All answers to one set of inputs.

    Attributes:
        inputs, expected_from: what it is made for, and the key (`expectation_choices`) of what mIoU is expected from.
        scenarios: all masks, weak-shot with the present roles, image labels only.
        efficient: the frontier of expected mIoU against money; empty without measurements.
        present: the present roles over the same classes as the frontier.
        best: the best roles for the budget; None without a budget, or for the reason in `problem`.
        rows, best_rows: class by class, with the present roles and with the best.
    """

    inputs: costs.CostInputs
    expected_from: str
    scenarios: list[costs.Scenario]
    efficient: list[costs.Scenario]
    present: costs.Scenario | None
    best: costs.Scenario | None
    problem: str
    sensitivity: list[costs.Sensitivity]
    kinds: list[costs.KindCost]
    rows: list[costs.PlanRow]
    best_rows: list[costs.PlanRow]

    def answer(self) -> dict[str, Any]:
        """All of it as JSON values, for programs.

        Raises:
            ConfigError: why there is no best set of classes for the budget that was set.
        """
        if self.problem:
            raise ConfigError(self.problem)
        parts = {
            "inputs": self.inputs,
            "scenarios": self.scenarios,
            "best_for_budget": self.best,
            "frontier": self.efficient,
            "sensitivity": self.sensitivity,
            "kinds": self.kinds,
            "plan": self.rows,
            "plan_for_budget": self.best_rows,
        }
        return {"expected_from": self.expected_from, **{name: _json(part) for name, part in parts.items()}}


def _json(part: BaseModel | Sequence[BaseModel] | None) -> Any:
    if isinstance(part, BaseModel):
        return part.model_dump(mode="json")
    return None if part is None else [model.model_dump(mode="json") for model in part]


def plan_for(
    inputs: costs.CostInputs,
    cells: Iterable[ResultCell],
    *,
    masked: Collection[str] | None = None,
    split: str | None = None,
    dataset: str | None = None,
    expected_from: str | None = None,
    budget: float | None = None,
) -> Plan:
    """The plan for these inputs.

    Args:
        cells: all measured results there are.
        masked: the classes that get masks at present; None = the base classes of `split`.
        split: of the data set that has just these classes; None = the first.
        dataset: whose splits and results are meant; None = one that fits the classes.
        expected_from: a key of `expectation_choices`; None = `default_expectation`.
        budget: in the inputs' currency; None = no budget is set.

    Raises:
        ConfigError: no split fits and no classes are named, the split or the key is unknown, the budget is negative.
        UnknownClassError: a masked class is not among the classes.
    """
    cells = list(cells)
    key = expected_from or default_expectation(cells, inputs.names, dataset)
    chosen = present_roles(inputs.names, split, dataset) if masked is None else masked
    return make_plan(inputs, chosen, expectation(cells, key), budget, expected_from=key)


def make_plan(
    inputs: costs.CostInputs,
    masked: Collection[str],
    expectation: costs.Expectation,
    budget: float | None = None,
    *,
    expected_from: str = NOT_MEASURED,
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
        inputs=inputs,
        expected_from=expected_from,
        scenarios=costs.scenarios(inputs, masked, expectation),
        efficient=efficient,
        present=costs.on_frontier(inputs, measured, masked) if measured and efficient else None,
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
    classes: Sequence[costs.ClassFrequency | Mapping[str, Any]],
    seconds: Mapping[str, float | None],
    hourly_rate: float,
    quality_control: float,
    instances: float | None,
    currency: str,
) -> costs.CostInputs:
    """The planner's inputs from what was typed.

    Args:
        seconds: by kind of annotation; one that is absent or None keeps its default.
        quality_control: percent of the annotation time that checking adds, 0 or 1 to 1,000.
        instances: of a class whose own were not counted; None = the default.

    Raises:
        ConfigError: the first value that does not fit, in one sentence.
    """
    if not 0 <= quality_control <= 1000:
        raise ConfigError(
            f"quality_control is {quality_control} percent of the annotation time; 0 to 1,000 are possible"
        )
    if 0 < quality_control < 1:
        raise ConfigError(
            f"quality_control is in percent of the annotation time: {100 * quality_control:g}, not {quality_control:g}"
        )
    known = {} if instances is None else {"instances": instances}
    return costs.cost_inputs(
        images=images,
        classes=tuple(classes),
        seconds={kind: value for kind, value in seconds.items() if value is not None},
        hourly_rate=hourly_rate,
        quality_control=quality_control / 100,
        currency=currency.strip(),
        **known,
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
            found.append(
                costs.ClassFrequency.model_validate(
                    {"name": name, "share": percent / 100, "instances": instances or None}
                )
            )
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
    """Rows of the table of classes, counted on the label maps of a folder data set: of its train.txt, or of all photos.

    Raises:
        DatasetError: as `folder_frequency`. ConfigError: no folder was named, or it has too many classes.
    """
    if not folder.strip():
        raise ConfigError("name the folder first")
    root = Path(folder.strip())
    list_file = TRAIN if (root / TRAIN).is_file() else None
    return frequency_rows(_few(costs.folder_frequency(root, list_file, progress=progress)))


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


def fitting_expectation(cells: Iterable[ResultCell], names: Collection[str], dataset: str | None = None) -> str | None:
    """The first key of `expectation_choices` that knows all of these classes: of a table that has measured them, else
    of the paper for those of COCO-Stuff-10K; None if none does.

    Args:
        dataset: only its tables; None = those of all.
    """
    cells = list(cells)
    for name, schedule in _tables(cells):
        if dataset in (None, name):
            measured = costs.MeasuredRoles.from_cells(of_table(cells, name, schedule))
            if set(names) <= measured.iou.keys():
                return f"{name}/{schedule}"
    return PAPER if set(names) == set(dataset_classes(COCO_STUFF)) else None


def default_expectation(cells: Iterable[ResultCell], names: Collection[str], dataset: str | None = None) -> str:
    """What fits the classes; if nothing does, the first table there is (of `dataset`, where it is named)."""
    cells = list(cells)
    tables = [f"{name}/{schedule}" for name, schedule in _tables(cells) if dataset in (None, name)]
    return fitting_expectation(cells, names, dataset) or next(iter(tables), NOT_MEASURED)


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
    cells = list(cells)
    dataset, _, schedule = key.partition("/")
    found = of_table(cells, dataset, schedule)
    if not found:
        known = ", ".join(choice for _, choice in expectation_choices(cells))
        raise ConfigError(f"there are no measured results of the table {key!r}; there are {known}")
    return costs.MeasuredRoles.from_cells(found)


def of_strict(cells: Iterable[ResultCell]) -> list[ResultCell]:
    """Cells whose training saw image-level labels alone for novel classes: what a plan buys."""
    return [cell for cell in cells if cell.label_rule == "strict"]


# ----------------------------------------------------------------------------------------------- roles


def matching_datasets(names: Collection[str]) -> list[str]:
    """Data sets with exactly these classes, whose splits therefore fit."""
    return [name for name in datasets() if set(load_split(name, "all_base").classes) == set(names)]


def present_roles(names: Collection[str], split: str | None = None, dataset: str | None = None) -> list[str]:
    """The classes that get masks under a split of the data set (of `dataset`, where it is named) with these classes.

    Raises:
        ConfigError: the splits of no data set are of these classes, or there is no such split.
    """
    fitting = [name for name in matching_datasets(names) if dataset in (None, name)]
    if not fitting:
        raise ConfigError("name the classes that get masks: these are not the classes of a data set with splits")
    return split_masked(fitting[0], split or FIRST_SPLIT)


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
