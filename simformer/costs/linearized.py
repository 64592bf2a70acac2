"""The mixed integer program of the best role set with k novel classes: `optimum` says what it is for.

Variables, in this order: novel (K), others in the photos of a novel and of a base class (K each, 0 in the other role),
the value in either role (K each), and a product of roles for every pair of classes.
"""

from __future__ import annotations

import time

import numpy as np
import scipy  # its parts are imported when they are first used
from scipy.special import logit

from simformer.costs.role_fits import Array, Bools
from simformer.costs.search import TIE, Goal

ENOUGH = 0.005
"""Points of mIoU that do not matter."""
_ROUNDS = 6


def curves(goal: Goal, k: int, together: Array) -> tuple[Array, Array]:
    """Weighted IoU of every class as novel and as base, with k novel classes, where so much of others is in its photos.

    Args:
        together: P x K.
    """
    both = goal.expectation.model.in_both_roles(np.array([[k / together.shape[1]]]), together)
    kept, left = (goal.weights * np.nan_to_num(iou[0]) for iou in both)
    return kept, left


def is_coupled(goal: Goal) -> bool:
    """Whether what a class keeps depends on which others are novel, not on their number alone."""
    model = goal.expectation.model
    slopes = (model.novel.together[0], model.base.together[0])
    return model.measured.together is not None and any(slope != 0 for slope in slopes)


