"""The photos of a run: what is trained on, what is held out, and the stream of batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from simformer.datasets.folder import FolderDataset
from simformer.datasets.transforms import TrainTransform
from simformer.datasets.weakshot import WeakShotStream
from simformer.errors import ConfigError
from simformer.splits import ALL_BASE, Split, custom_split, dataset_classes, load_split
from simformer.utils.files import atomic_write
from train.config import TrainConfig
from train.pseudo.labels import write_pseudo_labels
from train.pseudo.teacher import TeacherMaps


def open_datasets(config: TrainConfig) -> tuple[FolderDataset, FolderDataset]:
    """Training and evaluation photos. With `hold_out` both come from the training list, and val is never opened."""
    if not config.hold_out:
        return (
            FolderDataset(config.data, config.train_list, cache=config.cache),
            FolderDataset(config.data, config.val_list, cache=config.cache),
        )
    names = FolderDataset(config.data, config.train_list).names
    # One fixed choice for every run: settings are compared on the same held-out photos.
    held = set(np.random.default_rng(0).permutation(len(names))[: round(config.hold_out * len(names))].tolist())
    if not 0 < len(held) < len(names):
        raise ConfigError(f"hold_out={config.hold_out} of {len(names)} photos leaves nothing to train on or evaluate")
    kept = write_list(config.out / "kept.txt", [n for i, n in enumerate(names) if i not in held])
    held_out = write_list(config.out / "held_out.txt", [n for i, n in enumerate(names) if i in held])
    return (
        FolderDataset(config.data, kept, cache=config.cache),
        FolderDataset(config.data, held_out, cache=config.cache),
    )


def write_list(path: Path, names: list[str]) -> str:
    """A list file; its absolute path, which a FolderDataset takes in place of a name below its root."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "w") as file:
        file.write("\n".join(names) + "\n")
    return str(path.resolve())


def load_split_of(config: TrainConfig, dataset: FolderDataset) -> Split:
    """The roles of the data set's classes under this configuration.

    Raises:
        ConfigError, UnknownClassError: no such split, or a novel class the data set does not have.
    """
    if config.dataset == "custom":
        novel = [] if config.split == ALL_BASE else config.novel or []
        return custom_split(dataset.classes, novel, config.split)
    if config.novel is not None:
        roles = custom_split(dataset_classes(config.dataset), config.novel, config.split)
        return replace(roles, dataset=config.dataset)
    return load_split(config.dataset, config.split)


def training_roles(config: TrainConfig, split: Split) -> Split:
    """Roles of the classes as the losses see them: CAM's classifier gets the labels of every class and no mask."""
    return replace(split, novel=tuple(range(len(split.classes)))) if config.method == "cam" else split


def pseudo_dataset(
    config: TrainConfig, dataset: FolderDataset, split: Split, maps: TeacherMaps | None = None
) -> FolderDataset:
    """The training photos with pseudo masks for their label maps; they are made if they are not there yet.

    Args:
        maps: of the partial-label teacher, for pseudo=partial_labels.
    """
    folder = config.out / "pseudo_labels"
    write_pseudo_labels(config, dataset, split, folder, maps)
    names = write_list(config.out / "pseudo.txt", dataset.names)
    return FolderDataset(config.data, names, cache=config.cache, label_folder=folder)


def crops(config: TrainConfig, *, photometric: bool = True) -> TrainTransform:
    """How photos are scaled and cropped in training; without `photometric` their colors stay."""
    return TrainTransform(
        config.crop,
        config.scale,
        photometric=photometric,
        scale_step=config.scale_step,
        long_side=config.long_side,
    )


def training_stream(
    config: TrainConfig,
    dataset: FolderDataset,
    split: Split,
    start: int,
    share: tuple[int, int] = (0, 1),
    teacher: Callable[[int], Tensor] | None = None,
    image_labels: list[tuple[int, ...]] | None = None,
) -> WeakShotStream:
    """The batches from step `start` on, or the share (rank, count) of one of several processes.

    Args:
        teacher: index of a photo -> probabilities of the split's novel classes, see `WeakShotStream`.
        image_labels: of every photo, where the data set's label maps are pseudo masks, which do not tell them.
    """
    return WeakShotStream(
        dataset,
        training_roles(config, split),
        crops(config),
        pairing="none" if config.method == "cam" else config.pairing,
        crop_labels=config.label_rule,
        batch=config.batch,
        steps=config.steps,
        seed=config.seed,
        start=start,
        share=share,
        masks="all" if config.pseudo else "base",
        teacher=teacher,
        image_labels=image_labels,
        candidate_caps=config.candidate_caps,
    )
