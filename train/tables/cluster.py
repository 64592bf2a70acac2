"""Training processes on a Ray cluster, with the interface that `subprocess.Popen` gives to those on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

from simformer.batch.cluster import Cluster
from simformer.results import ResultCell, read_results, write_result


class Runner:
    """Lives in a worker: runs one command, whose last words are its results."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen | None = None
        self.stopped = False

    def run(self, command: list[str], folder: str, out: str) -> tuple[int, list[ResultCell]]:
        """Run a command in `folder`, its output at the end of OUT/log.txt; exit status, and the results in OUT."""
        Path(out).mkdir(parents=True, exist_ok=True)
        with (Path(out) / "log.txt").open("ab") as log, self.lock:
            if self.stopped:
                return -signal.SIGTERM, []
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        return self.process.wait(), read_results(Path(out), part_masked=True)

    def stop(self) -> None:
        """Ask the command to save and stop."""
        with self.lock:
            self.stopped = True
            if self.process is not None:
                self.process.terminate()


class ClusterProcess:
    """One command in one worker, which has this folder at the same path. Results come back over the network.

    Attributes:
        returncode: None while it runs or waits for a worker; 1 if the worker was lost.
    """

    def __init__(self, cluster: Cluster, command: list[str], out: Path) -> None:
        self.ray = cluster.ray
        self.out = out
        self.returncode: int | None = None
        # Two calls at a time: `stop` must be heard while `run` waits.
        self.runner = self.ray.remote(Runner).options(max_concurrency=2, **cluster.resources).remote()
        self.end = self.runner.run.remote(command, os.getcwd(), str(out.resolve()))

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        if self.returncode is None and self.ray.wait([self.end], timeout=0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        """Wait for the end and write the results into the cell's folder here, where they may be already."""
        if self.returncode is not None:
            return self.returncode
        try:
            code, results = self.ray.get(self.end)
        except self.ray.exceptions.RayError:
            code, results = 1, []
        self.returncode = code
        for result in results:
            write_result(result, self.out)
        self.ray.kill(self.runner)  # gives its place to the next
        return code

    def terminate(self) -> None:
        """Ask it to save and stop."""
        self.runner.stop.remote()
