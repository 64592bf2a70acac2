"""What segmenting one photo gives: a label map at the photo's own size, and the score maps it comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from simformer.inference.resampling import labels_from_scores, upsampled_tiles
from simformer.labels import VOID, palette_image
from simformer.splits import class_index


@dataclass(frozen=True)
class Queries:
    """The network's proposals for one photo (paper, figure on the two sub-tasks).

    Attributes:
        class_scores: float32, N x K, softmax over K classes and "no object", of which the latter is left out.
        masks: float32, N x h x w, sigmoid of the mask logits, 0 to 1.
    """

    class_scores: NDArray[np.float32]
    masks: NDArray[np.float32]


@dataclass(frozen=True)
class ClassRow:
    """One class found in a photo.

    Attributes:
        index: class index, the value in the label map.
        name: class name.
        role: "base" or "novel".
        area: share of the photo's pixels, 0 to 1.
        score: the class's mean score over its pixels.
    """

    index: int
    name: str
    role: str
    area: float
    score: float


@dataclass(frozen=True)
class Segmentation:
    """A segmented photo.

    Attributes:
        labels: uint8, H x W at the photo's own size; class index, or 255 where unsure.
        score_maps: float32, K x h x w at the network's resolution, not negative.
        classes: K class names; the index in `labels` counts in this order.
        roles: "base" or "novel" for each class.
        model: name of the model.
        queries: the network's proposals, None for networks that have none (CAM).
    """

    labels: NDArray[np.uint8]
    score_maps: NDArray[np.float32]
    classes: tuple[str, ...]
    roles: tuple[str, ...]
    model: str
    queries: Queries | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the photo in pixels."""
        height, width = self.labels.shape
        return height, width

    @property
    def unsure(self) -> float:
        """Share of the photo's pixels without a class, 0 to 1."""
        return float(np.mean(self.labels == VOID))

    def label_image(self) -> Image.Image:
        """Palette image (mode "P") whose pixel values are the label map; 255 is drawn in a light gray."""
        return palette_image(self.labels, self.classes)

    def table(self) -> list[ClassRow]:
        """The classes found, largest area first (equal areas in class order)."""
        sums, counts = np.zeros(len(self.classes)), np.zeros(len(self.classes), dtype=np.int64)
        for place, scores in upsampled_tiles(torch.from_numpy(self.score_maps), self.size):
            labels = torch.from_numpy(self.labels[place].astype(np.int64))
            sure = labels != VOID
            own_scores = scores.gather(0, labels.where(sure, 0)[None])[0]
            indices = labels[sure].numpy()
            sums += np.bincount(indices, weights=own_scores[sure].double().numpy(), minlength=len(sums))
            counts += np.bincount(indices, minlength=len(counts))
        found = sorted(np.flatnonzero(counts).tolist(), key=lambda index: -counts[index])
        return [
            ClassRow(
                index=index,
                name=self.classes[index],
                role=self.roles[index],
                area=float(counts[index] / self.labels.size),
                score=float(sums[index] / counts[index]),
            )
            for index in found
        ]

    def with_threshold(self, threshold: float) -> Segmentation:
        """The same segmentation with every pixel whose best score is below `threshold` unsure (255).

        It starts from the score maps, so a lower threshold brings pixels back.
        """
        return replace(self, labels=labels_from_scores(self.score_maps, self.size, threshold))

    def least_certain(self, share: float) -> float:
        """The threshold below which that share (0 to 1) of the photo's pixels lies, those of the lowest best score."""
        if not share:
            return 0.0
        tiles = upsampled_tiles(torch.from_numpy(self.score_maps), self.size)
        return float(np.quantile(np.concatenate([scores.amax(0).numpy().ravel() for _, scores in tiles]), share))

    def score_map(self, name: str) -> NDArray[np.float32]:
        """float32, H x W: the score of one class at the photo's own size.

        Raises:
            UnknownClassError: the model does not know the class.
        """
        channel = torch.from_numpy(self.score_maps[class_index(self.classes, name)])
        resized = F.interpolate(channel[None, None], size=self.size, mode="bilinear", align_corners=False)
        return resized[0, 0].numpy()
