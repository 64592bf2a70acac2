"""What visitors send stays within a folder of the page's own, and within a quota."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from simformer.errors import SimFormerError
from simformer.utils.files import CAN_LOCK, only_one

# Where Gradio keeps what is sent, and copies of what the page sends back.
FOLDER_VARIABLE = "GRADIO_TEMP_DIR"
PREFIX = "simformer-page-"
# A page makes its folder, and only then locks it.
YOUNG_SECONDS = 60
QUOTA_BYTES = 2_000_000_000
FULL = "The page has no room for more files at the moment; please try again in some minutes."
_held = ExitStack()


def use_own_folder() -> None:
    """Files of this process's page go to a folder that ends with it, unless `GRADIO_TEMP_DIR` names one.

    Folders of pages that ended without deleting theirs are deleted.
    """
    if os.environ.get(FOLDER_VARIABLE):
        return
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    _held.enter_context(only_one(folder, "a page"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[FOLDER_VARIABLE] = str(folder)


def sweep() -> None:
    """Delete the folders of pages that are no more, which nobody can tell where files cannot be locked (Windows)."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if CAN_LOCK else ():
        # A folder of another user stays, and so does that of a page that runs.
        with suppress(OSError, SimFormerError):
            if time.time() - folder.stat().st_mtime > YOUNG_SECONDS:
                with only_one(folder, "a page"):
                    shutil.rmtree(folder)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # it may have been deleted meanwhile
                total += os.lstat(os.path.join(where, name)).st_size
    return total


class UploadQuota:
    """ASGI middleware that answers 503 to an upload for which `folder` has no room."""

    def __init__(self, app: ASGIApp, folder: str | Path, quota: int = QUOTA_BYTES):
        self.app = app
        self.folder = Path(folder)
        self.quota = quota

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].rstrip("/").endswith("/upload"):
            length = Headers(scope=scope).get("content-length", "")
            more = int(length) if length.isdecimal() else 0
            if await run_in_threadpool(size_of, self.folder) + more > self.quota:
                await JSONResponse({"detail": FULL}, status_code=503)(scope, receive, send)
                return
        await self.app(scope, receive, send)
