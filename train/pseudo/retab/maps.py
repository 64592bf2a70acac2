"""RETAB: maps of novel classes, spread by affinity and stopped by boundaries that were learnt on base masks.

Zhou, Niu, Si, Qian, Zhang, "Weak-shot Semantic Segmentation by Transferring Semantic Affinity and Boundary", BMVC 2022.
Here every photo gives the masks of its base classes. They take the part of the authors' background: one map for each
base class, 1 on its mask, given back after each stage of the propagation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cache, partial
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from tqdm import tqdm

from simformer.cam import EPS_ACTIVATION, CamNetwork
from simformer.datasets.folder import FolderDataset
from simformer.datasets.weakshot import given_masks
from simformer.labels import VOID
from simformer.splits import Split
from train.pseudo.photos import Photos, novel_labels
from train.pseudo.retab.affinity import AffinityNet, Kinds, affinity, affinity_loss, cell_labels, neighbors, pair_kinds
from train.pseudo.retab.boundary import BoundaryNet, boundary_loss, boundary_target
from train.pseudo.retab.features import depth_channels, depths
from train.pseudo.retab.random_walk import propagate


class RetabSettings(BaseModel):
    """Defaults are those of the authors' code on VOC 2012 unless a description says otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["retab"] = "retab"
    scales: tuple[float, ...] = Field(
        default=(1.0, 0.5, 1.5, 2.0), min_length=1, description="views of the activation maps"
    )
    flip: bool = True
    widths: tuple[int, int, int] = Field(default=(64, 128, 256), description="channels made of the three depths")
    boundary_radius: int = Field(
        default=2, ge=1, description="pixels around a change of base class. The authors: VOC's void band, about as wide"
    )
    boundary_threshold: float = Field(default=0.5, gt=0, lt=1, description="probability from which a cell is boundary")
    learning_rate: float = Field(
        default=1e-3, gt=0,
        description="of AdamW. The authors take 10,000 steps of SGD and train the backbone too; in the few hundred "
        "steps that small data allow, SGD hardly moves the affinity",
    )  # fmt: skip
    confident: float = Field(
        default=0.35, ge=0, le=1,
        description="activation from which a cell outside base masks is taken to be of its class. The authors compare "
        "with powers of 1 - max, which stand for a background; this is the threshold of IRN",
    )  # fmt: skip
    radius: int = Field(default=5, ge=2, description="cells of 8 x 8 pixels; pairs are nearer than that")
    pairs: int = Field(
        default=2000, ge=1, description="drawn of each kind from a photo at each step. The authors: all of them"
    )
    epochs: int = Field(default=4, ge=1, description="The authors: 8. It halves the time on a CPU")
    batch: int = Field(
        default=8, ge=1, description="photos a step, whole and not mirrored, for their features are kept"
    )
    weight_decay: float = Field(default=5e-4, ge=0)
    kept_photos: int = Field(
        default=2000, ge=0, description="photos whose features stay in memory, 0.4 MB each at 360 x 240"
    )
    beta: float = Field(default=8.0, gt=0, description="power of the affinity")
    steps: int = Field(default=256, ge=1, description="of the random walk in each stage")


DEFAULTS = RetabSettings()


