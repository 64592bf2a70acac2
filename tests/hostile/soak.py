"""A page under load: several visitors at once send good photos and hostile ones, for ten minutes.

python tests/hostile/soak.py [--minutes 10] [--clients 8]
python tests/hostile/soak.py --requests 40 [--clients 8] --good-only

With --requests every visitor sends so many, however long that takes; with --good-only nobody sends a hostile photo.

Prints failures, how long answers took, and the page's memory. A good photo fails without a label map, a hostile one
without a sentence. Ends with an error where something failed, or where memory grew by more than 15 % after the first
minute.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import photos
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from simformer.bench.page import memory, new_client, server

# (width, height): small ones are sent more often, as they are made.
GOOD = ((640, 480), (640, 480), (1280, 960), (1920, 1080), (4000, 3000))
# What is refused by its header, by its content, for its memory and for its time; two are read after all.
HOSTILE = (
    "one_row_of_fifty_million.png", "exif_entries.png", "exif_numbers.webp", "directory_entries.tif", "text.png",
    "scans.jpg", "eighty_scans.jpg", "declared_size_alone.jpg", "alpha.png", "extensions.gif", "chunks.png",
    "no_pixels.gif", "frames.gif", "palette_of_nothing.bmp", "noise.jpg", "script_in_a_comment.jpg",
)  # fmt: skip
HOSTILE_SHARE = 0.3
# Of the memory after the first minute; the first minute loads networks.
MOST_GROWTH = 1.15
# Seconds without any answer until those who wait are given up.
PATIENCE = 600
# What a client says of an error that the page has no sentence for.
NO_SENTENCE = "has not enabled verbose error reporting"


@dataclass
class Seen:
    """What the visitors have seen so far.

    Attributes:
        seconds: of each answer, by kind of photo ("good", "hostile").
        failures: what was wrong, and how often.
        sentences: hostile photos that were refused.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"good": [], "hostile": []})
    failures: Counter[str] = field(default_factory=Counter)
    sentences: int = 0

    @property
    def answers(self) -> int:
        """Of both kinds."""
        return sum(map(len, self.seconds.values()))


def make_good(folder: Path) -> list[Path]:
    """Photos of noise; of each the client makes a new one before it sends it, so that no answer is remembered."""
    made = []
    for number, (width, height) in enumerate(GOOD):
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        made.append(folder / f"good{number}.jpg")
        Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)).save(made[-1], quality=90)
    return made


@dataclass(frozen=True)
class Load:
    """What is asked of the page.

    Attributes:
        minutes: how long visitors begin new requests. requests: of each visitor; None: as many as the time allows.
        hostile: share of the requests, 0 to 1.
    """

    minutes: float
    clients: int
    requests: int | None = None
    hostile: float = HOSTILE_SHARE

    def over(self, sent: int, started: float) -> bool:
        """Whether a visitor who has sent so many goes; `started` is of time.monotonic."""
        if self.requests is not None:
            return sent >= self.requests
        return time.monotonic() >= started + 60 * self.minutes


def visit(number: int, address: str, folder: Path, files: dict[str, list[Path]], load: Load, seen: Seen) -> None:
    """One visitor, from now on."""
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    chance = random.Random(number)
    client = new_client(Client, address, str(folder / "answers"))
    sent, begun = 0, time.monotonic()
    while not load.over(sent, begun):
        kind = "hostile" if chance.random() < load.hostile else "good"
        original = chance.choice(files[kind])
        photo = folder / f"{number}-{original.name}"
        # Bytes behind the end of a picture change nothing but what it is remembered by.
        photo.write_bytes(original.read_bytes() + f"{number} {sent}".encode())
        sent += 1
        started, trouble = time.monotonic(), ""
        try:
            answer, label_map = client.predict(handle_file(photo), api_name="/segment")
            size = Image.open(label_map).size
            if size != (answer["size"]["width"], answer["size"]["height"]):
                trouble = "a label map of another size"
            Path(label_map).unlink()
        except AppError as error:
            if kind == "hostile" and NO_SENTENCE not in str(error) and "\n" not in str(error).strip():
                seen.sentences += 1
            else:
                trouble = str(error)
        except Exception as error:  # whatever a client may raise: the request was not answered
            trouble = f"{type(error).__name__}: {error}"
        seen.seconds[kind].append(time.monotonic() - started)
        if trouble:
            seen.failures[f"{original.name}: {trouble[:200]}"] += 1


def soak(load: Load) -> bool:
    """Print the report; whether all was well."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {"good": make_good(folder), "hostile": []}
        if load.hostile:
            files["hostile"] += photos.make_photos(folder, list(HOSTILE))
        seen = Seen()
        with server(folder) as (process, address, _):
            visitors = [
                threading.Thread(target=visit, args=(number, address, folder, files, load, seen), daemon=True)
                for number in range(load.clients)
            ]
            used = [memory(process)]
            for visitor in visitors:
                visitor.start()
            answered, last = 0, time.monotonic()
            # Whoever waits has patience, counted from anybody's last answer.
            while any(visitor.is_alive() for visitor in visitors) and time.monotonic() < last + PATIENCE:
                time.sleep(1)
                used.append(memory(process))
                if seen.answers > answered:
                    answered, last = seen.answers, time.monotonic()
            for _ in filter(threading.Thread.is_alive, visitors):
                seen.failures[f"a visitor who still waits {PATIENCE} s after the last answer"] += 1
            if load.requests is not None and (unasked := load.clients * load.requests - seen.answers):
                seen.failures["a request without an answer"] += unasked
        return report(seen, used)


def report(seen: Seen, used: Sequence[float]) -> bool:
    """Print failures, seconds, and memory (MiB, one a second); whether nothing failed and memory stayed."""
    for kind, seconds in seen.seconds.items():
        if seconds:
            p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
            print(f"{kind}: {len(seconds)} answers, p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s, ", end="")
            print(f"slowest {max(seconds):.2f} s")
    refused = f"of the hostile {seen.sentences} got a sentence; " if seen.seconds["hostile"] else ""
    print(f"{refused}{seen.failures.total()} failures")
    for what, times in seen.failures.most_common():
        print(f"  {times} x {what}")
    # A decoder at work on a hostile photo is no growth: the median of some seconds.
    first = float(np.median(used[55:65] if len(used) > 65 else used[-10:]))
    last = float(np.median(used[-10:]))
    print(
        f"memory in MiB: start {used[0]:.0f}, after the first minute {first:.0f}, peak {max(used):.0f}, end {last:.0f}"
    )
    return not seen.failures and last <= MOST_GROWTH * first


def main() -> int:
    parser = argparse.ArgumentParser(description="A page under load, with good and hostile photos.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long visitors begin new requests")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, help="of each visitor, in place of --minutes")
    parser.add_argument("--good-only", action="store_true", help="no hostile photos")
    options = parser.parse_args()
    hostile = 0.0 if options.good_only else HOSTILE_SHARE
    return 0 if soak(Load(options.minutes, options.clients, options.requests, hostile)) else 1


if __name__ == "__main__":
    sys.exit(main())
