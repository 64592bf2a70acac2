"""The Annotation cost tab: what a plan costs, what it gains, and which classes to mask for a budget."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from simformer.costs import KINDS, annotation_costs, shipped_frequency
from simformer.costs.evidence import default_expectation, expectation_choices, known_shares
from simformer.costs.plan import Plan
from simformer.costs.roles import FIRST_SPLIT, matching_datasets, roles_for, split_masked
from simformer.costs.typed import folder_rows, frequency_rows, uploaded_rows
from simformer.costs.wishes import WORDS
from simformer.datasets.folder_files import names_to_annotate
from simformer.errors import SimFormerError
from simformer.results import Folders, ResultCell
from simformer.splits import ALL_BASE, DATASET_TITLES, Roles, shipped_choice, split_names
from simformer.ui.costs import measuring, trusting, worklist
from simformer.ui.costs.calculating import calculate, measured_cells, typed_plan
from simformer.ui.costs.html import KIND_LABELS, sources_html
from simformer.ui.costs.own import own_rows, own_splits
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.dataset import counted_dataset
from simformer.ui.parts.events import listen
from simformer.ui.parts.html import hint
from simformer.ui.parts.inputs import ChangingChoices, failure
from simformer.ui.segment.roles import SEGMENT_TAB, Sent
from simformer.weights import MSRC21

COSTS_TAB = "costs"
FIRST_IMAGES, FIRST_RATE, FIRST_BUDGET = 1000, 15, 500
OWN_CHOICE = "own"
CLASS_HEAD = ["Class", "In % of photos", "Instances in such a photo"]


def split_choices(names: Sequence[str], cells: Sequence[ResultCell] = ()) -> list[tuple[str, str]]:
    """(label, key) of the splits that fit these classes, of those measured on own data, and the choice by class."""
    found = [
        ("Masks for all" if split == ALL_BASE else shipped_choice(dataset, split), f"{dataset}/{split}")
        for dataset in matching_datasets(names)
        for split in split_names(dataset)
    ]
    found += [(f"Measured: {key.partition('/')[2]}", key) for key in own_splits(cells, names)]
    return [*found, ("Own choice", OWN_CHOICE)]


class RoleSets(NamedTuple):
    """Names of the classes with masks: `masked` in the present roles, and `have`, those that have masks already."""

    masked: Sequence[str]
    have: Sequence[str]


def new_classes(rows: list[list[Any]], masked: list[str], have: list[str], away: RoleSets) -> tuple[Any, ...]:
    """What follows from other classes: table, masked classes, splits that fit, classes with masks, `away`, and names.

    Args:
        masked, have: roles of the classes that were in the table. away: roles of earlier ones, for when they come back.
    """
    names = [row[0] for row in rows]
    known = RoleSets(*(list(dict.fromkeys([*now, *then])) for now, then in zip((masked, have), away, strict=True)))
    here = RoleSets(*([name for name in chosen if name in names] for chosen in known))
    return (
        gr.Dataframe(value=rows),
        gr.CheckboxGroup(choices=names, value=here.masked),
        gr.Dropdown(choices=split_choices(names), value=OWN_CHOICE),
        gr.CheckboxGroup(choices=names, value=here.have),
        RoleSets(*([name for name in chosen if name not in names] for chosen in known)),
        names,
    )


def upload_classes(data: Path | None, path: str | None, *roles: Any, dataset: str = MSRC21) -> tuple[Any, ...]:
    """`new_classes` of an uploaded CSV file; if it was taken away, of what the page began with. Raises gr.Error.

    Args:
        data: the page's own data set, if it has one. roles: as `new_classes`. dataset: as `first_rows`.
    """
    try:
        rows = first_rows(data, dataset) if path is None else uploaded_rows(path)
    except SimFormerError as error:
        raise failure(error) from error
    return new_classes(rows, *roles)


def first_rows(data: Path | None, dataset: str = MSRC21) -> list[list[Any]]:
    """The table's rows of the page's own data set; those of a shipped one where there is none, or none to count."""
    if data is not None:
        with suppress(SimFormerError):
            return own_rows(data)
    return frequency_rows(shipped_frequency(dataset))


def count_folder(folder: str, *roles: Any, progress: Any = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
    """`new_classes` of a folder data set on this machine. Raises gr.Error."""
    try:
        rows = folder_rows(folder, lambda photos: progress.tqdm(list(photos), desc="Counting classes", unit="photos"))
    except SimFormerError as error:
        raise failure(error) from error
    return new_classes(rows, *roles)


def own_classes(root: Path, *roles: Any) -> tuple[Any, ...]:
    """`new_classes` of the page's own data set; where it cannot be counted, which Own data says, nothing changes."""
    try:
        return new_classes(own_rows(root), *roles)
    except SimFormerError:
        return (gr.skip(),) * 6


