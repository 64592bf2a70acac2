"""Does a photo show any class that a model knows? Below a fitted familiarity it probably shows none.

A network gives every pixel a class, whatever it sees. On photos of nothing it knows all its scores are low.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simformer.errors import ConfigError
from simformer.utils.validation import first_problem

if TYPE_CHECKING:
    from simformer.segmentation import Segmentation

FILE = "familiarity.json"
"""Beside the weights that it is about."""


class Told(BaseModel):
    """How one model's familiarity tells known photos from unknown ones; shares 0 to 1.

    Attributes:
        auroc: chance that a known photo is more familiar than an unknown one; 0.5 is none.
        false_alarms: share of the known photos below the threshold. found: share of the unknown ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    auroc: float = Field(ge=0, le=1)
    false_alarms: float = Field(ge=0, le=1)
    found: float = Field(ge=0, le=1)


class Familiarity(BaseModel):
    """The threshold of a data set's models, how it was fitted and how well it does.

    Attributes:
        threshold: of `familiarity`, at which the share `alarms` of the held-out photos lies below.
        held_out: photos held out of the training whose network it was fitted with, which is `fitted_with`.
        known, unknown: photos that the models are tried on; unknown ones show no class that both data sets have.
        models: by name; the threshold is used for these alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(ge=0)
    alarms: float = Field(gt=0, lt=1)
    held_out: int = Field(ge=1)
    fitted_with: str
    known: int = Field(ge=1)
    unknown: int = Field(ge=1)
    models: dict[str, Told]
    command: str
    commit: str
    date: str


def familiarity(segmentation: Segmentation) -> float:
    """Mean over the pixels of the best class's score; it does not depend on a threshold of unsure pixels."""
    return float(segmentation.score_maps.max(axis=0).mean())


def read_familiarity(folder: Path) -> Familiarity | None:
    """What was fitted for the weights of a folder; None if nothing was. Raises ConfigError: the file is damaged."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return Familiarity.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_problem(error)}") from error
