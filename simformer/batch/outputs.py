"""The results of one photo on disk, NAME.png and NAME.json, and how a later run knows that they are done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simformer.errors import SimFormerError
from simformer.utils.files import atomic_write, make_folder

if TYPE_CHECKING:
    from simformer.segmentation import ClassRow, Segmentation


@dataclass(frozen=True)
class MadeFrom:
    """What a photo's results depend on; the same again would give the same results.

    Attributes:
        weights: SHA-256 of the weights file, in hex.
        threshold: below which pixels are unsure.
        exact: whether label maps are made at full resolution.
        engine: what runs the network.
        photo_bytes, photo_modified_ns: size of the photo file, and when it was last written.
    """

    weights: str
    threshold: float
    exact: bool
    engine: str
    photo_bytes: int
    photo_modified_ns: int


def made_from(photo: Path, weights: str, threshold: float, exact: bool, engine: str) -> MadeFrom | None:
    """What the results of a photo would be made from now; None if its file cannot be looked at."""
    try:
        state = photo.stat()
    except OSError:
        return None
    return MadeFrom(weights, threshold, exact, engine, state.st_size, state.st_mtime_ns)


def digest(file: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def label_file(stem: Path) -> Path:
    """STEM.png. A name may hold dots, which with_suffix would take for an extension."""
    return stem.with_name(f"{stem.name}.png")


def table_file(stem: Path) -> Path:
    """STEM.json."""
    return stem.with_name(f"{stem.name}.json")


def is_done(stem: Path, name: str, origin: MadeFrom | None) -> bool:
    """Whether STEM.png and STEM.json are there and were made from the photo `name` as it is now."""
    if origin is None or not label_file(stem).is_file():
        return False
    content = _read(table_file(stem))
    # Results of earlier versions name no engine.
    made_from = {"engine": "torch"} | (content.get("made_from") or {})
    return content.get("photo") == name and made_from == asdict(origin)


def save_segmentation(result: Segmentation, stem: Path, name: str, origin: MadeFrom | None) -> str:
    """Write a photo's results; returns one line about it. Raises as `write_results`."""
    table = result.table()
    write_results(result, table, stem, name, origin)
    return summary(table, result.unsure)


def summary(table: list[ClassRow], unsure: float) -> str:
    """The largest classes and their shares, for one line of text."""
    parts = [f"{row.name} {row.area:.0%}" for row in table[:4]]
    if unsure:
        parts.append(f"unsure {unsure:.0%}")
    return ", ".join(parts)


def write_results(result: Segmentation, table: list[ClassRow], stem: Path, name: str, origin: MadeFrom | None) -> None:
    """Write STEM.png (palette PNG of class indices) and STEM.json, in folders made where they are missing.

    A label map that is there is replaced only by a finished one, then its table; of a new one the table comes first.
    Whenever the run stops, what is there belongs together or is made again by the next run.

    Raises:
        SimFormerError: a STEM.png or STEM.json is there that no earlier run has written; a file or folder cannot be
            written.
    """
    labels, earlier = label_file(stem), _read(table_file(stem))
    if "made_from" not in earlier and (earlier or labels.exists()):
        foreign = table_file(stem) if earlier else labels
        raise SimFormerError(f"{foreign} is not of an earlier run, and is not replaced")
    height, width = result.size
    content = {
        "photo": name,
        "model": result.model,
        "size": {"width": width, "height": height},
        "unsure": result.unsure,
        "table": [asdict(row) for row in table],
        "classes": list(result.classes),
        "roles": list(result.roles),
        "made_from": None if origin is None else asdict(origin),
    }
    make_folder(stem.parent)
    writers = [partial(_write_table, table_file(stem), content), partial(_write_labels, labels, result)]
    for write in reversed(writers) if labels.exists() else writers:
        write()


def _write_table(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode())


def _write_labels(path: Path, result: Segmentation) -> None:
    with atomic_write(path) as file:
        result.label_image().save(file, format="PNG")


def _read(file: Path) -> dict[str, Any]:
    """The content of a table file; empty if there is none or it is something else."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
