"""What shipped weights measure on their data set's evaluation photos, within which tolerance.

    WEIGHTS/DATASET/expected.json    {"s1": [["miou", 81.54, 0.2], ["base", 82.74, 0.2], ["novel", 77.7, 0.2]], ...}

`train.tables.publish` writes an entry with the weights; `python -m simformer verify --data DIR` measures them again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from simformer.errors import ConfigError
from simformer.utils.files import atomic_write
from simformer.utils.validation import first_problem

FILE = "expected.json"
METRICS = ("miou", "base", "novel")
TOLERANCE = 0.2
"""Points of mIoU that sums rounded in another order, as on another processor, may move."""


class ExpectedResult(NamedTuple):
    """One number; value and tolerance in points of mIoU."""

    metric: str
    value: float
    tolerance: float

    def holds(self, found: float | None) -> bool:
        """Whether a measurement is the expected one."""
        return found is not None and abs(found - self.value) <= self.tolerance


_READER = TypeAdapter(dict[str, list[ExpectedResult]])


def read_expected(folder: Path) -> dict[str, list[ExpectedResult]]:
    """What the models of a folder are to measure, by the models' names; empty where nobody has said.

    Raises:
        ConfigError: the file cannot be used.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        return _READER.validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigError(f"{path} cannot be used: {first_problem(error)}") from error


def record_expected(folder: Path, name: str, scores: Mapping[str, Any], tolerance: float = TOLERANCE) -> Path:
    """Writes what a model measured among that of the folder's others.

    Args:
        scores: has `METRICS`; None = there are no such classes, which is not expected of anybody.
    """
    expected: dict[str, Sequence[ExpectedResult]] = dict(read_expected(folder))
    expected[name] = [
        ExpectedResult(metric, round(value, 2), tolerance)
        for metric in METRICS
        if (value := scores.get(metric)) is not None
    ]
    rows = ",\n".join(f" {json.dumps(model)}: {json.dumps(expected[model])}" for model in sorted(expected))
    with atomic_write(folder / FILE, "w") as file:
        file.write(f"{{\n{rows}\n}}\n")
    return folder / FILE
