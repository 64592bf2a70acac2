"""Work spread over a Ray cluster; Ray is optional: pip install "ray[data]".

Every machine of the cluster needs this project, its requirements, and the same files at the same paths: photos,
weights, and the folder of the results, into which the workers write.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from simformer.batch.run import Job, default_batch, segment_jobs
from simformer.errors import ConfigError, SimFormerError

# Photos of one task: few, so that an interrupted run has little to do again and progress is seen.
PHOTOS_PER_TASK = 8


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is connected to.

    Attributes:
        ray: the module.
        workers: how many pieces of work it does at a time: one for every GPU, or for every CPU where there is no GPU.
        resources: of one worker, as Ray's options name them.
    """

    ray: ModuleType
    workers: int
    resources: dict[str, float]


@contextmanager
def connected(address: str, device: str | None = None) -> Iterator[Cluster]:
    """Connect to a cluster for the length of a block.

    Args:
        address: "local" starts one on this machine, "auto" finds the running one, else HOST:PORT or ray://HOST:PORT.
        device: "cpu" leaves GPUs alone.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
        import ray.data  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError('--ray needs Ray: pip install "ray[data]"') from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError, SystemExit) as error:  # Ray exits where nobody answers
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"there is no Ray cluster at {address!r}: {reason}") from error
    try:
        total = ray.cluster_resources()
        gpus = 0 if device == "cpu" else int(total.get("GPU", 0))
        resources = {"num_cpus": 1.0, "num_gpus": 1.0 if gpus else 0.0}
        yield Cluster(ray, gpus or max(1, int(total.get("CPU", 1))), resources)
    finally:
        ray.shutdown()


class SegmentPhotos:
    """Lives in a worker, which loads the network once."""

    def __init__(
        self, weights: str, device: str | None, threshold: float, batch: int | None, exact: bool | None
    ) -> None:
        import torch

        from simformer.predictor import Predictor

        torch.set_num_threads(1)
        self.threshold = threshold
        self.unusable = ""
        try:
            self.predictor = Predictor.load(weights, device, exact=exact)
            self.batch = batch or default_batch(self.predictor)
        except SimFormerError as error:
            # Raised here it would make Ray start the worker again and again.
            self.unusable = str(error)

    def __call__(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """One task: {"first": number of its first job, "jobs": ...} -> a row for each of them."""
        numbers = {job: number for number, job in enumerate(row["jobs"], row["first"])}
        if self.unusable:
            return [{"index": number, "line": "", "problem": self.unusable} for number in numbers.values()]
        outcomes = segment_jobs(self.predictor, row["jobs"], self.threshold, self.batch)
        return [{"index": numbers[job], **as_columns(outcome)} for job, outcome in outcomes]


def as_columns(outcome: str | Exception) -> dict[str, str]:
    """What became of a photo, in a table of strings."""
    if isinstance(outcome, str):
        return {"line": outcome, "problem": ""}
    # Paths may hold bytes that are no text, which tables of strings do not take.
    return {"line": "", "problem": str(outcome).encode(errors="replace").decode()}


def segment_on(
    cluster: Cluster,
    jobs: Sequence[Job],
    weights: Path,
    device: str | None,
    threshold: float,
    batch: int | None = None,
    exact: bool | None = None,
) -> Iterator[tuple[int, str | SimFormerError]]:
    """Segment photos on a cluster; index, and a line or what went wrong, of each as it is done.

    Only the paths of photos travel; workers read them and write the results themselves.

    Args:
        weights: the weights file, at the same path everywhere.
        device, exact: as `Predictor.load`.
        batch: photos that a network sees at once, at most; None: what its device is best at. Only photos of one task,
            which are neighbours in `jobs`, come together.

    Raises:
        SimFormerError: the cluster fails as a whole, for example because its last worker is lost.
    """
    data = cluster.ray.data
    data.DataContext.get_current().enable_progress_bars = False
    size = min(max(PHOTOS_PER_TASK, batch or 0), -(-len(jobs) // cluster.workers))
    rows = [{"first": first, "jobs": list(jobs[first : first + size])} for first in range(0, len(jobs), size)]
    workers = data.ActorPoolStrategy(min_size=1, max_size=min(cluster.workers, len(rows)))
    results = data.from_items(rows, override_num_blocks=len(rows)).flat_map(
        SegmentPhotos,
        fn_constructor_args=(os.fspath(weights.resolve()), device, threshold, batch, exact),
        compute=workers,
        **cluster.resources,
    )
    try:
        for row in results.iter_rows():
            yield row["index"], SimFormerError(row["problem"]) if row["problem"] else row["line"]
    except cluster.ray.exceptions.RayError as error:
        raise SimFormerError(f"the Ray cluster failed: {str(error).strip().splitlines()[-1]}") from error
