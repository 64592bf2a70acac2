"""Finding the photos that a command line names: files and folders, mixed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from simformer.errors import ConfigError


@dataclass(frozen=True)
class PhotoFile:
    """A photo to work on.

    Attributes:
        path: the file.
        name: its path below the folder that was named, with "/"; of a photo named by itself the file name.
    """

    path: Path
    name: str

    @property
    def stem(self) -> str:
        """The name without its extension: where the photo's results go, below the results' folder."""
        return str(PurePosixPath(self.name).with_suffix(""))


def find_photos(
    sources: Iterable[Path], out: Path, *, recursive: bool = False
) -> tuple[list[PhotoFile], list[tuple[Path, str]]]:
    """The photos that are named or lie in a folder that is named, each once, in that order; folders by name.

    In folders, hidden files and folders and files that no photo is called like (".txt") are passed over, and so
    is `out`. A file that is named is taken whatever it is called.

    Args:
        sources: photos and folders.
        out: where results will go.
        recursive: look into folders in the folders, too.

    Returns:
        The photos, and (path, sentence) of each source or folder that gives none.

    Raises:
        ConfigError: results would go among the photos, where the next run would take label maps for photos.
    """
    photos: dict[PhotoFile, None] = {}
    problems: list[tuple[Path, str]] = []
    results = out.resolve()
    for source in sources:
        if not source.is_dir():
            photos[PhotoFile(source, source.name)] = None
            continue
        if source.resolve() == results:
            raise ConfigError(f"the results cannot go into {out}, where the photos are; choose another folder")
        known = len(problems)
        below = list(_photos_below(source, results, recursive, problems))
        if not below and len(problems) == known:
            hint = "" if recursive else " (folders in it are searched with --recursive)"
            problems.append((source, f"there are no photos in it{hint}"))
        photos.update(dict.fromkeys(below))
    return list(_without_repeats(photos)), problems


def photo_suffixes() -> frozenset[str]:
    """Endings of photos' file names, lower case with the dot: those of the formats that `load_image` reads."""
    from PIL import Image

    from simformer.utils.images import FORMATS

    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS)


def _photos_below(
    folder: Path, results: Path, recursive: bool, problems: list[tuple[Path, str]]
) -> Iterator[PhotoFile]:
    suffixes = photo_suffixes()

    def report(error: OSError) -> None:
        problems.append((Path(error.filename), f"the folder cannot be read: {(error.strerror or '').lower()}"))

    for root, folders, files in os.walk(folder, onerror=report):
        here = Path(root)
        folders[:] = _visible(folders) if recursive else []
        folders[:] = [name for name in folders if (here / name).resolve() != results]
        for name in _visible(files):
            path = here / name
            if path.suffix.lower() in suffixes:
                yield PhotoFile(path, path.relative_to(folder).as_posix())


def _visible(names: Sequence[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))


def _without_repeats(photos: Iterable[PhotoFile]) -> Iterator[PhotoFile]:
    """One photo may be named twice: by itself and by its folder, or by two paths."""
    seen: set[tuple[str, str]] = set()
    for photo in photos:
        key = (photo.name, os.path.realpath(photo.path))  # not resolve, which fails on a link to itself
        if key not in seen:
            seen.add(key)
            yield photo
