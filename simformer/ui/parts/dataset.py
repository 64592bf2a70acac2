"""The data sets of the page: each that has models is a page with an address, and one switch leads to them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from html import escape

import gradio as gr

from simformer.costs.frequency import shipped_counts
from simformer.errors import ConfigError
from simformer.paths import STATIC
from simformer.splits import DATASET_TITLES, dataset_classes, datasets
from simformer.ui.parts.models import Models
from simformer.weights import MSRC21, available_models

SCRIPT = STATIC / "dataset.js"


def shown_models(engine: str = "torch") -> list[Models]:
    """The models of every data set that the page shows: first those that it opens with, then the other data sets'.

    Another data set is a folder in the weights folder that is called as one that ships with splits ("nyuv2"), with a
    SimFormer of its classes. Nothing is loaded.

    Args:
        engine: as `Models`.
    """
    first = Models(engine=engine)
    folders = dict.fromkeys(name.rpartition("/")[0] for name in available_models())
    others = [Models(folder=name, engine=engine) for name in folders if name in datasets() and name != first.dataset]
    return [first, *(models for models in others if models.classes == dataset_classes(models.folder))]


def name_of(models: Models) -> str:
    """The data set in words of programs, such as "nyuv2"; "" if there is no model."""
    return models.folder or models.dataset


def title_of(models: Models) -> str:
    """The same in words of people, such as "NYUv2"."""
    return DATASET_TITLES.get(models.dataset, name_of(models))


def counted_dataset(models: Models) -> str:
    """The data set whose class counts the planner begins with: that of the models, or MSRC-21 if none ship for it."""
    with suppress(ConfigError):
        shipped_counts(models.dataset)
        return models.dataset
    return MSRC21


def find_dataset(shown: Sequence[Models], name: str) -> Models:
    """The models of a data set of the page; "" is the first.

    Raises:
        ConfigError: the page has none of that name; says which it has.
    """
    found = next((models for models in shown if name in ("", name_of(models), models.dataset)), None)
    if found is None:
        there = ", ".join(name_of(models) for models in shown)
        raise ConfigError(f"the page has no models of the data set {name!r}; it has {there}")
    return found


def path_of(shown: Sequence[Models], models: Models) -> str:
    """Where the page of a data set is: "" for the first, for others their name."""
    return "" if models is shown[0] else name_of(models)


def switch(shown: Sequence[Models], here: Models) -> None:
    """Links to the page of each data set, in the context that is open; none where there is but one."""
    if len(shown) < 2:
        return
    links = "".join(
        f'<a href="./{escape(path_of(shown, models))}"{" aria-current=page" if models is here else ""}>'
        f"{escape(title_of(models))}</a>"
        for models in shown
    )
    gr.HTML(
        f'<nav aria-label="Data set"><span aria-hidden="true">Data set</span><div>{links}</div></nav>',
        elem_id="dataset",
        js_on_load=SCRIPT.read_text(encoding="utf-8"),
        apply_default_css=False,
    )
