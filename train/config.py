"""Settings of one training run: a YAML file, overridden by key=value, validated; an unknown key is an error."""

from __future__ import annotations

import hashlib
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from simformer.errors import ConfigError
from simformer.results import ALL
from simformer.similarity import Statistics, Student
from simformer.splits import datasets, split_names
from simformer.utils.validation import first_problem
from simformer.weights import LARGEST_SIDE, Scales
from train.pseudo.partial_labels import PartialLabelSettings
from train.runtime.precision import Precision

# Beside the settings, what they were used on.
DATA_ID = "data_id"
# A data set without splits by name; settings of single splits in a configuration file.
CUSTOM, PER_SPLIT = "custom", "per_split"
Pairing = Literal["cross", "self", "none"]


class TrainConfig(BaseModel):
    """Everything a run depends on. Defaults are the paper's where the paper has the setting."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    # what is trained, on what
    method: Literal["simformer", "cam"] = "simformer"
    data: Path = Field(description="folder data set")
    dataset: str = Field(CUSTOM, description="coco_stuff_10k, ade20k, msrc21: splits by name; else custom")
    split: str = Field("s1", min_length=1, description="a split of `dataset`, or all_base; a custom one's name is free")
    novel: list[str] | None = Field(None, description="novel classes by name, where `split` is none of the data set's")
    train_list: str = "train.txt"
    val_list: str = "val.txt"
    hold_out: float = Field(0.0, ge=0, lt=1, description="tune on this share of the training photos, not on val")
    label_rule: Literal["strict", "crop"] = Field("strict", description="whose novel labels a crop gets")
    pairing: Pairing = Field("cross", description="cross: SimFormer, self: Self-Pair, none: Basic Model")
    candidate_caps: tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="most references that share one novel class, and most others; (500, 50) in the released code"
    )
    pseudo: Literal["predictions", "cam", "rib", "retab", "partial_labels"] | None = Field(
        None, description="train on pseudo masks of novel classes, from a model's predictions or a classifier's maps"
    )
    teacher: str | None = Field(None, description="weights that make the pseudo masks; partial_labels needs none")
    distill_from: Literal["simnet", "partial_labels"] = Field("simnet", description="who teaches pixel similarity")
    partial_labels: PartialLabelSettings = PartialLabelSettings()

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
    simnet_statistics: Statistics = Field(
        "running", description="of its batch norm as teacher; batch, those of the image pair: the released code"
    )
    student_pairs: Student = Field(
        "across", description="the student compares pixels of two images, as the paper says; within one: released code"
    )
    distill_padding: bool = Field(False, description="SimNet teaches in the padding too, as in the released code")

    # crops
    crop: int = Field(640, ge=32)
    scale: tuple[float, float] = Field((0.5, 2.0), description="the photo's short side, as multiples of `crop`")
    scale_step: float = Field(0.0, ge=0, description="draw the scale in such steps; 0: any within the range")
    long_side: int | None = Field(None, ge=1, description="most pixels of a scaled photo's long side")
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
        if (self.pseudo in (None, "partial_labels")) != (self.teacher is None):
            raise ValueError("pseudo masks need both `pseudo` and `teacher`; those of partial_labels need no `teacher`")
        if self.pseudo and self.method != "simformer":
            raise ValueError("pseudo masks are for method=simformer")
        if self.pseudo and self.pairing != "none" and self.distill_from == "simnet":
            raise ValueError("beside pseudo masks there are no pairs (pairing=none), or distill_from=partial_labels")
        if self.distill_from == "partial_labels":
            if self.method != "simformer" or self.pairing != "cross":
                raise ValueError("distill_from=partial_labels is for method=simformer with pairing=cross")
            if self.pseudo not in (None, "partial_labels"):
                raise ValueError("beside distill_from=partial_labels pseudo masks can only be those of partial_labels")
        if self.dataset == CUSTOM and self.novel is None and self.split != "all_base":
            raise ValueError("a custom data set needs `novel`, or split=all_base")
        if self.novel is not None and self.dataset in datasets() and self.split in split_names(self.dataset):
            raise ValueError(f"{self.dataset} ships with a split {self.split}: `novel` needs another name in `split`")
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

    `per_split: {s1: {distillation_weight: 0}}` in a file is laid over the file's other settings for that split. It is
    about splits of the file's data set: where another one is trained on in the end, it does not count.

    Args:
        overrides: key=value, the value as YAML; model.width=64 reaches into `model`. They are laid over everything.

    Raises:
        ConfigError: no such file, not YAML, an unknown key or a value out of range, settings of a split that the data
            set does not have; says which.
    """
    path = Path(path)
    layers = read_layers(path)
    check_splits(path, layers)
    chosen = with_overrides(merged(layers), overrides or [])
    dataset, split = chosen.get("dataset", CUSTOM), str(chosen.get("split", TrainConfig.model_fields["split"].default))
    values: dict[str, Any] = {}
    for layer in layers:
        values = laid_over(values, layer)
        of_split = values.pop(PER_SPLIT, {}).get(split, {})
        if values.get("dataset", CUSTOM) == dataset:
            values = laid_over(values, of_split)
    try:
        return TrainConfig.model_validate(with_overrides(values, overrides or []))
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_problem(error)}") from error


def check_splits(path: Path, layers: list[dict[str, Any]]) -> None:
    """Raises ConfigError if a `per_split` is no mapping, names a split that is none, or a setting that is none."""
    dataset = CUSTOM
    for layer in layers:
        dataset = layer.get("dataset", dataset)
        of_splits = layer.get(PER_SPLIT, {})
        if not isinstance(of_splits, dict) or not all(isinstance(of_one, dict) for of_one in of_splits.values()):
            raise ConfigError(f"{path}: {PER_SPLIT} must hold settings for each split, split: {{key: value}}")
        for split, of_one in of_splits.items():
            if dataset in datasets() and split not in split_names(dataset):
                raise ConfigError(f"{path}: {PER_SPLIT} names {split}, which is no split of {dataset}")
            if unknown := of_one.keys() - (TrainConfig.model_fields.keys() - {"dataset", "split"}):
                raise ConfigError(f"{path}: {PER_SPLIT} cannot set {min(map(str, unknown))}")


def with_overrides(values: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """The values with key=value settings laid over them."""
    values = deepcopy(values)
    for override in overrides:
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
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """One YAML mapping, laid over the one its `base` names. Raises ConfigError if that cannot be."""
    return merged(read_layers(path))


def merged(layers: list[dict[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for layer in layers:
        values = laid_over(values, layer)
    return values


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """The keys of both; of a key in both the value above, but network and teacher have their settings laid over."""
    both = below | above
    for group in ("model", "partial_labels"):
        if isinstance(below.get(group), dict) and isinstance(above.get(group), dict):
            both[group] = below[group] | above[group]
    return both


def read_layers(path: Path, above: tuple[Path, ...] = ()) -> list[dict[str, Any]]:
    """The mappings of a YAML file and of those that `base` leads to, without `base`; the file's own comes last.

    above: the files that led to it.
    """
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
    return [*(read_layers(path.parent / str(base), (*above, path.resolve())) if base is not None else []), values]
