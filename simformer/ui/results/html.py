"""The tables behind the plots of the Results tab, and the runs behind the tables, as HTML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from simformer.results import ClassRow, MiouRow, ResultCell
from simformer.splits import split_label, split_order
from simformer.ui.parts.html import download_link, duration_text, html_table, iou_text, role_mark
from simformer.ui.results.plots import Series, all_measured, series


def miou_html(rows: Sequence[MiouRow], *, by: Series = "method") -> str:
    """mIoU by series (down) and split (across); every measured number links to its run.

    Args:
        rows: of one group of classes.
    """
    splits = sorted({row.split for row in rows}, key=split_order)
    lines = []
    for name, members in series(rows, by):
        place = {row.split: row for row in members}
        lines.append([escape(name), *(_number(place.get(split)) for split in splits)])
    head = ["Method", *(f"Split {split_label(split)}" for split in splits)]
    caption = f"mIoU in % over {rows[0].group} classes" + (" (measured)" if all_measured(rows) else "")
    return html_table(caption, head, lines, numbers=range(1, len(head)))


def _number(row: MiouRow | None) -> str:
    """One mIoU: a link to its run, or to the first of several with their range; a dash where none is expected."""
    if row is None:
        return "–"
    number = iou_text(row.miou)
    if row.miou is None or not row.files:
        return number
    title = f"mean of {row.seeds} seeds, {row.lowest:.1f} to {row.highest:.1f}" if row.seeds > 1 else "its run"
    # In front: the numbers of a column stay one below the other.
    several = f'<span class="seeds">{row.seeds} seeds</span>' if row.seeds > 1 else ""
    return f'{several}<a href="#{run_id(row.files[0])}" title="{title}">{number}</a>'


def class_table(rows: Sequence[ClassRow], name: str) -> str:
    """IoU of every class (down) on every split (across); novel cells say so."""
    splits = sorted({row.split for row in rows}, key=split_order)
    cell = {(row.class_name, row.split): row for row in rows}
    lines = []
    for class_name in dict.fromkeys(row.class_name for row in rows):
        line = [escape(class_name)]
        for split in splits:
            row = cell.get((class_name, split))
            mark = f" {role_mark(row.role)}" if row else ""
            line.append(iou_text(row.iou if row else None) + mark)
        lines.append(line)
    head = ["Class", *(f"Split {split_label(split)}" for split in splits)]
    return html_table(f"IoU in % of {name} (measured)", head, lines, numbers=range(1, len(head)))


def runs_html(cells: Sequence[ResultCell]) -> str:
    """Every run with its settings, commit, seed, device, date, photos and command; its JSON can be saved."""
    if not cells:
        return ""
    # Closed: the link of a number opens both the list and its run.
    heading = f"<summary><h2>The {len(cells)} runs behind these numbers</h2></summary>"
    return f'<details class="runs">{heading}{"".join(map(_run, cells))}</details>'


def run_id(file: str) -> str:
    """The HTML id of a run's entry."""
    return "run-" + escape(file.removesuffix(".json"))


def _run(cell: ResultCell) -> str:
    trained = f"{cell.steps:,} steps in {duration_text(cell.wall_seconds)}" if cell.steps is not None else "not trained"
    facts = {
        "mIoU": " · ".join(
            f"{name} {iou_text(value)}"
            for name, value in (("all", cell.scores.miou), ("base", cell.scores.base), ("novel", cell.scores.novel))
            if value is not None
        ),
        "Trained": trained,
        "Scored on": f"{cell.images:,} photos, {cell.pixels:,} labelled pixels",
        "Seed": str(cell.seed),
        "Novel labels": "the photo's image-level labels" if cell.label_rule == "strict" else "the crop's own truth",
        **({"Masks": cell.masks.title} if cell.masks is not None else {}),
        "Device": escape(cell.device),
        "Date": cell.date.strftime("%Y-%m-%d %H:%M %Z"),
        "Commit": f"<code>{escape(cell.commit)}</code>",
        "Command": f"<code>{escape(cell.command)}</code>",
        "Weights": escape(cell.weights or "not shipped"),
    }
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items())
    file = cell.file or "result.json"
    split = "" if cell.split == "all" else f", split {split_label(cell.split)}"
    points = "" if cell.points is None else f", J = {cell.points}"
    return (
        f'<details class="run"><summary>{escape(cell.method)}{split}{points}, seed {cell.seed}: {escape(file)}'
        f'</summary><div id="{run_id(file)}"><dl>{listed}</dl>'
        f"<pre>{escape(json.dumps(cell.config, indent=1))}</pre>"
        + download_link("Save its JSON", file, cell.model_dump_json(indent=1) + "\n", "application/json")
        + "</div></details>"
    )
