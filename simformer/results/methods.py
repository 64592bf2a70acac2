"""The methods that tables and plots compare: one row each, from what knows least to what knows most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Training:
    """What tells the trainings of methods apart: three settings, as `train.config` has them."""

    pairing: str = "none"
    pseudo: str | None = None
    distill_from: str = "simnet"

    @classmethod
    def noted(cls, settings: Mapping[str, Any]) -> Training:
        """Of settings as results and cards note them. Older than one of the three, they had its first value."""
        pseudo = settings.get("pseudo")
        kind = pseudo.get("kind") if isinstance(pseudo, Mapping) else pseudo  # with settings of its own, or without
        return cls(settings.get("pairing", cls.pairing), kind, settings.get("distill_from", cls.distill_from))


@dataclass(frozen=True)
class Method:
    """A row.

    Attributes:
        name: in tables, plots and results.
        color: hex, for plots on light and dark ground. Okabe and Ito's, which color-blind people tell apart, and some
            of Tol's; gray and a darker yellow instead of black and yellow, which one of the grounds would swallow.
        symbol: of Plotly.
        training: by which settings it is known; None where other things decide: the classifier, no novel class, or
            a second training, which is named after the first.
    """

    name: str
    color: str
    symbol: str
    training: Training | None = None


METHODS = (
    Method("CAM", "#cc79a7", "x"),
    Method("WSSS (CAM)", "#882255", "hexagon", Training(pseudo="cam")),
    Method("WSSS (RIB)", "#aa7744", "hexagon-open", Training(pseudo="rib")),
    Method("WSSS (partial labels)", "#117733", "hexagram", Training(pseudo="partial_labels")),
    Method("RETAB", "#d55e00", "square", Training(pseudo="retab")),
    Method("RETAB*", "#c9b700", "square-open"),
    Method("Basic Model", "#e69f00", "triangle-up", Training()),
    Method("Self-Pair", "#009e73", "cross", Training(pairing="self")),
    Method("SimFormer", "#0072b2", "circle", Training(pairing="cross")),
    Method("SimFormer*", "#56b4e9", "star"),
    Method(
        "SimFormer (partial labels)", "#44aa99", "circle-open", Training(pairing="cross", distill_from="partial_labels")
    ),
    Method("SimFormer+", "#7b2ff2", "star-diamond", Training("cross", "partial_labels", "partial_labels")),
    Method("FullyOracle", "#7f7f7f", "diamond"),
)

METHOD_ORDER = tuple(method.name for method in METHODS)
"""Tables and plots list methods so."""

NAME_OF_TRAINING = {method.training: method.name for method in METHODS if method.training}
"""What a training with these settings is called."""
