"""python -m train.simnet CONFIG out=RUN [key=value ...]: how well a run's SimNet tells pairs of pixels apart.

SimNet learns on base classes whether two pixels are of one class, and teaches novel ones (paper, section 3.3). Here it
is asked about pixels of the evaluation photos whose truth is known, of base classes and of novel ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from simformer.datasets.folder import FolderDataset
from simformer.datasets.transforms import TrainTransform
from simformer.errors import CheckpointError, ConfigError
from simformer.similarity import gather, sample_points, shrink_labels
from train.config import TrainConfig, load_config
from train.console import one_sentence
from train.data import load_split_of, open_datasets, training_roles
from train.state import STATE, load_task
from train.tasks import SegmentationTask, make_task


@dataclass(frozen=True)
class Judgement:
    """SimNet's answers about pairs of pixels of known classes.

    Attributes:
        same, different: how many pairs were of one class, and of two.
        same_found, different_found: the share (0 to 1) of each that it called so; None where there were none.
        auc: probability that it thinks a pair of one class more alike than a pair of two; 0.5 is chance; None
            where one of the kinds is missing.
    """

    same: int
    different: int
    same_found: float | None
    different_found: float | None
    auc: float | None


def judge(
    task: SegmentationTask,
    dataset: FolderDataset,
    classes: Iterable[int],
    config: TrainConfig,
    pairs: int = 100,
    seed: int = 0,
) -> Judgement:
    """Asks SimNet about the pixels of some classes, J x J pairs for each of `pairs` pairs of photos that share one.

    The photos are scaled and cropped as in training; all pixels that are not of the classes are left out.

    Args:
        classes: indices.

    Raises:
        ConfigError: no two photos share any of the classes.
    """
    classes = sorted(classes)
    holders = {index: [] for index in classes}
    for photo, shown in enumerate(dataset.all_image_labels()):
        if dataset.has_label_map(photo):
            for index in holders.keys() & shown:
                holders[index].append(photo)
    shared = [photos for photos in holders.values() if len(photos) > 1]
    if not shared:
        raise ConfigError(f"no two photos of {dataset.root} share one of the classes SimNet is asked about")
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    transform = TrainTransform(config.crop, config.scale, photometric=False)
    task.eval()
    answers, truths = [], []
    for _ in range(pairs):
        photos = rng.choice(shared[rng.integers(len(shared))], 2, replace=False)
        found = ask(task, [dataset.sample(int(photo)) for photo in photos], classes, transform, config.points)
        if found is not None:
            answers.append(found[0])
            truths.append(found[1])
    if not answers:
        raise ConfigError("no crop shows a pixel of the classes SimNet is asked about")
    return summary(np.concatenate(answers), np.concatenate(truths))


@torch.no_grad()
def ask(task, samples, classes, transform, points: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
    """SimNet's probability of "one class" for J x J pairs of pixels, and whether they are; None if a crop has none."""
    images, labels, padding = (torch.stack(parts) for parts in zip(*(transform(*s) for s in samples), strict=True))
    embeddings = task.network.pixel_embeddings(images.float())
    labels, _ = shrink_labels(labels.long(), padding, embeddings.shape[-2:], centers=True)
    region = torch.isin(labels, torch.tensor(classes))  # 255, which padding has too, is no class
    if not region.flatten(1).any(1).all():
        return None
    chosen = sample_points(region, region, points)
    a, b = gather(embeddings, chosen).chunk(2)
    of_a, of_b = labels.flatten(1).gather(1, chosen).chunk(2)
    same = of_a[:, :, None] == of_b[:, None]
    return task.similarity.teacher(a, b).flatten().numpy(), same.flatten().numpy()


def summary(answers: NDArray[np.float32], same: NDArray[np.bool_]) -> Judgement:
    """Answers (0 to 1) and truth of M pairs -> how well they agree."""
    alike = answers > 0.5
    both = same.any() and not same.all()
    return Judgement(
        same=int(same.sum()),
        different=int((~same).sum()),
        same_found=float(alike[same].mean()) if same.any() else None,
        different_found=float((~alike)[~same].mean()) if not same.all() else None,
        auc=float(roc_auc_score(same, answers)) if both else None,
    )


def judge_run(config: TrainConfig, pairs: int = 100) -> dict[str, Judgement]:
    """Base and novel classes of a run, on its evaluation photos.

    Raises:
        ConfigError: the run has no SimNet. CheckpointError: no usable state in `config.out`.
    """
    train_set, val_set = open_datasets(config)
    split = load_split_of(config, train_set)
    task = make_task(config, training_roles(config, split))
    if getattr(task, "similarity", None) is None:
        raise ConfigError("this run has no SimNet: only method=simformer with pairs and novel classes trains one")
    path = config.out / STATE
    if not path.is_file():
        raise CheckpointError(f"there is no {path}; SimNet is part of a run's state, not of its weights")
    load_task(path, task, config)
    return {role: judge(task, val_set, getattr(split, role), config, pairs) for role in ("base", "novel")}


def shown(role: str, found: Judgement) -> str:
    """One line about a role's classes."""
    kinds = (("one class", found.same, found.same_found), ("two classes", found.different, found.different_found))
    parts = [f"{count:,} pairs of {kind}, {share:.0%} called so" for kind, count, share in kinds if count]
    return f"{role}: {'; '.join(parts)}" + ("" if found.auc is None else f"; AUC {found.auc:.2f}")


def main(
    config: Annotated[Path, typer.Argument(help="the run's YAML file")],
    overrides: Annotated[list[str] | None, typer.Argument(help="its key=value settings, out=RUN among them")] = None,
    pairs: Annotated[int, typer.Option(min=1, help="pairs of photos for each role")] = 100,
) -> None:
    """How often SimNet is right about two pixels of one class, and of two; AUC 0.5 is chance."""
    with one_sentence():
        found = judge_run(load_config(config, overrides), pairs)
    for role, judgement in found.items():
        print(shown(role, judgement))


if __name__ == "__main__":
    typer.run(main)
