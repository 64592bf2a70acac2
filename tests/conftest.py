"""Results that no run produced, plain to see, for tests of everything that reads results."""

from __future__ import annotations

import os

# Before torch is imported, here and in the processes that tests start: two test processes share two cores (pyproject),
# and threads that wait for a core that another process has take longer than one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simformer.results import CellScores, GivenMasks, ResultCell, mean_iou, write_result
from simformer.splits import ALL_BASE, load_split

# IoU of class number i: the method's base or novel value plus i. "chair" (15) is novel from split 5 on.
SYNTHETIC = {
    "CAM": (10, 10),
    "Basic Model": (55, 25),
    "Self-Pair": (56, 28),
    "SimFormer": (60, 30),
    "FullyOracle": (70, 70),
}


@pytest.fixture(scope="session")
def make_result() -> Callable[..., ResultCell]:
    """make_result(method, split, points=, seed=, shift=) -> a cell whose IoU `SYNTHETIC` tells."""

    def make(
        method: str, split: str, *, points: int | None = None, seed: int = 0, shift: float = 0.0, **changes
    ) -> ResultCell:
        roles = load_split("msrc21", ALL_BASE if split == "all" else split)
        base, novel = SYNTHETIC[method]
        iou = {
            name: shift + index + (novel if role == "novel" else base)
            for index, (name, role) in enumerate(zip(roles.classes, roles.roles, strict=True))
        }
        fields = {
            "method": method,
            "dataset": "msrc21",
            "split": split,
            "seed": seed,
            "steps": 10,
            "points": points,
            "scores": CellScores(miou=mean_iou(iou.values()), per_class=iou),
            "images": 7,
            "pixels": 12_345,
            "config": {"learning_rate": 0.125, "split": split},
            "command": f"python -m train synthetic.yaml split={split}",
            "commit": "0123abcd",
            "device": "no device",
            "wall_seconds": 90.0,
            "date": datetime(2001, 2, 3, 4, 5, tzinfo=UTC),
            "schedule": "synthetic",
        }
        return ResultCell(**{**fields, **changes})

    return make


@pytest.fixture(scope="session")
def synthetic_cells(make_result) -> list[ResultCell]:
    """CAM, FullyOracle, SimFormer (J = 50) on all splits to 9 but 3, and a few others on split 1."""
    simformer = [make_result("SimFormer", f"s{number}", points=50) for number in (1, 2, 4, 5, 6, 7, 8, 9)]
    return [
        make_result("CAM", "all"),
        make_result("FullyOracle", "all"),
        *simformer,
        make_result("SimFormer", "s1", points=50, seed=1, shift=2.0),
        make_result("SimFormer", "s1", points=100, shift=1.0),
        make_result("Basic Model", "s1"),
        make_result("Self-Pair", "s1", points=50),
    ]


@pytest.fixture(scope="session")
def part_masked_cells(make_result) -> list[ResultCell]:
    """SimFormer on split 1 with masks on 10 and 50 % of the photos and with coarse ones, FullyOracle on 50 % alone."""
    given = {"method": "SimFormer", "split": "s1", "points": 50}
    alone = GivenMasks(share=0.5, unmasked="left_out")
    return [
        make_result(**given, shift=-20.0, masks=GivenMasks(share=0.1)),
        make_result(**given, shift=-10.0, masks=GivenMasks(share=0.5)),
        make_result(**given, shift=-5.0, masks=GivenMasks(corners=8)),
        make_result("FullyOracle", "all", shift=-30.0, masks=alone),
    ]


@pytest.fixture(scope="session")
def synthetic_results(synthetic_cells, part_masked_cells, tmp_path_factory) -> Path:
    """A results folder with `synthetic_cells`, and with `part_masked_cells`, which only those get who ask for them."""
    folder = tmp_path_factory.mktemp("results")
    for cell in (*synthetic_cells, *part_masked_cells):
        write_result(cell, folder)
    return folder


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """Address of a Ray cluster of two workers on this machine."""
    pytest.importorskip("ray.data", reason='Ray is not installed: pip install "ray[data]"')
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 0, "include_dashboard": False})
    yield cluster.address
    cluster.shutdown()