def take_split(results_folder: Folders, key: str, classes: list[list[Any]]) -> Any:
    """The masked classes of a split, a shipped or a measured one; an own choice leaves them as they are."""
    if key == OWN_CHOICE:
        return gr.skip()
    return base_of(key, measured_cells(results_folder), [row[0] for row in classes])


def base_of(key: str, cells: Sequence[ResultCell], names: Sequence[str]) -> list[str]:
    """The classes with masks of one of `split_choices`, but for the own choice."""
    own = own_splits(cells, names)
    return own[key] if key in own else split_masked(*key.split("/", 1))


def take_expectation(results_folder: Folders, classes: list[list[Any]], masked: Sequence[str]) -> tuple[Any, Any]:
    """The table that has measured all of these classes, else what is known of others, and the split of these roles."""
    cells, names = measured_cells(results_folder), [row[0] for row in classes]
    choices = split_choices(names, cells)
    keys = [key for _, key in choices if key != OWN_CHOICE and set(base_of(key, cells, names)) == set(masked)]
    return default_expectation(cells, names), gr.Dropdown(choices=choices, value=next(iter(keys), OWN_CHOICE))


def read_budget(text: str) -> list[float] | None:
    """The budget of an address; None where it is none."""
    try:
        budget = float(text)
    except ValueError:
        return None
    return [budget] if math.isfinite(budget) and budget >= 0 else None


def send_roles(
    model_classes: Sequence[str], classes: list[list[Any]], masked: list[str] | None
) -> tuple[Sent, gr.Tabs]:
    """The roles for the Segment tab, and the tab to show. Raises gr.Error where the plan is for other classes."""
    try:
        roles = roles_for(model_classes, [row[0] for row in classes if row[0]], masked or ())
    except SimFormerError as error:
        raise failure(error) from error
    return Sent(Roles(roles), time.monotonic_ns()), gr.Tabs(selected=SEGMENT_TAB)


# ------------------------------------------------------------------------------------------- the page


