"""The child process that decodes photos for `simformer.utils.apart`: requests on stdin, pixels on stdout.

An empty line says that it has started. A request is a line of JSON, and the file's bytes where it has no path. The
answer is a line of JSON; the pixels are in the memory whose file descriptor the command line names, or follow it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

from PIL import Image

from simformer.errors import ImageError
from simformer.utils.apart import CPU_SECONDS, MEMORY_BYTES, SharedPixels
from simformer.utils.images import load_image

try:
    import resource
except ImportError:  # Windows
    resource = None

# A child that has taken more is replaced: memory once taken is hardly given back.
KEPT_BYTES = 500_000_000
LONGEST_SENTENCE = 1000


def main() -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    shared = SharedPixels(int(sys.argv[1])) if len(sys.argv) > 1 else None
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing that a library prints gets between the pixels
    limit_memory()
    replies.write(b"\n")
    replies.flush()
    while line := requests.readline():
        request = json.loads(line)
        limit_time()
        content = requests.read(request["bytes"]) if request["path"] is None else None
        try:
            image = decode(request, content)
        except (ImageError, MemoryError) as error:
            sentence = str(error) or f"{request['name']} needs too much memory to be decoded"
            # Only JSON's own characters: a name may hold bytes that are no text.
            reply = {"error": sentence[:LONGEST_SENTENCE], "last": is_spent()}
            replies.write(json.dumps(reply).encode() + b"\n")
        else:
            reply = {"width": image.width, "height": image.height, "last": is_spent()}
            if shared is not None:
                shared.make_room(request["max_pixels"])
                # Not paste: it would paste into a copy, for Pillow takes memory that is not its own for read-only.
                shared.image(image.size).im.paste(image.im, (0, 0, *image.size))
            replies.write(json.dumps(reply).encode() + b"\n")
            if shared is None:
                replies.write(image.tobytes())
            del image
        replies.flush()
        if reply["last"]:
            break


def decode(request: dict[str, Any], content: bytes | None) -> Image.Image:
    """The photo. Raises ImageError, which calls it what the request calls it."""
    limits = {name: request[name] for name in ("max_pixels", "max_side", "formats")}
    if content is not None:
        return load_image(content, **limits)
    try:
        return load_image(request["path"], **limits)
    except ImageError as error:
        raise ImageError(str(error).replace(request["path"], request["name"])) from error


def limit_memory() -> None:
    """For good: memory, no file longer than nothing, no file with what the memory held."""
    if resource is None:
        return
    for what, limit in (("RLIMIT_AS", MEMORY_BYTES), ("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0)):
        with suppress(AttributeError, OSError, ValueError):  # a system may not know it, or allow less already
            resource.setrlimit(getattr(resource, what), (limit, limit))


def limit_time() -> None:
    """From now on; the limit is one of the process, and older photos have taken time already."""
    if resource is None:
        return
    taken = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(taken.ru_utime + taken.ru_stime) + 1 + CPU_SECONDS
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def is_spent() -> bool:
    """Whether the process has taken more memory than one that is kept may have."""
    return most_memory() > KEPT_BYTES


def most_memory() -> int:
    """Bytes that this process had at most."""
    # Linux counts in getrusage what the process that started this one had, a gigabyte with torch.
    with suppress(OSError, StopIteration), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return 1024 * int(next(line for line in status if line.startswith("VmHWM:")).split()[1])
    if resource is None:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
