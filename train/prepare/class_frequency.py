"""python -m train.prepare.class_frequency ROOT DATASET: count how often a data set's classes occur.

Writes simformer/data/class_frequency_DATASET.json, from which annotation costs are computed: for every class
the number of photos and of regions, for every two classes the number of photos. Numbers alone; nothing of a photo is
kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from simformer.costs.frequency import SMALLEST_REGION, count_classes, count_pairs
from simformer.datasets.folder import FolderDataset
from simformer.errors import exit_on_error
from simformer.paths import DATA
from simformer.utils.files import atomic_write


def prepare(root: Path, dataset: str, list_file: str, out: Path) -> None:
    """Count the classes of the photos in `list_file` under `root` and write the JSON.

    Raises:
        SimFormerError: the folder is not a data set, a label map is damaged, or `out` cannot be written.
    """
    photos = FolderDataset(root, list_file)
    rows = count_classes(photos, progress=tqdm)
    head = {
        "dataset": dataset,
        "list": list_file,
        "images": len(photos),
        "smallest_region": SMALLEST_REGION,
        "note": "images: photos that show the class. label_maps: those of them whose label map shows it. "
        "regions: connected components (8 neighbors) in those of at least smallest_region of its pixels. "
        "pairs: photos that show both classes, a row a class.",
        "command": f"python -m train.prepare.class_frequency ROOT {dataset} --list {list_file}",
    }
    # One line a class, so that the file can be read and compared.
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    classes = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
    pairs = ",\n".join("  " + json.dumps(row) for row in count_pairs(photos))
    with atomic_write(out, "w") as file:
        text = f'"classes": [\n{classes}\n ],\n "pairs": [\n{pairs}\n ]'
        file.write("{\n" + "\n".join(lines) + f"\n {text}\n}}\n")


def main(
    root: Annotated[Path, typer.Argument(help="The data set: images/, labels/, classes.txt and the list.")],
    dataset: Annotated[str, typer.Argument(help="Its name, such as msrc21.")],
    list_file: Annotated[str, typer.Option("--list", help="Which photos.")] = "train.txt",
    out: Annotated[Path | None, typer.Option(help="By default where the package looks.")] = None,
) -> None:
    """Count photos and regions of every class."""
    with exit_on_error():
        prepare(root, dataset, list_file, out or DATA / f"class_frequency_{dataset}.json")


if __name__ == "__main__":
    typer.run(main)
