"""The proposals behind a segmentation: each query names a class and draws a mask, and their product is what counts.

As the paper's figure on the two sub-tasks: a class score for every query, a binary mask for every query, and their
product, which is summed over queries into the score maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simformer.errors import SimFormerError
from simformer.splits import Roles
from simformer.ui.parts.html import hint, share_text, swatch
from simformer.ui.parts.models import Models, title
from simformer.ui.parts.photos import Photo, Shown, data_uri
from simformer.utils.palette import class_colors, hex_colors

if TYPE_CHECKING:
    from simformer.segmentation import Queries

SHOWN = 8
NAMED = 3
INSIDE = 0.5
WAITING = "Choose a photo: the queries of its SimFormer appear here."


@dataclass(frozen=True)
class Proposal:
    """One query.

    Attributes:
        number: of the query, from 0. strength: mean over pixels of class score x mask, 0 to 1.
        classes: indices of its most probable classes, and scores: their probabilities, 0 to 1, highest first.
        mask: float32, h x w, 0 to 1. area: share of pixels at which it is at least one half.
    """

    number: int
    strength: float
    classes: tuple[int, ...]
    scores: tuple[float, ...]
    mask: NDArray[np.float32]
    area: float


def strongest(queries: Queries, count: int = SHOWN) -> list[Proposal]:
    """The queries that add most to the score maps: by their best class's score times the mean of the mask."""
    best = queries.class_scores.max(1)
    strength = best * queries.masks.mean((1, 2))
    found = []
    for number in np.argsort(-strength, kind="stable")[:count].tolist():
        classes = np.argsort(-queries.class_scores[number], kind="stable")[:NAMED]
        mask = queries.masks[number]
        found.append(
            Proposal(
                number,
                float(strength[number]),
                tuple(classes.tolist()),
                tuple(queries.class_scores[number, classes].tolist()),
                mask,
                float((mask >= INSIDE).mean()),
            )
        )
    return found


def proposals(models: Models, path: str | None, split: str | None, visible: bool) -> str:
    """The strongest queries of the chosen SimFormer on a photo, as HTML; nothing is computed while nobody looks.

    Args:
        path: the photo's file, None if there is none. split: the chosen SimFormer, as `Models.find` reads it.
    """
    if not visible:
        return ""
    choice = models.find(split)
    if path is None or choice is None:
        return hint(WAITING)
    try:
        photo = Photo(path)
        # Of several the one that serves most classes.
        name = next(iter(models.composed(choice).predictors)) if isinstance(choice, Roles) else choice
        segmentation = models.segment(name, photo)
        shown = models.shown(photo)
    except SimFormerError as error:
        return hint(escape(str(error)))
    if segmentation.queries is None:
        return hint(f"{escape(title(name))} shows no queries: it is no SimFormer, or it averages over several views.")
    note = ""
    if name != choice:
        note = hint(f"Roles of your own are put together from several models: these are the queries of {title(name)}.")
    return note + proposals_html(shown, strongest(segmentation.queries), segmentation.classes)


def proposals_html(photo: Shown, found: list[Proposal], classes: tuple[str, ...]) -> str:
    """One row a query: its most probable classes, its binary mask on the photo, and score times mask."""
    colors = class_colors(classes)
    height, width = photo.size
    # Scores of unusual photos are all low: the strongest product is drawn opaque, the others relative to it.
    most = max((float(each.scores[0] * each.mask.max()) for each in found), default=0.0) or 1.0
    rows = "".join(_row(proposal, classes, colors, most) for proposal in found)
    return (
        '<p class="hint">Every query proposes one mask and says which class it is. What a pixel is given to is the '
        "largest sum over queries of class score times mask; the strongest product is opaque, the others relative "
        "to it.</p>"
        f'<ol class="proposals" style="--ratio:{width / height:.4f};--photo:url({photo.uri})">{rows}</ol>'
    )


def _row(proposal: Proposal, classes: tuple[str, ...], colors: NDArray[np.uint8], most: float) -> str:
    color, named = colors[proposal.classes[0]], hex_colors(classes)
    name = escape(classes[proposal.classes[0]])
    scores = "".join(
        f"<li>{swatch(named[classes[index]])}{escape(classes[index])}"
        f'<meter min="0" max="1" value="{score:.3f}" aria-label="{escape(classes[index])}"></meter>{score:.2f}</li>'
        for index, score in zip(proposal.classes, proposal.scores, strict=True)
    )
    inside = (proposal.mask >= INSIDE).astype(np.float32)
    product = proposal.mask * proposal.scores[0] / most
    return (
        f"<li><div><strong>Query {proposal.number}</strong><ul>{scores}</ul></div>"
        + _picture(inside, color, f"Binary mask: {share_text(proposal.area)} of the photo", f"mask of {name}")
        + _picture(product, color, f"Class score × mask: {proposal.strength:.4f} on average", f"score of {name}")
        + "</li>"
    )


def _picture(values: NDArray[np.float32], color: NDArray[np.uint8], caption: str, alt: str) -> str:
    """Values in 0..1 as the opacity of a color over the photo."""
    pixels = np.empty((*values.shape, 4), dtype=np.uint8)
    pixels[..., :3] = color
    pixels[..., 3] = np.rint(255 * values.clip(0, 1))
    uri = data_uri(Image.fromarray(pixels), "PNG")
    return (
        f'<figure><div class="stage"><img src="{uri}" alt="{alt}" draggable="false"></div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )
