"""Pseudo masks of novel classes, and the second training on them.

Base masks are given and always on top; R is the rest of a photo, where its novel classes must be. `predictions`
(SimFormer*; paper, section 4) fills R by a trained model, `cam`, `rib` and `retab` by maps of the photo's novel
classes, `partial_labels` by a pixel classifier (beyond the paper).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from simformer.cam import resize
from simformer.checkpoint import check_classes, load_network
from simformer.datasets.folder import FolderDataset
from simformer.datasets.weakshot import given_masks
from simformer.errors import CheckpointError, ConfigError
from simformer.labels import VOID, palette_image
from simformer.predictor import Predictor
from simformer.splits import Split
from simformer.utils.files import atomic_write, make_folder
from simformer.weights import find_weights
from train.config import TrainConfig
from train.pseudo.kinds import MAP_MAKERS, all_pseudo_settings
from train.pseudo.partial_labels import pseudo_mask
from train.pseudo.photos import novel_labels
from train.pseudo.saved_maps import SavedMaps
from train.pseudo.teacher import TeacherMaps, teacher_origin

# The threshold is chosen on so many photos: it needs no more, and RETAB propagates anew for each class of each.
PHOTOS_FOR_THRESHOLD = 100
THRESHOLDS = np.arange(0.05, 0.95, 0.05)

# index of a photo, its base masks (uint8, H x W, 255 in R) -> its pseudo masks (uint8, H x W)
Filler = Callable[[int, Tensor], Tensor]


def write_pseudo_labels(
    config: TrainConfig, dataset: FolderDataset, split: Split, folder: Path, maps: TeacherMaps | None = None
) -> None:
    """Label maps of all training photos as PNGs in `folder`: base masks as given, novel ones as `config.pseudo` says.

    Photos that are done are skipped, so an interrupted run goes on where it was.

    Args:
        maps: of the partial-label teacher, for pseudo=partial_labels; None otherwise.

    Raises:
        CheckpointError: the teacher cannot be used, is of other classes, or not of the kind that is needed.
        ConfigError: the folder holds masks that were made otherwise.
    """
    make_folder(folder)
    check_origin(config, dataset, split, folder / "origin.json")
    paths = [folder / f"{name}.png" for name in dataset.names]
    left = [index for index, path in enumerate(paths) if not path.is_file()]
    if not left:
        return
    if maps is not None:
        fill = lambda index, given: pseudo_mask(maps.with_none(index), given)  # noqa: E731
    else:
        fill = filler(config, dataset, split, folder.parent / "maps")
    for index in tqdm(left, desc="pseudo masks", unit="photo"):
        image, labels = dataset.sample(index)
        given = given_masks(labels, image.shape[1:], split)
        with atomic_write(paths[index]) as file:
            palette_image(fill(index, given).numpy(), split.classes).save(file, format="PNG")


def check_origin(config: TrainConfig, dataset: FolderDataset, split: Split, path: Path) -> None:
    """Notes beside the masks what they depend on. Raises ConfigError if another run's are there."""
    now = {"pseudo": config.model_dump(mode="json")["pseudo"], "novel": list(split.novel), "seed": config.seed}
    if config.teacher is not None:
        now["teacher"] = hashlib.sha256(find_weights(config.teacher).read_bytes()).hexdigest()
    else:
        now["teacher"] = teacher_origin(config, dataset, split)
    now |= {"image_size": config.image_size, "hold_out": config.hold_out, "labels": dataset.labels_digest}
    if path.is_file():
        then = json.loads(path.read_text(encoding="utf-8"))
        if then | {"pseudo": all_pseudo_settings(then.get("pseudo"))} != now:
            reason = "pseudo masks that were made with other settings or labels; use another `out`"
            raise ConfigError(f"{path.parent} holds {reason}")
        return
    with atomic_write(path, "w") as file:
        json.dump(now, file)


def filler(config: TrainConfig, dataset: FolderDataset, split: Split, maps_folder: Path) -> Filler:
    """What fills R: the teacher's predictions, or maps above a threshold that was chosen on base classes."""
    assert config.teacher is not None and config.pseudo is not None  # of no other run does anyone ask
    path = find_weights(config.teacher)
    if config.pseudo_kind == "predictions":
        predictor = Predictor.load(path)
        check_classes(split.classes, predictor.classes)
        if predictor.roles != split.roles:
            raise CheckpointError(f"{path.name} was not trained with the roles of the split {split.name}")
        return lambda index, given: keep_labelled(
            torch.from_numpy(predictor.segment(dataset.image(index)).labels),
            given,
            novel_labels(dataset, split, index),
        )
    network, card = load_network(path, "cuda" if torch.cuda.is_available() else "cpu")
    check_classes(split.classes, card.classes)
    if card.kind != "cam":
        raise CheckpointError(
            f"{path.name} is no classifier: pseudo={config.pseudo_kind} needs the weights of method=cam"
        )
    make = MAP_MAKERS[config.pseudo.kind]
    maker = make(network, dataset, split, image_size=config.image_size, settings=config.pseudo, seed=config.seed)
    maps = SavedMaps(maker, dataset, maps_folder)
    # RETAB gives back the masks of base classes; what it would make of them without has to be asked for.
    as_novel = getattr(maker, "as_novel", None) or (lambda index, _: maps(index))
    threshold = choose_threshold(as_novel, dataset, split, config.seed)
    print(f"pseudo masks: maps count from {threshold:.2f} on, chosen on base classes")

    def fill(index: int, given: Tensor) -> Tensor:
        novel = novel_labels(dataset, split, index)
        return arg_max_in_rest(maps(index), given, novel, threshold) if novel else given

    return fill


def keep_labelled(predicted: Tensor, given: Tensor, novel: list[int]) -> Tensor:
    """Predicted classes (uint8, H x W) in R, where the photo's image-level labels name them and they are novel."""
    kept = torch.isin(predicted, torch.tensor(novel, dtype=torch.uint8)) & (given == VOID)
    return torch.where(kept, predicted, given)


def arg_max_in_rest(maps: Tensor, given: Tensor, novel: list[int], threshold: float) -> Tensor:
    """Novel class with the strongest map (K x h x w, resized) in R, where it reaches the threshold; void below.

    Args:
        novel: the photo's novel classes, at least one.
    """
    best, which = resize(maps[None, novel], given.shape)[0].max(0)
    labels = torch.tensor(novel, dtype=torch.uint8)[which]
    return torch.where((given == VOID) & (best >= threshold), labels, given)


def choose_threshold(
    as_novel: Callable[[int, int], Tensor], dataset: FolderDataset, split: Split, seed: int = 0
) -> float:
    """The threshold at which base classes, each treated as novel, would get the best pseudo masks.

    For each base class of a photo R is what the other base masks leave; the photo's novel classes compete. The mean
    over base classes of the IoU over photos drawn by `seed` is largest at the threshold. No novel truth is looked at.

    Args:
        as_novel: index of a photo, a base class of it -> its maps, K x h x w, made without that class's mask.

    Raises:
        ConfigError: no photo shows a base class.
    """
    overlap = np.zeros((len(split.classes), len(THRESHOLDS)))
    claimed, area = np.zeros_like(overlap), np.zeros(len(split.classes))
    drawn = np.random.default_rng(seed).permutation(len(dataset))[:PHOTOS_FOR_THRESHOLD].tolist()
    for index in tqdm(drawn, desc="threshold", unit="photo"):
        image, labels = dataset.sample(index)
        given = given_masks(labels, image.shape[1:], split)
        novel = novel_labels(dataset, split, index)
        # A base class may be known from its image-level label alone, without a mask to compare with.
        for c in set(dataset.image_labels(index)) & set(split.base) & set(given.unique().tolist()):
            found = as_novel(index, c)
            # At the maps' own size: a choice between steps of 0.05 needs no more.
            small = F.interpolate(given[None, None].float(), size=found.shape[1:], mode="nearest")[0, 0].byte()
            rival = found[novel].amax(0) if novel else torch.zeros_like(found[0])
            truth = small == c
            strength = torch.where((truth | (small == VOID)) & (found[c] > rival), found[c], -1.0)
            levels = np.histogram(strength.numpy(), [*THRESHOLDS, 2.0])[0][::-1].cumsum()[::-1]
            inside = np.histogram(strength[truth].numpy(), [*THRESHOLDS, 2.0])[0][::-1].cumsum()[::-1]
            claimed[c] += levels
            overlap[c] += inside
            area[c] += int(truth.sum())
    shown = area > 0
    if not shown.any():
        raise ConfigError("no photo shows a base class: the threshold of the pseudo masks cannot be chosen")
    iou = overlap[shown] / (claimed[shown] + area[shown, None] - overlap[shown])
    return float(THRESHOLDS[iou.mean(0).argmax()])
