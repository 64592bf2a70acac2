"""Which masks a training gets: those of a share of its photos, or coarse ones.

How much mask is enough? A photo without masks has image-level labels alone, of base classes as of novel ones. Coarse
masks stand for fast annotation: `coarse_masks` says how they are drawn.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from simformer.datasets.folder import FolderDataset
from simformer.datasets.partly_masked import PartlyMasked
from simformer.datasets.weakshot import base_only
from simformer.errors import ConfigError
from simformer.export.components import components
from simformer.export.polygons import polygon_of
from simformer.labels import VOID
from simformer.splits import Split
from simformer.utils.regions import EIGHT_NEIGHBOURS, number_regions
from train.config import TrainConfig


def given_photos(config: TrainConfig, photos: FolderDataset, split: Split) -> FolderDataset:
    """The training photos with the masks that a run is given: `photos` themselves where that is all of them.

    Raises:
        ConfigError: nothing of it is left to train on.
    """
    if config.method == "cam" or not (config.partly_masked or config.mask_corners):
        return photos
    masked = masked_photos(photos, split, config.mask_share, config.seed)
    unmasked = set(showing_base(photos, split)) - set(masked)
    if config.unmasked == "left_out":
        names = [name for index, name in enumerate(photos.names) if index not in unmasked]
        photos, unmasked = FolderDataset(config.data, names=names, cache=config.cache), set()
    redrawn = partial(coarse_masks, split=split, corners=config.mask_corners) if config.mask_corners else None
    return PartlyMasked(photos, unmasked, redrawn, cache=config.cache)


def showing_base(photos: FolderDataset, split: Split) -> list[int]:
    """Indices of the photos that show a base class: those that masks can be drawn in."""
    return [index for index, labels in enumerate(photos.all_image_labels()) if set(labels) & set(split.base)]


def masked_photos(photos: FolderDataset, split: Split, share: float, seed: int) -> list[int]:
    """The photos whose masks are given: `share` (0 to 1) of those that show a base class, at least one; ascending.

    Drawn by `seed`, so that a smaller share is among a larger one, and other roles draw much the same photos. As far as
    their number allows it every base class is shown by one of them: the first are drawn for the classes that have none
    yet, rarest class first.

    Raises:
        ConfigError: no photo shows a base class.
    """
    shown = [set(labels) & set(split.base) for labels in photos.all_image_labels()]
    drawn = [index for index in np.random.default_rng(seed).permutation(len(shown)).tolist() if shown[index]]
    if not drawn:
        raise ConfigError(f"no photo of {photos.root} shows a base class: there are no masks to take a share of")
    holders = {c: [index for index in drawn if c in shown[index]] for c in split.base}
    first: list[int] = []
    for c in sorted(holders, key=lambda c: len(holders[c])):
        if holders[c] and not set(first) & set(holders[c]):
            first.append(holders[c][0])
    order = first + [index for index in drawn if index not in set(first)]
    return sorted(order[: max(1, round(share * len(order)))])


def coarse_masks(labels: Tensor, split: Split, corners: int) -> Tensor:
    """Base masks of a photo as polygons of few corners; 255 outside them (uint8, H x W).

    Every 4-connected region of a base class becomes the polygon of its outline (`polygon_of`) without the polygons of
    its holes. Larger ones are painted first. A region that is too small for a polygon is void, one of novel classes is
    not seen.

    Args:
        labels: uint8, H x W.
        corners: most corners of a polygon, at least 3.
    """
    given = base_only(labels, split).numpy()
    coarse = np.full_like(given, VOID)
    regions = []
    for component in components(given):
        filled = ndimage.binary_fill_holes(component.mask)
        assert filled is not None  # scipy gives None only where it is told where to write
        regions.append((int(filled.sum()), component, filled))
    for _, component, filled in sorted(regions, key=lambda region: -region[0]):
        drawn = painted(filled, corners)
        holes = number_regions(filled & ~component.mask, EIGHT_NEIGHBOURS)
        for number in range(1, holes.max(initial=0) + 1):
            drawn &= ~painted(holes == number, corners)
        height, width = drawn.shape
        box = coarse[component.top : component.top + height, component.left : component.left + width]
        box[drawn] = component.label
    return torch.from_numpy(coarse)


def painted(region: NDArray[np.bool_], corners: int) -> NDArray[np.bool_]:
    """The pixels whose middle is inside a region's polygon, h x w as the region; none where it has none."""
    from skimage.draw import polygon2mask

    outline = polygon_of(region, corners)
    # skimage counts rows and columns from the middle of the first pixel.
    return np.zeros_like(region) if outline is None else polygon2mask(region.shape, outline[:, ::-1] - 0.5)
