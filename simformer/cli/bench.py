"""bench: seconds and memory for one photo, and photos a second of a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from simformer.bench.folder import FolderRates
    from simformer.bench.networks import Row
    from simformer.bench.page import PageTimes


def bench(
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 2,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each network.")] = 20,
    paper: Annotated[bool, typer.Option(help="Measure the paper-size network too.")] = True,
    onnx: Annotated[
        Path | None, typer.Option(help="Measure this ONNX file (see the command onnx) in ONNX Runtime, too.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Measure photos a second on this folder's first 150, too.")
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Measure the page's cold start, and 40 requests from 8 clients, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time SimFormer, CAM, both, and the paper-size network on one 320x240 photo, on the CPU, in one run.

    The paper's network for COCO-Stuff-10K is timed on photos of 480x320 and
    640x512, too: exact inference, and the same written down plainly.
    """
    import torch

    from simformer.bench.machine import gigaflops_a_second, processor
    from simformer.bench.networks import PHOTO_HEIGHT, PHOTO_WIDTH, measure, onnx_subject, subjects

    rates = folder_rates(photos, threads) if photos else []
    others = [onnx_subject(onnx)] if onnx else []
    rows = measure([*subjects(paper=paper), *others], threads=threads, repeats=repeats)
    limits = {name: gigaflops_a_second(getattr(torch, name), threads) for name in ("float32", "bfloat16")}
    times = None
    if page:
        from simformer.bench.page import measure_page

        times = measure_page()
    if as_json:
        setting = {"photo": [PHOTO_WIDTH, PHOTO_HEIGHT], "threads": threads, "torch": torch.__version__}
        setting |= {"processor": processor(), "gigaflops_a_second": limits}
        measured = {"rows": [asdict(row) for row in rows], "page": asdict(times) if times else None}
        measured["folder"] = [asdict(one) | {"slowest": one.slowest} for one in rates]
        typer.echo(json.dumps({**setting, **measured}, indent=2))
        return
    typer.echo(f"One {PHOTO_WIDTH}x{PHOTO_HEIGHT} photo, {threads} threads, torch {torch.__version__}, CPU")
    typer.echo(
        f"{processor()}: products of matrices reach {limits['float32']:.0f} GFLOP/s in float32, "
        f"{limits['bfloat16']:.0f} in bfloat16"
    )
    typer.echo(table(rows, limits["float32"]))
    if any(row.random for row in rows):
        typer.echo("* random weights: the cost of the network, not a trained model; HxW: of photo and input")
    for one in rates:
        typer.echo(folder_text(one))
    if times:
        typer.echo(page_text(times))


def folder_rates(photos: Path, threads: int) -> list[FolderRates]:
    """Of every engine that is installed. Raises ConfigError if no SimFormer is shipped, and as `measure_folder`."""
    from simformer.bench.folder import measure_folder
    from simformer.bench.networks import engines, shipped
    from simformer.errors import ConfigError

    weights = shipped("simformer")
    if weights is None:
        raise ConfigError("there are no weights of a SimFormer to segment photos with")
    return [measure_folder(photos, weights, engine, threads) for engine in engines()]


def folder_text(rates: FolderRates) -> str:
    """A folder's measurements in a sentence."""
    return (
        f"{rates.photos} photos, {rates.engine}: {rates.one_by_one:.1f} a second one at a time, "
        f"{rates.a_photo_a_thread:.1f} with a photo a thread ({rates.a_photo_a_thread / rates.slowest:.0%} of the "
        f"slowest stage alone: reading {rates.reading:.1f}, network {rates.network:.1f}, writing {rates.writing:.1f})."
    )


def page_text(times: PageTimes) -> str:
    """The page's measurements in two lines."""
    return (
        f"Page: answers {times.first_page:.1f} s after the start of its process, "
        f"with a first photo after {times.first_answer:.1f} s.\n"
        f"{times.requests} photos from {times.clients} clients at once: {times.failures} failed, "
        f"{times.seconds:.1f} s; "
        f"memory {times.memory_early:.0f} MiB after the first {times.clients}, {times.memory_end:.0f} MiB at the end."
    )


def table(rows: Sequence[Row], limit: float) -> str:
    """Rows as aligned text: seconds (median and quartiles), runs, peak memory, parameters, operations.

    Args:
        limit: billions of operations a second that the machine reaches; "of limit" is how much of that a row does.
    """
    header = (
        "network",
        "median s",
        "25% s",
        "75% s",
        "runs",
        "peak MiB",
        "libraries MiB",
        "parameters",
        "GFLOP",
        "of limit",
        "short side",
    )
    lines = [header] + [
        (
            row.name + ("*" if row.random else ""),
            f"{row.seconds:.4f}",
            *(f"{value:.4f}" for value in row.quartiles),
            str(row.runs),
            *(("-", "-") if row.memory is None else (f"{row.memory[1]:.0f}", f"{row.memory[0]:.0f}")),
            "-" if row.parameters is None else f"{row.parameters / 1e6:.1f} M",
            *(
                ("-", "-")
                if row.gigaflops is None
                else (f"{row.gigaflops:.2f}", f"{row.gigaflops / row.seconds / limit:.0%}")
            ),
            f"{row.image_size} px",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )
