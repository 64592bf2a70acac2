"""check: what a folder data set holds, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

NAMED = 5


def check(
    data: Annotated[Path, typer.Argument(help="Data set: images/, labels/, classes.txt, train.txt, val.txt.")],
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON, the counts of pairs of classes too.")]
    = False,
) -> None:  # fmt: skip
    """Count photos and classes of a data set, and name all that is wrong with it and how to mend it.

    The exit status is 1 if training or evaluation would end with it.
    """
    from tqdm import tqdm

    from simformer.datasets.check import FolderCheck
    from simformer.errors import DatasetError

    if not data.is_dir():
        raise DatasetError(f"there is no data set folder {data}")
    found = FolderCheck(data)
    for _ in tqdm(found.run(), total=found.total, unit="photos", disable=None):
        pass
    mistakes = found.mistakes
    if as_json:
        typer.echo(json.dumps(found.answer(), indent=1))
    else:
        photos = ", ".join(f"{count} photos in {name}" for name, count in found.lists.items()) or "no photo"
        typer.echo(f"{data}: {photos}, {found.label_maps} label maps, {len(found.classes)} classes")
        for index, name in enumerate(found.classes):
            counts = "  ".join(f"{count:>6}" for count in found.shown[:, index])
            typer.echo(f"{index:>4}  {name:<24}{counts}  photos{found.pixels[index]:>14,} pixels")
        for mistake in mistakes:
            typer.echo(f"\n{'WRONG' if mistake.serious else 'Note'}: {mistake.what}\n  {mistake.mend}")
            for file in mistake.files[:NAMED]:
                typer.echo(f"  - {file}")
            if len(mistake.files) > NAMED:
                typer.echo(f"  - and {len(mistake.files) - NAMED} more")
        if not mistakes:
            typer.echo("Nothing is wrong.")
    if any(mistake.serious for mistake in mistakes):
        raise typer.Exit(1)
