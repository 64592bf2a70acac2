"""Does similarity transfer? Teacher and student are asked whether two pixels are of one class.

The teacher learnt it from base masks and image labels: SimNet (paper, section 3.3) or the partial-label classifier
(`train.pseudo.partial_labels`). The student is the network itself: the cosine of two pixels' class scores, as in
distillation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from simformer.datasets.folder import FolderDataset
from simformer.datasets.transforms import TrainTransform
from simformer.datasets.weakshot import or_void
from simformer.errors import ConfigError
from simformer.results import Transfer, TransferAuc
from simformer.similarity import class_scores, cosine, gather, resize, sample_points, shrink_labels
from simformer.splits import Split
from train.config import TrainConfig
from train.data import crops
from train.pseudo.partial_labels import PartialLabelTeacher
from train.tasks import SegmentationTask

TEACHER, STUDENT = "teacher", "student"
PAIRS = 100
"""Pairs of photos that are asked about."""


@dataclass(frozen=True)
class Judgement:
    """Answers about pairs of pixels of known classes.

    Attributes:
        same, different: how many pairs were of one class, and of two.
        same_found, different_found: the share (0 to 1) of each that was called so; None where there were none.
        auc: probability that a pair of one class is thought more alike than a pair of two; 0.5 is chance; None where
            one of the kinds is missing.
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
    pairs: int = PAIRS,
    seed: int = 0,
    teacher: PartialLabelTeacher | None = None,
) -> dict[str, Judgement]:
    """Asks about the pixels of some classes, J x J pairs for each of `pairs` pairs of photos that share one.

    The photos are scaled and cropped as in training; all pixels that are not of the classes are left out.

    Args:
        classes: indices.
        teacher: asked in SimNet's place.

    Returns:
        Judgements of the "student" and, where there is one, of the "teacher".

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
        raise ConfigError(f"no two photos of {dataset.root} share one of the classes that are asked about")
    rng = np.random.default_rng(seed)
    transform = crops(config, photometric=False)
    training = task.training
    task.eval()
    answers: dict[str, list[NDArray[np.float32]]] = {}
    truths = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for _ in range(pairs):
            photos = rng.choice(shared[rng.integers(len(shared))], 2, replace=False)
            samples = [sample_of(dataset, int(photo)) for photo in photos]
            found = ask(task, samples, classes, transform, config.points, teacher)
            if found is not None:
                truths.append(found[1])
                for who, said in found[0].items():
                    answers.setdefault(who, []).append(said)
    task.train(training)
    if not truths:
        raise ConfigError("no crop shows a pixel of the classes that are asked about")
    truth = np.concatenate(truths)
    return {who: summary(np.concatenate(said), truth) for who, said in answers.items()}


def sample_of(dataset: FolderDataset, index: int) -> tuple[Tensor, Tensor]:
    """A photo and its label map, all void where it has none."""
    image, labels = dataset.sample(index)
    return image, or_void(labels, image.shape[1:])


@torch.no_grad()
def ask(
    task: SegmentationTask,
    samples: list[tuple[Tensor, Tensor]],
    classes: list[int],
    transform: TrainTransform,
    points: int,
    teacher: PartialLabelTeacher | None = None,
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]] | None:
    """Answers (1: one class, 0: two) about J x J pairs of pixels of two photos, and the truth.

    None if a crop shows no pixel of the classes.
    """
    device = task.novel_classes.device
    maps = [None if teacher is None else teacher.probabilities(image)[classes] for image, _ in samples]
    crops = [transform.with_maps(image, labels, each) for (image, labels), each in zip(samples, maps, strict=True)]
    pictures, cropped, paddings, seen = zip(*crops, strict=True)
    labels, padding = torch.stack(cropped), torch.stack(paddings)
    output = task.network(torch.stack(pictures).to(device).float(), auxiliary=False)
    embeddings = output.pixel_embeddings
    labels, _ = shrink_labels(labels.long().to(device), padding.to(device), embeddings.shape[-2:], centers=True)
    region = torch.isin(labels, torch.tensor(classes, device=device))  # 255, which padding has too, is no class
    if not region.flatten(1).any(1).all():
        return None
    chosen = sample_points(region, region, points)
    of_a, of_b = labels.flatten(1).gather(1, chosen).chunk(2)
    scores = class_scores(output.class_logits, gather(output.mask_logits, chosen), torch.tensor(classes, device=device))
    said = {STUDENT: cosine(*scores.chunk(2))}
    if teacher is not None:
        probabilities = torch.stack([each for each in seen if each is not None]).to(device)
        said[TEACHER] = cosine(*gather(resize(probabilities, embeddings.shape[-2:]), chosen).chunk(2))
    elif task.similarity is not None and task.similarity.simnet is not None:
        said[TEACHER] = task.similarity.teacher(*gather(embeddings, chosen).chunk(2))
    same = of_a[:, :, None] == of_b[:, None]
    return {who: each.flatten().cpu().numpy() for who, each in said.items()}, same.flatten().cpu().numpy()


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


def described(transfer: Transfer) -> str:
    """One line for the log."""
    parts = [
        f"{who} {role} {auc:.2f}"
        for who, found in ((TEACHER, transfer.teacher), (STUDENT, transfer.student))
        if found is not None
        for role, auc in (("novel", found.novel), ("base", found.base))
        if auc is not None
    ]
    return f"AUC on pairs of evaluation pixels: {', '.join(parts)}"


def measure_transfer(
    task: SegmentationTask,
    dataset: FolderDataset,
    split: Split,
    config: TrainConfig,
    teacher: PartialLabelTeacher | None = None,
) -> Transfer | None:
    """AUC of teacher and student on pairs of base and of novel pixels of a data set.

    None for a run without novel classes, or on photos of which no two share a novel class and two a base class.
    """
    if not split.novel:
        return None
    try:
        found = {
            role: judge(task, dataset, classes, config, PAIRS, teacher=teacher)
            for role, classes in (("base", split.base), ("novel", split.novel))
        }
    except ConfigError:
        return None
    of = {
        who: TransferAuc(**{role: by_who[who].auc for role, by_who in found.items()})
        for who in (TEACHER, STUDENT)
        if all(who in by_who for by_who in found.values())
    }
    return Transfer(**of)
