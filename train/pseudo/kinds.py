"""The kinds of pseudo masks: what `pseudo` may be, with which settings, and what makes the maps of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from train.pseudo.cam import CamMaps, CamSettings
from train.pseudo.retab.maps import RetabMaps, RetabSettings
from train.pseudo.rib import RibMaps, RibSettings


class PredictionsSettings(BaseModel):
    """Pseudo masks as a trained model predicts them: nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["predictions"] = "predictions"


class PartialLabelMaskSettings(BaseModel):
    """Pseudo masks of the partial-label teacher, whose settings are a group of their own: it also distills."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["partial_labels"] = "partial_labels"


PseudoSettings = PredictionsSettings | CamSettings | RibSettings | RetabSettings | PartialLabelMaskSettings

# Kind -> what gives K x h x w maps in 0..1 for photo number i. Predictions and partial labels have no maps.
MAP_MAKERS: dict[str, Callable[..., Callable[[int], Tensor]]] = {"cam": CamMaps, "rib": RibMaps, "retab": RetabMaps}

_SETTINGS: dict[str, type[BaseModel]] = {kind.model_fields["kind"].default: kind for kind in get_args(PseudoSettings)}


def with_kind(pseudo: Any) -> Any:
    """`retab` is short for `{kind: retab}`."""
    return {"kind": pseudo} if isinstance(pseudo, str) else pseudo


def all_pseudo_settings(pseudo: Any) -> Any:
    """`pseudo` as a result or a state has it, with the defaults of what it does not name; a setting of no kind stays.

    Results and states were written with the kind alone when nothing of it could be set: all was as by default.
    """
    given = with_kind(pseudo)
    kind = _SETTINGS.get(given.get("kind", "")) if isinstance(given, dict) else None
    return given if kind is None else kind().model_dump(mode="json") | given
