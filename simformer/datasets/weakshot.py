"""What weak-shot training may see: masks of base classes, and image-level labels of novel ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from simformer.datasets.folder import FolderDataset
from simformer.datasets.pairs import Pairing, ReferenceChooser
from simformer.datasets.transforms import TrainTransform
from simformer.errors import ConfigError, DatasetError
from simformer.labels import VOID
from simformer.model import Targets
from simformer.splits import Split

CropLabels = Literal["strict", "crop"]
Masks = Literal["base", "all"]

# How often a crop is drawn anew while nothing is known of it.
REDRAWS = 50

# Streams of random numbers drawn from one seed.
_ORDER, _PAIRS, _TRANSFORM = range(3)


@dataclass
class WeakShotBatch:
    """One training batch. In `base_labels` novel and void pixels are one and the same.

    Attributes:
        images: float32 RGB 0..255, B x 3 x H x W.
        base_labels: int64, B x H x W: class index where the pixel is of a base class, 255 elsewhere.
        padding: bool, B x H x W, True where the photo ended.
        base: for each image the classes present in `base_labels`, int64, ascending.
        novel: for each image its image-level novel classes, int64, ascending.
        pairs: P if images[:P] are inputs and images[P:] their references (B = 2P); 0 without pairs.
        teacher: float32, B x (novel classes) x h x w: a teacher's probabilities of the novel classes at stride 4 (their
            sum is at most 1, the rest is "none of them"); None without a teacher of pixels.
        unmasked: bool, B, True for photos without masks, whose classes are all in `novel`; None where there are none.
    """

    images: Tensor
    base_labels: Tensor
    padding: Tensor
    base: list[Tensor]
    novel: list[Tensor]
    pairs: int
    teacher: Tensor | None = None
    unmasked: Tensor | None = None

    @property
    def targets(self) -> Targets:
        """What losses compare predictions with."""
        return Targets(self.base_labels, self.padding, self.base, self.novel, self.teacher, self.unmasked)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> WeakShotBatch:
        """Pixels on another device. Class lists stay on the CPU, where matching and pairing read them."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=non_blocking),
            base_labels=self.base_labels.to(device, non_blocking=non_blocking),
            padding=self.padding.to(device, non_blocking=non_blocking),
            teacher=None if self.teacher is None else self.teacher.to(device, non_blocking=non_blocking),
            unmasked=None if self.unmasked is None else self.unmasked.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> WeakShotBatch:
        """The batch in page-locked memory; DataLoader(pin_memory=True) calls this."""
        return replace(
            self,
            images=self.images.pin_memory(),
            base_labels=self.base_labels.pin_memory(),
            padding=self.padding.pin_memory(),
            teacher=None if self.teacher is None else self.teacher.pin_memory(),
            unmasked=None if self.unmasked is None else self.unmasked.pin_memory(),
        )


