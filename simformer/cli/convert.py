"""convert: the authors' released weights as a weights file of this project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# Pixels of the short side at test time (paper, section 4.1).
IMAGE_SIZES = {"coco_stuff_10k": 640, "ade20k": 512}


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A released SimFormer .pth, or MaskFormer .pkl or .pth.")],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    dataset: Annotated[str, typer.Option(help="Whose classes it knows: coco_stuff_10k or ade20k.")] = "coco_stuff_10k",
    split: Annotated[str, typer.Option(help="Its base and novel classes: s1, s2 ...; all_base for MaskFormer.")] = "s1",
    image_size: Annotated[
        int | None, typer.Option(min=16, max=4096, help="Short side at test time; by default the data set's.")
    ] = None,
) -> None:
    """Convert a released checkpoint; every tensor is taken over, listed as left out, or refused by name."""
    from simformer.errors import ConfigError
    from simformer.interop.convert import convert as convert_file
    from simformer.splits import load_split

    roles = load_split(dataset, split)
    size = image_size or IMAGE_SIZES.get(dataset)
    if size is None:
        raise ConfigError(f"say with --image-size how large the photos of {dataset} are at test time")
    card, released = convert_file(checkpoint, out, roles, size)
    network = card.architecture
    typer.echo(
        f"{out}: {len(released.network)} tensors of a {network['backbone']} network with {network['queries']} queries "
        f"for {len(card.classes)} classes, {len(card.novel)} of them novel ({dataset} {split})"
    )
    if released.simnet:
        typer.echo(f"Left out, for inference does not need them: {len(released.simnet)} tensors of SimNet")
    if released.constants:
        typer.echo(f"Left out, for they are settings of the losses: {', '.join(released.constants)}")
