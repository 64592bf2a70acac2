"""RETAB's two-stage propagation: maps spread over affinity, first up to the boundaries, then into them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]
Booleans = NDArray[np.bool_]


def transition(source: Integers, target: Integers, weight: Floats, cells: int) -> sparse.csc_array:
    """How much of its value a cell (column) takes from which cells (rows) in one step; columns sum to 1.

    Args:
        source, target: cells that edges lead from and to.
        weight: of the edges, at least 0. Every cell has an edge of weight 1 to itself besides.
        cells: their number n.

    Returns:
        n x n.
    """
    itself = np.arange(cells)
    edges = (np.concatenate([source, itself]), np.concatenate([target, itself]))
    weights = np.concatenate([weight, np.ones(cells, weight.dtype)])
    matrix = sparse.coo_array((weights, edges), shape=(cells, cells)).tocsc()
    # In a sparse matrix by columns, `indptr` says how many entries each column has.
    matrix.data /= np.repeat(matrix.sum(0), np.diff(matrix.indptr))
    return matrix


def walk(maps: Floats, step: sparse.csc_array, steps: int) -> Floats:
    """Maps, C x n, after `steps` steps: each value becomes the mean of its neighbors', weighted by their affinity.

    As maps x step^steps, but the power of the matrix, which is dense, is never made.
    """
    backward, values = step.T.tocsr(), np.ascontiguousarray(maps.T)
    for _ in range(steps):
        values = backward @ values
    return values.T


def propagate(
    maps: Floats,
    first: Integers,
    second: Integers,
    weight: Floats,
    boundary: Booleans,
    fixed: Booleans,
    steps: int,
) -> Floats:
    """Both stages.

    Args:
        maps: C x n.
        first, second: pairs of cells, each pair once.
        weight: affinity of the pairs.
        boundary: n, cells on a boundary. In the first stage they neither give nor take; in the second they take from
            all and give to one another, while the others stay.
        fixed: n, cells that have their values back after each stage.
        steps: of each stage.

    Returns:
        C x n.
    """
    source, target = np.concatenate([first, second]), np.concatenate([second, first])
    weight = np.concatenate([weight, weight])
    given = maps
    for allowed in (~boundary[source] & ~boundary[target], boundary[target]):
        step = transition(source[allowed], target[allowed], weight[allowed], maps.shape[1])
        maps = np.where(fixed, given, walk(maps, step, steps))
    return maps
