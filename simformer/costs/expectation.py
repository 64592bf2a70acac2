"""What IoU to expect of every class under a role set that was not trained, from those that were."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from simformer.costs.role_fits import COVERED, TERMS, Array, Bools, RoleFit, Term, fit_role
from simformer.costs.role_sets import ORACLE, MeasuredSets
from simformer.errors import ConfigError
from simformer.splits import class_index

_NOISE_DRAWS = 5


@dataclass(frozen=True)
class Interval:
    """A mean or an IoU in percent, and the interval that is to hold 80 % of what one more training would measure."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class RoleSetExpectation:
    """What to expect of one role set.

    Attributes:
        classes: by class, in class order; a class that the truth never shows is absent.
        all, base, novel: means over the classes; None where there are none.
        trained: the role set was trained; its means over seeds are the answer.
        extrapolated: more or fewer classes are novel than in any measured role set.
        note: a sentence or two on where the figures come from.
    """

    classes: dict[str, Interval]
    all: Interval | None
    base: Interval | None
    novel: Interval | None
    trained: bool
    extrapolated: bool
    note: str


@dataclass(frozen=True)
class RoleModel:
    """Expectation for every role set of a data set's classes; `fit_roles` makes one.

    Attributes:
        measured: the data set it speaks of, with the role sets that were trained there.
        novel, base: how the classes of each role do.
        shares: of the classes that were novel in each role set that it was fitted to, 0 to 1.
    """

    measured: MeasuredSets
    novel: RoleFit
    base: RoleFit
    shares: tuple[float, ...]

    @property
    def fits(self) -> int:
        """How many fits there are: that of all role sets is number 0, the others are of resampled role sets."""
        return len(self.novel.intercept)

    @property
    def counted(self) -> Bools:
        """Classes that means are over: those that FullyOracle has an IoU for; bool, K."""
        return np.isfinite(self.measured.oracle)

    @property
    def terms_note(self) -> str:
        """What novel classes' IoU is expected from, in words."""
        words = {
            "count": "the number of novel classes",
            "class": "the class",
            "together": "how many other novel classes share its photos",
        }
        if not self.novel.terms:
            return f"the same share of {ORACLE}'s IoU for every novel class: nothing else predicted better"
        if self.novel.terms == ("count",):
            return "the number of novel classes alone: to know which ones made no better prediction"
        return ", ".join(words[term] for term in self.novel.terms)

    def class_iou(self, novel: Bools, fits: slice | NDArray[np.intp] = slice(1)) -> Array:
        """Expected IoU of every class by the model, whether or not the role set was trained.

        Args:
            novel: bool, S x K, S role sets; or fits x S x K, those of each fit. With no novel class FullyOracle's IoU
                is the answer, or what is kept of it with masks on part of the photos.
            fits: which of the fits.

        Returns:
            float64, fits x S x K, percent, 0 to FullyOracle's; NaN for classes that are not counted.
        """
        together = others_in_photos(self.measured, novel)
        kept, left = self.in_both_roles(novel.mean(axis=-1, keepdims=True), together, fits)
        expected = np.where(novel, kept, left)
        whole = self.measured.oracle if self.measured.whole is None else self.measured.whole
        return np.where(np.any(novel, axis=-1, keepdims=True), expected, whole)

    def in_both_roles(
        self, share: Array, together: Array, fits: slice | NDArray[np.intp] = slice(1)
    ) -> tuple[Array, Array]:
        """Expected IoU of every class as novel, and as base.

        Args:
            share: of novel classes, 0 to 1, S x 1. together: mean number of others of them in a class's photos, S x K.

        Returns:
            Two of float64, fits x S x K, percent, 0 to FullyOracle's; NaN for classes that are not counted.
        """
        oracle = self.measured.oracle
        kept = oracle * expit(self.novel.linear(share, together, fits))
        return kept, np.clip(oracle - self.base.linear(share, together, fits), 0, oracle)

    def expect(self, novel: Collection[str], *, by_class: bool = True) -> RoleSetExpectation:
        """What one more training with these novel classes would measure; without `by_class` its means alone.

        Raises:
            UnknownClassError: a novel class is none of the classes.
        """
        measured = self.measured
        roles = novel_mask(measured.classes, novel)
        trained = measured.find(roles)
        iou = self.class_iou(roles[None], slice(None))[:, 0]
        if trained is not None:
            iou = np.broadcast_to(trained.mean_iou, (self.fits, len(roles)))
        extrapolated = bool(roles.any()) and not min(self.shares) - 1e-9 <= roles.mean() <= max(self.shares) + 1e-9
        seeds = 0 if trained is None else len(trained.iou)

        def mean(members: Bools) -> Interval | None:
            members = members & self.counted
            return self._interval(iou, members / members.sum(), roles, seeds) if members.any() else None

        alone = np.eye(len(roles), dtype=bool)
        classes = {name: mean(alone[index]) for index, name in enumerate(measured.classes) if by_class}
        return RoleSetExpectation(
            classes={name: interval for name, interval in classes.items() if interval is not None},
            all=mean(np.ones_like(roles)),
            base=mean(~roles),
            novel=mean(roles),
            trained=trained is not None,
            extrapolated=extrapolated,
            note=self._note(roles, seeds, extrapolated),
        )

    def _interval(self, iou: Array, weights: Array, roles: Bools, seeds: int) -> Interval:
        """A weighted sum of the classes' IoU (fits x K), with what the fits and one training's noise spread it by."""
        values = np.where(weights > 0, iou, 0) @ weights
        variance = sum(
            fit.variance(weights[members], seeds) for fit, members in ((self.novel, roles), (self.base, ~roles))
        )
        if not roles.any():  # FullyOracle: one training more of just that
            variance = self.base.variance(weights, 1)
        # Student's t: the variance was itself estimated, from so many role sets.
        free = max(len(self.shares) - 1 - len(self.novel.terms), 2)
        noise = np.random.default_rng(0).standard_t(free, size=(_NOISE_DRAWS, len(values))) * np.sqrt(variance)
        tail = (1 - COVERED) / 2
        low, high = np.clip(np.quantile(values + noise, (tail, 1 - tail)), 0, 100)
        expected = float(values[0])
        return Interval(expected, min(float(low), expected), max(float(high), expected))

    def _note(self, roles: Bools, seeds: int, extrapolated: bool) -> str:
        measured = self.measured
        some, every = measured.given or ("", "")
        if not roles.any():
            return every or f"Measured: {ORACLE}, which has masks of every class."
        if seeds:
            count = "one seed" if seeds == 1 else f"{seeds} seeds"
            trained = f"a {measured.method} was trained with just these roles ({count})."
            return f"With masks on all photos {trained} {some}" if some else f"Measured: {trained}"
        note = f"Expected from {len(self.shares)} role sets of {measured.method}, by {self.terms_note}."
        if extrapolated:
            least, most = f"{min(self.shares):.0%}", f"{max(self.shares):.0%}"
            trained = least if least == most else f"{least} to {most}"
            note += f" Beyond measurement: {roles.mean():.0%} of the classes are novel, in the trainings {trained}."
        return f"{note} {some}".strip()


