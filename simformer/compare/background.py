"""Predictions made ahead, by one thread, while people look at what is there."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from threading import Lock, Thread

from simformer.compare.gallery import Gallery, View

# Views that are remembered as wanted; who asked for an older one asks again.
MOST_WANTED = 8
# Predictions until the thread looks whether something else is wanted first.
AT_A_TIME = 16


@dataclass(frozen=True)
class Progress:
    """How far the predictions of a view are.

    Attributes:
        done, total: predictions. seconds_left: None if that is not known.
        problems: what went wrong, in sentences.
    """

    done: int
    total: int
    seconds_left: float | None
    problems: tuple[str, ...]

    @property
    def finished(self) -> bool:
        return self.done >= self.total


class Background:
    """Makes the predictions of the views that were asked for, the last one first. The thread ends with its work."""

    def __init__(self, gallery: Gallery):
        self.gallery = gallery
        self._wanted: list[View] = []
        self._thread: Thread | None = None
        self._lock = Lock()
        self._seconds: float | None = None

    def want(self, view: View) -> None:
        """Begin with the predictions of a view, if they are not made; returns at once."""
        with self._lock:
            columns = [column.fingerprint for column in view.columns]
            others = [
                other
                for other in self._wanted
                if (other.split, other.classes) != (view.split, view.classes)
                or [column.fingerprint for column in other.columns] != columns
            ]
            self._wanted = [*others[-MOST_WANTED + 1 :], view]
            if self._thread is None:
                self._thread = Thread(target=self._work, name="gallery", daemon=True)
                self._thread.start()

    def progress(self, view: View) -> Progress:
        """How far the predictions of a view are."""
        left = len(self.gallery.to_make(view))
        total = len(self.gallery.listed(view)) * len(view.columns)
        seconds = None if self._seconds is None or not left else self._seconds * left
        return Progress(total - left, total, seconds, tuple(self.gallery.problems(view)))

    def _next(self) -> list:
        """Some predictions to make; none if all that are wanted are made, which ends the thread."""
        with self._lock:
            while self._wanted:
                if tasks := self.gallery.to_make(self._wanted[-1])[:AT_A_TIME]:
                    return tasks
                self._wanted.pop()
            self._thread = None
            return []

    def _work(self) -> None:
        for tasks in itertools.takewhile(bool, iter(self._next, None)):
            started = time.perf_counter()
            for _ in self.gallery.make(tasks):
                pass
            mean = (time.perf_counter() - started) / len(tasks)
            # What is read from the disk is soon done, what a network makes is not: the last ones tell most.
            self._seconds = mean if self._seconds is None else 0.7 * self._seconds + 0.3 * mean
