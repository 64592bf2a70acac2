"""Photos that somebody hands over in one go: files and zips of files, unpacked within bounds."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from simformer.batch.find import PhotoFile, photo_suffixes
from simformer.utils.files import make_folder

MOST_PHOTOS = 500
MOST_BYTES = 2**30
"""Of all files of a zip together, unpacked: some archives of a few kilobytes would fill a disk."""


@dataclass(frozen=True)
class Failed:
    """A file that has no label map. name: as it was handed over. why: a sentence without its end."""

    name: str
    why: str


def unpack(files: Iterable[Path], folder: Path) -> tuple[list[PhotoFile], list[Failed]]:
    """The photos among some files and zips, each under a name of its own, in that order.

    Folders and hidden files of a zip are passed over. What is too much, what is no photo and what cannot be unpacked is
    named.

    Args:
        files: photos and zips.
        folder: gets the files of the zips; it is made where it does not exist.
    """
    photos: list[PhotoFile] = []
    failed: list[Failed] = []
    taken: set[str] = set()
    for number, file in enumerate(files):
        if file.suffix.lower() == ".zip":
            found: Iterable[PhotoFile | Failed] = _unzipped(file, folder / str(number))
        elif file.suffix.lower() in photo_suffixes():
            found = [PhotoFile(file, file.name)]
        else:
            found = [Failed(file.name, "it is neither a photo nor a zip")]
        for each in found:
            if isinstance(each, Failed):
                failed.append(each)
            elif len(photos) == MOST_PHOTOS:
                failed.append(Failed(each.name, f"it is one more than {MOST_PHOTOS} photos"))
            else:
                photos.append(_renamed(each, taken))
    return photos, failed


def _unzipped(file: Path, folder: Path) -> Iterator[PhotoFile | Failed]:
    left = MOST_BYTES
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                path = PurePosixPath(entry.filename.replace("\\", "/"))
                if entry.is_dir() or any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts):
                    continue
                name = f"{file.name}/{path}"
                if why := _refused(entry, path):
                    yield Failed(name, why)
                    continue
                # The declared size; the reader stops there, whatever the archive holds.
                left -= entry.file_size
                if left < 0:
                    yield Failed(name, f"the zip holds more than {MOST_BYTES // 2**20} MB")
                    return
                target = folder / path
                try:
                    make_folder(target.parent)
                    with archive.open(entry) as packed, target.open("wb") as unpacked:
                        shutil.copyfileobj(packed, unpacked)
                except (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
                    yield Failed(name, f"it cannot be unpacked ({error})")
                else:
                    yield PhotoFile(target, str(path))
    except (OSError, zipfile.BadZipFile) as error:
        yield Failed(file.name, f"it cannot be read as a zip ({error})")


def _refused(entry: zipfile.ZipInfo, path: PurePosixPath) -> str:
    """Why an entry is not unpacked; empty if it is."""
    if path.is_absolute() or ".." in path.parts or ":" in entry.filename or not entry.filename.isprintable():
        return "its name leads out of the zip"
    if path.suffix.lower() not in photo_suffixes():
        return "it is no photo"
    return "it is encrypted" if entry.flag_bits & 1 else ""


def _renamed(photo: PhotoFile, taken: set[str]) -> PhotoFile:
    """The photo under a name whose label map replaces no other's; names are told apart without case."""
    path = PurePosixPath(photo.name)
    name, number = photo.name, 1
    while str(PurePosixPath(name).with_suffix("")).casefold() in taken:
        number += 1
        name = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
    taken.add(str(PurePosixPath(name).with_suffix("")).casefold())
    return PhotoFile(photo.path, name)
