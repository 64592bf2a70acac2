"""Settings of one training run: a YAML file, overridden by key=value, validated; an unknown key is an error."""

from __future__ import annotations

import hashlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, model_validator

from simformer.errors import ConfigError
from simformer.results import ALL
from simformer.splits import ALL_BASE, datasets, split_names
from simformer.utils.validation import first_problem
from train.pseudo.kinds import with_kind
from train.settings import (
    CUSTOM,
    CamViewSettings,
    CropSettings,
    DataSettings,
    DistillationSettings,
    EvaluationSettings,
    LossSettings,
    MaskSettings,
    MethodSettings,
    NetworkSettings,
    OptimizationSettings,
    PairSettings,
    RunSettings,
    Settings,
    SimNetSettings,
)

# Beside the settings, what they were used on.
DATA_ID = "data_id"
# Settings of single splits in a configuration file.
PER_SPLIT = "per_split"


class TrainConfig(
    DataSettings,
    MaskSettings,
    MethodSettings,
    NetworkSettings,
    LossSettings,
    PairSettings,
    CropSettings,
    EvaluationSettings,
    OptimizationSettings,
    RunSettings,
):
    """Everything a run depends on. Defaults are the paper's where the paper has the setting."""

    @model_validator(mode="after")
    def _pairs_are_even(self) -> TrainConfig:
        if self.method == "simformer" and self.pairing != "none" and self.batch % 2:
            raise ValueError("batch must be even: images come in pairs")
        if (self.pseudo_kind in (None, "partial_labels")) != (self.teacher is None):
            raise ValueError("pseudo masks need both `pseudo` and `teacher`; those of partial_labels need no `teacher`")
        if self.pseudo and self.method != "simformer":
            raise ValueError("pseudo masks are for method=simformer")
        if self.pseudo and self.pairing != "none" and self.distill_from == "simnet":
            raise ValueError("beside pseudo masks there are no pairs (pairing=none), or distill_from=partial_labels")
        if self.distill_from == "partial_labels" and (self.has_weak or self.method != "simformer"):
            if self.method != "simformer" or self.pairing != "cross":
                raise ValueError(
                    "distill_from=partial_labels is for method=simformer with pairing=cross; without pairs, "
                    "distill_from=simnet (and, for a Basic Model, pseudo=null)"
                )
            if self.pseudo_kind not in (None, "partial_labels"):
                raise ValueError("beside distill_from=partial_labels pseudo masks can only be those of partial_labels")
        if self.dataset == CUSTOM and self.novel is None and self.split != ALL_BASE:
            raise ValueError("a custom data set needs `novel`, or split=all_base")
        if self.novel is not None and self.dataset in datasets() and self.split in split_names(self.dataset):
            raise ValueError(f"{self.dataset} ships with a split {self.split}: `novel` needs another name in `split`")
        if self.exact and self.method == "cam":
            raise ValueError("exact is about masks, which method=cam does not have")
        if self.split == ALL:
            raise ValueError("split=all is what results of methods trained once for all roles are called; use another")
        return self

    @model_validator(mode="after")
    def _masks_fit_the_method(self) -> TrainConfig:
        if self.method == "simformer" and (self.partly_masked or self.mask_corners):
            if self.label_rule != "strict":
                raise ValueError("mask_share and mask_corners are for label_rule=strict: crops' labels need all masks")
            if self.pseudo_kind not in (None, "partial_labels"):
                raise ValueError("mask_share and mask_corners are for runs without pseudo masks, or partial_labels'")
        return self

    @property
    def has_novel(self) -> bool:
        """Whether any class is novel: all but FullyOracle's runs."""
        return self.split != ALL_BASE and self.novel != []

    @property
    def has_labels_alone(self) -> bool:
        """Whether there are photos on which image labels alone tell even base classes."""
        return self.method == "simformer" and self.partly_masked and self.unmasked == "labels"

    @property
    def has_weak(self) -> bool:
        """Whether photos show classes without a mask: else nothing is transferred, and no pseudo mask is needed."""
        return self.has_novel or self.has_labels_alone

    @property
    def unread(self) -> set[str]:
        """Names of the settings that a run of this method does not read: whatever they are, it is the same run."""
        if self.method == "cam":
            others = {"pairing", "pseudo", "teacher", "distill_from", "partial_labels", "exact"}
            return others | names(MaskSettings, LossSettings, PairSettings)
        unread = names(CamViewSettings)
        paired = self.pairing != "none" and self.has_weak
        if not self.partly_masked:
            unread |= {"unmasked"}
        if not paired:
            unread |= names(SimNetSettings, DistillationSettings) | {"distill_from"}
        elif self.distill_from != "simnet":
            unread |= names(SimNetSettings)
        if self.pairing == "none":
            unread |= {"candidate_caps"}
        if not self.has_weak:
            unread |= {"points", "pseudo", "teacher"}  # with novel classes also evaluation compares points
        if self.pseudo is not None or not self.has_weak:
            unread |= {"complementary_weight"}
        if not self.has_weak or "partial_labels" not in (self.pseudo_kind, self.distill_from):
            unread |= {"partial_labels"}
        if self.frozen_backbone:
            unread |= {"backbone_factor"}
        return unread


def names(*groups: type[Settings]) -> set[str]:
    """Names of all settings of some groups."""
    return {name for group in groups for name in group.model_fields}


def data_id(config: DataSettings) -> str:
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
            target[parent] = with_kind(target.get(parent, {})) if parent == "pseudo" else target.get(parent, {})
            target = target[parent]
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
    """The keys of both; of a key in both the value above, but network and teachers have their settings laid over."""
    both = below | above
    for group in ("model", "partial_labels", "pseudo"):
        low, high = (with_kind(side.get(group)) if group == "pseudo" else side.get(group) for side in (below, above))
        if isinstance(low, dict) and isinstance(high, dict) and high.get("kind", low.get("kind")) == low.get("kind"):
            both[group] = low | high
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
