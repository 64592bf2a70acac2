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
from simformer.ui.parts.html import role_mark, share_text, swatch
from simformer.ui.parts.models import CAM, ORACLE
from simformer.ui.parts.photos import Shown, data_uri
from simformer.utils.palette import BASE_COLOR, NOVEL_COLOR, hex_colors

if TYPE_CHECKING:
    from simformer.segmentation import Segmentation

NAMED_IN_TEXT = 4
# What every class is in a view, whatever the chosen roles.
FIXED_ROLES = {CAM: "image labels", ORACLE: "masks"}
TOOLS = """<section class="view-tools" aria-label="Look closer">
<span><button type="button" data-zoom="out" aria-label="Zoom out">−</button>
<button type="button" data-zoom="in" aria-label="Zoom in">+</button>
<button type="button" data-zoom="off">Whole photo</button></span>
<span><button type="button" data-swipe-on aria-pressed="false">Swipe</button>
<select data-swipe aria-label="Left of the line"></select> |
<select data-swipe aria-label="Right of the line"></select></span>
<button type="button" data-before hidden>Before and after</button></section>"""
"""Buttons of static/views.js, which fills in the choices."""


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
        roles: those of its classes, as `str(Roles)` writes them, where a visitor chooses them.
        sure: its classes are right, whatever the models know.
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
    roles: str = ""
    sure: bool = False


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


def views_html(photo: Shown, views: Sequence[View], found: Sequence[Segmentation], unknown: str = "") -> str:
    """The grid of views with the legend of all classes found in them.

    Args:
        photo: lies under every overlay.
        views: in the order of the grid.
        found: segmentations whose classes the legend and the pointer name; the first one's roles count.
        unknown: why the photo probably shows none of the classes, as plain text; empty if it shows some.
    """
    roles = _roles(found)
    colors = hex_colors(list(roles))
    names = {colors[name]: f"{name} ({role})" for name, role in roles.items()}
    height, width = photo.size
    shape = "views upright" if height > width else "views"
    figures = "".join(_figure(view, "unknown, nearest " if unknown and not view.sure else "") for view in views)
    told = f'<p class="unknown" role="status">{escape(unknown)}</p>' if unknown else ""
    return (
        f'{told}{TOOLS}<div class="{shape}" style="--ratio:{width / height:.4f};--photo:url({photo.uri})" '
        f'data-names="{escape(json.dumps(names))}">{figures}{_legend(found, roles, colors, bool(unknown))}</div>'
        '<output class="readout" aria-live="polite"></output>'
    )


def _figure(view: View, doubt: str) -> str:
    """doubt: what the pointer says before the name of a class."""
    if view.overlay:
        inside = f'<img src="{view.overlay}" alt="{escape(view.text)}" draggable="false">'
    else:
        inside = f'<p class="message">{escape(view.message)}</p>' if view.message else ""
    score = f"<b>{escape(view.score)}</b>" if view.score else ""
    facts = ". ".join(filter(None, (view.text or view.note, view.score)))
    label = f"{view.title}: {facts}. The arrow keys move the pointer that names the class."
    return (
        f'<figure data-view="{view.key}" data-names-from="{view.names_from}" '
        f'data-unlabelled="{escape(view.unlabelled)}" data-role="{FIXED_ROLES.get(view.key, "")}" '
        f'data-doubt="{doubt}" data-roles="{view.roles}">'
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


def _legend(found: Sequence[Segmentation], roles: dict[str, str], colors: dict[str, str], unknown: bool) -> str:
    present = dict.fromkeys(name for segmentation in found for name in class_areas(segmentation))
    if not present:
        return ""
    chips = "".join(
        f'<li><button type="button" data-color="{colors[name]}" aria-pressed="false">{swatch(colors[name])}'
        f"{escape(name)} {role_mark(roles[name])}</button></li>"
        for name in present
    )
    heading = "The nearest classes, probably none of them right" if unknown else "Classes in this photo"
    return (
        f'<section class="legend classes-legend" aria-label="Legend"><strong>{heading}</strong>'
        f'<ul>{chips}<li><button type="button" data-every hidden>Show all</button></li></ul>'
        '<span class="hint">A click shows one class alone; Shift and click, or the key H, hides it.</span></section>'
    )
