"""segment: label maps and tables of photos."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simformer.errors import SimFormerError

if TYPE_CHECKING:
    from simformer.segmentation import Segmentation


def segment(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Photos to segment.")],
    out: Annotated[Path, typer.Option(help="Folder for the results; made where it does not exist.")],
    model: Annotated[
        str, typer.Option(help="A shipped model (split1, cam, oracle) or a weights file.")
    ] = "split1",
    threshold: Annotated[
        float, typer.Option(min=0, help="Pixels whose best score is below it are unsure.")
    ] = 0.0,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda ...; by default CUDA where there is one.")
    ] = None,
) -> None:
    """Write NAME.png (palette PNG of class indices, 255 = unsure) and NAME.json (table, classes) per photo.

    A photo that fails is reported, the others are still done, and the exit status is 1.
    """
    from simformer.predictor import Predictor

    predictor = Predictor.load(model, device)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SimFormerError(f"the folder {out} cannot be made: {error.strerror}") from error
    taken: dict[str, Path] = {}
    failures = 0
    for photo in photos:
        try:
            check_name(photo, photos, out, taken)
            result = predictor.segment(photo, threshold=threshold)
            write_segmentation(result, out / photo.stem, photo)
            # Names that differ only in case are one file on some systems.
            taken[photo.stem.casefold()] = photo
            typer.echo(f"{photo}: {summary(result)}")
        except (SimFormerError, OSError) as error:
            failures += 1
            typer.echo(f"{photo} was not segmented: {error}", err=True)
    if failures:
        raise typer.Exit(1)


def check_name(photo: Path, photos: list[Path], out: Path, taken: dict[str, Path]) -> None:
    """Raise SimFormerError where the results of `photo` would replace another photo's results, or a photo."""
    earlier = taken.get(photo.stem.casefold())
    if earlier is not None:
        raise SimFormerError(f"its results would replace those of {earlier}, which has the same name")
    target = (out / f"{photo.stem}.png").resolve()
    if any(other.resolve() == target for other in photos):
        raise SimFormerError(
            f"its label map would replace the photo {target}; choose another folder with --out"
        )


def write_segmentation(result: Segmentation, stem: Path, photo: Path) -> None:
    """Write STEM.png and STEM.json, each at once or not at all."""
    from simformer.files import atomic_write

    height, width = result.size
    content = {
        "photo": photo.name,
        "model": result.model,
        "size": {"width": width, "height": height},
        "unsure": result.unsure,
        "table": [asdict(row) for row in result.table()],
        "classes": list(result.classes),
        "roles": list(result.roles),
    }
    # A name may hold dots, so with_suffix would cut it short.
    with atomic_write(stem.with_name(f"{stem.name}.png")) as file:
        result.label_image().save(file, format="PNG")
    with atomic_write(stem.with_name(f"{stem.name}.json")) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode())


def summary(result: Segmentation) -> str:
    """The largest classes and their shares, for one line of text."""
    parts = [f"{row.name} {row.area:.0%}" for row in result.table()[:4]]
    if result.unsure:
        parts.append(f"unsure {result.unsure:.0%}")
    return ", ".join(parts)
