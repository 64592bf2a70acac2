"""examples: how well models do on the photos that installed packages carry."""

from __future__ import annotations

from typing import Annotated

import typer


def examples(
    weights: Annotated[
        list[str] | None, typer.Option(help="A shipped model or a weights file; by default all. Repeat for more.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; by default CUDA where there is one.")] = None,
) -> None:
    """Print the mean IoU (percent) of each example photo, over the classes outlined in it."""
    from simformer.datasets.examples import example_scores
    from simformer.errors import CheckpointError, SimFormerError
    from simformer.predictor import Predictor
    from simformer.weights import available_models

    shipped = available_models()
    names = weights or list(shipped)
    if not names:
        raise CheckpointError("no weights are shipped; name some with --weights")
    columns = {}
    for name in names:
        predictor = Predictor.load(name, device)
        columns[name if name in shipped else predictor.name] = example_scores(predictor)
    photos = dict.fromkeys(photo for scores in columns.values() for photo in scores)
    if not photos:
        raise SimFormerError("nothing in the example photos is outlined for the data sets of these models")
    table = [["photo", *columns]]
    for photo in photos:
        found = [scores.get(photo) for scores in columns.values()]
        table.append([photo, *("-" if score is None else f"{score.miou:.1f}" for score in found)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for first, *others in table:
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        typer.echo("  ".join([f"{first:{widths[0]}}", *cells]))