class WeakShotStream(Dataset):
    """The batches of a training run; item n is the whole batch of step `start` + n.

    A batch depends on the seed and its step alone, so a resumed run sees what an unbroken one would have
    seen, with any number of worker processes: read it with DataLoader(stream, batch_size=None,
    num_workers=w). Inputs follow a fresh permutation of the photos every epoch. torch's global generator is
    left as it was.

    With crop_labels "strict" a novel class's pixels are void before the transform sees a label map.

    A crop of which nothing is known is drawn anew, up to 50 times; then it is taken as it is. Known are labelled pixels
    of the crop's truth ("crop", as in the released code), or of its given masks, and novel image-level labels of its
    photo, which the crop gets ("strict"). Photos of which nothing is known as a whole are left out: those without any
    labelled pixel ("crop"), or without any label ("strict").
    """

    def __init__(
        self,
        dataset: FolderDataset,
        split: Split,
        transform: TrainTransform,
        *,
        pairing: Pairing = "cross",
        crop_labels: CropLabels = "strict",
        batch: int,
        steps: int,
        seed: int = 0,
        start: int = 0,
        share: tuple[int, int] = (0, 1),
        masks: Masks = "base",
        teacher: Callable[[int], Tensor] | None = None,
        photos: FolderDataset | None = None,
        candidate_caps: tuple[int, int] | None = None,
    ):
        """
        Args:
            dataset: photos, label maps and image-level labels; its classes are the split's.
            split: the role of every class.
            transform: crops; all its randomness comes from torch's generator.
            pairing: how references are chosen ("cross", "self"), or "none" for single images.
            crop_labels: "strict": an image's novel labels are its image-level labels, whether or not the crop
                still shows them. "crop": the released code's behaviour, the novel classes that the crop's
                full truth contains, which a user who has image-level labels does not know.
            batch: images a step, half of them inputs and half references (all inputs without pairs).
            steps: number of training steps in all; the stream holds steps `start` to `steps` - 1.
            seed: of everything random.
            start: step to begin with.
            share: (rank, count): the part of every batch that this one of several training processes gets. Their
                shares make up the batch that a single process would get; an input and its reference stay together.
            masks: "all": the label maps hold (pseudo) masks of novel classes, to be learnt like those of base classes;
                `base_labels` and `base` of a batch then hold every class.
            teacher: index of a photo -> the probabilities of the split's novel classes, float (novel classes) x h x w;
                of all classes where some photos are unmasked.
            photos: the same photos as they are given, if the data set's label maps are pseudo masks: whose image-level
                labels count, and which photos are unmasked. On these base classes are known as novel ones are.
            candidate_caps: of references, see `ReferenceChooser`.

        Raises:
            ConfigError: an unknown pairing or kind of crop labels, an odd or empty batch, one that the processes cannot
                share evenly, a negative start, a cap below 1.
            DatasetError: the classes are not the split's, a photo without label map shows a base class, or nothing is
                known of any photo.
        """
        if pairing not in ("cross", "self", "none"):
            raise ConfigError(f"pairing is cross, self or none, not {pairing!r}")
        if crop_labels not in ("strict", "crop"):
            raise ConfigError(f"crop labels are strict or crop, not {crop_labels!r}")
        if batch < 1 or (pairing != "none" and batch % 2):
            raise ConfigError(f"a batch of {batch} images cannot be divided into pairs")
        if not 0 <= start <= steps:
            raise ConfigError(f"training cannot begin at step {start} of {steps}")
        if tuple(dataset.classes) != split.classes:
            raise DatasetError(f"the classes of {dataset.root} are not those of the split {split.name}")
        self.dataset = dataset
        self.transform = transform
        self.crop_labels = crop_labels
        self.masks = masks
        self.teacher = teacher
        self.steps, self.seed, self.start = steps, seed, start
        rank, processes = share
        self._inputs = batch if pairing == "none" else batch // 2
        if self._inputs % processes:
            raise ConfigError(f"a batch of {batch} images cannot be shared evenly by {processes} processes")
        own = self._inputs // processes
        self.pairs = 0 if pairing == "none" else own
        # Places in the whole batch: inputs first, then their references.
        self._places = [place for place in range(batch) if place % self._inputs // own == rank]
        self._novel = split.novel
        self._split = split
        photos = photos or dataset
        image_labels = photos.all_image_labels()
        self._unmasked = photos.unmasked
        self._image_novel = [photos.labels_without_masks(index, split.novel) for index in range(len(photos))]
        self._check_masks(image_labels, split)
        self._photos = self._known(image_labels)
        if not self._photos:
            raise DatasetError(f"nothing is known of any photo of {dataset.root}: no class has a pixel or a label")
        self._chooser = None
        if pairing != "none":
            kept = set(self._photos)  # the others show no class: nothing chooses them as a reference
            shown = [labels if index in kept else () for index, labels in enumerate(image_labels)]
            caps = candidate_caps
            self._chooser = ReferenceChooser(shown, split.novel, split.base, pairing, caps, self._unmasked)

    def __len__(self) -> int:
        return self.steps - self.start

    def __getitem__(self, item: int) -> WeakShotBatch:
        if not 0 <= item < len(self):
            raise IndexError(f"item {item} of a stream of {len(self)} batches")
        step = self.start + item
        images = self._images(step)
        samples = []
        with torch.random.fork_rng(devices=[]):
            for place in self._places:
                # Not torch.manual_seed: it would seed the GPU's generator too, which is not restored.
                torch.default_generator.manual_seed(int(self._random(_TRANSFORM, step, place).integers(2**63)))
                samples.append(self._sample(images[place]))
        without = [images[place] in self._unmasked for place in self._places]
        pictures, base_labels, padding, novel, teacher = zip(*samples, strict=True)
        base_labels = torch.stack(base_labels).long()
        return WeakShotBatch(
            images=torch.stack(pictures).float(),
            base_labels=base_labels,
            padding=torch.stack(padding),
            base=[_classes(labels) for labels in base_labels],
            novel=[torch.tensor(labels, dtype=torch.int64) for labels in novel],
            pairs=self.pairs,
            teacher=None if self.teacher is None else torch.stack(teacher),
            unmasked=torch.tensor(without) if self._unmasked else None,
        )

    def _random(self, purpose: int, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose, *numbers])

    def _images(self, step: int) -> list[int]:
        """Indices of the whole batch's inputs, then of their references."""
        size = len(self._photos)
        positions = range(step * self._inputs, (step + 1) * self._inputs)
        order = {epoch: self._random(_ORDER, epoch).permutation(size) for epoch in {p // size for p in positions}}
        inputs = [self._photos[order[position // size][position % size]] for position in positions]
        if self._chooser is None:
            return inputs
        rng = self._random(_PAIRS, step)
        return inputs + [self._chooser.choose(index, rng) for index in inputs]

    def _sample(self, index: int) -> tuple[Tensor, Tensor, Tensor, list[int], Tensor | None]:
        image, labels = self.dataset.sample(index)
        labels, novel = or_void(labels, image.shape[1:]), self._image_novel[index]
        if self.crop_labels == "strict":
            labels = self._given(labels)
        maps = None if self.teacher is None else self.teacher(index)
        told = bool(novel) and self.crop_labels == "strict"
        crop, cropped, padding, cropped_maps = self.transform.with_maps(image, labels, maps)
        for _ in range(REDRAWS):
            if told or bool((cropped != VOID).any()):
                break
            crop, cropped, padding, cropped_maps = self.transform.with_maps(image, labels, maps)
        if self.crop_labels == "crop":
            novel = sorted(set(_classes(cropped).tolist()) & set(self._novel))
            cropped = self._given(cropped)
        return crop, cropped, padding, novel, cropped_maps

    def _known(self, image_labels: list[tuple[int, ...]]) -> list[int]:
        """Indices of the photos of which something is known as a whole."""
        known = [index for index, labels in enumerate(image_labels) if labels]
        if self.crop_labels == "crop" and (self.dataset.root / "image_labels.csv").is_file():
            # Some labels may have no pixel, and a crop's labels are those of its pixels.
            maps = ((index, self.dataset.label_map(index)) for index in known)
            known = [index for index, labels in maps if labels is not None and (labels != VOID).any()]
        return known

    def _given(self, labels: Tensor) -> Tensor:
        return labels if self.masks == "all" else base_only(labels, self._split)

    def _check_masks(self, image_labels: list[tuple[int, ...]], split: Split) -> None:
        # Without a mask, base pixels would be taught as "something novel" by the complementary loss.
        for index, labels in enumerate(image_labels):
            shown = set(labels) & set(split.base)
            if shown and index not in self._unmasked and not self.dataset.has_label_map(index):
                raise DatasetError(
                    f"the photo {self.dataset.names[index]!r} of {self.dataset.root} shows the base class "
                    f"{split.classes[min(shown)]!r} but has no label map; base classes need masks"
                )


def given_masks(labels: Tensor | None, size: tuple[int, ...], split: Split) -> Tensor:
    """Base masks of a photo, uint8, H x W, 255 elsewhere; of (height, width) `size` and all 255 without a label map."""
    return base_only(or_void(labels, size), split)


def or_void(labels: Tensor | None, size: tuple[int, ...]) -> Tensor:
    """The label map; where there is none, one of (height, width) `size` on which nothing is labelled."""
    return torch.full(tuple(size), VOID, dtype=torch.uint8) if labels is None else labels


def base_only(labels: Tensor, split: Split) -> Tensor:
    """What training may see of a label map: base classes stay what they are, all else becomes 255 (uint8)."""
    kept = torch.full((256,), VOID, dtype=torch.uint8, device=labels.device)
    kept[list(split.base)] = torch.tensor(split.base, dtype=torch.uint8, device=labels.device)
    return kept.index_select(0, labels.flatten().int()).view_as(labels)


def _classes(labels: Tensor) -> Tensor:
    """Values of a label map other than 255, int64, ascending."""
    return torch.bincount(labels.flatten(), minlength=256)[:VOID].nonzero().flatten()
