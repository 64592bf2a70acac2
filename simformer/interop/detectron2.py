"""Detectron2 scores this project's networks: its data set catalog, `inference_on_dataset` and `SemSegEvaluator`.

Detectron2 is optional and installed from its own source::

    from detectron2.data import build_detection_test_loader, DatasetCatalog
    from detectron2.evaluation import SemSegEvaluator, inference_on_dataset

    register_splits("datasets")
    name = "coco_stuff_split1_val"
    loader = build_detection_test_loader(DatasetCatalog.get(name), mapper=read_record)
    network = Detectron2Network(Predictor.load("weights.safetensors", exact=True))
    print(inference_on_dataset(network, loader, SemSegEvaluator(name, output_dir="out")))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simformer.batch.find import photo_suffixes
from simformer.errors import ConfigError, DatasetError
from simformer.labels import VOID
from simformer.predictor import Predictor
from simformer.splits import ALL_BASE, Split, load_split, split_names
from simformer.utils.images import load_image

try:
    from detectron2.data import DatasetCatalog, MetadataCatalog  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise ConfigError(f"the bridge needs Detectron2, which cannot be imported: {error}") from error


@dataclass(frozen=True)
class Layout:
    """Where a data set lies under Detectron2's root.

    Attributes:
        dataset: its name in `simformer.splits`.
        folder: under the root.
        parts: "train", "val" -> folders of photos and of label maps, under `folder`.
    """

    dataset: str
    folder: str
    parts: dict[str, tuple[str, str]]


# By the prefix of the names that the paper's released code registers, such as ADE_split1_val.
LAYOUTS = {
    "coco_stuff": Layout(
        "coco_stuff_10k",
        "coco/coco_stuff_10k",
        {
            "train": ("images_detectron2/train", "annotations_detectron2/train"),
            "val": ("images_detectron2/test", "annotations_detectron2/test"),
        },
    ),
    "ADE": Layout(
        "ade20k",
        "ADEChallengeData2016",
        {
            "train": ("images/training", "annotations_detectron2/training"),
            "val": ("images/validation", "annotations_detectron2/validation"),
        },
    ),
}


def register_splits(root: str | Path) -> list[str]:
    """Register every split of COCO-Stuff-10K and ADE20K, {coco_stuff,ADE}_split{n}_{train,val}; returns the names.

    Files are looked for when a data set is asked for. Names that are registered already are registered anew.

    Args:
        root: Detectron2's folder of data sets ($DETECTRON2_DATASETS).
    """
    registered = []
    for prefix, layout in LAYOUTS.items():
        for split_name in split_names(layout.dataset):
            if split_name == ALL_BASE:
                continue
            split = load_split(layout.dataset, split_name)
            for part, (photos, label_maps) in layout.parts.items():
                folder = Path(root) / layout.folder
                name = f"{prefix}_split{split_name.removeprefix('s')}_{part}"
                register(name, folder / photos, folder / label_maps, split)
                registered.append(name)
    return registered


def register(name: str, photos: Path, label_maps: Path, split: Split) -> None:
    """Register one folder of photos and one of label maps (PNG, class indices, 255 void) under a name."""
    for catalog in (DatasetCatalog, MetadataCatalog):
        if name in catalog.list():
            catalog.remove(name)
    DatasetCatalog.register(name, lambda: find_records(photos, label_maps))
    MetadataCatalog.get(name).set(
        image_root=str(photos),
        sem_seg_root=str(label_maps),
        evaluator_type="sem_seg",
        ignore_label=VOID,
        stuff_classes=list(split.classes),
        base_classes=[split.classes[index] for index in split.base],
        novel_classes=[split.classes[index] for index in split.novel],
    )


def find_records(photos: Path, label_maps: Path) -> list[dict[str, Any]]:
    """Detectron2's records (file_name, sem_seg_file_name) of the photos that have a label map, by name.

    Raises:
        DatasetError: a folder is missing, or no photo has a label map.
    """
    for folder in (photos, label_maps):
        if not folder.is_dir():
            raise DatasetError(f"there is no folder {folder}")
    suffixes = photo_suffixes()
    records = []
    for photo in sorted(photos.iterdir()):
        labels = label_maps / f"{photo.stem}.png"
        if photo.suffix.lower() in suffixes and labels.is_file():
            records.append({"file_name": str(photo), "sem_seg_file_name": str(labels)})
    if not records:
        raise DatasetError(f"no photo in {photos} has a label map in {label_maps}")
    return records


def read_record(record: dict[str, Any]) -> dict[str, Any]:
    """Mapper of a test loader: adds "image" (uint8, 3 x H x W, RGB, at the photo's own size), "height" and "width".

    Detectron2's own mapper resizes the photo before the predictor does; with this one it is resized once.
    """
    photo = np.array(load_image(record["file_name"]), dtype=np.uint8)
    height, width = photo.shape[:2]
    return {**record, "image": torch.from_numpy(photo).permute(2, 0, 1), "height": height, "width": width}


class Detectron2Network(nn.Module):
    """A predictor as Detectron2 calls a model.

    Args:
        predictor: any, exact or not.
        image_format: order of the channels of the images that come in; Detectron2's own mapper gives BGR by default.
    """

    def __init__(self, predictor: Predictor, image_format: Literal["RGB", "BGR"] = "RGB") -> None:
        super().__init__()
        self.predictor = predictor
        self.network = predictor.network
        self.image_format = image_format
        # Detectron2 puts a model back into the mode it came in, and the predictor goes on using the network.
        self.eval()

    def forward(self, inputs: Sequence[dict[str, Any]]) -> list[dict[str, Tensor]]:
        """Records with "image" (3 x H' x W', 0 to 255), "height" and "width" -> "sem_seg", K x height x width each."""
        return [{"sem_seg": self._score_maps(record)} for record in inputs]

    def _score_maps(self, record: dict[str, Any]) -> Tensor:
        image = record["image"] if self.image_format == "RGB" else record["image"].flip(0)
        maps = self.predictor.full_score_maps(image.to(torch.uint8))
        size = (record["height"], record["width"])
        if maps.shape[1:] == size:
            return maps
        return F.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]
