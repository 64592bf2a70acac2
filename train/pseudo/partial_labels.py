"""The partial-label teacher: a linear pixel classifier on frozen features, taught by base masks and image labels.

Beyond the paper. A backbone that no mask has touched still tells novel classes apart; a pixel outside the base
masks is of one of its photo's novel classes, or of none. From that the classifier learns novel classes without a mask
of any.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from tqdm import trange

from simformer.cam import CamNetwork, resize
from simformer.datasets.folder import FolderDataset
from simformer.datasets.weakshot import given_masks
from simformer.labels import VOID
from simformer.splits import Split
from simformer.weights import Scales
from train.pseudo.photos import Photos, novel_labels


class PartialLabelSettings(BaseModel):
    """How the teacher looks and learns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scales: Scales = Field(default=(1.0,), description="views of a photo, as multiples of image_size")
    flip: bool = Field(default=False, description="each view mirrored as well, when it is asked")
    eps: float = Field(
        default=0.3, gt=0, le=1, description="how much `none of the classes` counts outside the base masks"
    )
    steps: int = Field(default=2000, ge=1)
    photos: int = Field(default=16, ge=1, description="a step")
    points: int = Field(default=48, ge=1, description="of each photo, at each step")
    kept: int = Field(
        default=400, ge=1, description="cells of a photo that are remembered for training, 3 to 6 KB each"
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="of AdamW")
    weight_decay: float = Field(default=1e-2, ge=0)
    dropout: float = Field(default=0.3, ge=0, lt=1, description="on the features")


DEFAULTS = PartialLabelSettings()
TENSORS = ("weight", "bias", "mean", "std")


