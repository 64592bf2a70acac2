"""Predictions made ahead, by one thread, while people look at what is there."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock, Thread

from simformer.compare.gallery import Gallery, View

# Views that are remembered as wanted; a dropped one comes back as soon as somebody looks at its progress.
MOST_WANTED = 8
# Predictions until the thread looks whether something else is wanted first.
AT_A_TIME = 16

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far the predictions of a view are.

    Attributes:
        done, total: predictions. seconds_left: None if that is not known.
        problems: what went wrong, in sentences. failed: whether no more are made until the view is wanted again.
    """

    done: int
    total: int
    seconds_left: float | None
    problems: tuple[str, ...]
    failed: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.failed or self.done >= self.total


class Background:
    """Makes the predictions of the views that were asked for, the last one first. The thread ends with its work."""

    def __init__(self, gallery: Gallery):
        self.gallery = gallery
        self._wanted: dict[Hashable, View] = {}
        self._failed: dict[Hashable, str] = {}
        self._thread: Thread | None = None
        self._lock = Lock()
        self._seconds: float | None = None

    def want(self, view: View) -> None:
        """Begin with the predictions of a view, if they are not made; returns at once. What failed is tried again."""
        with self._lock:
            self._failed.pop(_predictions_of(view), None)
            self._want(view)

    def progress(self, view: View) -> Progress:
        """How far the predictions of a view are. Who asks waits for them: they are wanted from now on."""
        left = len(self.gallery.to_make(view))
        total = len(self.gallery.listed(view)) * len(view.columns)
        key = _predictions_of(view)
        with self._lock:
            failure = self._failed.get(key) if left else None
            if left and failure is None and key not in self._wanted:
                self._want(view)
        seconds = None if self._seconds is None or not left or failure else self._seconds * left
        problems = [*self.gallery.problems(view), *([failure] if failure else [])]
        return Progress(total - left, total, seconds, tuple(problems), failure is not None)

    def failed(self, view: View) -> bool:
        """Whether no more predictions of a view are made until it is wanted again."""
        return _predictions_of(view) in self._failed

    def _want(self, view: View) -> None:
        key = _predictions_of(view)
        self._wanted.pop(key, None)
        self._wanted[key] = view
        if len(self._wanted) > MOST_WANTED:
            del self._wanted[next(iter(self._wanted))]
        if self._thread is None:
            self._thread = Thread(target=self._work, name="gallery", daemon=True)
            self._thread.start()

    def _next(self) -> View | None:
        """The view that is wanted first; None if none is, which ends the thread."""
        with self._lock:
            if self._wanted:
                return next(reversed(self._wanted.values()))
            self._thread = None
            return None

    def _work(self) -> None:
        while view := self._next():
            failure = ""
            try:
                if tasks := self.gallery.to_make(view)[:AT_A_TIME]:
                    self._make(tasks)
                    continue
            except Exception as error:  # whatever it is, such as a full memory: the next view is not to wait for ever
                logger.exception("predictions of the gallery")
                reason = str(error).partition("\n")[0] or type(error).__name__
                failure = f"No more predictions are made, because of an error: {reason}"
            with self._lock:
                self._wanted.pop(_predictions_of(view), None)
                if failure:
                    self._failed[_predictions_of(view)] = failure

    def _make(self, tasks: list) -> None:
        started = time.perf_counter()
        for _ in self.gallery.make(tasks):
            pass
        mean = (time.perf_counter() - started) / len(tasks)
        # What is read from the disk is soon done, what a network makes is not: the last ones tell most.
        self._seconds = mean if self._seconds is None else 0.7 * self._seconds + 0.3 * mean


def _predictions_of(view: View) -> Hashable:
    """Equal for views that need the same predictions."""
    return view.classes, tuple(column.path for column in view.columns)