class RetabMaps:
    """RETAB's maps of a data set's photos; boundary and affinity networks are trained here, on the base masks.

    Args:
        classifier: trained on image-level labels of all classes; its backbone is the networks' too. It stays as it is.
        dataset: photos, label maps (base pixels are read) and image-level labels (novel classes' are).
        split: the role of every class.
        image_size: short side in pixels at which the networks see a photo.
        settings: of maps, training and propagation.
        seed: of everything random; the same seed gives the same maps on one CPU.

    Raises:
        CheckpointError, ConfigError: classes that do not fit together.
    """

    def __init__(
        self,
        classifier: CamNetwork,
        dataset: FolderDataset,
        split: Split,
        *,
        image_size: int,
        settings: RetabSettings = DEFAULTS,
        seed: int = 0,
    ):
        self.photos = Photos(classifier, dataset, split, image_size)
        self.dataset, self.split, self.settings = dataset, split, settings
        self.device = self.photos.device
        self._is_novel = torch.zeros(256, dtype=torch.bool)
        self._is_novel[list(split.novel)] = True
        self._features: dict[int, list[Tensor]] = {}
        self._seeds: dict[int, Tensor] = {}
        self._labels: dict[int, Tensor] = {}
        # Photos come in few sizes.
        self._neighbors = cache(partial(neighbors, radius=settings.radius))
        channels = depth_channels(classifier.backbone)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.boundary_net = BoundaryNet(channels, settings.widths).to(self.device)
            self.affinity_net = AffinityNet(channels, settings.widths).to(self.device)
            self._fit(self.boundary_net, self._boundary_loss, "boundary")
            self._fit(self.affinity_net, self._affinity_loss, "affinity")

    @torch.no_grad()
    def __call__(self, index: int) -> Tensor:
        """K x h x w float32 (stride 8, on the CPU), 0..1: what base masks and activation maps of novel classes became.

        A novel class's maximum is 1, or 0 if the photo lacks it. Base masks are as given where there is no novel class.
        """
        return self._propagated(index, novel_labels(self.dataset, self.split, index), self._base_cells(index))

    @torch.no_grad()
    def as_novel(self, index: int, label: int) -> Tensor:
        """The maps as they would be if a base class of the photo had no mask there, K x h x w.

        The boundary and affinity networks did see its mask, so they flatter it a little.
        """
        labels = self._base_cells(index)
        labels[labels == label] = VOID
        return self._propagated(index, sorted({*novel_labels(self.dataset, self.split, index), label}), labels)

    def _propagated(self, index: int, novel: list[int], labels: Tensor) -> Tensor:
        known = labels != VOID
        maps = torch.stack([labels == label for label in range(len(self.split.classes))]).float()
        if not novel:
            return maps
        maps[novel] = self.seeds(index)[novel] * ~known
        present = maps.amax((-2, -1)).nonzero().flatten()
        first, second = self._neighbors(*labels.shape)
        close = affinity(self.affinity_net(self.features(index)), first.to(self.device), second.to(self.device))
        spread = propagate(
            maps[present].flatten(1).numpy(),
            first.numpy(),
            second.numpy(),
            (close**self.settings.beta).cpu().numpy(),
            self.boundary(index).flatten().numpy(),
            known.flatten().numpy(),
            self.settings.steps,
        )
        maps[present] = torch.from_numpy(spread).view(-1, *labels.shape)
        maps[novel] /= maps[novel].amax((-2, -1), keepdim=True).clamp(min=EPS_ACTIVATION)
        return maps

    @torch.no_grad()
    def features(self, index: int) -> list[Tensor]:
        """What both networks see of a photo: see `depths`. Kept as float16."""
        if index in self._features:
            return [one.float() for one in self._features[index]]
        maps = depths(self.photos.network, self.photos.pixels(index))
        if len(self._features) < self.settings.kept_photos:
            self._features[index] = [one.half() for one in maps]
        return [one.half().float() for one in maps]

    @torch.no_grad()
    def seeds(self, index: int) -> Tensor:
        """Activation maps of the classes that the photo is labelled with: K x h x w at stride 8, 0..1, on the CPU."""
        present = list(self.dataset.image_labels(index))
        if index not in self._seeds:
            pixels = self.photos.pixels(index)
            maps, _ = self.photos.network.activation_maps(pixels, self.settings.scales, self.settings.flip)
            self._seeds[index] = F.adaptive_avg_pool2d(maps[0, present], self._cells(index)).cpu()
        maps = torch.zeros(len(self.split.classes), *self._cells(index))
        maps[present] = self._seeds[index]
        return maps

    @torch.no_grad()
    def boundary(self, index: int) -> Tensor:
        """Which cells are boundary: bool, h x w, on the CPU."""
        return (self.boundary_net(self.features(index)).sigmoid() >= self.settings.boundary_threshold).cpu()

    def _cells(self, index: int) -> tuple[int, int]:
        height, width = self.features(index)[0].shape[-2:]
        return height, width

    def _base_labels(self, index: int, size: tuple[int, int]) -> Tensor:
        """uint8 at another size, nearest; 255 outside base masks, all of it without a label map."""
        labels = given_masks(self.dataset.label_map(index), size, self.split)
        return F.interpolate(labels[None, None].float(), size, mode="nearest-exact")[0, 0].byte()

    def _base_cells(self, index: int) -> Tensor:
        return self._base_labels(index, self._cells(index))

    def _boundary_loss(self, index: int) -> Tensor:
        features = self.features(index)
        size = self.photos.input_size(self.dataset.image(index))
        target = boundary_target(self._base_labels(index, size), self.settings.boundary_radius)
        return boundary_loss(self.boundary_net(features), target.to(self.device))

    def _affinity_loss(self, index: int) -> Tensor:
        labels = self._cell_labels(index)
        first, second = self._neighbors(*labels.shape)
        kinds = pair_kinds(labels, self._is_novel, first, second)
        drawn = [pairs[torch.randperm(len(pairs))[: self.settings.pairs]].to(self.device) for pairs in kinds]
        embeddings = self.affinity_net(self.features(index))
        return affinity_loss(embeddings, Kinds(*drawn), first.to(self.device), second.to(self.device))

    def _cell_labels(self, index: int) -> Tensor:
        """See `cell_labels`; the boundary network must be trained."""
        if index not in self._labels:
            novel = novel_labels(self.dataset, self.split, index)
            boundary, confident = self.boundary(index), self.settings.confident
            maps = self.seeds(index)[novel]
            self._labels[index] = cell_labels(self._base_cells(index), maps, novel, boundary, confident)
        return self._labels[index]

    def _fit(self, network: nn.Module, loss_of: Callable[[int], Tensor], name: str) -> None:
        """Trains on all photos, `epochs` times; AdamW, poly schedule. The bar shows the last hundred photos' loss."""
        settings, recent = self.settings, deque(maxlen=100)
        optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        epochs = [torch.randperm(len(self.dataset)).split(settings.batch) for _ in range(settings.epochs)]
        batches = [batch.tolist() for epoch in epochs for batch in epoch]
        poly = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 - step / len(batches)) ** 0.9)
        network.train()
        for batch in (bar := tqdm(batches, desc=name, unit="step")):
            optimizer.zero_grad(set_to_none=True)
            for index in batch:
                loss = loss_of(index)
                (loss / len(batch)).backward()
                recent.append(loss.item())
            optimizer.step()
            poly.step()
            bar.set_postfix_str(f"loss {sum(recent) / len(recent):.3f}")
        network.eval()
