"""The views side by side: overlays as palette PNGs, and the HTML that lays them over the photo.

A view's overlay is its label map drawn in the classes' colors, without loss. That makes the picture its own look-up
table: pointing at a pixel gives a color, and the color a class (static/views.js).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from simformer.labels import VOID
from simformer.ui.parts.class_table import class_areas
from simformer.ui.parts.html import chip, legend, role_mark, share_text
from simformer.ui.parts.photos import Shown, data_uri
from simformer.utils.palette import BASE_COLOR, NOVEL_COLOR, hex_colors

if TYPE_CHECKING:
    from simformer.segmentation import Segmentation

NAMED_IN_TEXT = 4


@dataclass(frozen=True)
class View:
    """One picture of the grid.

    Attributes:
        key: what scripts call it. title: what people call it. note: what it shows, in a few words.
        overlay: data URI of a palette PNG, empty if there is none. text: what the overlay shows, for screen readers.
        names_from: key of the view whose overlay names the classes of this one.
        message: what stands in place of an overlay that is not there.
        unlabelled: what the pointer calls a pixel without a class.
        score: how well it does, in two words, where that is known.
    """

    key: str
    title: str
    note: str
    overlay: str = ""
    text: str = ""
    names_from: str = ""
    message: str = ""
    unlabelled: str = "unsure"
    score: str = ""


def class_overlay(segmentation: Segmentation) -> str:
    """Data URI of the label map in the classes' colors; unsure pixels are transparent."""
    return data_uri(segmentation.label_image(), "PNG", transparency=VOID)


def role_overlay(segmentation: Segmentation) -> str:
    """Data URI of the label map in two colors, base red and novel blue; unsure pixels are transparent."""
    base, novel, unsure = range(3)
    drawn_as = np.full(256, unsure, dtype=np.uint8)
    drawn_as[: len(segmentation.roles)] = [novel if role == "novel" else base for role in segmentation.roles]
    image = Image.fromarray(drawn_as[segmentation.labels])
    image.putpalette(bytes((*BASE_COLOR, *NOVEL_COLOR, 0, 0, 0)))
    return data_uri(image, "PNG", transparency=unsure)


def describe(segmentation: Segmentation, unlabelled: str = "unsure") -> str:
    """The largest classes in words: "cat 61 %, grass 20 %"."""
    largest = list(class_areas(segmentation).items())[:NAMED_IN_TEXT]
    parts = [f"{name} {share_text(area)}" for name, area in largest]
    if segmentation.unsure:
        parts.append(f"{unlabelled} {share_text(segmentation.unsure)}")
    return ", ".join(parts)


def views_html(photo: Shown, views: Sequence[View], found: Sequence[Segmentation]) -> str:
    """The grid of views with the legend of all classes found in them.

    Args:
        photo: lies under every overlay.
        views: in the order of the grid.
        found: segmentations whose classes the legend and the pointer name; the first one's roles count.
    """
    roles = _roles(found)
    colors = hex_colors(list(roles))
    names = {colors[name]: f"{name} ({role})" for name, role in roles.items()}
    height, width = photo.size
    figures = "".join(_figure(view) for view in views)
    return (
        f'<div class="views" style="--ratio:{width / height:.4f};--photo:url({photo.uri})" '
        f'data-names="{escape(json.dumps(names))}">{figures}{_legend(found, roles, colors)}</div>'
        '<output class="readout" aria-live="polite"></output>'
    )


def _figure(view: View) -> str:
    if view.overlay:
        inside = f'<img src="{view.overlay}" alt="{escape(view.text)}" draggable="false">'
    else:
        inside = f'<p class="message">{escape(view.message)}</p>' if view.message else ""
    score = f"<b>{escape(view.score)}</b>" if view.score else ""
    facts = ". ".join(filter(None, (view.text or view.note, view.score)))
    label = f"{view.title}: {facts}. The arrow keys move the pointer that names the class."
    return (
        f'<figure data-view="{view.key}" data-names-from="{view.names_from}" '
        f'data-unlabelled="{escape(view.unlabelled)}">'
        f"<figcaption><strong>{escape(view.title)}</strong>{score}<span>{escape(view.note)}</span></figcaption>"
        f'<div class="stage" tabindex="0" role="group" aria-label="{escape(label)}">{inside}'
        '<span class="pointer"><b></b></span></div></figure>'
    )


def _roles(found: Sequence[Segmentation]) -> dict[str, str]:
    """Class name -> role of every class that any of the models knows; the first that knows it decides."""
    roles: dict[str, str] = {}
    for segmentation in found:
        for name, role in zip(segmentation.classes, segmentation.roles, strict=True):
            roles.setdefault(name, role)
    return roles


def _legend(found: Sequence[Segmentation], roles: dict[str, str], colors: dict[str, str]) -> str:
    present = dict.fromkeys(name for segmentation in found for name in class_areas(segmentation))
    if not present:
        return ""
    chips = [chip(name, colors[name], role_mark(roles[name])) for name in present]
    return legend("Legend", chips, "Classes in this photo")
