from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("detectron2", reason="Detectron2 is not installed")

from detectron2.data import DatasetCatalog, MetadataCatalog, build_detection_test_loader
from detectron2.evaluation import SemSegEvaluator, inference_on_dataset

from simformer.checkpoint import build_network
from simformer.datasets.folder import FolderDataset
from simformer.errors import DatasetError
from simformer.evaluation import evaluate
from simformer.inference.engines import speed_up
from simformer.inference.shared_backbone import SharedBackbones
from simformer.interop.detectron2 import Detectron2Network, find_records, read_record, register, register_splits
from simformer.predictor import Predictor
from simformer.splits import custom_split, load_split
from simformer.weights import Inference


@pytest.fixture
def data(tmp_path):
    """Five photos of several sizes with label maps that hold void; a sixth without a label map."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    sizes = [(40, 60), (61, 33), (64, 64), (90, 50), (17, 70)]
    for number, (height, width) in enumerate(sizes):
        photo = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(photo).save(tmp_path / "images" / f"{number}.png")
        labels = np.kron(rng.choice([0, 1, 2, 255], (9, 9)), np.ones((10, 10)))[:height, :width]
        Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "labels" / f"{number}.png")
    Image.fromarray(photo).save(tmp_path / "images" / "unlabelled.png")
    (tmp_path / "classes.txt").write_text("sky\ngrass\ncat\n")
    (tmp_path / "val.txt").write_text("".join(f"{number}\n" for number in range(len(sizes))))
    return tmp_path


@pytest.fixture
def make_predictor(make_card):
    def make(exact: bool) -> Predictor:
        torch.manual_seed(3)
        network = build_network(make_card()).eval()
        with torch.no_grad():  # masks and classes that differ from place to place
            network.class_head.weight *= 20
            network.mask_head[-1].weight *= 20
        speed_up(network, SharedBackbones())
        return Predictor(network, make_card(), "tiny", inference=Inference(exact=exact))

    return make


@pytest.mark.parametrize("exact", [False, True])
def test_same_miou_as_the_projects_own(data, make_predictor, exact):
    predictor = make_predictor(exact)
    split = custom_split(("sky", "grass", "cat"), ["cat"])
    register("tiny_val", data / "images", data / "labels", split)
    loader = build_detection_test_loader(DatasetCatalog.get("tiny_val"), mapper=read_record, num_workers=0)
    theirs = inference_on_dataset(
        Detectron2Network(predictor), loader, SemSegEvaluator("tiny_val", distributed=False, output_dir=None)
    )["sem_seg"]
    ours, _ = evaluate(
        lambda image: predictor.segment(image.permute(1, 2, 0).numpy()).labels, FolderDataset(data, "val.txt"), [2]
    )
    assert ours.images == 5 and 1 < ours.miou < 99
    assert theirs["mIoU"] == pytest.approx(ours.miou, abs=1e-6)
    for name, value in zip(split.classes, ours.per_class, strict=True):
        assert theirs[f"IoU-{name}"] == pytest.approx(value, abs=1e-6)


def test_released_names_and_metadata(tmp_path):
    names = register_splits(tmp_path / "elsewhere")
    assert register_splits(tmp_path) == names  # once more, with another root
    assert len(names) == 2 * (9 + 4)
    assert {"coco_stuff_split1_train", "coco_stuff_split9_val", "ADE_split1_train", "ADE_split4_val"} <= set(names)
    meta, split = MetadataCatalog.get("coco_stuff_split2_val"), load_split("coco_stuff_10k", "s2")
    assert meta.ignore_label == 255 and meta.stuff_classes == list(split.classes) and len(split.classes) == 171
    assert meta.novel_classes == [split.classes[index] for index in split.novel]
    assert len(meta.base_classes) + len(meta.novel_classes) == 171
    assert meta.image_root == str(tmp_path / "coco/coco_stuff_10k/images_detectron2/test")
    ade = MetadataCatalog.get("ADE_split3_train")
    assert len(ade.stuff_classes) == 150
    assert ade.sem_seg_root == str(tmp_path / "ADEChallengeData2016/annotations_detectron2/training")


def test_records_are_photos_with_label_maps(data):
    records = find_records(data / "images", data / "labels")
    assert [record["file_name"].rsplit("/", 1)[1] for record in records] == [f"{number}.png" for number in range(5)]
    with pytest.raises(DatasetError, match=r"no folder .*none"):
        find_records(data / "none", data / "labels")
    (data / "empty").mkdir()
    with pytest.raises(DatasetError, match="no photo in"):
        find_records(data / "empty", data / "labels")


def test_channels_and_other_sizes(data, make_predictor):
    record = read_record(find_records(data / "images", data / "labels")[0])
    assert record["image"].shape == (3, 40, 60) and record["image"].dtype == torch.uint8
    rgb, bgr = Detectron2Network(make_predictor(False)), Detectron2Network(make_predictor(False), "BGR")
    [expected] = rgb([record])
    [same] = bgr([{**record, "image": record["image"].flip(0)}])
    assert torch.equal(expected["sem_seg"], same["sem_seg"]) and expected["sem_seg"].shape == (3, 40, 60)
    [resized] = rgb([{**record, "height": 80, "width": 121}])
    assert resized["sem_seg"].shape == (3, 80, 121)
