"""python -m train.tools.evaluate_simnet CONFIG out=RUN [key=value ...]: how well a run tells pixels apart.

Its teacher and its student are asked about pixels of the evaluation photos whose truth is known, of base classes and of
novel ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simformer.errors import CheckpointError, ConfigError, exit_on_error
from train.config import TrainConfig, load_config
from train.data import load_split_of, open_datasets, training_roles
from train.evaluation.transfer import Judgement, judge
from train.masks import given_photos
from train.pseudo.teacher import open_teacher, uses_teacher
from train.state import STATE, load_task
from train.tasks import SegmentationTask, make_task


def judge_run(config: TrainConfig, pairs: int = 100) -> dict[tuple[str, str], Judgement]:
    """(who, role) -> judgement: teacher, where the run has one, and student on base and novel classes.

    Raises:
        ConfigError: the run has no novel classes. CheckpointError: no usable state in `config.out`.
    """
    train_set, val_set = open_datasets(config)
    split = load_split_of(config, train_set)
    train_set = given_photos(config, train_set, split)
    task = make_task(config, training_roles(config, split))
    if not isinstance(task, SegmentationTask) or not split.novel:
        raise ConfigError("only runs of method=simformer with novel classes can be asked what they transfer")
    path = config.out / STATE
    if not path.is_file():
        raise CheckpointError(f"there is no {path}; the teacher is part of a run's state, not of its weights")
    load_task(path, task, config)
    teacher = open_teacher(config, train_set, split) if uses_teacher(config) else None
    found = {}
    for role, classes in (("base", split.base), ("novel", split.novel)):
        judged = judge(task, val_set, classes, config, pairs, teacher=teacher)
        found |= {(who, role): judgement for who, judgement in judged.items()}
    return dict(sorted(found.items(), reverse=True))


def shown(who: str, role: str, found: Judgement) -> str:
    """One line about a role's classes."""
    kinds = (("one class", found.same, found.same_found), ("two classes", found.different, found.different_found))
    parts = [f"{count:,} pairs of {kind}, {share:.0%} called so" for kind, count, share in kinds if count]
    return f"{who}, {role}: {'; '.join(parts)}" + ("" if found.auc is None else f"; AUC {found.auc:.2f}")


def main(
    config: Annotated[Path, typer.Argument(help="the run's YAML file")],
    overrides: Annotated[list[str] | None, typer.Argument(help="its key=value settings, out=RUN among them")] = None,
    pairs: Annotated[int, typer.Option(min=1, help="pairs of photos for each role")] = 100,
) -> None:
    """How often teacher and student are right about two pixels of one class, and of two; AUC 0.5 is chance."""
    with exit_on_error():
        found = judge_run(load_config(config, overrides), pairs)
    for (who, role), judgement in found.items():
        print(shown(who, role, judgement))


if __name__ == "__main__":
    typer.run(main)