class PartialLabelTeacher:
    """What a training photo's pixels outside the base masks are, as far as base masks and image labels can tell.

    Args:
        features: its backbone looks at the photos; its own head is not asked. It stays as it is.
        dataset: photos, label maps (base pixels are read) and image-level labels (novel classes' are).
        split: the role of every class.
        image_size: short side in pixels at scale 1.
        settings: of views and training.
        seed: of everything random; the same seed gives the same teacher on one CPU.

    It must be trained (`fit`) or given the tensors of one that was (`load`) before it is asked.

    Attributes:
        weight, bias: of the linear layer, (K + 1) x F and K + 1; the last class is "none".
        mean, std: of the features over the remembered cells, F each.

    Raises:
        CheckpointError, ConfigError: classes that do not fit together.
    """

    def __init__(
        self,
        features: CamNetwork,
        dataset: FolderDataset,
        split: Split,
        *,
        image_size: int,
        settings: PartialLabelSettings = DEFAULTS,
        seed: int = 0,
    ):
        self.photos = Photos(features, dataset, split, image_size)
        self.dataset, self.split, self.settings = dataset, split, settings
        self._seed = seed

    def __call__(self, index: int) -> Tensor:
        """Probabilities of a training photo's pixels that its labels allow outside the base masks.

        Returns:
            (K + 1) x h x w float32 on the CPU, at the backbone's stride: 0 for all classes but the photo's novel ones
            and "none" (the last), which sum to 1.
        """
        allowed = torch.zeros(len(self.split.classes) + 1, 1, 1)
        allowed[[*novel_labels(self.dataset, self.split, index), -1]] = 1
        p = self.probabilities(self.dataset.image(index)) * allowed
        return p / p.sum(0, keepdim=True).clamp(min=1e-12)

    @torch.no_grad()
    def probabilities(self, image: Tensor) -> Tensor:
        """A photo (uint8 RGB, 3 x H x W), labels unknown -> probabilities, (K + 1) x h x w float32 on the CPU."""
        size, total = None, torch.zeros((), device=self.photos.device)
        views = sorted(self.settings.scales, reverse=True)  # the finest grid first
        for scale in views:
            for mirrored in (False, True) if self.settings.flip else (False,):
                features = self._features(image, scale, mirrored)
                logits = F.linear((features.flatten(1).t() - self.mean) / self.std, self.weight, self.bias)
                p = logits.softmax(-1).t().view(1, -1, *features.shape[-2:])
                p = p.flip(-1) if mirrored else p
                size = size or p.shape[-2:]
                total = total + resize(p, size)
        return (total[0] / total[0].sum(0, keepdim=True)).cpu()

    @torch.no_grad()
    def _features(self, image: Tensor, scale: float, mirrored: bool = False) -> Tensor:
        """The backbone's last map with that of stride 16 beside it, F x h x w."""
        pixels = self.photos.at_test_size(image, scale)
        network = self.photos.network
        pyramid, last = network.backbone(((pixels.flip(-1) if mirrored else pixels) - network.mean) / network.std)
        finer = pyramid[-2]
        last = last if last.shape[-2:] == finer.shape[-2:] else resize(last, finer.shape[-2:])
        return torch.cat((last, finer), 1)[0]

    def _cells(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Of every photo the remembered cells: features, P x F float16, and what they may be, P x (K + 1) weights."""
        count = len(self.split.classes)
        for index in trange(len(self.dataset), desc="teacher's features", unit="photo"):
            image, labels = self.dataset.sample(index)
            given = given_masks(labels, image.shape[1:], self.split)[None, None].float()
            unlabelled = torch.zeros(count + 1)
            unlabelled[novel_labels(self.dataset, self.split, index)] = 1
            unlabelled[-1] = self.settings.eps
            features, allowed = [], []
            for scale in self.settings.scales:
                of_view = self._features(image, scale)
                cells = F.interpolate(given, of_view.shape[-2:], mode="nearest-exact").flatten().long()
                is_base = F.one_hot(cells.clamp(max=count), count + 1).float()
                allowed.append(torch.where((cells == VOID)[:, None], unlabelled, is_base))
                features.append(of_view.flatten(1).t())
            features, allowed = torch.cat(features), torch.cat(allowed)
            kept = torch.randperm(len(features))[: self.settings.kept]
            yield features[kept.to(features.device)].half().cpu(), allowed[kept]

    def tensors(self) -> dict[str, Tensor]:
        """What `load` takes."""
        return {name: getattr(self, name) for name in TENSORS}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Takes the tensors of a trained teacher of the same backbone and classes."""
        for name in TENSORS:
            setattr(self, name, tensors[name].to(self.photos.device))

    def fit(self) -> None:
        """Trains the teacher: the photos are looked at once, then a linear layer learns on the remembered cells."""
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            self._fit()

    def _fit(self) -> None:
        settings, device = self.settings, self.photos.device
        features, allowed = zip(*self._cells(), strict=True)
        drawn = torch.cat([of_photo[:50] for of_photo in features]).float()
        mean, std = drawn.mean(0).to(device), drawn.std(0).clamp(min=1e-4).to(device)
        layer = torch.nn.Linear(len(mean), len(self.split.classes) + 1).to(device)
        optimizer = torch.optim.AdamW(layer.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        for _ in (bar := trange(settings.steps, desc="teacher", unit="step")):
            chosen = torch.randint(len(features), (settings.photos,)).tolist()
            cells = [torch.randint(len(features[photo]), (settings.points,)) for photo in chosen]
            x = torch.cat([features[photo][of_photo] for photo, of_photo in zip(chosen, cells, strict=True)])
            may_be = torch.cat([allowed[photo][of_photo] for photo, of_photo in zip(chosen, cells, strict=True)])
            x = F.dropout((x.to(device).float() - mean) / std, settings.dropout)
            loss = partial_label_loss(layer(x), may_be.to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if bar.n % 100 == 0:
                bar.set_postfix_str(f"loss {loss.item():.3f}")
        self.weight, self.bias = layer.weight.detach(), layer.bias.detach()
        self.mean, self.std = mean, std


def partial_label_loss(logits: Tensor, may_be: Tensor) -> Tensor:
    """-log of the sum of weight x probability over what a pixel may be, mean over pixels.

    Args:
        logits, may_be: P x (K + 1). A base pixel has weight 1 at its class alone, which makes this cross entropy; any
            other has 1 at its photo's novel classes and eps at "none".
    """
    return -(logits.log_softmax(-1) + may_be.log()).logsumexp(-1).mean()


def pseudo_mask(p: Tensor, given: Tensor) -> Tensor:
    """Base masks as given, the most probable novel class in the rest, void where that is "none".

    Args:
        p: (K + 1) x h x w, what `PartialLabelTeacher` says of the photo.
        given: uint8, H x W, 255 outside the base masks.
    """
    likeliest = resize(p[None], given.shape)[0].argmax(0)
    labels = torch.where(likeliest == len(p) - 1, VOID, likeliest).byte()
    return torch.where(given == VOID, labels, given)
