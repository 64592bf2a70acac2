"""onnx: a network as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def onnx(
    out: Annotated[Path, typer.Option(help="The .onnx file to write.")],
    weights: Annotated[str, typer.Option(help="A shipped model (split1, oracle) or a weights file.")] = "split1",
    height: Annotated[int, typer.Option(min=4, max=4096, help="Of the input, a multiple of 4.")] = 240,
    width: Annotated[int, typer.Option(min=4, max=4096, help="Of the input, a multiple of 4.")] = 320,
) -> None:
    """Write a network as an ONNX file for photos of one size; takes up to a minute.

    In: image, 1 x 3 x HEIGHT x WIDTH float32, RGB 0 to 255. Out: scores, 1 x
    classes x HEIGHT/4 x WIDTH/4. `bench --onnx FILE` times it.
    """
    from simformer.interop.onnx import write_onnx

    card = write_onnx(weights, out, (height, width))
    typer.echo(
        f"{out}: {len(card.classes)} classes, input 1 x 3 x {height} x {width}, {out.stat().st_size / 1e6:.1f} MB"
    )
