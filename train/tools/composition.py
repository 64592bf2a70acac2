"""python -m train.tools.composition WEIGHTS --data DATA: what composing roles out of other models gives.

Every model of the folder WEIGHTS in turn is left out, and its roles are composed out of the others in two ways
(`simformer.composition`): few models, each for as many classes as it can serve, and each class from the model whose
roles are nearest. Beside both stands the model itself, which was trained with just these roles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from simformer.checkpoint import check_classes
from simformer.composition import Assignment, assign_models, compose, nearest_models
from simformer.datasets.folder import FolderDataset
from simformer.errors import ConfigError, exit_on_error
from simformer.evaluation import ConfusionMatrix, Scores
from simformer.inference.shared_backbone import SharedBackbones
from simformer.predictor import Predictor
from simformer.splits import Roles
from simformer.weights import SUFFIX, is_model

RULES = {"few models": assign_models, "nearest": nearest_models}
TRAINED = "trained"


def measure(predictors: Mapping[str, Predictor], photos: FolderDataset) -> dict[str, dict[str, Scores]]:
    """Scores of every model's roles: as trained, and composed out of the others by each rule that can.

    A model without novel classes serves the others, and is not composed.

    Args:
        predictors: of one data set, at one image size, by name.

    Raises:
        ConfigError: there are fewer than two models.
    """
    from tqdm import tqdm

    if len(predictors) < 2:
        raise ConfigError("composing takes two models or more")
    classes = photos.classes
    roles = {name: Roles(predictor.roles) for name, predictor in predictors.items()}
    plans = {name: _plans(name, roles, classes) for name, each in roles.items() if "novel" in each}
    matrices = {name: {rule: ConfusionMatrix(len(classes)) for rule in (TRAINED, *plans[name])} for name in plans}
    for index in tqdm(range(len(photos)), unit="photo", disable=None):
        truth = photos.label_map(index)
        if truth is None:
            continue
        image, found = photos.image(index), {}
        for name, predictor in predictors.items():
            found[name] = predictor.segment(image)
        for name, assignments in plans.items():
            matrices[name][TRAINED].update(found[name].labels, np.asarray(truth))
            for rule, assignment in assignments.items():
                matrices[name][rule].update(compose(found, assignment).labels, np.asarray(truth))
    scores = {}
    for name, of_rule in matrices.items():
        novel = [index for index, role in enumerate(roles[name]) if role == "novel"]
        scores[name] = {rule: matrix.scores(novel=novel) for rule, matrix in of_rule.items()}
    return scores


def _plans(name: str, roles: Mapping[str, Roles], classes: tuple[str, ...]) -> dict[str, Assignment]:
    """By each rule, who serves the roles of a model without it; models with just these roles are left out, too."""
    others = {other: each for other, each in roles.items() if each != roles[name]}
    found = {rule: assign(classes, roles[name], others) for rule, assign in RULES.items()}
    return {rule: assignment for rule, assignment in found.items() if assignment.used}


def main(
    weights: Annotated[Path, typer.Argument(help="folder of weights files, of one data set")],
    data: Annotated[Path, typer.Option(help="the data set: images/, labels/, classes.txt and the list")],
    list_file: Annotated[str, typer.Option("--list", help="file in it that names the photos")] = "val.txt",
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Leave each model out, compose its roles out of the others, and compare."""
    with exit_on_error():
        photos, shared = FolderDataset(data, list_file), SharedBackbones()
        predictors = {
            path.stem: Predictor.load(path, device, backbones=shared)
            for path in sorted(weights.glob(f"*{SUFFIX}"))
            if is_model(path)
        }
        for predictor in predictors.values():
            check_classes(photos.classes, predictor.classes)
        found = measure(predictors, photos)
    if as_json:
        rows = {
            name: {rule: {"miou": s.miou, "base": s.base, "novel": s.novel} for rule, s in scores.items()}
            for name, scores in found.items()
        }
        print(json.dumps(rows, indent=1))
        return
    print(f"{'all / base / novel':24}" + "".join(f"{rule:>24}" for rule in (TRAINED, *RULES)))
    for name, scores in found.items():
        print(f"{name:24}" + "".join(f"{_text(scores.get(rule)):>24}" for rule in (TRAINED, *RULES)))
    for rule in RULES:
        both = [scores for scores in found.values() if rule in scores]
        differences = [_difference(scores[rule], scores[TRAINED]) for scores in both]
        mean = np.mean(differences, axis=0) if differences else []
        print(f"{rule}, minus trained, mean of {len(both)}: " + " / ".join(f"{value:+.1f}" for value in mean))


def _text(scores: Scores | None) -> str:
    if scores is None:
        return "-"
    return " / ".join("-" if v is None else f"{v:.1f}" for v in (scores.miou, scores.base, scores.novel))


def _difference(one: Scores, other: Scores) -> list[float]:
    pairs = ((one.miou, other.miou), (one.base, other.base), (one.novel, other.novel))
    return [a - b if a is not None and b is not None else np.nan for a, b in pairs]


if __name__ == "__main__":
    typer.run(main)
