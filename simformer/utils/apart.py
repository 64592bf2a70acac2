"""Photos of strangers, decoded in child processes: what breaks a decoder breaks nothing else.

A child is held to memory, time and the rule that it writes no file (`simformer.utils.decoder`), and is kept for the
next photo, so that a photo costs the passing of its pixels alone. Where Python has no module `resource` (Windows) a
child that takes too long is ended all the same, but its memory is not limited. Pixels come back in shared memory on
Linux, through a pipe elsewhere, which takes longer.
"""

from __future__ import annotations

import json
import mmap
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from PIL import Image

from simformer.errors import ImageError
from simformer.utils.images import FORMATS, MAX_PIXELS, MAX_SIDE

# Seconds of computing that a photo may take, and of waiting for it on a busy machine.
CPU_SECONDS, WALL_SECONDS = 10, 12
# Of waiting for a child to start, which is no photo's fault.
START_SECONDS = 60
TOO_SLOW = f"takes more than {CPU_SECONDS} seconds to decode"
MEMORY_BYTES = 1_500_000_000
LONGEST_REPLY = 10_000
# Bytes of a pixel as Pillow keeps it, in the memory that is shared with a child.
PIXEL_BYTES = 4
CHILDREN = min(4, os.cpu_count() or 1)
PIPE_BYTES = 2**20
# Pillow keeps 128 MB of a photo's memory for the next one.
PILLOW = {"PILLOW_BLOCK_SIZE": "4m", "PILLOW_BLOCKS_MAX": "32"}


def load_apart(
    source: str | Path | bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    max_side: int = MAX_SIDE,
    formats: Sequence[str] = FORMATS,
) -> Image.Image:
    """As `load_image`, of a file's name or its bytes, in another process.

    Raises:
        ImageError: as `load_image`; or decoding takes more than 10 s or 1.5 GB, or ends the process.
    """
    content = source if isinstance(source, bytes) else None
    request = {
        "path": None if content is not None else os.path.abspath(source),
        "name": "the image" if content is not None else str(source),
        "bytes": 0 if content is None else len(content),
        "max_pixels": max_pixels,
        "max_side": max_side,
        "formats": list(formats),
    }
    return _children.decode(request, content or b"")


def start_children() -> None:
    """Have a child ready before the first photo comes."""
    _children.make_ready()


class _Lost(Exception):
    """A child ended before it had answered."""


class _Late(Exception):
    """A child has not answered in time."""


class SharedPixels:
    """Memory that two processes share, kept from photo to photo: fresh memory takes longer than the pixels."""

    def __init__(self, file: int):
        self.file = file
        self._map: mmap.mmap | None = None

    def make_room(self, pixels: int) -> None:
        """Room for that many pixels. It takes no memory before something is written there."""
        if self._map is None or len(self._map) < PIXEL_BYTES * pixels:
            if os.fstat(self.file).st_size < PIXEL_BYTES * pixels:
                os.truncate(self.file, PIXEL_BYTES * pixels)
            self._map = mmap.mmap(self.file, PIXEL_BYTES * pixels)

    def image(self, size: tuple[int, int]) -> Image.Image:
        """An image of mode RGBX whose pixels are in this memory, not a copy of them."""
        assert self._map is not None, "room is made before"
        # Pillow takes any buffer, its annotation only some.
        return Image.frombuffer("RGBX", size, cast("Any", self._map), "raw", "RGBX", 0, 1)

    def copied(self, size: tuple[int, int]) -> Image.Image:
        """An image of mode RGB with a copy of these pixels."""
        assert self._map is not None, "room is made before"
        # By numpy, which takes its memory in large pages: small ones, as Pillow's, cost more than what is copied.
        pixels = np.frombuffer(self._map, np.uint8, PIXEL_BYTES * size[0] * size[1]).copy()
        image = Image.frombuffer("RGBX", size, cast("Any", pixels), "raw", "RGBX", 0, 1)
        image.im.setmode("RGB")  # which Pillow keeps in four bytes, too
        return image._new(image.im)


