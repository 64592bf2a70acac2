"""A page under load: several visitors at once send good photos and hostile ones, for ten minutes.

python tests/hostile/soak.py [--minutes 10] [--clients 8]

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
# Seconds that the last answers may take: the queue is as long as there are visitors.
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


def make_good(folder: Path) -> list[Path]:
    """Photos of noise; of each the client makes a new one before it sends it, so that no answer is remembered."""
    made = []
    for number, (width, height) in enumerate(GOOD):
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        made.append(folder / f"good{number}.jpg")
        Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)).save(made[-1], quality=90)
    return made


def visit(number: int, address: str, folder: Path, files: dict[str, list[Path]], latest: float, seen: Seen) -> None:
    """One visitor, until `latest` (of time.monotonic)."""
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    chance = random.Random(number)
    client = new_client(Client, address, str(folder / "answers"))
    sent = 0
    while time.monotonic() < latest:
        kind = "hostile" if chance.random() < HOSTILE_SHARE else "good"
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


def soak(minutes: float, clients: int) -> bool:
    """Print the report; whether all was well."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {"good": make_good(folder), "hostile": list(photos.make_photos(folder, list(HOSTILE)))}
        seen = Seen()
        with server(folder) as (process, address, _):
            latest = time.monotonic() + 60 * minutes
            visitors = [
                threading.Thread(target=visit, args=(number, address, folder, files, latest, seen), daemon=True)
                for number in range(clients)
            ]
            used = [memory(process)]
            for visitor in visitors:
                visitor.start()
            while any(visitor.is_alive() for visitor in visitors) and time.monotonic() < latest + PATIENCE:
                time.sleep(1)
                used.append(memory(process))
            for _ in filter(threading.Thread.is_alive, visitors):
                seen.failures[f"a visitor who is still waiting {PATIENCE} s later"] += 1
        return report(seen, used)


def report(seen: Seen, used: Sequence[float]) -> bool:
    """Print failures, seconds, and memory (MiB, one a second); whether nothing failed and memory stayed."""
    for kind, seconds in seen.seconds.items():
        if seconds:
            p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
            print(f"{kind}: {len(seconds)} answers, p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s, ", end="")
            print(f"slowest {max(seconds):.2f} s")
    print(f"of the hostile {seen.sentences} got a sentence; {seen.failures.total()} failures")
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
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    return 0 if soak(options.minutes, options.clients) else 1


if __name__ == "__main__":
    sys.exit(main())
