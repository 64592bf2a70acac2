"""Where weights files lie, and what their cards say.

Light on imports: the page lists the models before torch is there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open

from simformer.errors import CheckpointError
from simformer.labels import VOID
from simformer.paths import WEIGHTS
from simformer.utils.validation import first_problem

WEIGHTS_VARIABLE = "SIMFORMER_WEIGHTS"
SUFFIX = ".safetensors"
MSRC21 = "msrc21"
# What the names of files begin with that hold a backbone alone.
BACKBONE = "backbone-"
CARD_KEY = "card"
LARGEST_SIDE = 4096  # pixels of the short side at which a network may see a photo
# Multiples of the image size at which a network sees a photo.
Scales = Annotated[tuple[Annotated[float, Field(gt=0, le=8)], ...], Field(min_length=1, max_length=16)]


def weights_folder() -> Path:
    """Where named weights live: $SIMFORMER_WEIGHTS, else assets/weights beside the package."""
    folder = os.environ.get(WEIGHTS_VARIABLE)
    return Path(folder) if folder else WEIGHTS


def available_models() -> dict[str, Path]:
    """Name -> file of every model in the weights folder ("cam") and in its folders, one a data set ("msrc21/cam").

    Variants, whose names have an underscore ("s1_plus"), come after what they vary.
    """
    root = weights_folder()
    files = [path for pattern in ("*", "[!.]*/*") for path in root.glob(f"{pattern}{SUFFIX}") if is_model(path)]
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in sorted(files, key=_place)}


def models_of(dataset: str) -> dict[str, Path]:
    """The same of one data set's folder ("" for the weights folder itself), by names without the folder."""
    found = available_models().items()
    return {path.stem: path for name, path in found if name.rpartition("/")[0] == dataset}


def shown_dataset(classes: Sequence[str] | None = None) -> str:
    """Whose models a page shows, as `models_of` takes it: one has to be chosen, for those of two do not mix.

    The first folder with a model of these classes; else the weights folder itself, if somebody has put models there,
    MSRC-21's, or the first there is.
    """
    models = available_models()
    cards = readable_cards(models)[0] if classes is not None else {}
    fitting = [name for name, card in cards.items() if card.classes == tuple(classes or ())]
    folders = list(dict.fromkeys(name.rpartition("/")[0] for name in (fitting or models)))
    return next((known for known in ("", MSRC21) if known in folders), (folders or [""])[0])


def full_name(name: str, dataset: str = MSRC21) -> str:
    """Where a model of a data set stands: "cam" is "msrc21/cam", and "split1" is "msrc21/s1"."""
    return name if "/" in name else f"{dataset}/{short_name(name)}"


def short_name(name: str) -> str:
    """Splits are also called "split1": "s1"."""
    return re.sub(r"^split(?=\d+$)", "s", name)


def find_weights(name_or_path: str | Path) -> Path:
    """The weights file of a model's name, or of a path.

    Args:
        name_or_path: a name of `available_models`; those of MSRC-21 also without the folder ("s1", "split1", "cam").

    Raises:
        CheckpointError: neither a known name nor a file.
    """
    models = available_models()
    name = str(name_or_path)
    for known in (name, full_name(name)):
        if known in models:
            return models[known]
    path = Path(name_or_path)
    if path.is_file():
        return path
    there = ", ".join(models) or "none"
    raise CheckpointError(
        f"{name_or_path} is neither a weights file nor a model in {weights_folder()} (there: {there})"
    )


def is_model(path: Path) -> bool:
    """Whether a file in the weights folder is a model of its own, not the backbone of several."""
    return not path.name.startswith((BACKBONE, "."))


def backbone_file(folder: Path, fingerprint: str) -> Path:
    """Where a backbone lies in a folder."""
    return folder / f"{BACKBONE}{fingerprint[:16]}{SUFFIX}"


def find_backbone(path: str | Path, fingerprint: str) -> Path:
    """The file of the backbone that the weights file `path` refers to.

    It is beside that file, in a folder above it up to the weights folder, or in the weights folder.

    Raises:
        CheckpointError: it is in none of them.
    """
    above, root = list(Path(path).resolve().parents), weights_folder().resolve()
    nearest = above[: above.index(root)] if root in above else above[:2]
    for folder in (*nearest, root):
        if (file := backbone_file(folder, fingerprint)).is_file():
            return file
    name = backbone_file(root, fingerprint).name
    raise CheckpointError(f"{path} needs the backbone {name}, which is neither beside it nor in {root}")


