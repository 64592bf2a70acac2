"""The Compare tab: several models photo by photo, as the paper's qualitative figures show them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from simformer.compare.columns import PICTURES, Column, columns_of, listed_names, usual_columns, usual_pair
from simformer.paths import STATIC
from simformer.splits import ROLE_SET, Split, split_choice, split_label
from simformer.ui.compare import endpoint
from simformer.ui.compare.served import Answer, Compared, no_models
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.dataset import name_of
from simformer.ui.parts.events import listen
from simformer.ui.parts.html import hint

SCRIPT = STATIC / "compare.js"
# What a link holds of the tab: the attribute that `query_html` writes beside the query.
LINK_OF = """(html) =>
  new DOMParser().parseFromString(html ?? "", "text/html").querySelector(".compare")?.dataset.link"""
ANY_CLASS = ""
ANY_EXPANSION = ""
EXPANSIONS = (
    ("anything", ANY_EXPANSION),
    ("under-expanded (recall < 50 %)", "under-expanded"),
    ("over-expanded (precision < 50 %)", "over-expanded"),
)
EXAMPLES = "Example photos from installed packages, outlined for this project."
A_DATA_SET = """`python app.py --data DIR`, where DIR holds `images/`, `labels/` and `classes.txt`; for MSRC-21 and
NYUv2 `python -m train.prepare.msrc21` and `python -m train.prepare.nyuv2` make it from the official downloads."""


def query_html(
    split: str, columns: list[str], first: str, second: str, order: str, class_name: str, expansion: str
) -> str:
    """What the visitor wants to see, as the script takes it: its attribute is a query (`simformer.compare.gallery`)."""
    query = {
        "split": split,
        "columns": methods_in(columns),
        "left_out": left_out_of(columns),
        "first": first if first in methods_in(columns) else "",
        "second": second if second in methods_in(columns) else "",
        "order": order,
        "class_name": class_name or ANY_CLASS,
        "expansion": expansion or None,
    }
    link = link_text(split, columns, first, second, order, class_name, expansion)
    return f'<div class="compare" data-query="{escape(json.dumps(query))}" data-link="{escape(link)}"></div>'


def methods_in(columns: list[str]) -> list[str]:
    """The chosen columns that models make."""
    return [name for name in columns if name not in PICTURES]


def left_out_of(columns: list[str]) -> list[str]:
    """The columns that no model makes and that are not chosen."""
    return [name for name in PICTURES if name not in columns]


def link_text(
    split: str, columns: list[str], first: str, second: str, order: str, class_name: str, expansion: str
) -> str:
    """What the page's address holds of the choices: "s1;CAM,SimFormer;SimFormer;CAM;first;cow;".

    Input, truth and base/novel map are named at its end if they are left out: older links do not name them.
    """
    methods, left_out = ",".join(methods_in(columns)), ",".join(left_out_of(columns))
    words = [split, methods, first or "", second or "", order, class_name or "", expansion or ""]
    return ";".join([*words, left_out] if left_out else words)


def linked_choices(compared: Compared, text: str) -> list[Any] | None:
    """Updates of the split, what it offers, the query and the filters' label for a link's text.

    What the split does not offer is as in a split that was just chosen; None if there is no such split.
    """
    split, *asked = text.split(";")
    if split not in compared.splits:
        return None
    offered = choices_for(compared.splits[split], compared.columns)
    columns, first, second, order, expansion, class_name = offered
    named = [*asked, *[""] * 7]
    available = methods_in(columns["choices"])
    methods = [name for name in listed_names(named[0], available) if name in available]
    chosen = [name for name in PICTURES if name not in named[6].split(",")] + (methods or methods_in(columns["value"]))
    first = named[1] if named[1] in methods else first["value"]
    second = named[2] if named[2] in methods else second["value"]
    shows = named[4] if named[4] in dict(class_name["choices"]).values() else ANY_CLASS
    expands = named[5] if named[5] in dict(EXPANSIONS).values() else ANY_EXPANSION
    first, second, order, expansion = choices_of_pair(chosen, first, second, named[3])
    values = [chosen, first["value"], second["value"], order["value"], shows, expands]
    return [
        split,
        {**columns, "value": chosen},
        *(first, second, order),
        {**expansion, "value": expands},
        {**class_name, "value": shows},
        query_html(split, *values),
        gr.Accordion(label=filters_text(*values)),
    ]


def orders_for(first: str | None, second: str | None) -> list[tuple[str, str]]:
    """Orders of the photos in words: (label, order)."""
    if not first or not second:
        return [("by name", "name")]
    return [
        (f"{first} leads first", "first"),
        (f"{second} leads first", "second"),
        ("largest difference first", "difference"),
        ("by name", "name"),
    ]


def expansion_label(second: str | None) -> str:
    """What the filter by expansion is about."""
    return f"Only photos where {second} is" if second else "Only photos where the second is"


def filters_text(
    columns: list[str], first: str | None, second: str | None, order: str, class_name: str, expansion: str
) -> str:
    """What the closed filters say is chosen: "Columns, order, filters: 5 methods, by name, photos that show cow"."""
    methods, left_out = len(methods_in(columns)), left_out_of(columns)
    # Without any the gallery shows the usual ones.
    words = ["the usual methods" if not methods else "1 method" if methods == 1 else f"{methods} methods"]
    words += [f"without {' and '.join(left_out)}"] if left_out else []
    words += [label for label, name in orders_for(first, second) if name == order]
    words += [f"photos that show {class_name}"] if class_name else []
    words += [f"{second or 'the second'} {expansion}"] if expansion else []
    return f"Columns, order, filters: {', '.join(words)}"


def named_splits(splits: Mapping[str, Split]) -> list[tuple[str, str]]:
    """(label, name) of splits: shipped ones and role sets say their novel classes, the others' names do so already."""

    def says_itself(name: str, split: Split) -> bool:
        return split_label(name) == name and not re.fullmatch(ROLE_SET, name)

    return [
        (name if says_itself(name, split) else split_choice(name, split.classes, split.novel), name)
        for name, split in splits.items()
    ]


