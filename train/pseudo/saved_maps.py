"""Maps of a data set's photos that are made once and remembered on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from simformer.datasets.folder import FolderDataset
from simformer.errors import SimFormerError
from simformer.utils.files import atomic_write, make_folder


class SavedMaps:
    """A map maker that remembers its maps on disk, those of present classes, as bytes. None where all are made."""

    def __init__(self, make: Callable[[int], Tensor] | None, dataset: FolderDataset, folder: Path):
        self.make = make
        self.dataset = dataset
        self.folder = folder
        make_folder(folder)

    def __call__(self, index: int) -> Tensor:
        """K x h x w float32, in steps of 1/255."""
        path = self.folder / f"{self.dataset.names[index]}.npz"
        if not path.is_file():
            if self.make is None:
                raise SimFormerError(f"{path} is gone: start the run again, it is made anew")
            maps = (self.make(index).clamp(0, 1) * 255).round().to(torch.uint8)
            present = maps.flatten(1).any(1).nonzero().flatten()
            with atomic_write(path) as file:
                np.savez_compressed(file, classes=present.numpy(), maps=maps[present].numpy())
        with np.load(path, allow_pickle=False) as saved:
            classes, values = saved["classes"], saved["maps"]
        result = torch.zeros(len(self.dataset.classes), *values.shape[1:])
        result[torch.from_numpy(classes)] = torch.from_numpy(values).float() / 255
        return result
