"""The partial-label teacher of a run: made once, remembered in the run's folder, asked about every training photo."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from tqdm import trange

from simformer.cam import CamConfig, CamNetwork
from simformer.datasets.folder import FolderDataset
from simformer.splits import Split
from simformer.utils.files import atomic_write, make_folder
from train.config import TrainConfig
from train.pseudo.partial_labels import PartialLabelTeacher
from train.pseudo.saved_maps import SavedMaps
from train.settings import NetworkSettings

FILE = "teacher.safetensors"


def open_teacher(config: TrainConfig, dataset: FolderDataset, split: Split) -> PartialLabelTeacher:
    """The teacher of these settings and training photos, from the run's folder if it is there, else trained and kept.

    Raises:
        ConfigError: the backbone cannot be made. SimFormerError: the folder cannot be written.
    """
    teacher = PartialLabelTeacher(
        imagenet_features(config, split),
        dataset,
        split,
        image_size=config.image_size,
        settings=config.partial_labels,
        seed=config.seed,
    )
    origin = json.dumps(teacher_origin(config, dataset, split))
    path = config.out / FILE
    tensors = read_tensors(path, origin)
    if tensors is None:
        teacher.fit()
        make_folder(config.out)
        with atomic_write(path) as file:
            file.write(save({name: tensor.cpu() for name, tensor in teacher.tensors().items()}, {"origin": origin}))
    else:
        teacher.load(tensors)
    return teacher


def open_maps(config: TrainConfig, teacher: PartialLabelTeacher) -> TeacherMaps:
    """The teacher's maps of its photos, in a folder of the run that no other teacher's maps share."""
    origin = json.dumps(teacher_origin(config, teacher.dataset, teacher.split))
    return TeacherMaps(teacher, config.out / f"teacher_maps_{hashlib.sha256(origin.encode()).hexdigest()[:12]}")


def uses_teacher(config: TrainConfig) -> bool:
    """Whether a run has a partial-label teacher, for pseudo masks or in SimNet's place."""
    return config.has_weak and "partial_labels" in (config.pseudo_kind, config.distill_from)


def imagenet_features(config: NetworkSettings, split: Split) -> CamNetwork:
    """The run's backbone with the weights of ImageNet, which no mask has touched; nobody asks the classifier's head."""
    chosen = {name: config.model[name] for name in ("backbone", "output_stride") if name in config.model}
    network = CamNetwork(CamConfig(num_classes=len(split.classes), **chosen))
    return network.to("cuda" if torch.cuda.is_available() else "cpu")


def teacher_origin(config: TrainConfig, dataset: FolderDataset, split: Split) -> dict:
    """What a teacher depends on."""
    return {
        "settings": config.partial_labels.model_dump(mode="json"),
        "novel": list(split.novel),
        "seed": config.seed,
        "image_size": config.image_size,
        "backbone": {name: config.model.get(name) for name in ("backbone", "output_stride")},
        "labels": dataset.labels_digest,
    }


def read_tensors(path: Path, origin: str) -> dict[str, Tensor] | None:
    """The teacher's tensors; None if the file is missing, damaged, or of another teacher."""
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("origin") != origin:
                return None
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return None


class TeacherMaps:
    """What the teacher says of the training photos, remembered on disk as bytes; asked once about each photo, now.

    Args:
        folder: the maps' files; those of another teacher are not to be there.
    """

    def __init__(self, teacher: PartialLabelTeacher, folder: Path):
        maps = SavedMaps(lambda index: teacher(index)[:-1], teacher.dataset, folder)
        for index in trange(len(teacher.dataset), desc="teacher's maps", unit="photo"):
            maps(index)
        # From here on they are only read, by processes that load photos as well.
        self._maps = SavedMaps(None, teacher.dataset, folder)
        split = teacher.split
        self._asked = list(range(len(split.classes)) if teacher.dataset.unmasked else split.novel)

    def __call__(self, index: int) -> Tensor:
        """Probabilities of the split's novel classes, float32 (novel classes) x h x w; the rest to 1 is "none".

        Of all classes where some photos are unmasked.
        """
        return self._maps(index)[self._asked]

    def with_none(self, index: int) -> Tensor:
        """Of all classes, 0 for base ones, and "none" as the last: (K + 1) x h x w, sum 1."""
        maps = self._maps(index)
        return torch.cat((maps, (1 - maps.sum(0, keepdim=True)).clamp(min=0)))