def choices_for(split: Split, columns: list[Column]) -> tuple[dict[str, Any], ...]:
    """What a split offers: updates of the columns, the pair, the order, the filter by expansion and that by class."""
    available = columns_of(split, columns)
    names = [column.name for column in available]
    usual = [column.name for column in usual_columns(available)]
    first, second = usual_pair(usual_columns(available)) or (None, None)
    novel = [(f"{split.classes[index]} (novel)", split.classes[index]) for index in split.novel]
    base = [(split.classes[index], split.classes[index]) for index in split.base]
    return (
        gr.update(choices=[*PICTURES, *names], value=[*PICTURES, *usual]),
        gr.update(choices=usual, value=first),
        gr.update(choices=usual, value=second),
        gr.update(choices=orders_for(first, second), value="first" if first else "name"),
        gr.update(label=expansion_label(second)),
        gr.update(choices=[("any novel class", ANY_CLASS), *novel, *base], value=ANY_CLASS),
    )


def choices_of_pair(columns: list[str], first: str | None, second: str | None, order: str) -> tuple[Any, ...]:
    """The pair can be of the shown columns only: updates of the two, the order and the filter by expansion."""
    methods = methods_in(columns)
    left = [name for name in methods if name not in (first, second)]
    first = first if first in methods else next(iter(reversed(left)), None)
    second = second if second in methods and second != first else next((n for n in left if n != first), None)
    orders = orders_for(first, second)
    kept = order if order in dict(orders).values() else orders[0][1]
    return (
        gr.update(choices=methods, value=first),
        gr.update(choices=methods, value=second),
        gr.update(choices=orders, value=kept),
        gr.update(label=expansion_label(second)),
    )


