"""Predictions that were made once are kept on disk: label maps as PNG, by weights, photo and size; bounded."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import OrderedDict
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simformer.batch.gallery import resize_labels
from simformer.compare.columns import Column
from simformer.errors import DatasetError, SimFormerError
from simformer.labels import read_label_png
from simformer.utils.files import atomic_write, make_folder
from simformer.utils.images import bounded

if TYPE_CHECKING:
    from torch import Tensor

    from simformer.inference.shared_backbone import SharedBackbones
    from simformer.predictor import Predictor

Labels = NDArray[np.uint8]

SIDE = 1024
"""Long side in pixels at which predictions are kept and compared; smaller photos are compared as they are."""

CAPACITY = 1024 * 2**20
# Networks in memory at a time.
LOADED = 16
# What is left once the folder was too full.
KEPT_SHARE = 0.9


class Predictions:
    """Label maps of models, made when they are first asked for. Several threads and processes may share a folder.

    Args:
        folder: where they are kept; one that cannot be written is replaced by one that ends with the process.
        device: of the networks; None takes CUDA where there is one.
        capacity: bytes of the folder; once it holds more, those that were used least recently go.
    """

    def __init__(self, folder: Path, device: str | None = None, capacity: int = CAPACITY):
        try:
            make_folder(folder)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except (OSError, SimFormerError):
            self._until_the_end = tempfile.TemporaryDirectory(prefix="simformer-predictions-")
            folder = Path(self._until_the_end.name)
        self.folder = folder
        self.device = device
        self.capacity = capacity
        self._loaded: OrderedDict[Path, Predictor] = OrderedDict()
        self._backbones: SharedBackbones | None = None
        self._used = sum(size for _, size, _ in self._files())
        self._lock = RLock()

    def known(self, column: Column, photo: Path) -> Labels | None:
        """What the model has predicted of a photo: uint8, H x W, at most `SIDE` a side, 255 unsure; None if nothing."""
        file = self._file(column, photo)
        try:
            labels = read_label_png(file)
            os.utime(file)  # it was used
        except (DatasetError, OSError):
            return None
        return labels

    def predict(self, column: Column, photo: Path, image: Tensor) -> Labels:
        """The same, made and kept if it is not known yet; one network runs at a time.

        Args:
            photo: the photo's file. image: its pixels, uint8 RGB, 3 x H x W.

        Raises:
            CheckpointError: the weights cannot be used.
            SimFormerError: the prediction cannot be written.
        """
        known = self.known(column, photo)
        if known is not None:
            return known
        with self._lock:
            labels = self._predictor(column).segment(image).labels
            labels = resize_labels(labels, bounded(labels.shape, SIDE))
            self._keep(self._file(column, photo), labels)
        return labels

    def _predictor(self, column: Column) -> Predictor:
        from simformer.inference.shared_backbone import SharedBackbones
        from simformer.predictor import Predictor

        if self._backbones is None:
            self._backbones = SharedBackbones()
        if column.path not in self._loaded:
            self._loaded[column.path] = Predictor.load(column.path, self.device, backbones=self._backbones)
            if len(self._loaded) > LOADED:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(column.path)
        return self._loaded[column.path]

    def _file(self, column: Column, photo: Path) -> Path:
        state = photo.stat() if photo.is_file() else None
        stamp = (str(photo.resolve()), state and state.st_size, state and state.st_mtime_ns, SIDE)
        return self.folder / column.fingerprint[:32] / f"{hashlib.sha256(repr(stamp).encode()).hexdigest()[:32]}.png"

    def _keep(self, file: Path, labels: Labels) -> None:
        make_folder(file.parent)
        with atomic_write(file) as content:
            Image.fromarray(labels).save(content, format="PNG")
            self._used += content.tell()
        if self._used > self.capacity:
            self._make_room()

    def _make_room(self) -> None:
        files = sorted(self._files(), reverse=True)
        self._used = 0
        for _, size, file in files:
            if self._used + size > KEPT_SHARE * self.capacity:
                file.unlink(missing_ok=True)
            else:
                self._used += size

    def _files(self) -> list[tuple[int, int, Path]]:
        """(time of last use, bytes, file) of each."""
        found = []
        for file in self.folder.glob("*/*.png"):
            try:
                state = file.stat()
            except OSError:  # another process has just made room
                continue
            found.append((state.st_mtime_ns, state.st_size, file))
        return found
