"""RIB: maps collected while the classifier is fine-tuned on one photo without its final sigmoid.

Lee, Choi, Mok, Yoon, "Reducing Information Bottleneck for Weakly Supervised Semantic Segmentation", NeurIPS 2021.
The sigmoid saturates once the most discriminative regions are seen. Without it, and with those regions left out of the
pooling, the classifier goes on to find the rest of an object.
The authors refine the maps by an affinity network (IRN) before they train on them; here they are taken as they are, as
CAM's are, so that the two can be compared.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from simformer.backbones import BATCH_NORM, Backbone
from simformer.cam import EPS_ACTIVATION, CamNetwork, resize
from simformer.datasets.folder import FolderDataset
from simformer.errors import ConfigError
from simformer.splits import Split
from train.pseudo.photos import Photos, map_size


class RibSettings(BaseModel):
    """Defaults are those of the authors' code on VOC 2012 unless a description says otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["rib"] = "rib"
    iterations: int = Field(default=10, ge=1, description="K: maps are taken before each of so many updates")
    trained_modules: int = Field(
        default=2, ge=1,
        description="how many of the backbone's last modules learn with the classifier. The authors: 2 of a ResNet, "
        "layer3 and layer4. Of an EfficientNet it is the last convolution and its norm: all below is computed once",
    )  # fmt: skip
    scales: tuple[float, ...] = Field(
        default=(1.0, 0.5),
        description="views that give maps; those of 1 or more enter the loss. The authors: 1, 0.5, 1.5, 2. "
        "The larger ones are five sixths of the pixels",
    )
    flip: bool = True
    others: int = Field(
        default=4, ge=0,
        description="photos without a class in common, drawn at each step. The authors: 20, most of the work",
    )  # fmt: skip
    others_pool: int = Field(
        default=400,
        ge=1,
        description="they are drawn from so many photos, whole and not mirrored: features stay in memory",
    )
    tau: float = Field(
        default=0.4, gt=0, le=1, description="share of a map's maximum from which a pixel is discriminative"
    )
    learning_rate: float = Field(
        default=1e-4, gt=0,
        description="The authors: 8e-6, for two stages of a ResNet. At that rate the few layers that learn here, and "
        "thereby the maps, hardly change in 10 steps",
    )  # fmt: skip
    head_factor: float = Field(default=10.0, ge=0, description="of the learning rate, for the classifier")
    weight_decay: float = Field(default=1e-4, ge=0)
    margin: float = Field(
        default=200.0, gt=0,
        description="no more updates once the target rows' sum is this far from 0. The authors: 600, of 6 rows; here 2",
    )  # fmt: skip
    explosion_activation: float = Field(
        default=0.3, ge=0, lt=1, description="share of its maximum at which a map is active"
    )
    explosion_area: float = Field(
        default=0.7, gt=0, le=1,
        description="share of the photo that a class's map has grown over when the loop ends. The authors take all "
        "classes together, which fits photos with a background: where grass and sky are classes, all is covered anyway",
    )  # fmt: skip

    @field_validator("scales")
    @classmethod
    def _has_scale_one(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if 1 not in scales or min(scales) <= 0:
            raise ValueError("scales must be positive and hold 1, at which explosion is watched for")
        return scales


DEFAULTS = RibSettings()


class Tail(nn.Module):
    """The part of a classifier that learns: the backbone's last modules and the linear layer."""

    def __init__(self, modules: list[nn.Module], classifier: nn.Module):
        super().__init__()
        self.body = nn.Sequential(*copy.deepcopy(modules)).eval()
        self.classifier = copy.deepcopy(classifier)
        self.requires_grad_(True)
        for module in self.body.modules():
            if isinstance(module, BATCH_NORM):
                module.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """Features below the tail, B x C x h x w -> class evidence before any ReLU, B x K x h' x w'."""
        return self.classifier(self.body(features))


class View(NamedTuple):
    """A photo at one scale: features below the tail, 1 or (with its mirror image) 2 x C x h x w."""

    scale: float
    features: Tensor


class Other(NamedTuple):
    """A photo without a class in common: features below the tail, 1 x C x h x w, and its class indices."""

    features: Tensor
    present: list[int]


class Collected(NamedTuple):
    """maps: P x h x w, summed over steps and views. pooled: the target rows' pooled logits at each step, summed."""

    maps: Tensor
    pooled: list[float]


class RibMaps:
    """RIB's maps of a data set's photos, from the image-level labels of all classes and no pixel of any.

    Args:
        classifier: trained on image-level labels; it stays as it is.
        dataset: photos and image-level labels.
        split: its classes.
        image_size: short side in pixels at which the network sees a photo.
        settings: of the fine-tuning.
        seed: of the other photos. A photo's maps depend on it and on the data set, not on what was asked for before.

    Raises:
        CheckpointError, ConfigError: classes that do not fit together, or an architecture that cannot be divided.
    """

    def __init__(
        self,
        classifier: CamNetwork,
        dataset: FolderDataset,
        split: Split,
        *,
        image_size: int,
        settings: RibSettings = DEFAULTS,
        seed: int = 0,
    ):
        self.photos, self.settings, self.seed = Photos(classifier, dataset, split, image_size), settings, seed
        below, _ = divided(self.photos.network.backbone, settings.trained_modules)
        self._below = nn.Sequential(*below)
        _, above = divided(classifier.backbone, settings.trained_modules)
        self._tail = Tail(above, classifier.classifier)
        self._start = copy.deepcopy(self._tail.state_dict())
        self._labels = dataset.all_image_labels()
        pool = np.random.default_rng(seed).permutation(len(dataset))[: settings.others_pool]
        self._pool = [int(index) for index in pool if self._labels[index]]
        self._pool_features: dict[int, Tensor] = {}

    def __call__(self, index: int) -> Tensor:
        """K x h x w float32 (stride 4, on the CPU): each class's maximum 1; 0 for classes that the photo lacks."""
        pixels = self.photos.pixels(index)
        size, present = map_size(pixels), list(self._labels[index])
        maps = torch.zeros(self.photos.network.config.num_classes, *size)
        if present:
            self._tail.load_state_dict(self._start)
            views = [self._view(pixels, scale) for scale in self.settings.scales]
            total = collect(self._tail, views, self._others(index), present, size, self.settings).maps
            maps[present] = (total / total.amax((-2, -1), keepdim=True).clamp(min=EPS_ACTIVATION)).cpu()
        return maps

    def _view(self, pixels: Tensor, scale: float) -> View:
        height, width = pixels.shape[-2:]
        view = pixels if scale == 1 else resize(pixels, (round(height * scale), round(width * scale)))
        return View(scale, self._features(torch.cat([view, view.flip(-1)]) if self.settings.flip else view))

    @torch.no_grad()
    def _features(self, pixels: Tensor) -> Tensor:
        normalized = (pixels - self.photos.network.mean) / self.photos.network.std
        return self._below(normalized).contiguous()

    def _others(self, index: int) -> Callable[[], list[Other]]:
        """Draws a fresh batch of photos that share no class with this one, each time it is called."""
        own = set(self._labels[index])
        candidates = [other for other in self._pool if not own & set(self._labels[other])]
        rng = np.random.default_rng([self.seed, index])

        def draw() -> list[Other]:
            chosen = rng.permutation(candidates)[: self.settings.others].tolist()
            return [Other(self._of_pool(int(other)), list(self._labels[int(other)])) for other in chosen]

        return draw

    def _of_pool(self, index: int) -> Tensor:
        if index not in self._pool_features:
            pixels = self.photos.pixels(index)
            self._pool_features[index] = self._features(pixels).half()
        return self._pool_features[index].float()


def collect(
    tail: Tail,
    views: list[View],
    draw_others: Callable[[], list[Other]],
    present: list[int],
    size: tuple[int, int],
    settings: RibSettings,
) -> Collected:
    """Fine-tunes `tail` in place on one photo and sums its maps on the way.

    Args:
        tail: as trained.
        views: the photo's, one of scale 1.
        draw_others: gives a step's other photos; they keep the classifier from seeing the target's classes everywhere.
        present: indices of the P classes that the photo shows.
        size: height and width of the result.
        settings: of the fine-tuning.
    """
    rate = settings.learning_rate
    optimizer = torch.optim.SGD(
        [
            {"params": [p for p in tail.body.parameters() if p.requires_grad], "lr": rate},
            {"params": tail.classifier.parameters(), "lr": settings.head_factor * rate},
        ],
        weight_decay=settings.weight_decay,
    )
    poly = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 - step / settings.iterations) ** 0.9)
    total, pooled = torch.zeros(len(present), *size, device=views[0].features.device), []
    covered_at_first = None
    # Scale 1 comes first: where its map has exploded the other scales' are not taken.
    views = sorted(views, key=lambda view: view.scale != 1)
    for step in range(settings.iterations):
        target = torch.zeros((), device=total.device)
        for view in views:
            enters_loss = view.scale >= 1
            with torch.set_grad_enabled(enters_loss):
                evidence = tail(view.features)[:, present]
            seen = merged_views(evidence.detach(), size)
            total += seen
            if view.scale == 1:
                covers = active_area(seen, settings.explosion_activation) > settings.explosion_area
                covered_at_first = covers if covered_at_first is None else covered_at_first
                if (covers & ~covered_at_first).any():
                    return Collected(total, pooled)
            if enters_loss:
                target = target + pool_non_discriminative(evidence, settings.tau).sum()
        pooled.append(target.item())
        if step + 1 == settings.iterations or abs(pooled[-1]) > settings.margin:
            break
        optimizer.zero_grad(set_to_none=True)
        (-target).backward()
        for other in draw_others():
            evidence = tail(other.features)[:, other.present]
            (-pool_non_discriminative(evidence, settings.tau).sum()).backward()
        optimizer.step()
        poly.step()
    return Collected(total, pooled)


