"""SimFormer: weak-shot semantic segmentation by dual similarity transfer.

The names below are loaded when they are first used: importing the package takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simformer.model import ModelConfig, SimFormer
    from simformer.predictor import Predictor
    from simformer.segmentation import Segmentation
    from simformer.splits import load_split

__version__ = "0.1.0"
__all__ = ["ModelConfig", "Predictor", "Segmentation", "SimFormer", "__version__", "load_split"]

_PLACES = {
    "ModelConfig": "model",
    "Predictor": "predictor",
    "Segmentation": "segmentation",
    "SimFormer": "model",
    "load_split": "splits",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
