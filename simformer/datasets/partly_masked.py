"""A data set of which not all masks are given, or not as they are: how much mask is enough?"""

from __future__ import annotations

from collections.abc import Callable, Collection

from torch import Tensor

from simformer.datasets.folder import FolderDataset


class PartlyMasked(FolderDataset):
    """The photos of another data set, some of them without label map; their image-level labels stay.

    Nothing that reads this data set can read a mask that is withheld.

    Args:
        photos: the data set. What it decoded and found is shared.
        unmasked: indices of the photos whose label maps are withheld.
        redrawn: label map -> label map (uint8, H x W), of the others; None: as they are.
        cache: redraw all now and keep them in memory, 1 byte a pixel; otherwise whenever one is asked for.
    """

    def __init__(
        self,
        photos: FolderDataset,
        unmasked: Collection[int],
        redrawn: Callable[[Tensor], Tensor] | None = None,
        *,
        cache: bool = False,
    ):
        photos.all_image_labels()  # read from the whole label maps, and remembered
        vars(self).update({name: value for name, value in vars(photos).items() if name != "labels_digest"})
        self.unmasked = frozenset(unmasked)
        self._redrawn = redrawn
        self._kept: dict[int, Tensor | None] = {}
        if cache and redrawn is not None:
            self._kept = {index: self.label_map(index) for index in range(len(self))}

    def has_label_map(self, index: int) -> bool:
        """Whether the photo has a label map that is given."""
        return index not in self.unmasked and super().has_label_map(index)

    def label_map(self, index: int) -> Tensor | None:
        """The label map as it is given; None if it is withheld, or there is none."""
        if index in self.unmasked:
            return None
        if index in self._kept:
            return self._kept[index]
        labels = super().label_map(index)
        return labels if labels is None or self._redrawn is None else self._redrawn(labels)

    def _label_bytes(self, index: int) -> bytes:
        labels = self.label_map(index) if self._redrawn is not None else None
        return super()._label_bytes(index) if labels is None else labels.numpy().tobytes()