def pool_non_discriminative(evidence: Tensor, tau: float) -> Tensor:
    """GNDRP: B x K x h x w -> B x K, the mean over all pixels of those below `tau` times the map's maximum.

    Which pixels those are carries no gradient. In a map without positive evidence nothing is discriminative.
    """
    maximum = evidence.detach().amax((-2, -1), keepdim=True)
    kept = (evidence.detach() < tau * maximum) | (maximum <= 0)
    return torch.where(kept, evidence, 0).mean((-2, -1))


def merged_views(evidence: Tensor, size: tuple[int, int]) -> Tensor:
    """A view's evidence and (if there are two) its mirror image's, 1 or 2 x P x h x w -> ReLU'd sum, P x `size`."""
    maps = resize(evidence.relu(), size)
    return maps[0] + maps[1].flip(-1) if len(maps) == 2 else maps[0]


def active_area(maps: Tensor, activation: float) -> Tensor:
    """Share of the pixels (0 to 1) at which each of P maps, P x h x w, is above `activation` times its maximum."""
    maximum = maps.amax((-2, -1), keepdim=True).clamp(min=EPS_ACTIVATION)
    return (maps > activation * maximum).float().mean((-2, -1))


def divided(backbone: Backbone, count: int) -> tuple[list[nn.Module], list[nn.Module]]:
    """The modules that lead to a backbone's last map, in order: all but the last `count`, and those.

    Raises:
        ConfigError: not an EfficientNet or ResNet of timm, or `count` leaves nothing below.
    """
    net = backbone.net
    if hasattr(net, "conv_head"):
        modules = [net.conv_stem, net.bn1, *net.blocks, net.conv_head, net.bn2]
    elif hasattr(net, "layer4"):
        modules = [net.conv1, net.bn1, net.act1, net.maxpool, net.layer1, net.layer2, net.layer3, net.layer4]
    else:
        raise ConfigError(f"RIB knows how to divide EfficientNet and ResNet, not {type(net).__name__}")
    if count >= len(modules):
        raise ConfigError(f"trained_modules={count} leaves none of the backbone's {len(modules)} modules fixed")
    return modules[:-count], modules[-count:]
