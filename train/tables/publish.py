"""python -m train.tables.publish RUN NAME: a finished run's weights and result go where the app finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simformer.checkpoint import load_checkpoint, save_checkpoint, save_head
from simformer.errors import CheckpointError, ConfigError, exit_on_error
from simformer.expected_results import record_expected
from simformer.results import RESULTS_FOLDER, read_results, result_name, write_result
from simformer.weights import BACKBONE, SUFFIX, full_name, read_card, weights_folder
from train.state import WEIGHTS
from train.tables.provenance import clash, differing_setting

LARGEST = 20 * 2**20  # bytes; what a repository and a Space carry without large-file storage


def publish(run: Path, name: str, weights: Path, results: Path) -> tuple[Path, Path]:
    """Copies RUN/weights.safetensors to `weights`/DATASET/NAME and its result, naming them, to `results`.

    What they measured stands beside the weights, too: `python -m simformer verify` measures them again.

    A backbone that was frozen lies once in `weights`, for all models that were trained with it.

    Args:
        name: of the model; the folder of its data set may stand before it ("msrc21/s1").

    Raises:
        CheckpointError: the run has no usable weights, not exactly one result or that of another training, or the
            weights are too large.
        ConfigError: NAME is no file's name, or the weights or the result would replace those of other settings.
    """
    cells = read_results(run, part_masked=True)
    if len(cells) != 1:
        raise CheckpointError(f"{run} holds {len(cells)} results, not one: is the run finished?")
    file = run / WEIGHTS
    state_dict, card = load_checkpoint(file)
    # All of it before anything is written: a model of that name may be shipped already.
    if file.stat().st_size > LARGEST:
        raise CheckpointError(f"the weights of {run} are larger than {LARGEST // 2**20} MiB")
    if (key := differing_setting(card.training, cells[0].config)) is not None:
        raise CheckpointError(f"the weights and the result of {run} are of different trainings: they differ in {key}")
    if cells[0].masks is not None:
        raise ConfigError(f"{run} was given part of the masks: what its base classes reach is not what masks give")
    name = full_name(name, card.dataset)
    folder, _, own = name.rpartition("/")
    if not own or own.startswith((".", BACKBONE)) or own.endswith(SUFFIX) or own != Path(own).name:
        raise ConfigError(f"{own!r} is not a name of a model: it is a file's name without {SUFFIX}")
    if folder != card.dataset:
        raise ConfigError(f"{run} was trained on {card.dataset}, so its models do not lie in the folder {folder!r}")
    if found := clash(cells[0], results):
        there, key = found
        raise ConfigError(
            f"{results / result_name(there)} was measured with another {key} and is not replaced: give this training a "
            "split or a schedule of another name"
        )
    target = weights / f"{name}{SUFFIX}"
    if target.exists() and (key := differing_setting(read_card(target).training, card.training)) is not None:
        raise ConfigError(f"{target} was trained with another {key} and is not replaced: give this model another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    if card.training.get("frozen_backbone"):
        save_head(target, state_dict, card, weights)
    else:
        save_checkpoint(target, state_dict, card)
    # The card's: a result of a method that is trained once has no base classes.
    record_expected(target.parent, own, card.metrics)
    return target, write_result(cells[0].model_copy(update={"weights": f"{name}{SUFFIX}"}), results)


def main(
    run: Annotated[Path, typer.Argument(help="folder of a finished run")],
    name: Annotated[str, typer.Argument(help="name of the model: s1, s1_plus, oracle, cam ...")],
) -> None:
    """Ship a model with the app."""
    with exit_on_error():
        for path in publish(run, name, weights_folder(), RESULTS_FOLDER):
            print(path)


if __name__ == "__main__":
    typer.run(main)
