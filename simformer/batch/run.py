"""Many photos through one network, results written as they come: on a CPU a photo a thread, on a GPU in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from simformer.batch.outputs import MadeFrom, save_segmentation
from simformer.composition import Segmenter
from simformer.errors import SimFormerError
from simformer.predictor import Predictor, PreparedPhoto
from simformer.utils.apart import load_apart
from simformer.utils.images import MAX_PIXELS

# Photos decoded while the network works on others; more would only fill memory, the network being slower.
BATCHES_AHEAD = 1
# How many batches' worth of photos may wait for others of their size, small as the network sees them.
BATCHES_WAITING = 4
GPU_BATCH = 8
Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """One photo to segment.

    Attributes:
        path: the photo.
        stem: its results are STEM.png and STEM.json.
        name: what the results call it.
        origin: what they are made from.
        max_pixels: a larger photo is refused.
    """

    path: Path
    stem: Path
    name: str
    origin: MadeFrom | None
    max_pixels: int = MAX_PIXELS


def default_batch(predictor: Predictor) -> int:
    """Photos the network sees at once: one on a CPU, which gains nothing by more (measured), several on a GPU."""
    return 1 if predictor.device.type == "cpu" else GPU_BATCH


def segment_jobs(
    predictor: Predictor, jobs: Iterable[Job], threshold: float, batch: int
) -> Iterator[tuple[Job, str | Exception]]:
    """Segment photos and write their results; each with a line about it or what went wrong, as it is done.

    Memory is bounded: however many photos, the results of one batch and a few batches of small inputs are held at a
    time, or those of one photo a thread. A batch that does not fit into a GPU's memory is halved.

    Args:
        threshold: pixels whose best score is below it are unsure.
        batch: photos of equal size that the network sees at once, at most. Those of sizes that are rare go in
            smaller batches, and in another order than they came.
    """
    if batch == 1 and predictor.device.type == "cpu":
        yield from a_photo_a_thread(predictor, jobs, threshold)
        return
    groups = EqualSizes(batch)
    for job, prepared in prepared_ahead(predictor, jobs, batch * BATCHES_AHEAD):
        try:
            groups.add(job, prepared.result())
        except (SimFormerError, OSError) as error:
            yield job, error
        yield from segment_group(predictor, groups.take(), threshold)
    while len(groups):
        yield from segment_group(predictor, groups.take_oldest(), threshold)


def a_photo_a_thread(
    segmenter: Segmenter, jobs: Iterable[Job], threshold: float
) -> Iterator[tuple[Job, str | Exception]]:
    """The same on a CPU, of whose cores each reads, segments and writes a photo of its own, in the jobs' order.

    So no core waits for another between two layers, nor while one decodes or compresses.

    Args:
        segmenter: a predictor, or composed models, which cannot take several photos at once.
    """
    threads = torch.get_num_threads()

    def segment(job: Job) -> str:
        photo = load_apart(job.path, max_pixels=job.max_pixels)
        return save_segmentation(segmenter.segment(photo, threshold=threshold), job.stem, job.name, job.origin)

    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        for job, outcome in submitted_ahead(pool, segment, jobs, threads):
            try:
                yield job, outcome.result()
            except (SimFormerError, OSError) as error:
                yield job, error
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted run begins no more photos
        torch.set_num_threads(threads)  # of threads to come, too


def segment_group(
    predictor: Predictor, group: list[tuple[Job, PreparedPhoto]], threshold: float
) -> Iterator[tuple[Job, str | Exception]]:
    """Photos of equal shapes, none or more, through the network at once."""
    if not group:
        return
    results = None
    with suppress(torch.OutOfMemoryError):
        results = predictor.segment_batch([prepared for _, prepared in group], threshold=threshold)
    # Out here the error is gone, and with it what it kept alive: the tensors of the batch that was too large.
    if results is None:
        half = len(group) // 2
        if not half:
            yield group[0][0], SimFormerError("the GPU has too little memory for it; use --device cpu")
            return
        yield from segment_group(predictor, group[:half], threshold)
        yield from segment_group(predictor, group[half:], threshold)
        return
    for (job, _), result in zip(group, results, strict=True):
        try:
            yield job, save_segmentation(result, job.stem, job.name, job.origin)
        except (SimFormerError, OSError) as error:
            yield job, error


def prepared_ahead(
    predictor: Predictor, jobs: Iterable[Job], count: int
) -> Iterator[tuple[Job, Future[PreparedPhoto]]]:
    """Each job with its photo, while the next `count` are read by another thread."""

    def prepare(job: Job) -> PreparedPhoto:
        return predictor.prepare(load_apart(job.path, max_pixels=job.max_pixels))

    pool = ThreadPoolExecutor(max_workers=1)
    try:
        yield from submitted_ahead(pool, prepare, jobs, count)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted run reads no more photos


def submitted_ahead(
    pool: ThreadPoolExecutor, work: Callable[[Job], Result], jobs: Iterable[Job], count: int
) -> Iterator[tuple[Job, Future[Result]]]:
    """Each job with its work, which the pool may have begun for the next `count`."""
    pending: deque[tuple[Job, Future[Result]]] = deque()
    for job in jobs:
        pending.append((job, pool.submit(work, job)))
        if len(pending) > count:
            yield pending.popleft()
    yield from pending


class EqualSizes:
    """Photos that wait for others of their shapes until they are a batch.

    Args:
        batch: photos of a full batch. No more than four times as many wait; then the group that waits longest goes.
    """

    def __init__(self, batch: int):
        self.batch = batch
        self.groups: dict[tuple, list[tuple[Job, PreparedPhoto]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.groups.values()))

    def add(self, job: Job, photo: PreparedPhoto) -> None:
        self.groups.setdefault(photo.shapes, []).append((job, photo))

    def take(self) -> list[tuple[Job, PreparedPhoto]]:
        """A full batch if there is one, the oldest group if too many wait, else nothing."""
        for shapes, group in self.groups.items():
            if len(group) == self.batch:
                return self.groups.pop(shapes)
        return self.take_oldest() if len(self) >= BATCHES_WAITING * self.batch else []

    def take_oldest(self) -> list[tuple[Job, PreparedPhoto]]:
        return self.groups.pop(next(iter(self.groups)))
