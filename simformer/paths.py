"""Where the package's own files lie, and the files of the project beside it: found from any working directory.

Whoever reads one of them asks here, so that a module can move within the package.
"""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
"""The checkout."""

DATA = PACKAGE / "data"
"""Splits, class frequencies, published numbers, costs of annotation and outlines of the example photos."""

STATIC = PACKAGE / "ui" / "static"
"""Style sheets, scripts and drawings of the page."""

APP = ROOT / "app.py"
"""The page's script."""

# Beside the package in a checkout, inside it where it was installed.
_ASSETS = PACKAGE / "assets" if (PACKAGE / "assets").is_dir() else ROOT / "assets"

WEIGHTS = _ASSETS / "weights"
"""The shipped models, unless $SIMFORMER_WEIGHTS names another folder (`simformer.weights.weights_folder`)."""

RESULTS = _ASSETS / "results"
"""The measured results, unless $SIMFORMER_RESULTS names another folder (`simformer.results.RESULTS_FOLDER`)."""


CACHE_VARIABLE = "SIMFORMER_CACHE"


def cache_folder() -> Path:
    """What can be made again: $SIMFORMER_CACHE, else simformer in the user's folder of caches. It need not exist."""
    if folder := os.environ.get(CACHE_VARIABLE):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "simformer"


RUNS_VARIABLE = "SIMFORMER_RUNS"


def runs_folder() -> Path:
    """Trainings that the page has begun: $SIMFORMER_RUNS, else runs/own of the checkout. It need not exist."""
    return Path(os.environ.get(RUNS_VARIABLE) or ROOT / "runs" / "own")