def server_functions(compared: Compared) -> list[Callable[[Any], Answer]]:
    """What the script can ask for: plain functions, since Gradio marks them, which methods cannot be."""

    def plain(method: Callable[[Any], Answer]) -> Callable[[Any], Answer]:
        def function(asked: Any) -> Answer:
            return method(asked)

        function.__name__ = method.__name__
        return function

    return [plain(method) for method in (compared.arrange, compared.rows, compared.progress, compared.figure)]


def build(context: PageContext) -> None:
    """Put the tab's controls and events into the context that is open. Raises DatasetError."""
    compared = Compared(context.data, context.list_file, context.models.classes)
    if problem := no_models(compared):
        gr.HTML(hint(problem))
        return
    if context.data is None:
        gr.HTML(hint(EXAMPLES))
    best = compared.first_split()
    columns, first, second, order, expansion, class_name = choices_for(compared.splits[best], compared.columns)

    def dropdown(update: dict[str, Any], label: str, elem_id: str, **more: Any) -> gr.Dropdown:
        options = {key: update[key] for key in ("choices", "value")}
        return gr.Dropdown(**options, label=label, elem_id=elem_id, min_width=150, **more)

    with gr.Row(elem_classes="compare-controls"):
        split_menu = dropdown({"choices": named_splits(compared.splits), "value": best}, "Split", "compare-split")
        first_choice = dropdown(first, "Compare", "compare-first")
        second_choice = dropdown(second, "with", "compare-second")
    # Closed: on a phone they would fill the screen before the first photo.
    start = [columns["value"], first["value"], second["value"], order["value"], ANY_CLASS, ANY_EXPANSION]
    closed = gr.Accordion(filters_text(*start), open=False, elem_id="compare-filters")
    with closed, gr.Row(elem_classes="compare-controls"):
        shown = dropdown(columns, "Columns", "compare-columns", multiselect=True, scale=3)
        order_choice = dropdown(order, "Order", "compare-order")
        class_choice = dropdown(class_name, "Only photos that show", "compare-class")
        options = {"choices": [*EXPANSIONS], "value": ANY_EXPANSION}
        expanded = dropdown(options, expansion["label"], "compare-expansion")
    controls = [split_menu, shown, first_choice, second_choice, order_choice, class_choice, expanded]
    rows = gr.HTML(
        query_html(best, *start),
        elem_id="compare-rows",
        js_on_load=SCRIPT.read_text(encoding="utf-8"),
        server_functions=server_functions(compared),
    )
    if context.data is None:  # below the few examples: on a phone it would push them off the first screen
        with gr.Accordion("Compare on a data set instead", open=False, elem_id="compare-data-set"):
            gr.Markdown(A_DATA_SET)

    def new_split(name: str) -> tuple[dict[str, Any], ...]:
        return choices_for(compared.splits[name], compared.columns)

    def ask(split: str, *chosen: Any) -> tuple[str, Any]:
        return query_html(split, *chosen), gr.Accordion(label=filters_text(*chosen))

    answered = [rows, closed]
    pair = [first_choice, second_choice, order_choice]
    of_pair = [*pair, expanded]
    split_chosen = listen(split_menu.input, new_split, split_menu, [shown, *of_pair, class_choice], last=True)
    listen(split_chosen.then, ask, controls, answered)
    of_columns = [shown.input, first_choice.input, second_choice.input]
    columns_chosen = listen(of_columns, choices_of_pair, [shown, *pair], of_pair, last=True)
    listen(columns_chosen.then, ask, controls, answered)
    listen([order_choice.input, class_choice.input, expanded.input], ask, controls, answered, last=True)
    # The query holds all choices: it is what links say, and what they set again.
    linked = [split_menu, shown, *of_pair, class_choice, *answered]
    read = partial(linked_choices, compared)
    context.address.hold("compare", link_text(best, *start), linked, read, follow=[rows], text=LINK_OF)
    if not context.galleries:  # one endpoint answers of all data sets
        endpoint.build(context.galleries)
    context.galleries[name_of(context.models)] = compared
