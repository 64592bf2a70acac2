"""Photos of nothing that the models know: said so, instead of a sure wrong label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from simformer.inference.familiarity import familiarity
from simformer.ui.parts.models import Choice, Models, title

if TYPE_CHECKING:
    from simformer.segmentation import Segmentation


def probably_unknown(models: Models, found: Mapping[Choice, Segmentation]) -> Choice | None:
    """The model that says so; None if the photo is familiar, or no model that it was fitted for has answered."""
    fitted = models.familiarity
    judges = [name for name in fitted.models if name in found] if fitted else []
    if fitted is None or not judges or familiarity(found[judges[0]]) >= fitted.threshold:
        return None
    return judges[0]


def notice(models: Models, found: Mapping[Choice, Segmentation]) -> str:
    """What stands above the views of such a photo, as plain text; empty for all others."""
    judge = probably_unknown(models, found)
    if judge is None or models.familiarity is None:
        return ""
    share = 100 * (1 - models.familiarity.alarms)
    return (
        f"Probably none of the known classes: {title(judge)} is less sure of this photo than a network was of "
        f"{share:.0f} % of held-out photos that show some. What is drawn are the nearest classes."
    )
