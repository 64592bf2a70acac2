"""The Results tab: published and measured numbers, the tables behind the plots, and the runs behind the tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

import gradio as gr
import plotly.graph_objects as go

from simformer.paths import STATIC
from simformer.results import (
    TABLE_TITLES,
    ClassRow,
    Group,
    MiouRow,
    ResultCell,
    is_role_set,
    miou_table,
    per_class_table,
    published,
    published_note,
    read_results,
    to_csv,
)
from simformer.splits import DATASET_TITLES, datasets, shipped_choice, split_label, split_order
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.events import listen
from simformer.ui.parts.html import download_link, hint
from simformer.ui.results import shares
from simformer.ui.results.html import class_table, miou_html, runs_html
from simformer.ui.results.plots import (
    Series,
    class_heat_map,
    miou_bars,
    novel_share_lines,
    variant_name,
)
from simformer.weights import MSRC21

BY_SPLIT, BY_CLASS, MORE_NOVEL = "Methods by split", "Classes by split", "More novel classes"
POINTS, PAIRING = "Points per photo (J)", "Pairing"
NUMBERS_SCRIPT = STATIC / "numbers.js"
VIEWS = (BY_SPLIT, BY_CLASS, MORE_NOVEL, POINTS, PAIRING)
MEASURED, PUBLISHED = "measured", "published"
ORIGINS = ((f"{MEASURED} by this project", MEASURED), (f"{PUBLISHED} in the paper", PUBLISHED))
GROUP_LABELS = [(f"{group} classes", group) for group in ("novel", "base", "all")]

# Of each view: the methods it compares (None: all), the paper's tables, and its splits of the data sets that ship
# with splits (None, and on own data: those with a number).
_METHODS = {POINTS: ("SimFormer",), PAIRING: ("Basic Model", "Self-Pair", "SimFormer")}
_PAPER_TABLES = {
    BY_SPLIT: ("pairing", "more novel classes"),
    MORE_NOVEL: ("more novel classes",),
    POINTS: ("points",),
    PAIRING: ("pairing",),
}
_SPLITS = {MORE_NOVEL: ("s4", "s5", "s6", "s7", "s8", "s9")}

HOW_TO_MEASURE = (
    "Nothing was measured on {dataset} yet. Train a model with "
    "<code>python -m train train/configs/{name}.yaml data=DIR</code> and ship its result with "
    "<code>python -m train.tables.publish RUN NAME</code>: each run is one JSON file in <code>assets/results</code>."
)
ONE_SEED = (
    "Each measured number here is of one training: how much of a difference is chance is known only where seeds are "
    "repeated."
)


@dataclass(frozen=True)
class Selection:
    """What a visitor wants to see.

    Attributes:
        methods, splits: only these; empty = all, but of a data set with splits not its role sets (`is_role_set`).
        variant: in the view of classes, which method (as `variant_name` writes it).
    """

    view: str = BY_SPLIT
    dataset: str = MSRC21
    origins: tuple[str, ...] = (MEASURED, PUBLISHED)
    group: Group = "novel"
    methods: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    variant: str | None = None


@dataclass(frozen=True)
class Answer:
    """What the tab shows: the plot (None without numbers), the notes and tables as HTML."""

    figure: go.Figure | None
    notes: str
    table: str
    runs: str


def dataset_choices(cells: Iterable[ResultCell], shown: str = MSRC21) -> list[tuple[str, str]]:
    """(title, name) of the data sets with a measured or published number, and the one shown; measured ones first."""
    names = [*sorted({cell.dataset for cell in cells}), shown, *{row.dataset: None for row in published()}]
    return [(DATASET_TITLES.get(name, name), name) for name in dict.fromkeys(names)]


def role_sets(cells: Iterable[ResultCell], dataset: str) -> list[str]:
    """Names of the measured role sets of a data set that are none of its own splits, sorted."""
    return sorted({cell.split for cell in cells if cell.dataset == dataset and is_role_set(dataset, cell.split)})


def tables(cells: Iterable[ResultCell], dataset: str, view: str) -> list[str]:
    """Names of the measured tables of a data set.

    In a view of a few methods or splits the one with most numbers is first; in the others they are in order of name.
    """
    cells = [cell for cell in cells if cell.dataset == dataset]
    names = sorted({cell.schedule for cell in cells})

    def numbers(table: str) -> int:
        rows = select_rows(only_table(cells, dataset, table), Selection(view, dataset, origins=(MEASURED,)))
        return sum(row.miou is not None for row in rows)

    return sorted(names, key=numbers, reverse=True) if view in _METHODS or view in _SPLITS else names


def only_table(cells: Iterable[ResultCell], dataset: str, table: str | None) -> list[ResultCell]:
    """All cells, but of that data set only those of one of its tables, if it has that one."""
    cells = list(cells)
    if table not in {cell.schedule for cell in cells if cell.dataset == dataset}:
        return cells
    return [cell for cell in cells if cell.dataset != dataset or cell.schedule == table]


def select_rows(cells: Iterable[ResultCell], chosen: Selection) -> list[MiouRow]:
    """The rows of mean IoU behind a plot; missing cells of the measured table are rows without a number."""
    rows: list[MiouRow] = []
    if MEASURED in chosen.origins:
        here = [cell for cell in cells if cell.dataset == chosen.dataset]
        if chosen.view != POINTS:
            here = one_points(here)
        splits = _SPLITS.get(chosen.view) if chosen.dataset in datasets() else None
        rows += miou_table(here, methods=_METHODS.get(chosen.view), splits=splits)
    if PUBLISHED in chosen.origins:
        tables = _PAPER_TABLES.get(chosen.view, ())
        paper = [row for row in published() if row.dataset == chosen.dataset and row.table in tables]
        # A number that stands in several of the paper's tables is shown once.
        rows += {(row.method, row.points, row.split): row for row in reversed(paper)}.values()
    rows = [row for row in rows if row.group == chosen.group and _wanted(row, chosen)]
    return sorted(rows, key=lambda row: (row.origin, row.method, row.points or 0, split_order(row.split)))


def one_points(cells: Iterable[ResultCell]) -> list[ResultCell]:
    """Of each method, table and split the cells of one J: of those it has the one that most of the table's cells have.

    A J that was tried on one split beside another would be missing on all others; the view of J shows it.
    """
    cells = list(cells)
    counts: dict[tuple[str, str], Counter[int | None]] = defaultdict(Counter)
    tried: dict[tuple[str, str, str], set[int | None]] = defaultdict(set)
    for cell in cells:
        counts[cell.method, cell.schedule][cell.points] += 1
        tried[cell.method, cell.schedule, cell.split].add(cell.points)

    def kept(cell: ResultCell) -> int | None:
        usual = counts[cell.method, cell.schedule].most_common()
        return next(points for points, _ in usual if points in tried[cell.method, cell.schedule, cell.split])

    return [cell for cell in cells if cell.points == kept(cell)]


def class_variants(cells: Iterable[ResultCell], chosen: Selection) -> dict[str, list[ClassRow]]:
    """Rows of per-class IoU by method, as `variant_name` writes it; SimFormer first, then the most measured."""
    alike: dict[str, list[ClassRow]] = defaultdict(list)
    variants: dict[str, list[ClassRow]] = defaultdict(list)
    for row in per_class_table(cell for cell in cells if cell.dataset == chosen.dataset):
        alike[row.method].append(row)
    for rows in alike.values():
        for _, same in groupby(rows, key=lambda row: (row.table, row.points, row.label_rule)):
            same = list(same)
            name = variant_name(same[0], rows)
            variants[name] += [row for row in same if _split_wanted(row, chosen)]

    def rank(item: tuple[str, list[ClassRow]]) -> tuple:
        return (not item[0].startswith("SimFormer"), -sum(row.seeds for row in item[1]), item[0])

    return dict(sorted(((name, rows) for name, rows in variants.items() if rows), key=rank))


def show(cells: Sequence[ResultCell], chosen: Selection, problems: Sequence[str] = ()) -> Answer:
    """Plot, notes, table and runs of a selection.

    Args:
        cells: all measured cells.
        problems: sentences on files that could not be read.
    """
    notes = [hint(escape(problem)) for problem in problems]
    if not any(cell.dataset == chosen.dataset for cell in cells):
        title = DATASET_TITLES.get(chosen.dataset)
        config = chosen.dataset if chosen.dataset in datasets() else "own_data"
        notes.append(hint(HOW_TO_MEASURE.format(dataset=title or escape(chosen.dataset), name=config)))
    hidden = [] if chosen.splits or chosen.view == MORE_NOVEL else role_sets(cells, chosen.dataset)
    if hidden:
        count = f"{len(hidden)} other sets of roles were" if len(hidden) > 1 else "Another set of roles was"
        notes.append(hint(f'{count} measured, shown where chosen under "Only these splits".'))
    if chosen.view == BY_CLASS:
        return _show_classes(cells, chosen, notes)
    rows = select_rows(cells, chosen)
    if PUBLISHED in chosen.origins and any(row.dataset == chosen.dataset for row in published()):
        notes.append(hint(escape(published_note())))
        if chosen.group != "novel":
            notes.append(hint(f"The paper gives no mIoU over {chosen.group} classes, so none of it is shown here."))
    elif PUBLISHED in chosen.origins:
        notes.append(hint("The paper has no numbers on this data set; they are under COCO-Stuff-10K."))
    if not rows:
        return Answer(None, "".join([*notes, hint("No number fits this selection.")]), "", "")
    by: Series = "points" if chosen.view == POINTS else "method"
    if {row.seeds for row in rows if row.origin == MEASURED and row.miou is not None} == {1}:
        notes.append(hint(ONE_SEED))
    figure = novel_share_lines(rows) if chosen.view == MORE_NOVEL else miou_bars(rows, by=by)
    files = {name for row in rows for name in row.files}
    return Answer(
        figure,
        "".join(notes) + download_link("Download this table as CSV", "results.csv", to_csv(rows)),
        miou_html(rows, by=by),
        runs_html([cell for cell in cells if cell.file in files]),
    )


def _show_classes(cells: Sequence[ResultCell], chosen: Selection, notes: list[str]) -> Answer:
    variants = class_variants(cells, chosen)
    if chosen.dataset != MSRC21 or variants:
        notes.append(hint("The paper gives no IoU per class, so only measured numbers are here."))
    if not variants:
        return Answer(None, "".join(notes), "", "")
    name = chosen.variant if chosen.variant in variants else next(iter(variants))
    rows = variants[name]
    if rows[0].method in ("CAM", "FullyOracle"):
        notes.append(
            hint(f"{rows[0].method} is trained once, whatever the roles; the roles are those of the split beside it.")
        )
    return Answer(
        class_heat_map(rows),
        "".join(notes) + download_link("Download this table as CSV", "classes.csv", to_csv(rows)),
        class_table(rows, name),
        runs_html([cell for cell in cells if _made(cell, rows[0])]),
    )


def _made(cell: ResultCell, row: ClassRow) -> bool:
    """Whether the cell is among those that the row's method and variant stand for."""
    ours = (cell.dataset, cell.schedule, cell.method, cell.points, cell.label_rule)
    return ours == (row.dataset, row.table, row.method, row.points, row.label_rule)


def _wanted(row: MiouRow, chosen: Selection) -> bool:
    return row.method in (chosen.methods or (row.method,)) and _split_wanted(row, chosen)


def _split_wanted(row: MiouRow | ClassRow, chosen: Selection) -> bool:
    return row.split in chosen.splits if chosen.splits else not is_role_set(row.dataset, row.split)


# ------------------------------------------------------------------------------------------- the page


def filters_text(chosen: Selection) -> str:
    """What the closed filters say is chosen: "Filters: novel classes, measured and published, split 1"."""
    splits = [f"split {', '.join(map(split_label, chosen.splits))}"] if chosen.splits else []
    if chosen.view == BY_CLASS:
        return f"Filters: {', '.join(splits) or 'all splits'}"
    origins = " and ".join(origin for origin in (MEASURED, PUBLISHED) if origin in chosen.origins) or "no numbers"
    methods = [] if chosen.view == POINTS else chosen.methods
    return f"Filters: {', '.join([f'{chosen.group} classes', origins, *methods, *splits])}"


def table_dropdown(names: list[str]) -> Any:
    """With the first of them chosen; where there is but one, nobody has to choose."""
    choices = [(TABLE_TITLES.get(name, name), name) for name in names]
    return gr.Dropdown(choices=choices, value=next(iter(names), None), visible=len(names) > 1)


