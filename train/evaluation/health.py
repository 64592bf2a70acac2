"""Is a trained network sound? Dropout's noise can hide that its queries have become one, until it is off.

Networks that need the noise to tell their queries apart score far below what their losses promise.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from simformer.attention import Attention, Dropout
from simformer.datasets.folder import FolderDataset
from simformer.datasets.weakshot import given_masks
from simformer.labels import VOID
from simformer.model import Output, SimFormer, compose_score_maps
from simformer.predictor import input_size, without_padding
from simformer.results import Health
from simformer.similarity import shrink_labels
from simformer.splits import Split

PHOTOS = 50
# A query counts as active in a photo if it decides more than this share of the pixels.
ACTIVE_SHARE = 0.01
# Dropout on and off part where accuracy differs by more than this (0 to 1), or queries by more than a quarter.
ACCURACY_GAP, QUERIES_RATIO = 0.05, 1.25


@torch.no_grad()
def check_health(network: SimFormer, dataset: FolderDataset, split: Split, image_size: int) -> Health:
    """Accuracy on the masks of training photos and active queries a photo, with dropout off, and on if it has any.

    Args:
        dataset: training photos, of which 50 are looked at; base masks alone, or pseudo masks of all classes.
        split: roles of the classes; only pixels of base classes are compared.
        image_size: short side in pixels at which the network sees them.
    """
    training = network.training
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network.eval()
        accuracy, queries = look(network, dataset, split, image_size)
        noisy = (None, None)
        if network.config.dropout:
            for module in network.modules():
                if isinstance(module, Attention | Dropout):
                    module.train()
            noisy = look(network, dataset, split, image_size)
    network.train(training)
    return Health(accuracy=accuracy, queries=queries, accuracy_with_dropout=noisy[0], queries_with_dropout=noisy[1])


def look(network: SimFormer, dataset: FolderDataset, split: Split, image_size: int) -> tuple[float | None, float]:
    """Share of the base pixels that get their class (0 to 1; None where there are none), and active queries a photo."""
    device = next(network.parameters()).device
    right = known = 0
    active = []
    photos = np.random.default_rng(0).permutation(len(dataset))[:PHOTOS].tolist()
    for index in photos:
        image, labels = dataset.sample(index)
        width, height = input_size((image.shape[2], image.shape[1]), image_size)
        pixels = image.to(device)[None].float()
        pixels = nn.functional.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
        output = network(pixels, auxiliary=False)
        output = replace(output, mask_logits=without_padding(output.mask_logits, (height, width)))
        found = compose_score_maps(output.class_logits, output.mask_logits).argmax(1)
        truth = given_masks(labels, image.shape[1:], split)[None].long()
        truth, _ = shrink_labels(truth, torch.zeros_like(truth), found.shape[1:], centers=True)
        truth = truth.to(device)
        right += int(((found == truth) & (truth != VOID)).sum())
        known += int((truth != VOID).sum())
        active.append(active_queries(output, found))
    return right / known if known else None, float(np.mean(active))


def active_queries(output: Output, found: Tensor) -> int:
    """How many queries of a photo say more than all others for the class found, at more than 1% of the pixels.

    Args:
        output: of one photo. found: 1 x h x w, the class of each pixel.
    """
    scores = output.class_logits.softmax(-1)[0, :, found[0].flatten()]  # N x pixels: of each pixel's class
    deciding = (scores * output.mask_logits[0].flatten(1).sigmoid()).argmax(0)
    return int((deciding.bincount() > ACTIVE_SHARE * deciding.numel()).sum())


def described(health: Health) -> str:
    """One line for the log."""

    def state(accuracy: float | None, queries: float | None) -> str:
        right = "" if accuracy is None else f"{accuracy:.0%} of the base pixels right, "
        return f"{right}{queries:.1f} active queries a photo"

    line = f"on training photos: {state(health.accuracy, health.queries)}"
    if health.queries_with_dropout is not None:
        line += f"; with dropout on {state(health.accuracy_with_dropout, health.queries_with_dropout)}"
    return line


def warning(health: Health) -> str | None:
    """A sentence where dropout on and off part, None for a sound network."""
    accuracy, queries = health.accuracy_with_dropout, health.queries_with_dropout
    if accuracy is None or queries is None or health.accuracy is None:
        return None
    if accuracy - health.accuracy <= ACCURACY_GAP and queries <= QUERIES_RATIO * health.queries:
        return None
    return (
        f"this network leans on dropout: on training photos it is right on {health.accuracy:.0%} of the pixels with "
        f"{health.queries:.1f} active queries, with dropout on {accuracy:.0%} and {queries:.1f}; train with "
        "model.dropout=0"
    )
