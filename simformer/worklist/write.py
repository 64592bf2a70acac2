"""A worklist as files: a table, and tasks for CVAT and Label Studio in which the model has drawn already.

`cvat.zip` holds masks ("Segmentation mask 1.1"), `cvat_labels.json` what a CVAT task or project wants to know of its
labels (Raw, in the constructor of labels; or `cvat-cli task create --labels`). `label_studio.json` holds tasks with
predictions, `label_studio.xml` the labeling interface.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from simformer.export import FORMATS, Annotation
from simformer.results import to_csv
from simformer.utils.files import atomic_write, make_folder
from simformer.utils.palette import hex_colors
from simformer.worklist.work import Row, Worklist


def write_worklist(work: Worklist, rows: Sequence[Row], out: str | Path, *, url: str = "") -> list[Path]:
    """Write all files into the folder `out`, which is made; files of those names are replaced.

    Args:
        rows: of this worklist.
        url: where Label Studio finds the photos, put before their names; "" = their names alone.

    Returns:
        The files, the table first.

    Raises:
        SimFormerError: a name that a format cannot write, a full disk.
    """
    out = Path(out)
    make_folder(out)
    with atomic_write(out / "worklist.csv", "w") as file:
        file.write(to_csv(rows))
    with atomic_write(out / "cvat_labels.json", "w") as file:
        json.dump(cvat_labels(work.chosen), file, indent=1, ensure_ascii=False)
    written = [out / "worklist.csv", out / "cvat_labels.json"]
    written += FORMATS["cvat"].write(_annotations(work, rows, url), work.chosen, out / "cvat.zip")
    written += FORMATS["label-studio"].write(_annotations(work, rows, url), work.chosen, out / "label_studio.json")
    return written


def cvat_labels(classes: Sequence[str]) -> list[dict[str, object]]:
    """CVAT's description of labels that are drawn as masks, in the classes' colors."""
    return [
        {"name": name, "color": color, "type": "mask", "attributes": []} for name, color in hex_colors(classes).items()
    ]


def _annotations(work: Worklist, rows: Sequence[Row], url: str) -> Iterator[Annotation]:
    for row in rows:
        details = {
            "place": row.place,
            "draw": ", ".join(row.draw),
            "minutes": round(row.seconds / 60, 1),
            "uncertainty": row.uncertainty,
        }
        labels = work.labels(Path(row.photo).stem)
        yield Annotation(row.photo, labels, url and url + quote(row.photo), details)
