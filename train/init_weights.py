"""Starting a run from the weights of an earlier one, or from converted ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simformer.checkpoint import check_tensors, load_checkpoint
from simformer.errors import CheckpointError
from train.tasks import ClassificationTask, SegmentationTask

# Layers with one row a class.
CLASS_HEADS = {"simformer": ("class_head", "pooled_class_head"), "cam": ("classifier",)}


def start_from(task: SegmentationTask | ClassificationTask, classes: Sequence[str], path: Path) -> None:
    """Copies weights into the task's network, in place.

    If the file is of other classes, the layers that predict them keep the values they have; every other tensor must
    fit. SimNet is not part of a weights file: it starts anew.

    Args:
        classes: K class names of the task, in index order.
        path: a weights file of the same kind of network.

    Raises:
        CheckpointError: the file cannot be read, is of another kind, or a tensor does not fit (names it).
    """
    state, card = load_checkpoint(path)
    if card.kind != task.kind:
        raise CheckpointError(f"{path} cannot start this run: it is a {card.kind} network, not a {task.kind} one")
    own = task.network.state_dict()
    if tuple(card.classes) != tuple(classes):
        heads = tuple(f"{layer}." for layer in CLASS_HEADS[task.kind])
        state = {name: tensor for name, tensor in state.items() if not name.startswith(heads)}
        state |= {name: tensor for name, tensor in own.items() if name.startswith(heads)}
    try:
        check_tensors(state, task.network)
    except CheckpointError as error:
        raise CheckpointError(f"{path} cannot start this run: {error}") from error
    task.network.load_state_dict(state)
