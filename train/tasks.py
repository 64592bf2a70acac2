"""What one training step computes: a network with its losses, called with a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from simformer.cam import CamConfig, CamNetwork, multilabel_loss
from simformer.criterion import AcrossWorkers, Criterion, no_reduce
from simformer.datasets.weakshot import WeakShotBatch
from simformer.errors import ConfigError
from simformer.labels import VOID
from simformer.model import ModelConfig, SimFormer
from simformer.results import NAME_OF_TRAINING, Training
from simformer.similarity import PixelSimilarity, shrink_labels
from simformer.splits import Split
from simformer.utils.validation import first_problem
from simformer.weights import Card, Inference, find_weights, read_card
from train.config import DATA_ID, TrainConfig, published_settings
from train.runtime.precision import cpu_matmul_precision
from train.settings import NetworkSettings

Sizes = TypeVar("Sizes", ModelConfig, CamConfig)


class SegmentationTask(nn.Module):
    """SimFormer, Self-Pair, Basic Model, FullyOracle: the weak-shot losses of a batch (paper, section 3).

    Attributes:
        network: what is shipped. similarity: SimNet and its losses, None without pairs.
    """

    kind: Literal["simformer"] = "simformer"
    novel_classes: Tensor

    def __init__(self, config: TrainConfig, split: Split):
        super().__init__()
        # Classes that some photo shows without a mask.
        weak = tuple(range(len(split.classes))) if config.has_labels_alone else split.novel
        self.network = SimFormer(options(ModelConfig, config, split), pretrained=config.init is None)
        self.all_masked = bool(config.pseudo) or not weak
        self.criterion = Criterion(len(split.classes), 0.0 if self.all_masked else config.complementary_weight)
        self.loss_resolution = config.loss_resolution
        self.similarity = None
        # Where all classes have masks there is nothing to transfer to: FullyOracle is the plain network.
        if config.pairing != "none" and weak:
            self.similarity = PixelSimilarity(
                self.network.config.width,
                novel_classes=weak,
                distillation_weight=config.distillation_weight,
                points=config.points,
                hidden=config.simnet_width,
                distillation=config.distillation,
                simnet=config.distill_from == "simnet",
                statistics=config.simnet_statistics,
                student=config.student_pairs,
                padding=config.distill_padding,
                pairs=max(1, config.batch // 2),
            )
        self.register_buffer("novel_classes", torch.tensor(split.novel, dtype=torch.int64), persistent=False)

    def forward(self, batch: WeakShotBatch, across_workers: AcrossWorkers = no_reduce) -> dict[str, Tensor]:
        """Weighted losses of one batch."""
        with cpu_matmul_precision("no"):  # precision.py says why
            output = self.network(batch.images)
        # Matching and mask losses sum over thousands of pixels: full precision whatever the network ran in.
        with torch.autocast(batch.images.device.type, enabled=False):
            targets = batch.targets
            if self.loss_resolution != "image":
                centers = self.loss_resolution == "prediction_centers"
                size = output.mask_logits.shape[-2:]
                labels, padding = shrink_labels(targets.labels, targets.padding, size, centers)
                targets = replace(targets, labels=labels, padding=padding)
            to_match = to_compare = targets
            if self.all_masked:
                # Where every class has masks, none is to be matched by its label alone.
                to_match = replace(targets, novel=[novel[:0] for novel in targets.novel])
                # Pseudo masks are no truth to learn similarity from.
                is_pseudo = torch.isin(targets.labels, self.novel_classes)
                if targets.unmasked is not None:
                    is_pseudo |= targets.unmasked[:, None, None]
                to_compare = replace(targets, labels=targets.labels.masked_fill(is_pseudo, VOID))
            with cpu_matmul_precision("no"):
                losses = self.criterion(output, to_match, across_workers)
            if self.similarity is not None:
                losses |= self.similarity(output, to_compare, across_workers)
        return losses


class ClassificationTask(nn.Module):
    """CAM's classifier: image-level labels of all classes, no mask of any."""

    kind: Literal["cam"] = "cam"

    def __init__(self, config: TrainConfig, split: Split):
        super().__init__()
        self.network = CamNetwork(options(CamConfig, config, split), pretrained=config.init is None)

    def forward(self, batch: WeakShotBatch, across_workers: AcrossWorkers = no_reduce) -> dict[str, Tensor]:
        """The multi-label loss of one batch."""
        with cpu_matmul_precision("no"):  # precision.py says why
            logits = self.network(batch.images)
        return {"classification": multilabel_loss(logits, batch.targets)}


def make_task(config: TrainConfig, split: Split) -> SegmentationTask | ClassificationTask:
    """The task of `config.method`, its backbone frozen if so configured."""
    task = (ClassificationTask if config.method == "cam" else SegmentationTask)(config, split)
    if config.frozen_backbone:
        task.network.backbone.freeze(torch.bfloat16 if config.precision == "bf16" else torch.float32)
    return task


def options(kind: type[Sizes], config: NetworkSettings, split: Split) -> Sizes:
    """The network's configuration. Raises ConfigError on an unknown or bad key under `model`."""
    if "num_classes" in config.model:
        raise ConfigError("model.num_classes is not a setting: the classes of the data set decide")
    try:
        return kind(num_classes=len(split.classes), **config.model)
    except ValidationError as error:
        raise ConfigError(f"model: {first_problem(error)}") from error


def method_name(config: TrainConfig, split: Split) -> str:
    """The row of a results table a run belongs to."""
    if config.method == "cam":
        return "CAM"
    if not split.novel and not config.has_labels_alone:
        return "FullyOracle"
    if config.pseudo_kind == "predictions" and config.teacher is not None:
        return second_training_name(config.teacher)
    return NAME_OF_TRAINING[Training(config.pairing, config.pseudo_kind, config.distill_from)]


def second_training_name(teacher: str) -> str:
    """A star behind the name of the method whose predictions are trained on: SimFormer*, RETAB*.

    Raises:
        CheckpointError: the weights cannot be read. ConfigError: their card does not tell how they were trained.
    """
    card = read_card(find_weights(teacher))
    if not card.training and card.kind == "simformer":  # converted: the authors' own
        return "SimFormer*" if card.novel else "FullyOracle*"
    try:
        settings = {key: value for key, value in card.training.items() if key != DATA_ID}
        first = TrainConfig.model_validate({"data": ".", **settings})
    except ValidationError as error:
        raise ConfigError(f"the card of {teacher} does not tell how it was trained: {first_problem(error)}") from error
    return f"{method_name(first, Split(card.dataset, card.split, card.classes, card.novel))}*"


def evaluation_views(config: TrainConfig) -> Inference:
    """Scales and flips at which a network is measured: several for CAM, one view for all others, as in the paper."""
    if config.method != "cam":
        return Inference(exact=config.exact)
    return Inference(scales=config.cam_scales, flip=config.cam_flip, present_threshold=config.present_threshold)


def make_card(task: SegmentationTask | ClassificationTask, config: TrainConfig, split: Split, **facts) -> Card:
    """The card that goes with the task's network. `facts`: step, commit, metrics, ..."""
    return Card(
        kind=task.kind,
        architecture=task.network.config.model_dump(mode="json"),
        classes=split.classes,
        roles=split.roles,
        dataset=split.dataset,
        split=split.name,
        image_size=config.image_size,
        mean=task.network.backbone.mean,
        std=task.network.backbone.std,
        training=published_settings(config),
        # One view of the photo: what the page can afford. The measured scores are those of `evaluation_views`.
        inference=Inference(present_threshold=config.present_threshold, exact=config.exact),
        **facts,
    )
