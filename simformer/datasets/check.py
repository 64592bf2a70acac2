"""What a folder data set holds, and all that is wrong with it: every mistake with a way to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from simformer.datasets.folder import FolderDataset
from simformer.datasets.folder_files import (
    PHOTO_SUFFIXES,
    TRAIN,
    VAL,
    find_photos,
    listed_names,
    read_classes,
    read_image_labels,
)
from simformer.errors import DatasetError
from simformer.labels import VOID, value_counts

FEW = 10
"""Photos of a class from which hardly anything can be learnt, or concluded."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Mistake:
    """Something that is wrong, or odd, with a data set.

    Attributes:
        what: a sentence. mend: what to do about it, a sentence.
        serious: training or evaluation would end with it; else it is worth knowing.
        files: the photos, files or classes it is about; with what a reader said of them, where it said something.
    """

    what: str
    mend: str
    serious: bool = True
    files: tuple[str, ...] = ()


class FolderCheck:
    """Looks at every photo and label map of a folder data set. What only lists say is known at once.

    Args:
        root: the folder; nothing about it has to be right.
        lists: the files in it that name its photos; those that are not there are passed over.

    Attributes:
        classes: K names; empty if they cannot be read.
        total, done: photos to look at, and how many have been looked at.
        lists: how many photos each list names, by file name; without any list all photos are "images".
        label_maps: photos with a label map, of those looked at.
        shown: int64, L x K; of the photos of each list that show each class, by label map or image-level labels.
        pixels: int64, K; labelled pixels of each class. void: pixels without a class.
        together: int64, K x K; photos that show two classes, on the diagonal one.
    """

    def __init__(self, root: str | Path, lists: tuple[str, ...] = (TRAIN, VAL)):
        self.root = Path(root)
        self._mistakes: list[Mistake] = []
        self._of_photos: dict[str, list[str]] = {kind: [] for kind in _OF_PHOTOS}
        self._lock = Lock()
        self.classes = self._try(lambda: read_classes(self.root), (), _CLASSES)
        photos = self._try(lambda: find_photos(self.root), {}, _PHOTOS)
        if not photos and not self._mistakes:
            self._mistakes.append(Mistake(f"There is no photo in {self.root / 'images'}.", _PHOTOS))
        # Without photos or classes everything else would be wrong, too.
        usable = bool(photos and self.classes)
        labelled: dict[str, set[int]] | None = None
        if usable:
            labelled = self._try(lambda: read_image_labels(self.root, self.classes, photos), None, _IMAGE_LABELS)
        names = self._read_lists(lists, photos) if usable else {}
        if usable and TRAIN not in names:
            self._mistakes.append(Mistake(f"There is no {TRAIN}.", "Training needs it: a photo's name a line.", False))
        names = names or {"images": list(photos)}
        self.lists = {name: len(listed) for name, listed in names.items()}
        self.shown = np.zeros((len(names), len(self.classes)), dtype=np.int64)
        self.pixels = np.zeros(len(self.classes), dtype=np.int64)
        self.together = np.zeros((len(self.classes),) * 2, dtype=np.int64)
        self.void = self.label_maps = self.done = 0
        self._in_lists: dict[str, list[int]] = {}
        for row, listed in enumerate(names.values()):
            for name in listed:
                self._in_lists.setdefault(name, []).append(row)
        # A data set whose image_labels.csv is wrong cannot be opened: its photos have to wait.
        self._labelled = labelled or {}
        known = [] if labelled is None else self._usable(photos, labelled)
        self._dataset = FolderDataset(self.root, names=known) if known else None
        self.total = len(known)

    def run(self) -> Iterator[int]:
        """Look at the photos that nobody has looked at yet; yields how many are done. Stop whenever you like."""
        while self._dataset is not None:
            with self._lock:
                index = self.done
                if index >= self.total:
                    return
                self.done += 1
            self._look_at(self._dataset, index)
            yield self.done

    @property
    def finished(self) -> bool:
        """Whether all photos have been looked at."""
        return self.done >= self.total

    @property
    def mistakes(self) -> list[Mistake]:
        """What is known to be wrong so far, the serious first; of classes only once everything has been looked at."""
        found = list(self._mistakes)
        for kind, files in self._of_photos.items():
            if files:
                what, mend, serious = _OF_PHOTOS[kind]
                found.append(Mistake(f"{what}: {len(files)}.", mend, serious, tuple(files)))
        if self.finished and self._dataset is not None:
            found += self._of_classes()
        return sorted(found, key=lambda mistake: not mistake.serious)

    def answer(self) -> dict[str, Any]:
        """All of it as JSON values."""
        rows = [
            {"name": name, "photos": dict(zip(self.lists, self.shown[:, index].tolist(), strict=True)),
             "pixels": int(self.pixels[index])}
            for index, name in enumerate(self.classes)
        ]  # fmt: skip
        return {
            "lists": self.lists,
            "photos": self.done,
            "label_maps": self.label_maps,
            "classes": rows,
            "together": self.together.tolist(),
            "mistakes": [
                {"what": each.what, "mend": each.mend, "serious": each.serious, "files": list(each.files)}
                for each in self.mistakes
            ],
        }

    def _try(self, read: Callable[[], Found], otherwise: Found, mend: str) -> Found:
        try:
            return read()
        except DatasetError as error:
            self._mistakes.append(Mistake(_sentence(error), mend))
            return otherwise

    def _read_lists(self, lists: tuple[str, ...], photos: Mapping[str, Path]) -> dict[str, list[str]]:
        """The names in every list that are there, each once."""
        found: dict[str, list[str]] = {}
        for file in dict.fromkeys(lists):
            if not (self.root / file).is_file():
                continue
            listed = self._try(lambda file=file: listed_names(self.root / file), [], _LISTS)
            names = list(dict.fromkeys(listed))
            missing = tuple(name for name in names if name not in photos)
            if missing:
                mend = _LISTS if any(name.lower().endswith(PHOTO_SUFFIXES) for name in missing) else (
                    f"Put the photos into images, or take the names out of {file}."
                )  # fmt: skip
                self._note(f"Photos in {file} that are not in images", mend, missing)
            twice = tuple(name for name in names if listed.count(name) > 1) if len(names) < len(listed) else ()
            if twice:
                self._note(f"Photos that stand in {file} more than once", f"Name each once in {file}.", twice)
            found[file] = [name for name in names if name in photos]
        if TRAIN in found and VAL in found:
            both = tuple(sorted({*found[TRAIN]} & {*found[VAL]}))
            if both:
                what = f"Photos both in {TRAIN} and in {VAL}, so that what is measured would be too good"
                self._note(what, "Take them out of one of the two.", both, serious=False)
        return found

    def _usable(self, photos: Mapping[str, Path], labelled: Mapping[str, set[int]]) -> list[str]:
        """The listed photos that have labels of some kind; notes the others, and label maps without a photo."""
        maps = {path.stem for path in (self.root / "labels").glob("*.png")}
        alone = tuple(sorted(maps - photos.keys()))
        if alone:
            what = "Label maps without a photo of their name in images"
            self._note(what, "Name photo and label map alike: images/NAME.jpg and labels/NAME.png.", alone, False)
        idle = tuple(name for name in photos if name not in self._in_lists)
        if idle:
            self._note("Photos in images that stand in no list", "They are not used.", idle, False)
        without = tuple(name for name in self._in_lists if name not in maps and name not in labelled)
        if without:
            what = "Photos with neither a label map nor a class in image_labels.csv"
            mend = "Add labels/NAME.png, or lines photo,class to image_labels.csv, or take them out of the lists."
            self._note(what, mend, without)
        return [name for name in self._in_lists if name not in without]

    def _note(self, what: str, mend: str, files: tuple[str, ...], serious: bool = True) -> None:
        self._mistakes.append(Mistake(f"{what}: {len(files)}.", mend, serious, files))

    def _look_at(self, dataset: FolderDataset, index: int) -> None:
        name = dataset.names[index]
        labels: NDArray[np.uint8] | None = None
        try:
            _, found = dataset.sample(index)
            labels = None if found is None else found.numpy()
        except DatasetError as error:
            text = str(error).replace(f"{self.root}/", "")
            with self._lock:
                self._of_photos[_kind(dataset, index)].append(text)
            return
        counts = np.zeros(VOID + 1, dtype=np.int64)
        if labels is not None:
            counts = value_counts(labels)
        known = sorted({*np.flatnonzero(counts[:VOID]).tolist(), *self._labelled.get(name, ())})
        with self._lock:
            self.label_maps += labels is not None
            self.pixels += counts[: len(self.classes)]
            self.void += int(counts[VOID])
            self.shown[np.ix_(self._in_lists[name], known)] += 1
            self.together[np.ix_(known, known)] += 1
            if not known:
                self._of_photos["void"].append(name)

    def _of_classes(self) -> list[Mistake]:
        """Classes that nothing can be learnt of, or concluded about."""
        found, rows = [], dict(zip(self.lists, self.shown, strict=True))
        nowhere = [name for name, count in zip(self.classes, self.shown.sum(axis=0), strict=True) if not count]
        if nowhere:
            mend = "Take them out of classes.txt (the label maps' values behind them move), or add photos of them."
            found.append(Mistake(f"No photo shows {_several(nowhere)}.", mend, False, tuple(nowhere)))
        for file, why in ((TRAIN, "hardly be learnt"), (VAL, "hardly be measured")):
            if file in rows:
                few = [
                    f"{name}: {count}"
                    for name, count in zip(self.classes, rows[file], strict=True)
                    if count < FEW and name not in nowhere
                ]
                if few:
                    what = f"In {file} {_several(few)} have fewer than {FEW} photos: they can {why}."
                    found.append(Mistake(what, f"Add photos of them to {file}.", False, tuple(few)))
        return found