def fit_roles(
    measured: MeasuredSets,
    terms: Collection[Term] = TERMS,
    *,
    choose: bool = True,
    resampled: int = 200,
    seed: int = 0,
) -> RoleModel:
    """Fits the expectation to measured role sets: a tenth of a second.

    Args:
        terms: that may stay.
        choose: whether a term has to predict role sets better that were left out; False = all of `terms` stay.
        resampled: how often whole role sets are drawn again, with replacement. seed: of the draws.

    Raises:
        ConfigError: there are fewer than two role sets.
    """
    if len(measured.sets) < 2:
        raise ConfigError(f"expectations need two role sets of {measured.method} at least, not {len(measured.sets)}")
    novel = np.array([found.novel for found in measured.sets])
    together = others_in_photos(measured, novel)
    known: tuple[Term, ...] = TERMS if measured.together is not None else ("count", "class")
    allowed: tuple[Term, ...] = tuple(term for term in known if term in terms)
    draws = np.random.default_rng(seed).multinomial(len(novel), np.full(len(novel), 1 / len(novel)), size=resampled)
    draws = np.concatenate([np.ones((1, len(novel)), dtype=int), draws])
    fits = {role: fit_role(measured, role, together, allowed, choose, draws) for role in ("novel", "base")}
    return RoleModel(measured, fits["novel"], fits["base"], tuple(novel.mean(axis=1).tolist()))


def novel_mask(classes: tuple[str, ...], novel: Collection[str]) -> Bools:
    """Which of the K classes are novel, bool. Raises UnknownClassError for a name that is no class."""
    mask = np.zeros(len(classes), dtype=bool)
    mask[[class_index(classes, name) for name in novel]] = True
    return mask


def others_in_photos(measured: MeasuredSets, novel: Bools) -> Array:
    """Mean number of other novel classes in the photos that show a class.

    Args:
        novel: bool, ... x K.

    Returns:
        float64, ... x K; 0 where pairs of classes were not counted.
    """
    if measured.together is None:
        return np.zeros(novel.shape)
    return novel @ measured.together.T
