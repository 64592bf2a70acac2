"""What a plan is made for: photos, classes, seconds an annotation takes, and the price of an hour.

In every photo every candidate class is asked for. A class that is there and whose masks are wanted is drawn,
which needs no answer about its presence; for every other class, present or absent, the presence is answered:

    seconds of a photo = image_label x (classes not drawn) + sum over drawn classes of mask x instances

and everything times 1 + quality control. The sum separates by class. The seconds and their sources are in
data/annotation_costs.json.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from simformer.costs.frequency import ClassFrequency
from simformer.errors import ConfigError
from simformer.paths import DATA
from simformer.utils.validation import first_problem

Kind = Literal["image_label", "point", "scribble", "box", "mask", "assisted_mask"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_COSTS = DATA / "annotation_costs.json"
DrawnBy = Literal["hand", "assistant"]
"""Who draws masks: somebody from nothing, or somebody who corrects what a model such as Segment Anything proposes."""
_PER_INSTANCE = ("box", "mask", "assisted_mask")


@cache
def annotation_costs() -> dict[str, Any]:
    """The shipped seconds with their sources: "defaults" by kind, "sources", "ratios", "formula", ..."""
    return json.loads(_COSTS.read_text(encoding="utf-8"))


def _default(kind: Kind) -> Any:
    return Field(default_factory=lambda: annotation_costs()["defaults"][kind]["seconds"], ge=0, le=100_000)


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AnnotationSeconds(Model):
    """Seconds of one annotation; the defaults are those of the cited sources.

    Attributes:
        image_label: to answer whether one candidate class is in a photo, present or absent.
        point, scribble: for one class present in a photo.
        box, mask, assisted_mask: for one instance; masks by hand, and with an assistant.
    """

    image_label: float = _default("image_label")
    point: float = _default("point")
    scribble: float = _default("scribble")
    box: float = _default("box")
    mask: float = _default("mask")
    assisted_mask: float = _default("assisted_mask")


class CostInputs(Model):
    """What a plan is made for.

    Attributes:
        images: photos to annotate.
        classes: every class with its frequency.
        seconds: per annotation.
        hourly_rate: money for an hour of annotation, in `currency`.
        quality_control: share of the annotation time that checking adds, 0 to 10; 0.2 = 20 % more.
        instances: in a photo that shows the class, for a class whose own instances were not counted.
        currency: shown beside every amount; nothing is converted.
        have: classes that have masks already: they cost nothing, whatever becomes of the others.
        drawn_by: how the masks of a plan are drawn.
        mask_share: of the photos, those in which a class that gets masks is drawn; in the others it gets image labels.
    """

    images: int = Field(ge=1, le=1_000_000_000)
    classes: tuple[ClassFrequency, ...] = Field(min_length=1)
    seconds: AnnotationSeconds = Field(default_factory=AnnotationSeconds)
    hourly_rate: float = Field(ge=0, le=1_000_000)
    quality_control: float = Field(0.0, ge=0, le=10)
    instances: float = Field(
        default_factory=lambda: annotation_costs()["instances_per_class"]["value"], ge=1, le=10_000
    )
    currency: str = Field("USD", min_length=1, max_length=8)
    have: tuple[str, ...] = ()
    drawn_by: DrawnBy = "hand"
    mask_share: float = Field(1.0, gt=0, le=1)

    @field_validator("classes")
    @classmethod
    def _names_differ(cls, classes: tuple[ClassFrequency, ...]) -> tuple[ClassFrequency, ...]:
        names = [frequency.name for frequency in classes]
        if len(set(names)) < len(names):
            repeated = next(name for number, name in enumerate(names) if name in names[:number])
            raise ValueError(f"the class {repeated!r} is listed twice")
        return classes

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of `classes`."""
        return tuple(frequency.name for frequency in self.classes)

    @property
    def share_note(self) -> str:
        """A sentence on the photos in which no masks are drawn; "" where there are none."""
        drawn = f"Masks are drawn in {self.mask_share:.0%} of the photos"
        return f"{drawn}, the others get image labels of every class." if self.mask_share < 1 else ""

    @property
    def mask_kind(self) -> Kind:
        """How the masks of a plan are drawn, as a kind of annotation."""
        return "mask" if self.drawn_by == "hand" else "assisted_mask"

    @property
    def mask_seconds(self) -> float:
        """Seconds of one of them."""
        return getattr(self.seconds, self.mask_kind)

    def with_mask_factor(self, factor: float) -> CostInputs:
        """The same, but a mask takes `factor` times as long."""
        seconds = self.seconds.model_copy(update={self.mask_kind: self.mask_seconds * factor})
        return self.model_copy(update={"seconds": seconds})


class Cost(Model):
    """Hours of work, quality control included, and money for them."""

    hours: float
    money: float


def cost_inputs(**values: Any) -> CostInputs:
    """CostInputs from what a user typed. Raises ConfigError that names the first value that does not fit."""
    try:
        return CostInputs.model_validate(values)
    except ValidationError as error:
        raise ConfigError(first_problem(error)) from error


def class_cost(inputs: CostInputs, frequency: ClassFrequency, kind: Kind) -> Cost:
    """Cost of one class over all photos, if it is annotated with `kind` where it occurs."""
    answer = inputs.seconds.image_label
    seconds = answer
    if kind != "image_label":
        seconds = (1 - frequency.share) * answer + frequency.share * drawing_seconds(inputs, frequency, kind)
    return cost_of(inputs, inputs.images * seconds)


def role_cost(inputs: CostInputs, frequency: ClassFrequency, *, masked: bool) -> Cost:
    """Cost of one class in a plan: of its masks, or of its image labels; none if it has masks already."""
    if frequency.name in inputs.have:
        return Cost(hours=0.0, money=0.0)
    labels = class_cost(inputs, frequency, "image_label")
    if not masked:
        return labels
    masks, share = class_cost(inputs, frequency, inputs.mask_kind), inputs.mask_share
    return Cost(
        hours=share * masks.hours + (1 - share) * labels.hours, money=share * masks.money + (1 - share) * labels.money
    )


def drawing_seconds(inputs: CostInputs, frequency: ClassFrequency, kind: Kind) -> float:
    """Seconds for one class in a photo that shows it, without quality control."""
    seconds = getattr(inputs.seconds, kind)
    return seconds * (frequency.instances or inputs.instances) if kind in _PER_INSTANCE else seconds


def cost_of(inputs: CostInputs, seconds: float) -> Cost:
    """Cost of so many seconds of annotation, with the quality control that goes with them."""
    hours = seconds * (1 + inputs.quality_control) / 3600
    return Cost(hours=hours, money=hours * inputs.hourly_rate)
