"""Trainings in the background: one process of its own, which outlives no page that is closed in order."""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from simformer.errors import ConfigError
from simformer.paths import ROOT, runs_folder
from simformer.trainings.own import OwnRuns, Training
from simformer.utils.files import atomic_write, make_folder, only_one

SWEEP = (sys.executable, "-m", "train.tables.sweep")
JOB = "job.json"
LOG = "log.txt"
# tqdm's line: what is done (nothing: the training's own steps), how much of it, of how much, and the time that is left
# by its own reckoning.
_STEPS = re.compile(r"(?:(?:([^\r\n:|]+): +)?\d+%\|[^|]*)?\| *(\d+)/(\d+) \[[\d:]+<([\d:]+|\?)[^\]]*\]")
_TAIL_BYTES = 4000

State = Literal["none", "running", "stopped", "done"]


@dataclass(frozen=True)
class Progress:
    """How far the trainings are.

    Attributes:
        state: nothing was asked for, it runs, it was stopped or has failed, or all is done.
        trainings: all of them. done: how many are. current: the title of the one that runs or was stopped.
        stage: what it prepares, with a word of its log ("teacher's features"); empty once it takes its steps.
        step, steps: of that one, or of the stage; 0 while they are not known.
        seconds_left: until it, or the stage, is done; None where it is not known. of_all: until all are, likewise.
        problem: the sentence with which the current one has ended; empty if it was stopped.
    """

    state: State
    trainings: tuple[Training, ...] = ()
    done: int = 0
    current: str = ""
    stage: str = ""
    step: int = 0
    steps: int = 0
    seconds_left: float | None = None
    of_all: float | None = None
    problem: str = ""


class Trainer:
    """Trains on one folder data set in the background; on a machine one training at a time, whatever the folder.

    What was asked for is kept on disk: another trainer of the folder, after the page was started again, can go on.
    """

    def __init__(self, data: str | Path):
        self.runs = OwnRuns(data)

    def start(self, classes: tuple[str, ...], role_sets: list[list[str]]) -> None:
        """Train these role sets (novel classes of each); those that are done are not trained again.

        Raises:
            ConfigError: a training is going on, training is not installed here, or a role set is none.
        """
        self._begin(lambda: self.runs.write_table(classes, role_sets))

    def resume(self) -> None:
        """Go on with what was stopped. Raises ConfigError: as `start`, or nothing was."""
        trainings = self._trainings()
        if not trainings:
            raise ConfigError("there is no training to go on with")
        self._begin(lambda: trainings)

    def stop(self, seconds: float = 30) -> None:
        """Ask the training to save and stop, and wait for it."""
        process = _process(self._job())
        if process is None:
            return
        with suppress(psutil.NoSuchProcess):
            process.terminate()
            with suppress(psutil.TimeoutExpired):
                process.wait(seconds)

    def progress(self) -> Progress:
        """How far it is."""
        trainings = self._trainings()
        if not trainings:
            return Progress("none")
        running = _process(self._job()) is not None
        left = [training for training in trainings if not self.runs.done(training)]
        done = len(trainings) - len(left)
        if not left:
            return Progress("done" if not running else "running", trainings, done)
        now = max(left, key=lambda training: _touched(self.runs.cell_folder(training) / LOG))
        stage, step, steps, seconds = read_steps(self.runs.cell_folder(now) / LOG)
        if not running:
            last = _last_line(self.runs.cell_folder(now) / LOG)
            problem = last if last.startswith("Error: ") else ""
            return Progress("stopped", trainings, done, now.title, stage, step, steps, problem=problem)
        whole = None
        if seconds is not None and step and not stage:
            whole = seconds + (len(left) - 1) * seconds / max(steps - step, 1) * steps
        return Progress("running", trainings, done, now.title, stage, step, steps, seconds, whole)

    def _begin(self, table: Callable[[], Sequence[Training]]) -> None:
        if not (ROOT / "train" / "__main__.py").is_file():
            raise ConfigError("training is not installed here: it needs the project's folder, not the package alone")
        make_folder(runs_folder())
        with only_one(runs_folder(), "the start of a training"):
            other = _read_job()
            if _process(other) is not None:
                raise ConfigError(f"a training on {Path(str(other['data'])).name} is going on; one at a time")
            trainings = table()
            make_folder(self.runs.folder)
            command = [*SWEEP, str(self.runs.table), "--runs", str(self.runs.folder / "runs")]
            command += ["--results", str(self.runs.results)]
            threads = {"OMP_NUM_THREADS": str(os.cpu_count() or 1)}
            with (self.runs.folder / LOG).open("wb") as log:
                # A group of its own: Ctrl-C is for the page, which then asks the training to save.
                process = subprocess.Popen(
                    command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=threads | os.environ,
                    start_new_session=True,
                )  # fmt: skip
            job = {
                "data": str(self.runs.data),
                "pid": process.pid,
                "created": psutil.Process(process.pid).create_time(),
            }
            with atomic_write(self.runs.folder / "trainings.json", "w") as file:
                json.dump([asdict(training) for training in trainings], file)
            with atomic_write(runs_folder() / JOB, "w") as file:
                json.dump(job, file)
        atexit.register(self.stop)

    def _trainings(self) -> tuple[Training, ...]:
        try:
            listed = json.loads((self.runs.folder / "trainings.json").read_text(encoding="utf-8"))
            return tuple(Training(**one) for one in listed)
        except (OSError, ValueError, TypeError):  # none was ever begun
            return ()

    def _job(self) -> dict[str, Any] | None:
        """The process that was begun last, if it is of this folder."""
        job = _read_job()
        return job if job.get("data") == str(self.runs.data) else None


def read_steps(log: Path) -> tuple[str, int, int, float | None]:
    """`Progress`' (stage, step, steps, seconds_left) by a log's last line; ("", 0, 0, None) if there is none."""
    found = _STEPS.findall(_tail(log))
    if not found:
        return "", 0, 0, None
    stage, step, steps, left = found[-1]
    parts = [] if left == "?" else [int(part) for part in left.split(":")]
    seconds = sum(part * 60**power for power, part in enumerate(reversed(parts)))
    return stage.strip(), int(step), int(steps), float(seconds) if parts else None


def _read_job() -> dict[str, Any]:
    try:
        return json.loads((runs_folder() / JOB).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _process(job: dict[str, Any] | None) -> psutil.Process | None:
    """The process of a job while it lives: a number alone may be another process's by now."""
    if not job:
        return None
    with suppress(psutil.Error, KeyError):
        process = psutil.Process(job["pid"])
        if abs(process.create_time() - job["created"]) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _tail(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            opened.seek(0, os.SEEK_END)
            opened.seek(max(0, opened.tell() - _TAIL_BYTES))
            return opened.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def _last_line(file: Path) -> str:
    return next((line.strip() for line in reversed(_tail(file).splitlines()) if line.strip()), "")


def _touched(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
