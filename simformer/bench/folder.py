"""Photos a second through a folder: one at a time, a photo a thread, and each stage by itself."""

from __future__ import annotations

import statistics
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from simformer.batch.find import find_photos
from simformer.batch.outputs import save_segmentation
from simformer.batch.run import Job, a_photo_a_thread
from simformer.bench.networks import take_turns
from simformer.errors import ConfigError
from simformer.predictor import Predictor
from simformer.utils.apart import load_apart

MOST_PHOTOS = 150
ROUNDS = 3


@dataclass(frozen=True)
class FolderRates:
    """Photos a second, medians of a few rounds in which everything has its turn.

    Attributes:
        engine: what ran the network. photos: how many there were.
        one_by_one: read, segmented by all threads together and written, before the next is read.
        a_photo_a_thread: what `segment` does on a CPU.
        reading, network, writing: each stage of it alone, on all threads.
    """

    engine: str
    photos: int
    one_by_one: float
    a_photo_a_thread: float
    reading: float
    network: float
    writing: float

    @property
    def slowest(self) -> float:
        """The rate of the slowest stage alone, which all together cannot exceed."""
        return min(self.reading, self.network, self.writing)


def measure_folder(folder: Path, weights: Path, engine: str, threads: int) -> FolderRates:
    """Segment the first photos of a folder, results going into a temporary one.

    Args:
        weights: of the network. engine: "torch" or "openvino". threads: of torch.

    Raises:
        ConfigError: there are no photos. ImageError: one cannot be read. CheckpointError: the weights cannot be used.
    """
    with tempfile.TemporaryDirectory() as out:
        found, _ = find_photos([folder], Path(out))
        jobs = [Job(photo.path, Path(out) / str(index), photo.name, None) for index, photo in enumerate(found)]
        jobs = jobs[:MOST_PHOTOS]
        if not jobs:
            raise ConfigError(f"there are no photos in {folder}")
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            predictor = Predictor.load(weights, "cpu", engine=engine)
            rates = _in_turns(_ways(predictor, jobs, threads), len(jobs))
        finally:
            torch.set_num_threads(before)
    return FolderRates(engine, len(jobs), *rates)


def _ways(predictor: Predictor, jobs: Sequence[Job], threads: int) -> list[Callable[[], object]]:
    """What is timed, in the order of `FolderRates`."""
    photos = {job: load_apart(job.path, max_pixels=job.max_pixels) for job in jobs}
    results = {job: predictor.segment(photo) for job, photo in photos.items()}

    def read(job: Job) -> None:
        load_apart(job.path, max_pixels=job.max_pixels)

    def segment(job: Job) -> None:
        predictor.segment(photos[job])

    def write(job: Job) -> None:
        save_segmentation(results[job], job.stem, job.name, job.origin)

    def one_by_one() -> None:
        for job in jobs:
            result = predictor.segment(load_apart(job.path, max_pixels=job.max_pixels))
            save_segmentation(result, job.stem, job.name, job.origin)

    def all_at_once() -> None:
        for _, outcome in a_photo_a_thread(predictor, jobs, 0.0):
            if isinstance(outcome, Exception):
                raise outcome

    def alone(stage: Callable[[Job], None]) -> Callable[[], None]:
        def run() -> None:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                deque(pool.map(stage, jobs), maxlen=0)
            torch.set_num_threads(threads)

        return run

    return [one_by_one, all_at_once, *map(alone, (read, segment, write))]


def _in_turns(ways: Sequence[Callable[[], object]], photos: int) -> list[float]:
    """Photos a second of each, in rounds in which every one has its turn."""
    return [photos / statistics.median(seconds) for seconds in take_turns(ways, ROUNDS)]
