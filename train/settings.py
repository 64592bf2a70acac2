"""Settings in groups, each of what reads it. Their names on the command line and in results have no groups."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, field_validator

from simformer.similarity import Statistics, Student
from simformer.weights import LARGEST_SIDE, Scales
from train.pseudo.kinds import PseudoSettings, with_kind
from train.pseudo.partial_labels import PartialLabelSettings
from train.runtime.precision import Precision

# A data set without splits by name.
CUSTOM = "custom"
Pairing = Literal["cross", "self", "none"]


class Settings(BaseModel):
    """A group: unknown keys are errors, and so are numbers that are none."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class DataSettings(Settings):
    """Which photos, and under which roles of their classes."""

    data: Path = Field(description="folder data set")
    dataset: str = Field(default=CUSTOM, description="coco_stuff_10k, ade20k, msrc21: splits by name; else custom")
    split: str = Field(
        default="s1", min_length=1, description="a split of `dataset`, or all_base; a custom one's name is free"
    )
    novel: list[str] | None = Field(
        default=None, description="novel classes by name, where `split` is none of the data set's"
    )
    train_list: str = "train.txt"
    val_list: str = "val.txt"
    hold_out: float = Field(
        default=0.0, ge=0, lt=1, description="tune on this share of the training photos, not on val"
    )


class MaskSettings(Settings):
    """Which masks are given: how much mask is enough?"""

    mask_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="of the training photos that show a base class, the share whose masks are given; drawn by `seed`, "
        "a smaller share among a larger one",
    )
    unmasked: Literal["labels", "left_out"] = Field(
        default="labels",
        description="what the other photos are for: their image labels, of base classes as of novel ones, or nothing",
    )
    mask_corners: int = Field(
        default=0,
        ge=0,
        description="most corners of a base region's outline, a stand-in for fast annotation; 0: as it is",
    )

    @property
    def partly_masked(self) -> bool:
        """Whether the masks of some photos are not given."""
        return self.mask_share < 1

    @field_validator("mask_corners")
    @classmethod
    def _polygons(cls, corners: int) -> int:
        if corners in (1, 2):
            raise ValueError("a polygon has at least 3 corners; 0 leaves masks as they are")
        return corners


Pseudo = Annotated[
    Annotated[PseudoSettings, Field(discriminator="kind")] | None,
    BeforeValidator(with_kind),
]


class MethodSettings(Settings):
    """What is trained, and who teaches it."""

    method: Literal["simformer", "cam"] = "simformer"
    pairing: Pairing = Field(default="cross", description="cross: SimFormer, self: Self-Pair, none: Basic Model")
    pseudo: Pseudo = Field(
        default=None,
        description="train on pseudo masks of novel classes, from a model's predictions or a classifier's maps: "
        "predictions, cam, rib, retab or partial_labels; {kind: retab, beta: 4} has settings of its own",
    )
    teacher: str | None = Field(
        default=None, description="weights that make the pseudo masks; partial_labels needs none"
    )
    distill_from: Literal["simnet", "partial_labels"] = Field(
        default="simnet", description="who teaches pixel similarity"
    )
    partial_labels: PartialLabelSettings = PartialLabelSettings()

    @property
    def pseudo_kind(self) -> str | None:
        """Name of what makes the pseudo masks; None without."""
        return None if self.pseudo is None else self.pseudo.kind


class NetworkSettings(Settings):
    """Sizes and beginning of the network."""

    model: dict[str, Any] = Field(default={}, description="fields of ModelConfig or CamConfig, without num_classes")
    frozen_backbone: bool = False
    init: Path | None = Field(default=None, description="weights file to start from, in place of ImageNet's backbone")


class LossSettings(Settings):
    """Losses of masks and classes."""

    complementary_weight: float = Field(default=0.15, ge=0)
    loss_resolution: Literal["image", "prediction", "prediction_centers"] = Field(
        default="image",
        description="prediction: label maps shrink to the masks' size (stride 4), a sixteenth of the work, each label "
        "taken from its cell's corner, which moves masks 1.5 pixels; prediction_centers: from the middle",
    )


class SimNetSettings(Settings):
    """The teacher of similarity that learns in the run itself."""

    simnet_width: int = Field(default=256, ge=1)
    simnet_statistics: Statistics = Field(
        default="running", description="of its batch norm as teacher; batch, those of the image pair: the released code"
    )
    distill_padding: bool = Field(
        default=False, description="SimNet teaches in the padding too, as in the released code"
    )


class DistillationSettings(Settings):
    """What a student learns from a teacher of similarity."""

    distillation_weight: float = Field(default=0.1, ge=0)
    distillation: Literal["ce", "cce"] = "cce"
    student_pairs: Student = Field(
        default="across",
        description="the student compares pixels of two images, as the paper says; within one: released code",
    )


class PairSettings(SimNetSettings, DistillationSettings):
    """Pairs of images, and of the pixels in them."""

    candidate_caps: tuple[PositiveInt, PositiveInt] | None = Field(
        default=None,
        description="most references that share one novel class, and most others; (500, 50) in the released code",
    )
    points: int = Field(default=100, ge=3, description="J, points sampled per image")


class CropSettings(Settings):
    """What is cut out of a photo in training."""

    crop: int = Field(default=640, ge=32)
    scale: tuple[float, float] = Field(default=(0.5, 2.0), description="the photo's short side, as multiples of `crop`")
    scale_step: float = Field(default=0.0, ge=0, description="draw the scale in such steps; 0: any within the range")
    long_side: int | None = Field(default=None, ge=1, description="most pixels of a scaled photo's long side")
    label_rule: Literal["strict", "crop"] = Field(default="strict", description="whose novel labels a crop gets")

    @field_validator("scale")
    @classmethod
    def _ascending(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1]:
            raise ValueError("the lower scale must be positive and at most the upper one")
        return scale


class CamViewSettings(Settings):
    """How CAM is evaluated: its best, not its fastest."""

    cam_scales: Scales = (0.5, 1.0, 1.5, 2.0)
    cam_flip: bool = True
    present_threshold: float = Field(
        default=0.5, ge=0, le=1, description="CAM: probability from which a class is present"
    )


class EvaluationSettings(CamViewSettings):
    """How a network sees a photo when it is measured."""

    image_size: int = Field(default=640, ge=16, le=LARGEST_SIDE, description="short side at test time")
    exact: bool = Field(
        default=False, description="masks upsampled before classes are composed, as the paper does; slower"
    )


class OptimizationSettings(Settings):
    """Steps and how large they are."""

    batch: int = Field(default=8, ge=1, description="images a step, two to a pair")
    steps: int = Field(default=60_000, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    backbone_factor: float = Field(default=0.1, ge=0, description="of the learning rate")
    classifier_factor: float = Field(
        default=1.0, ge=0, description="of the learning rate, for linear classifiers on the backbone's map"
    )
    weight_decay: float = Field(default=1e-4, ge=0)
    clip: float = Field(default=0.01, gt=0, description="norm of the gradient of the whole model")
    seed: int = Field(default=0, ge=0, le=1_000_000)
    precision: Precision = Field(default="no", description="bf16: faster, less exact; where, precision.py says")
    channels_last: bool = False

    @field_validator("precision", mode="before")
    @classmethod
    def _no_is_a_word(cls, precision: Any) -> Any:
        return "no" if precision is False else precision  # YAML's no is False


class RunSettings(Settings):
    """Where and how it runs: a run may go on with others and stays the same run."""

    workers: int = Field(default=2, ge=0)
    cache: bool = Field(default=True, description="keep the decoded photos in memory, 4 bytes a pixel")
    evaluate_every: int = Field(default=0, ge=0, description="steps between evaluations; 0: at the end only")
    checkpoint_every: int = Field(default=500, ge=1, description="steps")
    out: Path = Path("runs/run")
    schedule: str = Field(default="default", description="name of the results table this run belongs to")
