"""Where the shipped models' weights lie. Light on imports: the page lists them before torch is there."""

from __future__ import annotations

import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open

from simformer.errors import CheckpointError
from simformer.paths import WEIGHTS

WEIGHTS_VARIABLE = "SIMFORMER_WEIGHTS"
SUFFIX = ".safetensors"


def weights_folder() -> Path:
    """Where named weights live: $SIMFORMER_WEIGHTS, else assets/weights beside the package."""
    folder = os.environ.get(WEIGHTS_VARIABLE)
    return Path(folder) if folder else WEIGHTS


def available_models() -> dict[str, Path]:
    """Name -> file of every model in the weights folder, by name."""
    return {path.stem: path for path in sorted(weights_folder().glob(f"*{SUFFIX}"))}


def find_weights(name_or_path: str | Path) -> Path:
    """The weights file of a model's name ("split1", "cam", "oracle"), or of a path.

    Raises:
        CheckpointError: neither a known name nor a file.
    """
    models = available_models()
    if str(name_or_path) in models:
        return models[str(name_or_path)]
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = ", ".join(models) or "none"
    raise CheckpointError(
        f"{name_or_path} is neither a weights file nor a model in {weights_folder()} (there: {known})"
    )


def class_roles(path: Path) -> dict[str, str]:
    """Class -> "base" or "novel", as the card inside a weights file says; empty where it cannot be read."""
    try:
        with safe_open(path, framework="numpy") as file:
            card = json.loads((file.metadata() or {})["card"])
        return dict(zip(card["classes"], card["roles"], strict=True))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return {}  # whoever loads the model gets the sentence that says why