_CLASSES = f"Write classes.txt: one name a line, each once, {VOID} at most; a line's number, from 0, is the index."
_PHOTOS = f"Put the photos into the folder images, each under a name of its own ({', '.join(PHOTO_SUFFIXES)})."
_IMAGE_LABELS = "Begin it with the line photo,class; name photos of images and classes of classes.txt in the others."
_LISTS = "Write the photos' names without extension, one a line, as UTF-8 text."
# Of a photo: what is wrong, what to do about it, whether a training would end with it.
_OF_PHOTOS = {
    "photo": ("Photos that cannot be read", "Save them again as JPEG or PNG, or take them out of the lists.", True),
    "labels": (
        "Label maps that cannot be used",
        "Save them as 8-bit PNGs, gray or palette: line numbers of classes.txt from 0, or 255 for void.",
        True,
    ),
    "size": ("Photos whose label map has another size", "Draw label maps at the photo's own size.", True),
    "void": (
        "Photos that are void everywhere",
        "Label them, or take them out of the lists: they teach nothing.",
        False,
    ),
}


def _kind(dataset: FolderDataset, index: int) -> str:
    """Which of the two files of a bad photo is to blame."""
    for kind, read in (("photo", dataset.image), ("labels", dataset.label_map)):
        try:
            read(index)
        except DatasetError:
            return kind
    return "size"


def _sentence(error: DatasetError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _several(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} classes"
