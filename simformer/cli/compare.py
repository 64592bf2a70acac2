"""compare: a figure of several models on the photos of a data set, as the paper's qualitative results."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from simformer.errors import ConfigError, SimFormerError


class OrderName(StrEnum):
    """Which photos come first."""

    first = "first"
    second = "second"
    difference = "difference"
    by_name = "name"


class ExpansionName(StrEnum):
    """What a prediction may be, in the paper's words."""

    under = "under-expanded"
    over = "over-expanded"


def compare(
    data: Annotated[Path, typer.Argument(help="Data set: images/, labels/, classes.txt and the list.")],
    split: Annotated[str, typer.Option(help="Split whose novel classes are compared, such as s1.")],
    out: Annotated[Path, typer.Option(help="The figure, a PNG.")],
    columns: Annotated[
        str | None,
        typer.Option(help='Methods with commas between, such as "CAM,RETAB,SimFormer"; default: as the paper.'),
    ] = None,
    pair: Annotated[
        str | None, typer.Option(help='The two methods that are compared, such as "SimFormer,RETAB".')
    ] = None,
    rows: Annotated[int, typer.Option(min=1, max=24, help="Photos in the figure.")] = 5,
    order: Annotated[
        OrderName,
        typer.Option(help="First the photos where the first of the pair leads, where the second does, or either."),
    ] = OrderName.first,
    class_name: Annotated[
        str, typer.Option("--class", help="Only photos that show this class; the numbers are its IoU.")
    ] = "",
    expansion: Annotated[
        ExpansionName | None,
        typer.Option(
            help="Only photos where a novel class of the second method is like that: recall or precision < 50 %."
        ),
    ] = None,
    photos: Annotated[
        str | None, typer.Option(help="These photos instead: names with commas between, in this order.")
    ] = None,
    list_file: Annotated[str, typer.Option("--list", help="File in the data set that names the photos.")] = "val.txt",
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of weights, searched with its folders; repeat for more. Default: $SIMFORMER_WEIGHTS "
            "and the shipped ones."
        ),
    ] = None,
    cell: Annotated[int, typer.Option(min=64, max=1024, help="Width of a picture in pixels.")] = 320,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; by default CUDA where there is one.")] = None,
) -> None:
    """Draw input, truth, base/novel map and each model's prediction with its IoU, a photo a row.

    Models are found by the cards in their weights files. Predictions are kept in
    $SIMFORMER_CACHE, so that the next figure takes seconds.
    """
    from tqdm import tqdm

    from simformer.compare.columns import find_columns, listed_names
    from simformer.compare.figure import caption, draw_figure, save_figure
    from simformer.compare.gallery import Gallery
    from simformer.compare.predictions import Predictions
    from simformer.datasets.folder import FolderDataset
    from simformer.paths import cache_folder

    dataset = FolderDataset(data, list_file)
    found = find_columns(dataset.classes, weights)
    gallery = Gallery(dataset, found, Predictions(cache_folder() / "predictions", device))
    available = [column.name for column in gallery.columns(split)]
    first, second = ("", "") if pair is None else _pair(pair, listed_names(pair, available))
    view = gallery.view(
        {
            "split": split,
            "columns": listed_names(columns or "", available),
            "first": first,
            "second": second,
            "order": order.value,
            "class_name": class_name,
            "expansion": expansion and expansion.value,
        }
    )
    tasks = gallery.to_make(view)
    if photos is not None:
        chosen = _indices(dataset.names, photos)
        tasks = [(column, index) for index in chosen for column in view.columns]
    for _ in tqdm(gallery.make(tasks), total=len(tasks), unit="prediction", disable=None):
        pass
    for problem in gallery.problems(view):
        typer.echo(f"Left out: {problem}", err=True)
    if photos is None:
        chosen = gallery.arrange(view)[:rows]
    if not chosen:
        raise SimFormerError("no photo is left to show: none has these classes, or passes the filter")
    shown = [gallery.row(view, index) for index in chosen]
    save_figure(draw_figure(view, shown, cell), out, view, shown)
    typer.echo(f"{out}: {', '.join(row.name for row in shown)}")
    typer.echo(caption(view))


def _pair(text: str, names: list[str]) -> tuple[str, str]:
    if len(names) != 2:
        raise ConfigError(f"--pair takes two methods with a comma between, not {text!r}")
    return names[0], names[1]


def _indices(names: list[str], text: str) -> list[int]:
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    for name in chosen:
        if name not in names:
            raise ConfigError(f"the list names no photo {name!r}")
    return [names.index(name) for name in chosen]
