"""Every photo of the corpus through the door of the page and of the command line: sentence, seconds, memory.

python tests/hostile/measure.py [NAME ...]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from photos import MAKERS

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from simformer.errors import ImageError
from simformer.utils.apart import MEMORY_BYTES, load_apart
from simformer.utils.images import load_image

MAKE = "import sys, photos, pathlib; p = pathlib.Path(sys.argv[1]); list(photos.make_photos(p.parent, [p.name]))"


def peak(who: int) -> int:
    """Largest memory so far, in MB."""
    return resource.getrusage(who).ru_maxrss // 1000


def main() -> None:
    """Print a line a file, and what the worst took."""
    seconds, sentences, names = [], 0, sys.argv[1:] or list(MAKERS)
    with tempfile.TemporaryDirectory() as folder:
        good = Path(folder, "good.png")
        good.write_bytes(MAKERS["script_in_a_comment.jpg"]())
        load_apart(good)
        rest = peak(resource.RUSAGE_SELF)
        for path in (Path(folder, name) for name in names):
            # Elsewhere: making some of them takes more memory than reading them.
            subprocess.run([sys.executable, "-c", MAKE, str(path)], cwd=Path(__file__).parent, check=True)
            started = time.perf_counter()
            try:
                outcome = "{} x {} pixels".format(*load_apart(path).size)
            except ImageError as error:
                sentences += 1
                outcome = str(error).replace(str(path), "it")
            seconds.append(time.perf_counter() - started)
            print(f"{path.name:34} {path.stat().st_size / 1e6:6.2f} MB {seconds[-1]:6.2f} s  {outcome}", flush=True)
            path.unlink()
            assert load_apart(good).size == load_image(good).size  # whoever comes next is served
    read = len(names) - sentences
    limit = MEMORY_BYTES // 1_000_000  # the system holds it to that
    above = peak(resource.RUSAGE_SELF) - rest
    print(f"{len(names)} files: {sentences} got a sentence, {read} were read; none raised anything else")
    print(f"slowest {max(seconds):.1f} s; this process took {above} MB above rest, a child at most {limit} MB")


if __name__ == "__main__":
    main()
