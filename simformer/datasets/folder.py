"""A data set as a folder of photos and label maps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from simformer.datasets import label_cache
from simformer.datasets.folder_files import find_photos, read_classes, read_image_labels, read_names
from simformer.errors import DatasetError, ImageError
from simformer.labels import VOID, read_label_png, value_counts
from simformer.utils.apart import load_apart

DEFAULT_LIST = "val.txt"


class FolderDataset:
    """Photos, label maps and image-level labels under one folder.

    ::

        images/NAME.jpg (or .jpeg, .png, .bmp)   photos
        labels/NAME.png                    8-bit class indices, 255 = void, of the photo's size
        classes.txt                        one class name a line; the line number is the index
        train.txt, val.txt                 names without extension, one a line
        image_labels.csv                   optional, columns photo,class: classes a photo shows,
                                           with or without pixels of theirs in its label map

    A photo may lack its label map only if image_labels.csv names its classes.

    Attributes:
        root: the folder.
        classes: the K class names.
        names: names of the photos, in the order of the list file.
        unmasked: indices of photos whose masks are withheld: image-level labels alone tell their classes. None here.
    """

    unmasked: frozenset[int] = frozenset()

    def __init__(
        self,
        root: str | Path,
        list_file: str | None = "train.txt",
        *,
        names: Sequence[str] | None = None,
        cache: bool = False,
        label_folder: str | Path | None = None,
    ):
        """Find the files; photos and label maps are decoded when asked for.

        Args:
            root: the folder.
            list_file: which photos, "train.txt" or "val.txt" for example; None for all, sorted by name.
            names: of the photos, in place of a list file.
            cache: decode everything now and keep it in memory (4 bytes a pixel), so that worker processes
                forked later share it.
            label_folder: where the label maps are, if not in ROOT/labels.

        Raises:
            DatasetError: a file is missing, empty or contradicts another; the sentence names it.
        """
        self.root = Path(root)
        if not self.root.is_dir():
            raise DatasetError(f"there is no data set folder {self.root}")
        self._label_folder = Path(label_folder) if label_folder else self.root / "labels"
        self.classes = read_classes(self.root)
        self._photos = find_photos(self.root)
        if names is not None:
            self.names = list(names)
        else:
            self.names = sorted(self._photos) if list_file is None else read_names(self.root, list_file, self._photos)
        self._listed_labels = read_image_labels(self.root, self.classes, self._photos)
        if not self.names:
            raise DatasetError(f"{self.root / (list_file or 'images')} names no photo")
        for name in self.names:
            if name not in self._listed_labels and not self._label_path(name).is_file():
                raise DatasetError(
                    f"{self._photos[name]} has neither a label map {self._label_path(name)} "
                    f"nor a class in {self.root / 'image_labels.csv'}"
                )
        self._image_labels: dict[int, tuple[int, ...]] = {}
        self._cache: list[tuple[Tensor, Tensor | None]] | None = None
        if cache:
            self._cache = list(_in_threads(self.sample, range(len(self))))

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> Tensor:
        """The photo: uint8 RGB, 3 x H x W. Raises DatasetError if it cannot be decoded."""
        if self._cache is not None:
            return self._cache[index][0]
        try:
            photo = load_apart(self.photo_file(index))
        except ImageError as error:
            raise DatasetError(str(error)) from error
        return torch.from_numpy(np.array(photo)).permute(2, 0, 1).contiguous()

    def label_map(self, index: int) -> Tensor | None:
        """The label map: uint8 class indices, 255 void, H x W; None if the photo has only image-level labels.

        Raises:
            DatasetError: it cannot be decoded, is not 8-bit, or holds a value neither a class nor 255.
        """
        if self._cache is not None:
            return self._cache[index][1]
        if not self.has_label_map(index):
            return None
        path = self.label_file(index)
        labels = torch.from_numpy(read_label_png(path))
        for value in _values(labels):
            if value != VOID and value >= len(self.classes):
                raise DatasetError(
                    f"{path} holds the value {value}, but there are {len(self.classes)} classes "
                    f"(0 to {len(self.classes) - 1}, 255 for void)"
                )
        return labels

    def photo_file(self, index: int) -> Path:
        """The photo's file."""
        return self._photos[self.names[index]]

    def label_file(self, index: int) -> Path:
        """Where the photo's label map is, or would be."""
        return self._label_path(self.names[index])

    def has_label_map(self, index: int) -> bool:
        """Whether the photo has a label map, or only image-level labels."""
        return self.label_file(index).is_file()

    def sample(self, index: int) -> tuple[Tensor, Tensor | None]:
        """Photo and label map, as `image` and `label_map`. Raises DatasetError if their sizes differ."""
        image, labels = self.image(index), self.label_map(index)
        if labels is not None and image.shape[1:] != labels.shape:
            name = self.names[index]
            raise DatasetError(
                f"{self._label_path(name)} is {labels.shape[1]} x {labels.shape[0]} pixels, "
                f"but {self._photos[name]} is {image.shape[2]} x {image.shape[1]}"
            )
        return image, labels

    def image_labels(self, index: int) -> tuple[int, ...]:
        """Indices of the classes the photo shows, ascending: those of image_labels.csv and the label map."""
        if index not in self._image_labels:
            labels = self.label_map(index)
            self._remember(index, _values(labels))
        return self._image_labels[index]

    def labels_without_masks(self, index: int, novel: Iterable[int]) -> list[int]:
        """Classes of the photo known from its image-level labels alone, ascending: novel ones, all if unmasked."""
        labels = self.image_labels(index)
        return list(labels) if index in self.unmasked else sorted(set(labels) & set(novel))

    def all_image_labels(self) -> list[tuple[int, ...]]:
        """`image_labels` of every photo; label maps are read in threads.

        What the label maps of a large data set show is kept in the folder, in `.image_labels.npz`, and read from there
        as long as they do not change.
        """
        unknown = [i for i in range(len(self)) if i not in self._image_labels]
        if len(unknown) >= label_cache.WORTH_KEEPING and self._cache is None:
            self._recall([i for i in unknown if self.has_label_map(i)])
        else:
            list(_in_threads(self.image_labels, unknown))
        return [self.image_labels(i) for i in range(len(self))]

    def _recall(self, indices: list[int]) -> None:
        """Fills in the image-level labels of photos with label maps, from the folder's file as far as it goes."""
        known = label_cache.read_cache(self._label_folder.parent)
        stamps = {index: label_cache.stamp(self.label_file(index)) for index in indices}
        unread = []
        for index in indices:
            then, values = known.get(self.names[index], (None, ()))
            # A value without a class is an error, which only the label map's reader can tell.
            if then == stamps[index] and max(set(values) - {VOID}, default=0) < len(self.classes):
                self._remember(index, values)
            else:
                unread.append(index)
        for index, values in zip(unread, _in_threads(lambda i: _values(self.label_map(i)), unread), strict=True):
            self._remember(index, values)
            known[self.names[index]] = (stamps[index], tuple(values))
        if unread:
            label_cache.write_cache(self._label_folder.parent, known)

    def _remember(self, index: int, values: Iterable[int]) -> None:
        listed = self._listed_labels.get(self.names[index], set())
        self._image_labels[index] = tuple(sorted({*values, *listed} - {VOID}))

    @cached_property
    def labels_digest(self) -> str:
        """SHA-256, in hex, of the photos' names with their label maps and image-level labels; read once."""
        digest = hashlib.sha256()
        for index, (name, classes) in enumerate(zip(self.names, self.all_image_labels(), strict=True)):
            labels = self._label_bytes(index)
            digest.update(json.dumps([name, classes, len(labels)]).encode() + labels)
        return digest.hexdigest()

    def _label_bytes(self, index: int) -> bytes:
        return self.label_file(index).read_bytes() if self.has_label_map(index) else b""

    def check(self) -> None:
        """Read every photo and label map. Raises DatasetError that names the first bad file."""
        for _ in _in_threads(lambda index: self.sample(index) and None, range(len(self))):
            pass

    def _label_path(self, name: str) -> Path:
        return self._label_folder / f"{name}.png"


def evaluation_list(root: str | Path) -> str | None:
    """The list of photos to look at where nobody names one: val.txt, or None, which takes all, where it is missing."""
    return DEFAULT_LIST if (Path(root) / DEFAULT_LIST).is_file() else None


def _values(labels: Tensor | None) -> list[int]:
    """The values that a label map holds, ascending; none without one."""
    if labels is None:
        return []
    return np.flatnonzero(value_counts(labels.numpy())).tolist()


def _in_threads(function, indices: Iterable[int]):
    # Pillow decodes outside Python's lock. The result is an iterator in order; the first error is raised.
    with ThreadPoolExecutor() as pool:
        yield from pool.map(function, indices)
