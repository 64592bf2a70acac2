"""evaluate: mean IoU of a model on a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simformer.cli.predictors import ENGINE_HELP, composed_predictor
from simformer.errors import CheckpointError, ConfigError, SimFormerError

if TYPE_CHECKING:
    from simformer.weights import Card


def evaluate(
    data: Annotated[Path, typer.Option(help="Data set: images/, labels/, classes.txt and the list.")],
    weights: Annotated[
        str | None, typer.Option(help="A shipped model (split1, cam, oracle) or a weights file.")
    ] = None,
    roles: Annotated[
        str | None,
        typer.Option(help="Instead of --weights: a split (s2) or novel classes (cat,dog), composed of shipped models."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="With --roles: leave this model out. Repeat for more.")
    ] = None,
    list_file: Annotated[str, typer.Option("--list", help="File in the data set that names the photos.")] = "val.txt",
    novel_of: Annotated[
        str | None,
        typer.Option(help="Report base and novel of this split (s1, s2 ...) instead of the weights' own."),
    ] = None,
    scales: Annotated[
        str | None,
        typer.Option(help="Multiples of the image size to average over, such as 0.5,1,1.5,2."),
    ] = None,
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="Average with mirrored photos.")] = None,
    present_threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="CAM: probability from which a class is taken to be present."),
    ] = None,
    exact: Annotated[
        bool | None,
        typer.Option(
            help="With --weights: compose scores at full resolution, as the paper does; default: as the weights say."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; by default CUDA where there is one.")] = None,
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "torch",
) -> None:
    """Print the mean IoU over all, base and novel classes (percent), and each class's, as JSON."""
    factors = parse_scales(scales)

    from tqdm import tqdm

    from simformer.checkpoint import check_classes
    from simformer.datasets.folder import FolderDataset
    from simformer.evaluation import evaluate as score
    from simformer.predictor import Predictor

    if (weights is None) == (roles is None):
        raise ConfigError("give either --weights or --roles")
    if roles is not None and novel_of is not None:
        raise ConfigError("--novel-of is for --weights: with --roles the novel classes are those of the roles")
    if roles is None and without:
        raise ConfigError("--without leaves a model out of those that --roles composes; it goes with --roles")
    if roles is not None and exact:
        raise ConfigError("--exact is for --weights: roles are composed at a quarter of the resolution")
    dataset = FolderDataset(data, list_file)
    if roles is not None:
        if present_threshold is not None:
            raise ConfigError("--present-threshold is for CAM weights, of which roles are not composed")
        predictor = composed_predictor(roles, dataset.classes, without or [], device, factors, flip, engine)
        split, novel = roles, [i for i, role in enumerate(predictor.roles) if role == "novel"]
        # Roles are composed of SimFormers alone: only weights of CAM read a threshold of presence.
        first = next(iter(predictor.predictors.values()))
        running, inference = first.engine, first.inference.model_dump(exclude={"present_threshold", "exact"})
        served = {"served_by": dict(zip(predictor.classes, predictor.assignment.models, strict=True))}
    else:
        assert weights is not None
        predictor = Predictor.load(
            weights,
            device,
            scales=factors,
            flip=flip,
            present_threshold=present_threshold,
            exact=exact,
            engine=engine,
        )
        card = predictor.card
        if card.kind != "cam" and present_threshold is not None:
            raise ConfigError(f"--present-threshold is for CAM weights, which {weights} are not")
        split, novel = novel_of or card.split, card.novel if novel_of is None else novel_classes(card, novel_of)
        unread = set() if card.kind == "cam" else {"present_threshold"}
        running, inference, served = predictor.engine, predictor.inference.model_dump(exclude=unread), {}
    try:
        check_classes(dataset.classes, predictor.classes)
    except CheckpointError as error:
        raise SimFormerError(f"{weights} do not fit {data}: {error}") from error

    def labels(image: Any) -> Any:
        return predictor.segment(image).labels

    scores, seconds = score(labels, dataset, novel, progress=lambda indices: tqdm(indices, unit="photo", disable=None))
    result = {
        "weights": weights or predictor.name,
        "data": data.name,
        "list": list_file,
        "split": split,
        "miou": scores.miou,
        "base": scores.base,
        "novel": scores.novel,
        "per_class": dict(zip(predictor.classes, scores.per_class, strict=True)),
        "novel_classes": [predictor.classes[index] for index in novel],
        "images": scores.images,
        "pixels": scores.pixels,
        "seconds_per_image": seconds,
        "device": str(predictor.device),
        "engine": running,
        **served,
        "inference": {"exact": False} | inference,
    }
    typer.echo(json.dumps(result, indent=2, ensure_ascii=False))


def parse_scales(text: str | None) -> tuple[float, ...] | None:
    """ "0.5,1,2" -> (0.5, 1.0, 2.0); ConfigError where these are not numbers."""
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--scales takes numbers with commas between, such as 0.5,1,2, not {text!r}") from None


def novel_classes(card: Card, split_name: str) -> tuple[int, ...]:
    """Novel class indices of another split of the data set that the weights were trained on.

    Raises:
        SimFormerError: there is no such split, or its classes are not the weights'.
    """
    from simformer.checkpoint import check_classes
    from simformer.splits import load_split

    split = load_split(card.dataset, split_name)
    check_classes(split.classes, card.classes)
    return split.novel