def build(context: PageContext) -> None:
    """Put the tab's controls and events into the page, in the context that is open."""

    def read() -> tuple[list[ResultCell], list[str]]:
        problems: list[str] = []
        return read_results(context.results_folder, report=problems.append), problems

    def update_shares(dataset: str, table: str | None) -> tuple[Any, Any, Any]:
        cells = read_results(context.results_folder, report=lambda problem: None, part_masked=True)
        return shares.update(cells, dataset, table)

    def update(
        view: str,
        dataset: str,
        table: str | None,
        origins: list[str],
        group: Group,
        methods: list[str],
        splits: list[str],
        variant: str,
    ) -> tuple[Any, ...]:
        everything, problems = read()
        cells = only_table(everything, dataset, table)
        chosen = Selection(view, dataset, tuple(origins), group, tuple(methods), tuple(splits), variant)
        answer = show(cells, chosen, problems)
        variants = list(class_variants(cells, chosen)) if view == BY_CLASS else []
        classes = "tall-plot" if view == BY_CLASS else "plot"
        return (
            gr.Plot(answer.figure, visible=answer.figure is not None, elem_classes=classes),
            answer.notes,
            answer.table,
            answer.runs,
            gr.Dropdown(
                choices=variants,
                value=variant if variant in variants else next(iter(variants), None),
                visible=view == BY_CLASS and bool(variants),
            ),
            gr.Radio(visible=view != BY_CLASS),
            gr.CheckboxGroup(visible=view != BY_CLASS),
            gr.Dropdown(visible=view not in (BY_CLASS, POINTS)),
            gr.Accordion(label=filters_text(chosen)),
        )

    def first_table(view: str, dataset: str) -> Any:
        return table_dropdown(tables(read()[0], dataset, view))

    def filters(view: str, dataset: str) -> tuple[Any, Any, Any]:
        cells, _ = read()
        rows = [row for each in VIEWS for row in select_rows(cells, Selection(each, dataset))]
        methods = sorted({row.method for row in rows})
        splits = sorted({row.split for row in rows}, key=split_order)
        choices = [(shipped_choice(dataset, split), split) for split in splits]
        choices += [(f"Roles {name}", name) for name in role_sets(cells, dataset)]
        return (
            gr.Dropdown(choices=methods, value=[], multiselect=True),
            gr.Dropdown(choices=choices, value=[], multiselect=True),
            table_dropdown(tables(cells, dataset, view)),
        )

    shown = context.models.dataset
    choices = dataset_choices(read()[0], shown if shown in datasets() else MSRC21)
    first = shown if shown in dict(choices).values() else choices[0][1]
    with gr.Row(elem_classes="results-controls"):
        view = gr.Radio(VIEWS, value=BY_SPLIT, label="Show", elem_id="results-view", scale=3, min_width=320)
        dataset = gr.Dropdown(choices, value=first, label="Data set", elem_id="results-dataset", min_width=160)
        table_choice = gr.Dropdown([], label="Trainings", visible=False, elem_id="results-tables", min_width=160)
        variant = gr.Dropdown([], label="Method", visible=False, elem_id="results-variant", min_width=160)
    # Closed: on a phone they would fill the screen before the plot.
    with gr.Accordion(filters_text(Selection()), open=False, elem_id="results-filters") as closed:
        with gr.Row():
            group = gr.Radio(GROUP_LABELS, value="novel", label="mIoU over", elem_id="results-group", min_width=300)
            origins = gr.CheckboxGroup(
                [*ORIGINS], value=[MEASURED, PUBLISHED], label="Numbers", elem_id="results-origins", min_width=300
            )
        with gr.Row():
            methods = gr.Dropdown(
                [], value=[], multiselect=True, label="Only these methods", elem_id="results-methods", min_width=300
            )
            splits = gr.Dropdown(
                [], value=[], multiselect=True, label="Only these splits", elem_id="results-splits", min_width=300
            )
    plot = gr.Plot(show_label=False, container=False, elem_id="results-plot", elem_classes="plot")
    notes = gr.HTML(elem_id="results-notes")
    table = gr.HTML(elem_id="results-table", js_on_load=NUMBERS_SCRIPT.read_text(encoding="utf-8"))
    runs = gr.HTML(elem_id="results-runs")
    section = shares.build()

    inputs = [view, dataset, table_choice, origins, group, methods, splits, variant]
    outputs = [plot, notes, table, runs, variant, group, origins, methods, closed]
    chosen = [table_choice.input, origins.input, group.input, methods.input, splits.input, variant.input]
    listen(chosen, update, inputs, outputs, progress="minimal", last=True)
    viewed = listen(view.input, first_table, [view, dataset], table_choice, last=True)
    listen(viewed.then, update, inputs, outputs, progress="minimal")
    filtered = listen([dataset.input, context.page.load], filters, [view, dataset], [methods, splits, table_choice])
    listen(filtered.then, update, inputs, outputs, progress="minimal")
    # Not with the page's load: until the filters are there the menu of tables has no choices.
    listen(filtered.then, update_shares, [dataset, table_choice], section)
    listen(table_choice.input, update_shares, [dataset, table_choice], section)