class _Child:
    def __init__(self) -> None:
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        # A linear algebra library would take memory for threads that nobody needs.
        environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | PILLOW
        self._shared = SharedPixels(os.memfd_create("photo")) if hasattr(os, "memfd_create") else None
        shared = [] if self._shared is None else [self._shared.file]
        # -P: not what lies in the working folder.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", "simformer.utils.decoder", *map(str, shared)],
            pass_fds=shared,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            pipesize=PIPE_BYTES,
        )
        self._has_started = False

    def decode(self, request: dict[str, Any], content: bytes) -> tuple[Image.Image | str, bool]:
        """The photo or the sentence that says why there is none, and whether the child goes on.

        Raises:
            _Late: the child takes too long. Once killed it may be at it for seconds, giving back its memory on a busy
                machine, so nobody waits for its end.
            _Lost: the child has ended, or had to be.
        """
        if self._shared is not None:
            self._shared.make_room(request["max_pixels"])
        requests = cast(IO[bytes], self.process.stdin)
        try:
            if not self._has_started:
                self._has_started = bool(_answer(self.process, START_SECONDS))
            requests.write(json.dumps(request).encode() + b"\n" + content)
            requests.flush()
            # What comes back is not trusted either: no pickle, and no more bytes than the photo may have.
            reply = json.loads(_answer(self.process, WALL_SECONDS))
            if "error" in reply:
                return str(reply["error"]), not reply["last"]
            size = width, height = reply["width"], reply["height"]
            if not 0 < width * height <= request["max_pixels"]:
                raise _Lost
            return self._pixels(size), not reply["last"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _Lost from error

    def _pixels(self, size: tuple[int, int]) -> Image.Image:
        width, height = size
        if self._shared is None:
            return Image.frombytes("RGB", size, cast(IO[bytes], self.process.stdout).read(3 * width * height))
        return self._shared.copied(size)

    def end(self) -> int:
        """End the process, if it has not ended by itself; its exit status."""
        with suppress(OSError):
            cast(IO[bytes], self.process.stdin).close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(0.5)
        return self._kill()

    def end_elsewhere(self) -> None:
        """End the process, whatever it is doing, and keep nobody waiting for that."""
        self.process.kill()
        threading.Thread(target=self._kill, daemon=True).start()

    def _kill(self) -> int:
        self.process.kill()
        status = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                cast(IO[bytes], pipe).close()
        if self._shared is not None:
            os.close(self._shared.file)
            self._shared = None
        return status


def _answer(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """The line with which a process answers, nothing if it has ended. Raises _Late."""
    replies = cast(IO[bytes], process.stdout)
    if os.name == "nt":  # there no pipe can be waited for: its process is ended
        late = threading.Timer(seconds, process.kill)
        late.start()
        try:
            return replies.readline(LONGEST_REPLY)
        finally:
            late.cancel()
    with selectors.DefaultSelector() as selector:
        selector.register(replies, selectors.EVENT_READ)
        if not selector.select(seconds):
            raise _Late
    return replies.readline(LONGEST_REPLY)


class _Children:
    """A few children; a photo waits for one of them."""

    def __init__(self, most: int):
        self._idle: list[_Child] = []
        self._free = threading.BoundedSemaphore(most)

    def make_ready(self) -> None:
        if not self._idle:
            self._idle.append(_Child())

    def decode(self, request: dict[str, Any], content: bytes) -> Image.Image:
        with self._free:
            try:
                child = self._idle.pop()
            except IndexError:
                child = _Child()
            if child.process.poll() is not None:  # ended while nobody asked it for anything
                child.end()
                child = _Child()
            try:
                answer, goes_on = child.decode(request, content)
            except _Lost as error:
                status = child.end()
                self.make_ready()
                raise ImageError(f"{request['name']} {_why(status)}") from error
            except BaseException as error:
                child.end_elsewhere()
                self.make_ready()
                if isinstance(error, _Late):
                    raise ImageError(f"{request['name']} {TOO_SLOW}") from error
                raise
            if goes_on:
                self._idle.append(child)
            else:
                child.end_elsewhere()
                self.make_ready()
        if isinstance(answer, str):
            raise ImageError(answer)
        return answer


def _why(status: int) -> str:
    if -status == getattr(signal, "SIGXCPU", None) or os.name == "nt":
        return TOO_SLOW
    if -status == getattr(signal, "SIGKILL", None):  # not by this module: by a system that is short of memory
        return "needs too much memory to be decoded"
    return "cannot be decoded: it makes the decoder fail"


def _after_fork() -> None:
    """The children belong to the process that started them."""
    global _children
    _children = _Children(CHILDREN)


_children = _Children(CHILDREN)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
