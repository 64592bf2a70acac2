"""python -m train.tools.fit_familiarity WEIGHTS: from which familiarity on a photo shows classes that models know.

The threshold comes from the training photos that were held out of the training of WEIGHTS; the shipped models are tried
on the evaluation photos, and on photos of another data set that show no class which both have.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

from simformer.datasets.folder import FolderDataset
from simformer.errors import ConfigError, exit_on_error
from simformer.inference.familiarity import FILE, Familiarity, Told, familiarity
from simformer.predictor import Predictor
from simformer.utils.files import atomic_write
from simformer.weights import models_of, weights_folder
from train.data import held_out_names
from train.tables.provenance import commit_id

ALIKE = {"books": ("book",), "bookshelf": ("book",), "person": ("body", "face")}
"""Classes of other names, and what they show of the first data set's."""


def familiarities(predictor: Predictor, photos: FolderDataset, indices: Sequence[int]) -> list[float]:
    """Of some photos."""
    from tqdm import tqdm

    return [familiarity(predictor.segment(photos.image(index))) for index in tqdm(indices, desc=predictor.name)]


def without_known(photos: FolderDataset, classes: Sequence[str]) -> list[int]:
    """Indices of the photos that show none of the classes, by their name or another one (`ALIKE`)."""
    known = {
        index
        for index, name in enumerate(photos.classes)
        if name in classes or any(alike in classes for alike in ALIKE.get(name, ()))
    }
    return [index for index, shown in enumerate(photos.all_image_labels()) if not known & set(shown)]


def auroc(known: ArrayLike, unknown: ArrayLike) -> float:
    """Chance that a value of `known` is larger than one of `unknown`, equal ones counted half; both not empty."""
    values = np.concatenate([np.asarray(known), np.asarray(unknown)])
    return float(roc_auc_score(np.arange(len(values)) < np.size(known), values))


def told(known: ArrayLike, unknown: ArrayLike, threshold: float) -> Told:
    """How familiarities of known and unknown photos lie about the threshold."""
    return Told(
        auroc=round(auroc(known, unknown), 4),
        false_alarms=round(float(np.mean(np.asarray(known) < threshold)), 4),
        found=round(float(np.mean(np.asarray(unknown) < threshold)), 4),
    )


def fit(
    weights: Path, data: Path, unknown_data: Path, names: Sequence[str], dataset: str, alarms: float, command: str
) -> Familiarity:
    """The threshold and how the models do with it.

    Raises:
        ConfigError: the weights were trained on all training photos. SimFormerError: weights or data cannot be used.
    """
    predictor = Predictor.load(weights)
    share = predictor.card.training.get("hold_out")
    if not share:
        raise ConfigError(f"{weights} saw every training photo: train with hold_out=0.2")
    train_set = FolderDataset(data)
    held_out = FolderDataset(data, names=held_out_names(train_set.names, share))
    threshold = round(float(np.quantile(familiarities(predictor, held_out, range(len(held_out))), alarms)), 4)
    known, unknown = FolderDataset(data, "val.txt"), FolderDataset(unknown_data, "val.txt")
    strangers = without_known(unknown, known.classes)
    files = models_of(dataset)
    found = {}
    for name in names:
        if name not in files:
            raise ConfigError(f"there is no model {name!r} of {dataset} in {weights_folder()}")
        model = Predictor.load(files[name])
        of_known = familiarities(model, known, range(len(known)))
        found[name] = told(of_known, familiarities(model, unknown, strangers), threshold)
    return Familiarity(
        threshold=threshold,
        alarms=alarms,
        held_out=len(held_out),
        fitted_with=f"{predictor.name}, {predictor.card.training.get('steps')} steps, hold_out={share}",
        known=len(known),
        unknown=len(strangers),
        models=found,
        command=command,
        commit=commit_id(),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def main(
    weights: Annotated[Path, typer.Argument(help="of a run with hold_out")],
    data: Annotated[Path, typer.Option(help="the data set it was trained on, whose val.txt the models are tried on")],
    unknown: Annotated[Path, typer.Option(help="another data set, whose val.txt shows what the models do not know")],
    dataset: Annotated[str, typer.Option(help="whose folder of the weights folder gets the result")] = "msrc21",
    models: Annotated[str, typer.Option(help="those to try, with commas between")] = "oracle",
    alarms: Annotated[float, typer.Option(min=0.001, max=0.5, help="share of held-out photos below it")] = 0.05,
) -> None:
    """Write familiarity.json beside the models' weights, and print what it says."""
    command = (
        f"python -m train.tools.fit_familiarity {weights.name} --data {data.name} --unknown {unknown.name} "
        f"--dataset {dataset} --models {models} --alarms {alarms:g}"
    )
    with exit_on_error():
        found = fit(weights, data, unknown, models.split(","), dataset, alarms, command)
        text = found.model_dump_json(indent=1)
        with atomic_write(weights_folder() / dataset / FILE, "w") as file:
            file.write(f"{text}\n")
    print(text, file=sys.stdout)


if __name__ == "__main__":
    typer.run(main)
