"""verify: whether shipped weights measure what they are said to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simformer.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simformer.datasets.folder import FolderDataset
    from simformer.evaluation import Scores


def verify(
    data: Annotated[Path, typer.Option(help="Data set of the models: images/, labels/, classes.txt and the list.")],
    dataset: Annotated[
        str | None, typer.Option(help="Folder of the models among the weights; default: that which fits the data set.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this model. Repeat for more.")] = None,
    list_file: Annotated[str, typer.Option("--list", help="File in the data set that names the photos.")] = "val.txt",
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; by default CUDA where there is one.")] = None,
) -> None:
    """Measure shipped models again and compare with their expected results.

    The exit status is 1 where one is off by more than its tolerance.
    """
    from simformer.datasets.folder import FolderDataset
    from simformer.expected_results import FILE, read_expected
    from simformer.weights import models_of, shown_dataset, weights_folder

    photos = FolderDataset(data, list_file)
    folder = shown_dataset(photos.classes) if dataset is None else dataset
    expected, models = read_expected(weights_folder() / folder), models_of(folder)
    names = [name for name in models if name in expected] if only is None else only
    if missing := [name for name in names if name not in models or name not in expected]:
        raise ConfigError(f"there is no model {missing[0]!r} with an entry in {weights_folder() / folder / FILE}")
    if not names:
        raise ConfigError(f"there is nothing to verify: no model has an entry in {weights_folder() / folder / FILE}")
    off = 0
    for name in names:
        scores = _measured(models[name], photos, device)
        for one in expected[name]:
            found = getattr(scores, one.metric)
            off += not one.holds(found)
            said = "as expected" if one.holds(found) else "OFF"
            measured = "  none" if found is None else f"{found:6.2f}"
            typer.echo(f"{name:12} {one.metric:6} {measured}  expected {one.value:6.2f} ± {one.tolerance:g}  {said}")
    if off:
        raise typer.Exit(1)


def _measured(weights: Path, photos: FolderDataset, device: str | None) -> Scores:
    from tqdm import tqdm

    from simformer.checkpoint import check_classes
    from simformer.evaluation import evaluate
    from simformer.predictor import Predictor
    from simformer.weights import read_card

    card = read_card(weights)
    # As its training measured it: CAM over several views, which no photo on the page waits for.
    views: dict[str, Any] = {"scales": card.training.get("cam_scales"), "flip": card.training.get("cam_flip")}
    predictor = Predictor.load(weights, device, **(views if card.kind == "cam" else {}))
    check_classes(photos.classes, predictor.classes)

    def progress(indices: Iterable[int]) -> Iterable[int]:
        return tqdm(indices, desc=weights.stem, unit="photo", disable=None, leave=False)

    scores, _ = evaluate(lambda image: predictor.segment(image).labels, photos, predictor.card.novel, progress=progress)
    return scores
