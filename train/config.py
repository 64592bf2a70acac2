"""Settings of one training run: a YAML file, overridden by key=value, validated; an unknown key is an error."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from simformer.checkpoint import LARGEST_SIDE, Scales
from simformer.errors import ConfigError
from simformer.results import ALL
from simformer.validation import first_problem
from train.precision import Precision

# Beside the settings, what they were used on.
DATA_ID = "data_id"
Pairing = Literal["cross", "self", "none"]


class TrainConfig(BaseModel):
    """Everything a run depends on. Defaults are the paper's where the paper has the setting."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    # what is trained, on what
    method: Literal["simformer", "cam"] = "simformer"
    data: Path = Field(description="folder data set")
    dataset: str = Field("custom", description="coco_stuff_10k, ade20k, msrc21: splits by name; else custom")
    split: str = Field("s1", min_length=1, description="a split of `dataset`, or all_base; a custom one's name is free")
    novel: list[str] | None = Field(None, description="novel classes by name, for a data set without splits")
    train_list: str = "train.txt"
    val_list: str = "val.txt"
    hold_out: float = Field(0.0, ge=0, lt=1, description="tune on this share of the training photos, not on val")
    label_rule: Literal["strict", "crop"] = Field("strict", description="whose novel labels a crop gets")
    pairing: Pairing = Field("cross", description="cross: SimFormer, self: Self-Pair, none: Basic Model")
    pseudo: Literal["predictions", "cam", "rib", "retab"] | None = Field(
        None, description="train on pseudo masks of novel classes, from a model's predictions or a classifier's maps"
    )
    teacher: str | None = Field(None, description="weights, by name or path, that make the pseudo masks")

    # network: fields of ModelConfig or CamConfig, without num_classes
    model: dict[str, Any] = {}
    frozen_backbone: bool = False
    init: Path | None = Field(None, description="weights file to start from, in place of ImageNet's backbone")

    # losses
    complementary_weight: float = Field(0.15, ge=0)
    distillation_weight: float = Field(0.1, ge=0)
    distillation: Literal["ce", "cce"] = "cce"
    loss_resolution: Literal["image", "prediction", "prediction_centers"] = Field(
        "image",
        description="prediction: label maps shrink to the masks' size (stride 4), a sixteenth of the work, each label "
        "taken from its cell's corner, which moves masks 1.5 pixels; prediction_centers: from the middle",
    )
    points: int = Field(100, ge=3, description="J, points sampled per image")
    simnet_width: int = Field(256, ge=1)

    # crops
    crop: int = Field(640, ge=32)
    scale: tuple[float, float] = (0.5, 2.0)
    image_size: int = Field(640, ge=16, le=LARGEST_SIDE, description="short side at test time")

    # how it is evaluated; CAM: its best, not its fastest
    exact: bool = Field(False, description="masks upsampled before classes are composed, as the paper does; slower")
    cam_scales: Scales = (0.5, 1.0, 1.5, 2.0)
    cam_flip: bool = True
    present_threshold: float = Field(0.5, ge=0, le=1, description="CAM: probability from which a class is present")

    # optimization
    batch: int = Field(8, ge=1, description="images a step, two to a pair")
    steps: int = Field(60_000, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    backbone_factor: float = Field(0.1, ge=0, description="of the learning rate")
    classifier_factor: float = Field(
        1.0, ge=0, description="of the learning rate, for linear classifiers on the backbone's map"
    )
    weight_decay: float = Field(1e-4, ge=0)
    clip: float = Field(0.01, gt=0, description="norm of the gradient of the whole model")
    seed: int = Field(0, ge=0, le=1_000_000)
    precision: Precision = Field("no", description="bf16: faster, less exact; where, precision.py says")
    channels_last: bool = False

    # running
    workers: int = Field(2, ge=0)
    cache: bool = Field(True, description="keep the decoded photos in memory, 4 bytes a pixel")
    evaluate_every: int = Field(0, ge=0, description="steps between evaluations; 0: at the end only")
    checkpoint_every: int = Field(500, ge=1, description="steps")
    out: Path = Path("runs/run")
    schedule: str = Field("default", description="name of the results table this run belongs to")

    @field_validator("scale")
    @classmethod
    def _ascending(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1]:
            raise ValueError("the lower scale must be positive and at most the upper one")
        return scale

    @field_validator("precision", mode="before")
    @classmethod
    def _no_is_a_word(cls, precision: Any) -> Any:
        return "no" if precision is False else precision  # YAML's no is False

    @model_validator(mode="after")
    def _pairs_are_even(self) -> TrainConfig:
        if self.method == "simformer" and self.pairing != "none" and self.batch % 2:
            raise ValueError("batch must be even: images come in pairs")
        if (self.pseudo is None) != (self.teacher is None):
            raise ValueError("pseudo masks need both `pseudo` and `teacher`")
        if self.pseudo and (self.method != "simformer" or self.pairing != "none"):
            raise ValueError("pseudo masks are for method=simformer with pairing=none: every class has masks then")
        if self.dataset == "custom" and self.novel is None and self.split != "all_base":
            raise ValueError("a custom data set needs `novel`, or split=all_base")
        if self.exact and self.method == "cam":
            raise ValueError("exact is about masks, which method=cam does not have")
        if self.split == ALL:
            raise ValueError("split=all is what results of methods trained once for all roles are called; use another")
        return self


def data_id(config: TrainConfig) -> str:
    """16 hex digits that stand for the classes and the photos' names of a data set, wherever it lies.

    A file that cannot be read counts as an empty one: who opens the data set says so.
    """
    digest = hashlib.sha256()
    for name in ("classes.txt", config.train_list, config.val_list):
        try:
            lines = (config.data / name).read_bytes().split()
        except OSError:
            lines = []
        digest.update(b" ".join(lines) + b"\n")
    return digest.hexdigest()[:16]


def published_settings(config: TrainConfig) -> dict[str, Any]:
    """The settings without this machine's folders; of a weights file its run's folder is kept. With the `data_id`."""
    return as_published(config).model_dump(mode="json", exclude={"data", "out"}) | {DATA_ID: data_id(config)}


def as_published(config: TrainConfig) -> TrainConfig:
    """Paths of weights as results and cards name them: of an absolute one the file and its run's folder."""
    paths = {"teacher": config.teacher, "init": config.init}
    short = {k: "/".join(Path(path).parts[-2:]) for k, path in paths.items() if path and Path(path).is_absolute()}
    return config.model_copy(update=short)


def load_config(path: str | Path, overrides: list[str] | None = None) -> TrainConfig:
    """Reads a YAML file; `base: OTHER.yaml` in it starts from another file beside it.

    Args:
        overrides: key=value, the value as YAML; model.width=64 reaches into `model`.

    Raises:
        ConfigError: no such file, not YAML, an unknown key or a value out of range; says which.
    """
    values = read_yaml(Path(path))
    for override in overrides or []:
        key, separator, text = override.partition("=")
        if not separator:
            raise ConfigError(f"{override!r} is not of the form key=value")
        *parents, last = key.split(".")
        target = values
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise ConfigError(f"{parent!r} in {override!r} has no keys below it")
        try:
            target[last] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"the value in {override!r} is not YAML") from error
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_problem(error)}") from error


def read_yaml(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """One YAML mapping, laid over the one its `base` names. `above`: the files that led to it."""
    if path.resolve() in above:
        raise ConfigError(f"{path} is its own base")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        raise ConfigError(f"there is no configuration {path}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold key: value lines")
    base = values.pop("base", None)
    if base is None:
        return values
    below = read_yaml(path.parent / str(base), (*above, path.resolve()))
    if isinstance(values.get("model"), dict) and isinstance(below.get("model"), dict):
        values["model"] = below["model"] | values["model"]
    return below | values
