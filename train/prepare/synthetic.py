"""python -m train.prepare.synthetic FOLDER: a data set of drawn scenes, for a first run without any data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simformer.datasets.synthetic import SYNTHETIC_CLASSES, write_scenes
from simformer.errors import exit_on_error


def main(
    folder: Annotated[Path, typer.Argument(help="where the data set goes")],
    count: Annotated[int, typer.Option(min=2, help="photos, a fifth of them for evaluation")] = 60,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    masks: Annotated[bool, typer.Option(help="label maps, or image_labels.csv alone: as before any masking")] = True,
) -> None:
    """Draw scenes of textured shapes in the folder layout."""
    with exit_on_error():
        write_scenes(folder, count, seed=seed, masks=masks)
    print(f"{count} scenes in {folder}; classes: {', '.join(SYNTHETIC_CLASSES)}")


if __name__ == "__main__":
    typer.run(main)
