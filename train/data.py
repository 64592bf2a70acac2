"""The photos of a run: what is trained on, what is held out, and the stream of batches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from simformer.datasets.folder import FolderDataset
from simformer.datasets.transforms import TrainTransform
from simformer.datasets.weakshot import WeakShotBatch, WeakShotStream
from simformer.errors import ConfigError, SimFormerError
from simformer.splits import ALL_BASE, Split, custom_split, dataset_classes, load_split
from train.config import TrainConfig
from train.pseudo.labels import write_pseudo_labels
from train.pseudo.teacher import TeacherMaps
from train.runtime.processes import ignore_signals
from train.settings import CropSettings, DataSettings, MethodSettings


def open_datasets(config: TrainConfig) -> tuple[FolderDataset, FolderDataset]:
    """Training and evaluation photos. With `hold_out` both come from the training list, and val is never opened."""
    if not config.hold_out:
        return (
            FolderDataset(config.data, config.train_list, cache=config.cache),
            FolderDataset(config.data, config.val_list, cache=config.cache),
        )
    names = FolderDataset(config.data, config.train_list).names
    held_out = held_out_names(names, config.hold_out)
    held = set(held_out)
    kept = [name for name in names if name not in held]
    return (
        FolderDataset(config.data, names=kept, cache=config.cache),
        FolderDataset(config.data, names=held_out, cache=config.cache),
    )


def held_out_names(names: Sequence[str], share: float) -> list[str]:
    """The photos that a run with `hold_out=share` does not train on, in the order of the list.

    One fixed choice for every run: settings are compared on the same held-out photos.

    Raises:
        ConfigError: it leaves nothing to train on, or nothing to evaluate.
    """
    held = set(np.random.default_rng(0).permutation(len(names))[: round(share * len(names))].tolist())
    if not 0 < len(held) < len(names):
        raise ConfigError(f"hold_out={share} of {len(names)} photos leaves nothing to train on or evaluate")
    return [name for index, name in enumerate(names) if index in held]


def load_split_of(config: DataSettings, dataset: FolderDataset) -> Split:
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


def training_roles(config: MethodSettings, split: Split) -> Split:
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
    return FolderDataset(config.data, names=dataset.names, cache=config.cache, label_folder=folder)


def crops(config: CropSettings, *, photometric: bool = True) -> TrainTransform:
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
    photos: FolderDataset | None = None,
) -> WeakShotStream:
    """The batches from step `start` on, or the share (rank, count) of one of several processes.

    Args:
        teacher, photos: see `WeakShotStream`.
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
        photos=photos,
        candidate_caps=config.candidate_caps,
    )


class ErrorsAsItems(Dataset):
    """A stream that gives the error in place of a batch that cannot be made.

    Raised in another process, an exception would come with that process's traceback in its sentence.
    """

    def __init__(self, stream: WeakShotStream):
        self.stream = stream

    def __len__(self) -> int:
        return len(self.stream)

    def __getitem__(self, item: int) -> WeakShotBatch | SimFormerError:
        try:
            return self.stream[item]
        except SimFormerError as error:
            return error


def batches(stream: WeakShotStream, workers: int, pin_memory: bool = False) -> Generator[WeakShotBatch, None, None]:
    """All batches of a stream in order. To be closed, for `workers` other processes make them.

    Raises:
        SimFormerError: a photo or label map cannot be read.
    """
    loader = DataLoader(
        ErrorsAsItems(stream),
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
        worker_init_fn=ignore_signals,
    )
    loaded = iter(loader)
    try:
        for item in loaded:
            if isinstance(item, SimFormerError):
                raise item
            yield item
    finally:
        # Left to themselves the processes would be ended by SIGTERM when this one ends, which they ignore.
        if workers:
            loaded._shutdown_workers()  # pyright: ignore[reportAttributeAccessIssue]  (torch has no public way)
