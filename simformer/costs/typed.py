"""What somebody typed, as the planner's inputs. Shares are 0 to 1; what is typed in percent is said to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from simformer.costs.frequency import ClassFrequency, csv_frequency, folder_frequency
from simformer.costs.inputs import CostInputs, cost_inputs
from simformer.errors import ConfigError
from simformer.splits import class_index
from simformer.utils.validation import first_problem

OTHER_ROWS = (
    "in the table of classes only numbers can be changed: undo what was added or deleted, or upload a CSV file with "
    "the classes that you want"
)
MOST_CLASSES = 300
"""More classes than any data set has; a plan for them takes about a second."""

# A row of the table of classes: name, share of the photos in percent, instances in a photo that shows the class.
FrequencyRow = Sequence[Any]

_Class = TypeVar("_Class")


def read_inputs(
    images: float,
    classes: Sequence[ClassFrequency | Mapping[str, Any]],
    seconds: Mapping[str, float | None],
    hourly_rate: float,
    quality_control: float,
    instances: float | None,
    currency: str,
    *,
    have: Sequence[str] = (),
    drawn_by: str = "hand",
    mask_share: float = 1.0,
) -> CostInputs:
    """The planner's inputs from what was typed.

    Args:
        seconds: by kind of annotation; one that is absent or None keeps its default.
        quality_control: percent of the annotation time that checking adds, 0 or 1 to 1,000.
        instances: of a class whose own were not counted; None = the default.
        have, drawn_by, mask_share: as in `CostInputs`.

    Raises:
        ConfigError: the first value that does not fit, in one sentence.
        UnknownClassError: a class of `have` is not among the classes.
    """
    if not 0 <= quality_control <= 1000:
        raise ConfigError(
            f"quality_control is {quality_control} percent of the annotation time; 0 to 1,000 are possible"
        )
    if 0 < quality_control < 1:
        raise ConfigError(
            f"quality_control is in percent of the annotation time: {100 * quality_control:g}, not {quality_control:g}"
        )
    if not 0 < mask_share <= 1:
        raise ConfigError(f"mask_share is {mask_share:g}; it is a part of the photos, above 0 to 1, not a percentage")
    _few(classes)
    known = {} if instances is None else {"instances": instances}
    inputs = cost_inputs(
        images=images,
        classes=tuple(classes),
        seconds={kind: value for kind, value in seconds.items() if value is not None},
        hourly_rate=hourly_rate,
        quality_control=quality_control / 100,
        currency=currency.strip(),
        have=tuple(have),
        drawn_by=drawn_by,
        mask_share=mask_share,
        **known,
    )
    for name in inputs.have:
        class_index(inputs.names, name)
    return inputs


def frequencies(rows: Sequence[FrequencyRow], names: Sequence[str] | None = None) -> tuple[ClassFrequency, ...]:
    """Class frequencies of the rows of the table of classes; rows without a name are passed over.

    Args:
        names: of the classes that the table was filled with; rows may be sorted, not added or deleted. None: any.

    Raises:
        ConfigError: names the class whose numbers do not fit, or says that the rows or columns do not.
    """
    if names is not None and sorted(str(row[0] or "") for row in rows if row) != sorted(names):
        raise ConfigError(OTHER_ROWS)
    found = []
    for row in rows:
        if len(row) != 3:
            raise ConfigError("the table of classes has three columns: class, share of the photos, instances")
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
                ClassFrequency.model_validate({"name": name, "share": percent / 100, "instances": instances or None})
            )
        except ValidationError as error:
            raise ConfigError(f"{name}: {first_problem(error)}") from error
    if not found:
        raise ConfigError("there is no class: give at least one its share of the photos")
    return tuple(found)


def frequency_rows(classes: Iterable[ClassFrequency]) -> list[list[Any]]:
    """The rows of the table of classes, as `frequencies` reads them: with so many digits that amounts stay the same."""
    return [
        [found.name, round(100 * found.share, 3), None if found.instances is None else round(found.instances, 3)]
        for found in classes
    ]


def uploaded_rows(path: str) -> list[list[Any]]:
    """Rows of the table of classes from an uploaded CSV file. Raises ConfigError, which names the file alone."""
    try:
        found = csv_frequency(path)
        return frequency_rows(_few(found))
    except ConfigError as error:
        raise ConfigError(str(error).replace(path, Path(path).name)) from error


def folder_rows(folder: str, progress: Callable[[Iterable[int]], Iterable[int]] = iter) -> list[list[Any]]:
    """Rows of the table of classes, counted on the label maps of a folder data set, as `folder_frequency` does.

    Raises:
        DatasetError: as `folder_frequency`. ConfigError: no folder was named, or it has too many classes.
    """
    if not folder.strip():
        raise ConfigError("name the folder first")
    return frequency_rows(_few(folder_frequency(folder.strip(), progress=progress)))


def _few(found: Sequence[_Class]) -> Sequence[_Class]:
    if len(found) > MOST_CLASSES:
        raise ConfigError(f"there are {len(found):,} classes; a plan can hold {MOST_CLASSES}")
    return found
