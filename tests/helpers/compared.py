"""A small drawn data set and tiny models of several methods, for everything that compares models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from drawn_classes import name_classes

from simformer.checkpoint import build_network, save_checkpoint
from simformer.datasets.synthetic import write_scenes
from simformer.weights import Card

SETTINGS = {
    "basic": {"pairing": "none", "pseudo": None, "distill_from": "simnet"},
    "wsss": {"pairing": "none", "pseudo": "cam", "distill_from": "simnet"},
    "simformer": {"pairing": "cross", "pseudo": None, "distill_from": "simnet"},
    "plus": {"pairing": "cross", "pseudo": "partial_labels", "distill_from": "partial_labels"},
}
"""Settings in the cards of trainings, by the name of the run's folder without its split."""


def write_models(folder: Path, make_card: Callable[..., Card]) -> Path:
    """Random networks in run folders, as a table's trainings leave them: a CAM, a FullyOracle, and those of SETTINGS.

    Args:
        make_card: make_card(kind, **changed_fields), for classes of which the last is novel.
    """
    weak = {f"{name}_s1": ("simformer", {"training": {**training, "seed": 0}}) for name, training in SETTINGS.items()}
    classes = make_card().classes
    once = {"roles": ("base",) * len(classes), "split": "all_base"}
    runs = {"cam": ("cam", once), **weak, "oracle_all_base": ("simformer", once)}
    for seed, (name, (kind, changes)) in enumerate(runs.items()):
        torch.manual_seed(seed)
        card = make_card(kind, **changes)
        run = folder / name
        run.mkdir(parents=True)
        save_checkpoint(run / "weights.safetensors", build_network(card).state_dict(), card)
    (folder / "plus_s1" / "teacher.safetensors").write_bytes(b"a teacher has no card")
    return folder


def write_photos(root: Path, count: int, classes: Sequence[str], size: tuple[int, int] = (48, 64)) -> Path:
    """Drawn scenes under these class names; every photo is in val.txt."""
    name_classes(write_scenes(root, count, size=size), classes)
    names = sorted(path.stem for path in (root / "images").iterdir())
    (root / "val.txt").write_text("\n".join(names))
    return root
