"""Every photo of the corpus through the door of the page and of the command line: sentence, seconds, memory.

python tests/hostile/measure.py [NAME ...]      the corpus, or some of it
python tests/hostile/measure.py --good          what decoding apart costs a good photo

The corpus ends with an error where a photo took more than 15 seconds, or more than 1.5 GB above rest.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from photos import MAKERS
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from simformer.errors import ImageError
from simformer.utils import apart
from simformer.utils.images import load_image

MAKE = "import sys, photos, pathlib; p = pathlib.Path(sys.argv[1]); list(photos.make_photos(p.parent, [p.name]))"
MOST_SECONDS, MOST_MB = 15, 1500
# (width, height) of good photos, and how often each is read.
GOOD = {(4000, 3000): 15, (640, 480): 100}


def children() -> list[str]:
    """Process numbers."""
    with suppress(OSError):
        return [number for task in Path("/proc/self/task").glob("*/children") for number in task.read_text().split()]
    return []


class Memory:
    """This process's memory and its children's together, looked at ten times a second (Linux alone)."""

    def __init__(self) -> None:
        self.most = self.rest = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.most = max(self.most, self.now())
            time.sleep(0.1)

    def now(self) -> float:
        """MB; what parent and child share counts in both."""
        kilobytes = 0
        for number in ["self", *children()]:
            with suppress(OSError):  # it may have ended meanwhile
                lines = Path(f"/proc/{number}/status").read_text().splitlines()
                kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return kilobytes / 1000

    def above_rest(self) -> float:
        """The most since it was last asked for, MB above `rest`."""
        most, self.most = max(self.most, self.now()), 0.0
        return most - self.rest


def computing() -> float:
    """Seconds that this process and its children have computed so far (of children on Linux alone)."""
    seconds = time.process_time()
    for number in children():
        with suppress(OSError):
            seconds += int(Path(f"/proc/{number}/schedstat").read_text().split()[0]) / 1e9
    return seconds


def measure_corpus(names: list[str], folder: Path) -> bool:
    """Print a line a file, and what the worst took; whether all kept the limits."""
    rows: list[tuple[str, float, float, bool]] = []
    memory, good = Memory(), folder / "good.png"
    good.write_bytes(MAKERS["script_in_a_comment.jpg"]())
    apart.load_apart(good)
    memory.rest = memory.now()
    for path in (folder / name for name in names):
        # Elsewhere: making some of them takes more memory than reading them.
        subprocess.run([sys.executable, "-c", MAKE, str(path)], cwd=Path(__file__).parent, check=True)
        memory.above_rest()
        started, is_sentence = time.perf_counter(), False
        try:
            outcome = "{} x {} pixels".format(*apart.load_apart(path).size)
        except ImageError as error:
            outcome, is_sentence = str(error).replace(str(path), "it"), True
        row = (path.name, time.perf_counter() - started, memory.above_rest(), is_sentence)
        rows.append(row)
        size = path.stat().st_size / 1e6
        print(f"{row[0]:30} {size:6.2f} MB {row[1]:6.2f} s {row[2]:+6.0f} MB  {outcome}", flush=True)
        path.unlink()
        assert apart.load_apart(good).size == load_image(good).size  # whoever comes next is served
    sentences = sum(row[3] for row in rows)
    slowest, largest = max(rows, key=lambda row: row[1]), max(rows, key=lambda row: row[2])
    print(
        f"{len(rows)} files: {sentences} got a sentence, {len(rows) - sentences} were read; none raised anything else"
    )
    print(f"slowest: {slowest[1]:.1f} s ({slowest[0]}); most memory: {largest[2]:.0f} MB above rest ({largest[0]})")
    return slowest[1] <= MOST_SECONDS and largest[2] <= MOST_MB


def measure_good(folder: Path) -> None:
    """Print what a good photo takes in this process and apart, one after the other in turns."""
    for (width, height), times in GOOD.items():
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        path = folder / f"{width}x{height}.jpg"
        Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)).save(path, quality=90)
        doors: list[Callable[[Path], Image.Image]] = [load_image, apart.load_apart]
        waited: list[list[float]] = [[], []]
        computed = [0.0, 0.0]
        for turn in range(times + 1):
            for which, door in enumerate(doors):
                started, before = time.perf_counter(), computing()
                door(path)
                if turn:  # the first starts a child
                    waited[which].append(1000 * (time.perf_counter() - started))
                    computed[which] += 1000 * (computing() - before) / times
        more = [there - here for here, there in zip(*waited, strict=True)]
        print(f"{width} x {height}, {path.stat().st_size / 1e6:.1f} MB, {times} times, medians in ms:")
        print("  waiting   here {:.1f}, apart {:.1f}".format(*map(statistics.median, waited)), end="")
        print(f", more {statistics.median(more):.1f} (least {min(waited[1]) - min(waited[0]):.1f})")
        print(
            f"  computing here {computed[0]:.1f}, apart {computed[1]:.1f}, more {computed[1] - computed[0]:.1f} (means)"
        )


def main(words: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        if words == ["--good"]:
            measure_good(Path(folder))
            return 0
        return 0 if measure_corpus(words or list(MAKERS), Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