class Program:
    """Role sets with k novel classes within a budget.

    Args:
        trained: bool, S x K, role sets whose measurements answer for them; they are left out.
    """

    def __init__(self, goal: Goal, budget: float, k: int, trained: Bools):
        self.goal, self.budget, self.k = goal, budget, k
        self.coupled = is_coupled(goal)
        classes = len(goal.weights)
        pairs = goal.expectation.model.measured.together
        self.pairs = pairs if self.coupled and pairs is not None else np.zeros((classes, classes))
        self.first, self.second = np.triu_indices(classes, 1) if self.coupled else (np.empty(0, int),) * 2
        self.size = 5 * classes + len(self.first)
        # Money in units of all there is to spend, so that the solver's tolerance means the same everywhere.
        self.unit = max(float(np.abs(goal.extra).sum()), 1e-9)
        self.most = np.sort(self.pairs, axis=1)[:, ::-1][:, :k].sum(axis=1)
        self.rows: list[scipy.sparse.csr_array] = []
        self.low: list[Array] = []
        self.high: list[Array] = []
        self._add(self._of_novel(np.ones(classes)), k, k)
        room = max(budget - goal.labels_money, 0.0)
        self._add(self._of_novel(-goal.extra / self.unit), -np.inf, (room - goal.extra.sum()) / self.unit)
        for one in trained[trained.sum(axis=1) == k]:
            self._leave_out(one)
        if self.coupled:
            self._products()
        self._wishes()

    def solve(self, lowest: float, until: float) -> tuple[Bools | None, float, float]:
        """The best role set, its value, and a bound of all of them.

        Args:
            lowest: a value that is reached already. until: time.monotonic() at which to stop.
        """
        classes = len(self.goal.weights)
        points = [np.zeros(classes), self.most / 2, self.most] if self.coupled else [np.zeros(classes)]
        best, value, bound = None, -np.inf, np.inf
        for _ in range(_ROUNDS):
            for point in points:
                self._tangents(point)
            found = self._solved(max(until - time.monotonic(), 0.05))
            if found.status == 2:  # nothing is left
                return best, value, value
            if found.mip_dual_bound is not None:
                bound = min(bound, -found.mip_dual_bound + 2 * TIE)
            if found.x is None:
                break
            novel = found.x[:classes] > 0.5
            if not self.goal.affordable(novel, self.budget):  # but within the solver's tolerance
                self._leave_out(novel)
                points = []
                continue
            reached = float(self.goal.values(novel[None])[0])
            if reached > value:
                best, value = novel, reached
            if bound <= max(value, lowest) + ENOUGH or time.monotonic() > until or found.status != 0:
                break
            points = [self.pairs @ novel]
        return best, value, bound

    def _solved(self, seconds: float) -> scipy.optimize.OptimizeResult:
        goal, classes = self.goal, len(self.goal.weights)
        lower = np.zeros(self.size)
        lower[:classes][goal.novel] = 1
        products = np.ones(len(self.first))
        upper = np.concatenate(
            [(~goal.base).astype(float), np.tile(self.most, 2), np.full(2 * classes, 100.0), products]
        )
        values = np.concatenate([goal.extra * -TIE / self.unit, np.zeros(2 * classes), -np.ones(2 * classes)])
        # The stubs know single numbers alone as limits.
        low, high = np.concatenate(self.low), np.concatenate(self.high)
        within = scipy.optimize.LinearConstraint(scipy.sparse.vstack(self.rows), low, high)  # pyright: ignore[reportArgumentType]
        return scipy.optimize.milp(
            np.concatenate([values, np.zeros(len(self.first))]),
            constraints=within,
            bounds=scipy.optimize.Bounds(lower, upper),  # pyright: ignore[reportArgumentType]
            integrality=np.arange(self.size) < classes,
            options={"time_limit": seconds, "mip_rel_gap": 1e-7},
        )

    def _add(self, matrix: Array, least: Array | float, most: Array | float) -> None:
        self.rows.append(scipy.sparse.csr_array(matrix))
        self.low.append(np.broadcast_to(least, len(matrix)))
        self.high.append(np.broadcast_to(most, len(matrix)))

    def _of_novel(self, factors: Array) -> Array:
        row = np.zeros((1, self.size))
        row[0, : len(factors)] = factors
        return row

    def _leave_out(self, novel: Bools) -> None:
        self._add(self._of_novel(np.where(novel, 1.0, -1.0)), -np.inf, self.k - 1)

    def _blocks(self, *blocks: Array) -> Array:
        """Rows from K columns a block; blocks that are left out are 0."""
        matrix = np.zeros((len(blocks[0]), self.size))
        whole = np.hstack(blocks)
        matrix[:, : whole.shape[1]] = whole
        return matrix

    def _products(self) -> None:
        """What others take in the photos of a novel class, as products of roles; Fortet's inequalities for these."""
        classes, first, second = len(self.pairs), self.first, self.second
        eye, none = np.eye(classes), np.zeros((classes, classes))
        number = np.arange(len(first))
        product, incident = np.zeros((classes, len(first))), np.zeros((classes, len(first)))
        product[first, number], product[second, number] = self.pairs[first, second], self.pairs[second, first]
        incident[first, number] = incident[second, number] = 1
        self._add(self._blocks(none, eye, none, none, none, -product), 0, 0)
        self._add(self._blocks(-self.pairs, eye, eye), 0, 0)
        self._add(self._blocks(-(self.k - 1) * eye, none, none, none, none, incident), 0, 0)
        one, rest = np.eye(len(first)), np.zeros((len(first), 4 * classes))
        for index in (first, second):
            self._add(self._blocks(-eye[index], rest, one), -np.inf, 0)
        self._add(self._blocks(eye[first] + eye[second], rest, -one), -np.inf, 1)

    def _wishes(self) -> None:
        """A class of which an IoU is wanted: in either role what others in its photos take may not be too much."""
        goal = self.goal
        model = goal.expectation.model
        oracle = np.nan_to_num(model.measured.oracle)
        share, none = np.array([[self.k / len(oracle)]]), np.zeros((1, len(oracle)))
        kept, lost = model.novel.linear(share, none, slice(1))[0, 0], model.base.linear(share, none, slice(1))[0, 0]
        for index in np.flatnonzero(goal.least > 0):
            part = min(goal.least[index] / max(oracle[index], 1e-9), 1 - 1e-9)
            role = np.arange(len(oracle)) == index
            for needed, slope, sign in (
                (logit(part) - kept[index], model.novel.together[0], 1.0),
                (lost[index] - (oracle[index] - goal.least[index]), -model.base.together[0], -1.0),
            ):
                # slope x others >= needed, if the class has this role.
                far = abs(needed) + abs(slope) * self.pairs[index].sum() + 1
                row = self._of_novel(slope * self.pairs[index] - sign * far * role)
                self._add(row, needed - (far if sign > 0 else 0), np.inf)

    def _tangents(self, at: Array) -> None:
        """Value of either role <= supporting line of its curve's concave hull; 0 in the other role."""
        eye, none = np.eye(len(at)), np.zeros((len(at), len(at)))
        for role, (value, slope) in enumerate(self._supports(at)):
            level = value - slope * at
            blocks = [none, none, none, none, none]
            blocks[3 + role] = eye
            blocks[1 + role] = -np.diag(slope)
            blocks[0] = np.diag(level if role else -level)
            self._add(self._blocks(*blocks), -np.inf, level if role else 0.0)

    def _supports(self, at: Array) -> list[tuple[Array, Array]]:
        """Value and slope, K each, of a line above the curve that is nearest to it at a point; for novel and base."""
        if not self.coupled:
            return [(curve[0], np.zeros(len(at))) for curve in curves(self.goal, self.k, at[None])]
        grid = np.linspace(0, 1, 129)[:, None] * self.most
        grid = np.sort(np.concatenate([grid, at[None]]), axis=0)
        found = []
        for curve in curves(self.goal, self.k, grid):
            values, slopes = np.empty(len(at)), np.empty(len(at))
            for index in range(len(at)):
                values[index], slopes[index] = _support(grid[:, index], curve[:, index], at[index])
            found.append((values, slopes))
        return found


def _support(x: Array, y: Array, at: float) -> tuple[float, float]:
    """The lowest line above all points, at one place: its value there and its slope."""
    left, right = x <= at + 1e-12, x >= at - 1e-12
    if x[-1] - x[0] < 1e-12:
        return float(y.max()), 0.0
    # Over all pairs of a point left and one right of the place: the segment that is highest there.
    xl, yl, xr, yr = x[left][:, None], y[left][:, None], x[right][None], y[right][None]
    width = np.where(xr - xl > 1e-12, xr - xl, np.inf)
    height = np.where(np.isinf(width), np.maximum(yl, yr), yl + (yr - yl) * (at - xl) / width)
    a, b = np.unravel_index(np.argmax(height), height.shape)
    top = float(height[a, b])
    if np.isinf(width[a, b]):
        # The place is a corner of the hull: any slope between those to the points left and right of it.
        away = np.abs(x - at) > 1e-12
        rise = (y[away] - top) / (x[away] - at)
        after = rise[x[away] > at]
        before = rise[x[away] < at]
        return top, float(after.max() if len(after) else before.min())
    return top, float((yr[0, b] - yl[a, 0]) / width[a, b])