def _place(path: Path) -> tuple[Any, ...]:
    numbers = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]
    return path.parent.as_posix(), "_" in path.stem, numbers


class Inference(BaseModel):
    """How the weights are meant to be used where the caller does not say.

    Attributes:
        scales: the network sees the photo at these multiples of the card's image size, the maps are averaged.
        flip: it sees each of them mirrored as well.
        present_threshold: classes of at least this probability (0 to 1) are taken to be in the photo; "cam" only.
        exact: label maps from masks upsampled before score maps are composed, as the paper's network defines it;
            slower, and different near borders (`simformer.inference.exact`). "simformer" only, no scales or flips.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scales: Scales = (1.0,)
    flip: bool = False
    present_threshold: float = Field(default=0.5, ge=0, le=1)
    exact: bool = False

    @property
    def as_it_is(self) -> bool:
        """Whether the network sees a photo once, at scale 1, not mirrored."""
        return self.scales == (1.0,) and not self.flip


class Card(BaseModel):
    """What a weights file says about itself.

    Attributes:
        version: of this card's layout.
        kind: "simformer" (ModelConfig in `architecture`) or "cam" (CamConfig).
        architecture: configuration of the network, as its `model_dump()` gives it.
        classes, roles: K class names and "base" or "novel" for each.
        dataset, split: names of the training data set and of its base/novel split.
        image_size: pixels of the short side at test time.
        mean, std: normalization of R, G, B on the 0 to 255 scale.
        training: configuration of the run that made the weights.
        step, commit: training steps taken, and the commit of the code that took them.
        metrics: scores measured with these weights.
        backbone: fingerprint of the frozen backbone, whose tensors lie in a file of their own (`find_backbone`); None
            where they are in this file.
        inference: how to use them unless the caller says otherwise.
        note: anything else a reader should know.
    """

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    kind: Literal["simformer", "cam"]
    architecture: dict[str, Any]
    classes: tuple[str, ...] = Field(min_length=1, max_length=VOID)
    roles: tuple[Literal["base", "novel"], ...]
    dataset: str
    split: str
    image_size: int = Field(ge=16, le=LARGEST_SIDE)
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    training: dict[str, Any] = {}
    step: int = Field(default=0, ge=0)
    commit: str = ""
    metrics: dict[str, Any] = {}
    backbone: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    inference: Inference = Inference()
    note: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        if len(self.roles) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes but {len(self.roles)} roles")
        if min(self.std) <= 0:
            raise ValueError("std must be positive")
        return self

    @property
    def novel(self) -> tuple[int, ...]:
        """Indices of the novel classes."""
        return tuple(index for index, role in enumerate(self.roles) if role == "novel")


def readable_cards(models: Mapping[str, Path]) -> tuple[dict[str, Card], dict[str, str]]:
    """Cards of weights files by name, and for those that cannot be read the sentence that says why."""
    cards, problems = {}, {}
    for name, path in models.items():
        try:
            cards[name] = read_card(path)
        except CheckpointError as error:
            problems[name] = str(error)
    return cards, problems


def read_card(path: str | Path) -> Card:
    """The card inside a weights file.

    Raises:
        CheckpointError: the file is missing, broken, of another format, or has no card this version can read.
    """
    with opened(path) as file:
        return card_of(file, path)


def card_of(file: Any, path: str | Path) -> Card:
    """The card of a file that `opened` gave; raises as `read_card`."""
    metadata = file.metadata() or {}
    if CARD_KEY not in metadata:
        raise CheckpointError(f"{path} has no card, so its classes and architecture are not known")
    try:
        return Card.model_validate_json(metadata[CARD_KEY])
    except ValidationError as error:
        raise CheckpointError(f"the card of {path} cannot be used: {first_problem(error)}") from error


@contextmanager
def opened(path: str | Path, framework: str = "numpy") -> Iterator[Any]:
    """A safetensors file, open. Raises CheckpointError if it is missing, broken or of another format."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no weights file {path}")
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {_reason(path, error)}") from error


def _reason(path: Path, error: Exception) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError:
        return str(error)
    # A zip archive or a bare pickle: what torch.save writes.
    if start == b"PK" or start[:1] == b"\x80":
        return "it is a PyTorch pickle (.pth) under another name"
    return str(error)
