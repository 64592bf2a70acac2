"""How many role sets it takes until expectations hold: fits to few of the measured ones predict others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simformer.costs.backtest import backtest, of_sealed
from simformer.costs.role_sets import FEWEST_SETS, MeasuredSets
from simformer.errors import ConfigError

PREDICTED = 4
"""Role sets of every choice that are predicted, and that no fit of it sees."""
STEP = 2


@dataclass(frozen=True)
class CurvePoint:
    """Mean absolute errors, in points of mIoU, of fits to so many role sets.

    Attributes:
        role_sets: that were fitted.
        choices: random choices of them that could be fitted.
        all, novel: error over all classes and over novel ones.
        constant, novel_constant: that of the mean of the role sets that were fitted.
        count_alone: share (0 to 1) of the choices in which the number of novel classes alone was the model.
    """

    role_sets: int
    choices: int
    all: float
    novel: float
    constant: float
    novel_constant: float
    count_alone: float


def learning_curve(measured: MeasuredSets, choices: int, seed: int = 0) -> list[CurvePoint]:
    """The error on `PREDICTED` role sets of fits to 4, 6, 8, ... others; both are drawn anew for every choice.

    Each fit is what a page with these results alone would have: the terms are chosen among its own role sets.

    Raises:
        ConfigError: too few role sets are measured to leave any out.
    """
    sizes = range(FEWEST_SETS, len(measured.sets) - PREDICTED + 1, STEP)
    if not sizes:
        raise ConfigError(
            f"{measured.method} on {measured.dataset} has {len(measured.sets)} role sets: "
            f"a learning curve needs {FEWEST_SETS + PREDICTED}"
        )
    rng = np.random.default_rng(seed)
    found: dict[int, list[tuple[float, ...]]] = {size: [] for size in sizes}
    for _ in range(choices):
        order = [measured.sets[index] for index in rng.permutation(len(measured.sets))]
        predicted = replace(measured, sets=tuple(order[:PREDICTED]))
        for size in sizes:
            fitted = replace(measured, sets=tuple(order[PREDICTED : PREDICTED + size]))
            try:
                alone = backtest(fitted).count_alone
                trial = of_sealed(fitted, predicted, count_alone=alone)
            except ConfigError:  # so few are left beside those that are nested with one another
                continue
            errors = (trial.all.error, trial.novel.error, trial.all.constant_error, trial.novel.constant_error)
            found[size].append((*errors, alone))
    return [CurvePoint(size, len(rows), *np.mean(rows, axis=0).tolist()) for size, rows in found.items() if rows]
