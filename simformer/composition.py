"""Role composition: each class's score map from a model in which the class had the wanted role.

What a class looks like when it is learnt from masks or from image labels is a fact of a trained model. Switching a
role therefore takes the class from another model; where no model had the class in that role, it is not served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch

from simformer.checkpoint import check_classes
from simformer.errors import ConfigError
from simformer.inference.resampling import labels_from_scores
from simformer.segmentation import Segmentation
from simformer.splits import Roles


class Segmenter(Protocol):
    """What gives a photo a class for every pixel: a `Predictor`, or several of them composed.

    Attributes:
        name: what `Segmentation.model` says.
        classes, roles: K class names and "base" or "novel" for each.
        device: where its networks compute.
    """

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def roles(self) -> tuple[str, ...]: ...

    @property
    def device(self) -> torch.device: ...

    def segment(self, image: Any, *, threshold: float = 0.0) -> Segmentation:
        """Segment one photo; pixels whose best score is below `threshold` become 255."""
        ...


Part = TypeVar("Part", bound=Segmenter)
NO_MODEL = "no model had any class in the wanted role"


@dataclass(frozen=True)
class Assignment:
    """Which model serves which class.

    Attributes:
        classes: K class names. roles: the wanted role of each.
        models: for each class the name of the model that serves it, None where no model had it in that role.
    """

    classes: tuple[str, ...]
    roles: Roles
    models: tuple[str | None, ...]

    @property
    def used(self) -> tuple[str, ...]:
        """The models that must run, the one serving most classes first."""
        served = [name for name in self.models if name is not None]
        return tuple(sorted(dict.fromkeys(served), key=lambda name: -served.count(name)))

    @property
    def unserved(self) -> tuple[str, ...]:
        """Names of the classes that no model had in the wanted role."""
        return tuple(name for name, model in zip(self.classes, self.models, strict=True) if model is None)


def assign_models(classes: Sequence[str], wanted: Sequence[str], available: Mapping[str, Sequence[str]]) -> Assignment:
    """Few models, each for all classes it can serve: score maps of one model are comparable with each other.

    Greedy set cover: the model that serves most of the classes left takes them all; among equals the one whose roles
    agree with the wanted ones most, then the first of them.

    Args:
        classes: K class names. wanted: "base" or "novel" for each.
        available: model name -> its K roles.

    Raises:
        ConfigError: a role that is neither "base" nor "novel", or the wrong number of roles.
    """
    wanted = Roles(wanted)
    if len(wanted) != len(classes):
        raise ConfigError(f"{len(classes)} classes need as many roles, not {len(wanted)}")
    fits = {
        name: {index for index, role in enumerate(roles) if role == wanted[index]} for name, roles in available.items()
    }
    models: list[str | None] = [None] * len(classes)
    left = set(range(len(classes)))
    while left and fits:
        best = max(fits, key=lambda name: (len(fits[name] & left), len(fits[name])))
        taken = fits.pop(best) & left
        for index in taken:
            models[index] = best
        left -= taken
    return Assignment(tuple(classes), wanted, tuple(models))


def nearest_models(classes: Sequence[str], wanted: Sequence[str], available: Mapping[str, Sequence[str]]) -> Assignment:
    """As `assign_models`, but each class from the model whose roles agree with the wanted ones most."""
    wanted = Roles(wanted)
    agreeing = {
        name: sum(role == other for role, other in zip(roles, wanted, strict=True)) for name, roles in available.items()
    }
    nearest = sorted(available, key=lambda name: -agreeing[name])
    models = (
        next((name for name in nearest if available[name][index] == role), None) for index, role in enumerate(wanted)
    )
    return Assignment(tuple(classes), wanted, tuple(models))


def compose(segmentations: Mapping[str, Segmentation], assignment: Assignment, threshold: float = 0.0) -> Segmentation:
    """One segmentation of a photo from those of several models.

    Args:
        segmentations: model name -> its segmentation of the photo; at least those of `assignment.used`.
        threshold: pixels whose best score is below it become 255.

    Returns:
        Score maps: each class's from its model, zero for an unserved class, which no pixel is given to.

    Raises:
        ConfigError: no class is served, or the models' score maps differ in size.
    """
    if not assignment.used:
        raise ConfigError(NO_MODEL)
    first = segmentations[assignment.used[0]]
    score_maps = np.full_like(first.score_maps, -1.0)
    for index, model in enumerate(assignment.models):
        if model is not None:
            if segmentations[model].score_maps.shape != score_maps.shape:
                raise ConfigError(f"{model} and {first.model} work at different image sizes: they cannot be composed")
            score_maps[index] = segmentations[model].score_maps[index]
    # An unserved class must not win a pixel by its zero: it is below every score until the labels are made.
    labels = labels_from_scores(score_maps, first.size, threshold)
    return Segmentation(
        labels=labels,
        score_maps=score_maps.clip(min=0.0),
        classes=assignment.classes,
        roles=assignment.roles,
        model="+".join(assignment.used),
    )


class ComposedPredictor(Generic[Part]):
    """A segmenter for any roles, made of segmenters that share classes and image size.

    Args:
        predictors: those that may serve, by name. roles: the wanted role of each class.

    Attributes:
        assignment: which of them serves which class. predictors: those that serve one.

    Raises:
        CheckpointError: the models' classes differ. ConfigError: no model serves any class.
    """

    def __init__(self, predictors: Mapping[str, Part], roles: Sequence[str]):
        if not predictors:
            raise ConfigError(NO_MODEL)
        classes = next(iter(predictors.values())).classes
        for predictor in predictors.values():
            check_classes(classes, predictor.classes)
        self.assignment = assign_models(classes, roles, {name: p.roles for name, p in predictors.items()})
        if not self.assignment.used:
            raise ConfigError(NO_MODEL)
        self.predictors = {name: predictors[name] for name in self.assignment.used}

    @property
    def classes(self) -> tuple[str, ...]:
        """K class names."""
        return self.assignment.classes

    @property
    def roles(self) -> Roles:
        """The wanted role of each class."""
        return self.assignment.roles

    @property
    def more_masks(self) -> tuple[str, ...]:
        """Classes wanted as novel of which a model that serves others had masks: one with just these roles has none."""
        models = [predictor.roles for predictor in self.predictors.values()]
        return tuple(
            name
            for index, (name, role) in enumerate(zip(self.classes, self.roles, strict=True))
            if role == "novel" and any(roles[index] == "base" for roles in models)
        )

    @property
    def name(self) -> str:
        """The models at work, in one word."""
        return "+".join(self.assignment.used)

    @property
    def device(self) -> torch.device:
        """The first model's."""
        return next(iter(self.predictors.values())).device

    def segment(self, image: Any, *, threshold: float = 0.0) -> Segmentation:
        """As `Segmenter.segment`; the models that serve a class see the photo one after another."""
        parts = {name: predictor.segment(image) for name, predictor in self.predictors.items()}
        return compose(parts, self.assignment, threshold)