def build(context: PageContext) -> None:
    """Lay out the tab in the context that is open."""
    folder = context.results_folder
    defaults = annotation_costs()
    dataset = counted_dataset(context.models)
    rows = first_rows(None, dataset)  # those of a folder are counted when the page is opened
    names = [row[0] for row in rows]
    first_split = f"{dataset}/{FIRST_SPLIT}"
    first_masked = split_masked(dataset, FIRST_SPLIT)
    cells = measured_cells(folder)
    expected_choices, first_expected = expectation_choices(cells), default_expectation(cells, names)

    photos, counted = FIRST_IMAGES, f"the training photos of {DATASET_TITLES[dataset]}"
    if context.data is not None:
        listed, counted = names_to_annotate(context.data)
        photos = len(listed)

    with gr.Row(elem_classes="cost-columns"):
        answer = gr.Column(elem_classes="cost-answer")  # before the settings for Tab and on a phone: they are long
        with gr.Column(elem_classes="cost-settings"):
            with gr.Row():
                images = gr.Number(
                    photos, label="Photos to annotate", precision=0, elem_id="cost-images", min_width=120,
                    info=None if context.data is None else f"These are {counted}.",
                )  # fmt: skip
                rate = gr.Number(FIRST_RATE, label="Price of an hour (type yours)", elem_id="cost-rate",
                                 min_width=120)  # fmt: skip
            with gr.Row():
                currency = gr.Textbox("USD", label="Currency", max_length=8, elem_id="cost-currency", min_width=120)
                control = gr.Number(0, label="Time added for checking, %",
                                    elem_id="cost-control", min_width=120)  # fmt: skip
            split = gr.Dropdown(split_choices(names), value=first_split, label="Present roles", elem_id="cost-split")
            masked = ChangingChoices(
                names,
                value=first_masked,
                label="Classes with masks (base)",
                info="The others get image labels only (novel).",
                elem_id="cost-masked",
                elem_classes="many",
            )
            with gr.Accordion("Classes that have masks already", open=False, elem_id="cost-have-section"):
                have = ChangingChoices(
                    names,
                    value=[],
                    label="Cost nothing",
                    info="They are base in every plan; of the others some get masks, the rest image labels.",
                    elem_id="cost-have",
                    elem_classes="many",
                )
            drawn_by = gr.Radio(
                [("By hand", "hand"), ("With an assistant", "assistant")],
                value="hand",
                label="Masks are drawn",
                info="An assistant proposes masks at a click (such as Segment Anything): cheaper. What is known of "
                "its effect on IoU is said beside the plan, seconds and sources below.",
                elem_id="cost-drawn-by",
            )
            mask_share = gr.Slider(
                10, 100, value=100, step=5,
                label="Photos in which masks are drawn, %",
                info="The others get image labels of every class, also of those with masks.",
                visible=context.data is None and any(known_shares(cells, key) for _, key in expected_choices),
                elem_id="cost-mask-share",
            )  # fmt: skip
            send_present = gr.Button("Send these roles to the Segment tab", elem_id="cost-send-present")
            expected_from = gr.Dropdown(
                expected_choices, value=first_expected, label="Expected mIoU from", elem_id="cost-expected"
            )
            with gr.Accordion("Seconds for one annotation", open=False):
                seconds = [_seconds_input(kind, defaults["defaults"][kind]) for kind in KINDS]
                instances = gr.Number(
                    defaults["instances_per_class"]["value"],
                    label="Instances of a class in a photo that shows it",
                    info=f"Where they were not counted. {defaults['instances_per_class']['why']}",
                    elem_id="cost-instances",
                )
            with gr.Accordion("Classes and how often they occur", open=False, elem_id="cost-classes-section"):
                upload = gr.File(
                    label="Own classes: a CSV file with class,share,instances or photo,class",
                    file_types=[".csv"],
                    type="filepath",
                    height=120,
                    elem_id="cost-upload",
                )
                with gr.Row(equal_height=True, visible=context.local_folders):
                    path = gr.Textbox(label="Or a folder with label maps on this machine", elem_id="cost-folder")
                    count = gr.Button("Count its classes", elem_id="cost-count")
                classes = gr.Dataframe(
                    rows,
                    headers=CLASS_HEAD,
                    datatype=["str", "number", "number"],
                    type="array",
                    column_count=3,
                    interactive=True,
                    static_columns=[0],
                    max_height=360,
                    label=f"Counted on {counted}, unless you give others; every number can be changed",
                    elem_id="cost-classes",
                )
        with answer:
            scenarios = gr.HTML(hint("The figures are being calculated."), elem_id="cost-scenarios")
            trusting.build(folder, expected_from)
            budget = gr.Number(
                FIRST_BUDGET, label="Budget", info="The most that annotation may cost.", elem_id="cost-budget"
            )
            wishes = gr.Textbox(
                label="What you ask of the best classes",
                info=f"One a line, or with semicolons: {WORDS}",
                elem_id="cost-wishes",
            )
            best = gr.HTML(elem_id="cost-best")
            with gr.Row():
                take_best = gr.Button("Make them the present roles", interactive=False, elem_id="cost-take-best")
                send_best = gr.Button(
                    "Send them to the Segment tab", interactive=False, variant="primary",
                    elem_id="cost-send-best",
                )  # fmt: skip
            frontier = gr.Plot(show_label=False, container=False, elem_id="cost-frontier", elem_classes="plot")
            no_frontier = gr.HTML()
        with gr.Column(elem_classes="cost-detail"):
            with gr.Accordion("What if a mask takes longer", open=False):
                changes_plot = gr.Plot(show_label=False, container=False, elem_id="cost-changes", elem_classes="plot")
                changes_table = gr.HTML(elem_id="cost-sensitivity")
            with gr.Accordion("Points, scribbles and boxes", open=False):
                kinds = gr.HTML(elem_id="cost-kinds")
            with gr.Accordion("The plan, class by class", open=True):
                plan = gr.HTML(elem_id="cost-plan")
    best_masked, away, given = gr.State(None), gr.State(RoleSets([], [])), gr.State(names)
    inputs = [images, classes, masked, rate, currency, control, instances, budget, expected_from, wishes, have]
    inputs += [drawn_by, mask_share, *seconds]
    asked = [given, *inputs]

    def plan_of(names: list[str], *values: Any) -> Plan:
        return typed_plan(folder, *values, names=names)

    if context.data is not None:
        if context.training:
            measuring.build(context, plan_of, asked, expected_from, classes)
        worklist.build(context, plan_of, asked)
    with gr.Accordion("Where the default seconds come from", open=False):
        gr.HTML(sources_html())
    outputs = [scenarios, frontier, no_frontier, best, best_masked, changes_plot, changes_table, kinds, plan, take_best,
               send_best]  # fmt: skip

    # Calculated only once somebody looks, for most visitors open another tab, and once own data are counted.
    looked, counted_own, first_done = gr.State(False), gr.State(context.data is None), gr.State(False)

    def update(looked: bool, counted: bool, names: list[str], *values: Any) -> tuple[Any, ...]:
        if not (looked and counted):
            return (gr.skip(),) * len(outputs)
        return calculate(folder, *values, data=context.data, names=names)

    def first_look(done: bool, looked: bool, counted: bool, *values: Any) -> tuple[Any, ...]:
        # Whichever of the two comes last finds both; so may the other one, if its turn comes later.
        return (done or (looked and counted), *update(looked and not done, counted, *values))

    answered = [looked, counted_own, *asked]
    fields = (images, classes, rate, currency, control, instances, expected_from, wishes, *seconds)
    typed = [*(item.input for item in fields), budget.change]  # a budget comes from the address, too
    quietly = partial(listen, progress="minimal")
    quietly(context.tab.select, lambda: True, None, looked)
    quietly([looked.change, counted_own.change], first_look, [first_done, *answered], [first_done, *outputs])
    quietly(typed, update, answered, outputs, last=True)
    quietly(masked.change, update, answered, outputs, last=True)
    quietly([have.input, drawn_by.input, mask_share.release], update, answered, outputs, last=True)
    quietly(have.input, lambda masked, have: [*masked, *(name for name in have if name not in masked)], [masked, have],
            masked)  # fmt: skip
    quietly(masked.input, lambda: OWN_CHOICE, None, split)
    quietly(split.input, partial(take_split, folder), [split, classes], masked)
    quietly(take_best.click, lambda chosen: (chosen, OWN_CHOICE), best_masked, [masked, split])
    roles, changed_classes = [masked, have, away], [classes, masked, split, have, away, given]
    # A file that replaces another one arrives while the answer to the clearing is still under way.
    read_upload = partial(upload_classes, context.data, dataset=dataset)
    changes = [quietly([upload.upload, upload.clear], read_upload, [upload, *roles], changed_classes, last=True)]
    if context.local_folders:
        changes.append(
            listen([count.click, path.submit], count_folder, [path, *roles], changed_classes, progress="full")
        )
    context.address.hold("budget", str(FIRST_BUDGET), [budget], read_budget, follow=[budget])
    expect = partial(take_expectation, folder)
    for change in changes:
        expected = quietly(change.success, expect, [classes, masked], [expected_from, split])
        quietly(expected.success, update, answered, outputs)
    if context.data is not None:
        change = quietly(context.page.load, partial(own_classes, context.data), roles, changed_classes)
        expected = quietly(change.success, expect, [classes, masked], [expected_from, split])
        quietly(expected.then, lambda: True, None, counted_own)
    send = partial(send_roles, context.models.classes)
    quietly(send_present.click, send, [classes, masked], [context.sent, context.tabs])
    quietly(send_best.click, send, [classes, best_masked], [context.sent, context.tabs])


def _seconds_input(kind: str, entry: dict[str, Any]) -> gr.Number:
    low, high = entry["range"]
    return gr.Number(
        entry["seconds"],
        label=f"{KIND_LABELS[kind]}, for each {entry['per']}",
        info=f"Reported: {low:g} to {high:g} s. {entry['citation']}",
        elem_id=f"cost-seconds-{kind.replace('_', '-')}",
    )
