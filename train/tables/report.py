"""python -m train.tables.report: the tables of docs/results.md, from assets/results and the published numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated

import numpy as np
import typer
from scipy.stats import t

from simformer.errors import ConfigError, exit_on_error
from simformer.paths import ROOT
from simformer.results import (
    GROUPS,
    METHOD_ORDER,
    RESULTS_FOLDER,
    Group,
    MaskRow,
    MiouRow,
    ResultCell,
    cell_split,
    is_role_set,
    mask_share_table,
    miou_table,
    of_table,
    published,
    published_note,
    read_results,
)
from simformer.utils.files import atomic_write

BEGIN, END = "<!-- results: made by python -m train.tables.report -->", "<!-- end of results -->"
TITLES = {"novel": "novel classes", "base": "base classes", "all": "all classes"}
RULES = {"strict": "", "crop": ", novel labels of each crop's own truth"}
MISSING = "–"
# All others are compared with these: the paper's baseline, and the best variant.
REFERENCES = ("Basic Model", "SimFormer+")
# Splits without a class in common; the mean stands only where all four were measured.
AVERAGED = ("s1", "s2", "s3", "s4")
# Trained on no split: read on the classes of each.
ONCE = ("CAM", "FullyOracle")


def report(results: Path) -> str:
    """Markdown: measured mIoU by method and split over novel, base and all classes; then the paper's.

    Raises:
        ConfigError: the folder holds no result; most likely it is another one that was meant.
    """
    cells = read_results(results)
    if not cells:
        raise ConfigError(f"there is no result in {results}")
    rows = miou_table(cells)
    everything = read_results(results, part_masked=True)
    shares = mask_share_table(everything)
    parts = []
    for dataset, table, rule in sorted({(cell.dataset, cell.schedule, cell.label_rule) for cell in cells}):
        measured = [row for row in rows if (row.dataset, row.table, row.label_rule) == (dataset, table, rule)]
        measured = [row for row in measured if not is_role_set(dataset, row.split)]
        facts = of_table(cells, dataset, table, rule)
        # CAM is trained for fewer steps than what is compared, but may be all there is.
        compared = [cell for cell in facts if cell.method != "CAM"] or facts
        steps = sorted({str(cell.steps) for cell in compared})
        devices = sorted({cell.device for cell in facts})
        photos = sorted({str(cell.images) for cell in facts})
        others = sorted({str(cell.steps) for cell in facts} - set(steps))
        hours = sum(cell.wall_seconds for cell in facts) / 3600
        starred = any(cell.method.endswith("*") for cell in facts)
        parts.append(
            f"Measured: {dataset}, table `{table}`{RULES[rule]}, {' or '.join(photos)} evaluation photos, "
            f"{' or '.join(steps)} training steps{f' (CAM: {others[0]})' if others else ''}, on "
            f"{' or '.join(devices)}, {hours:.1f} hours in all. mIoU in percent. "
            "CAM and FullyOracle are trained once and read on each split's classes."
            f"{' A star marks a second training of as many steps, on predictions.' if starred else ''}"
        )
        parts += [grid(measured, group) for group in reversed(GROUPS)] if measured else []
        parts += missing(measured)
        parts += [lines for reference in REFERENCES for lines in differences(measured, reference)]
        parts += transfers(facts) + role_sets(facts)
        if rule == "strict":
            part = [cell for cell in of_table(everything, dataset, table) if cell.masks is not None]
            parts += mask_shares([row for row in shares if (row.dataset, row.table) == (dataset, table)], part)
    paper = [row for row in published() if row.table in ("pairing", "points", "more novel classes")]
    parts += [f"Published: {published_note()}", grid(paper, "novel")]
    return "\n\n".join(parts)


def differences(rows: Iterable[MiouRow], reference: str) -> list[str]:
    """One table of each method's difference from the reference with its 95 % interval; none if it stands alone.

    Paired over the splits of `AVERAGED`, each the mean of its seeds: Student's t with three degrees of freedom.
    """
    found = {(row.method, row.points, row.split, row.group): row.miou for row in rows if row.miou is not None}
    variants = sorted({key[:2] for key in found}, key=place)
    lines = [f"| minus {reference}, {AVERAGED[0]}–{AVERAGED[-1]} | novel | base | all |", f"| --- |{' ---: |' * 3}"]
    for method, points in variants:
        keys = [(split, group) for group in ("novel", "base", "all") for split in AVERAGED]
        if method == reference or any(
            (*variant, *key) not in found for variant in ((method, points), (reference, None)) for key in keys
        ):
            continue
        apart = np.array([found[method, points, *key] - found[reference, None, *key] for key in keys]).reshape(3, -1)
        half = t.ppf(0.975, len(AVERAGED) - 1) * apart.std(axis=1, ddof=1) / len(AVERAGED) ** 0.5
        values = (f"{middle:+.1f} ± {each:.1f}" for middle, each in zip(apart.mean(axis=1), half, strict=True))
        lines.append(f"| {title(method, points)} | {' | '.join(values)} |")
    return ["\n".join(lines)] if len(lines) > 2 else []


def missing(rows: Iterable[MiouRow]) -> list[str]:
    """One sentence on the methods of a table that were not trained on all splits of `AVERAGED`; none if all were."""
    trained = [row for row in rows if row.group == "novel" and row.method not in ONCE and row.split in AVERAGED]
    found = {(row.method, row.points): {other.split for other in trained if key(other) == key(row)} for row in trained}
    gaps: dict[tuple[str, ...], list[str]] = {}
    for variant in sorted(found, key=place):
        if lacking := tuple(split for split in AVERAGED if split not in found[variant]):
            gaps.setdefault(lacking, []).append(title(*variant))
    words = [f"{', '.join(splits)} of {', '.join(names)}" for splits, names in gaps.items()]
    return [f"Not measured yet: {'; '.join(words)}."] if words else []


def transfers(cells: Iterable[ResultCell]) -> list[str]:
    """One table of who tells pairs of pixels apart, the mean over all runs of a method; none if nobody was asked."""
    asked = [cell for cell in cells if cell.transfer is not None and not is_role_set(cell.dataset, cell.split)]
    lines = ["| AUC on pairs of pixels | novel: teacher | student | base: teacher | student | runs |"]
    lines.append(f"| --- |{' ---: |' * 5}")
    for method in sorted({cell.method for cell in asked}, key=lambda method: place((method, None))):
        found = [cell.transfer for cell in asked if cell.method == method]
        values = []
        for role in ("novel", "base"):
            for who in ("teacher", "student"):
                of_runs = [getattr(getattr(run, who), role) for run in found if getattr(run, who) is not None]
                known = [auc for auc in of_runs if auc is not None]
                values.append(f"{mean(known):.2f}" if known else MISSING)
        lines.append(f"| {method} | {' | '.join(values)} | {len(found)} |")
    return ["\n".join(lines)] if asked else []


def role_sets(cells: Iterable[ResultCell]) -> list[str]:
    """One sentence on the splits of a table that are none of its data set's; no sentence if there are none."""
    sizes = {cell.split: len(cell_split(cell).novel) for cell in cells if is_role_set(cell.dataset, cell.split)}
    if not sizes:
        return []
    fewest, most = min(sizes.values()), max(sizes.values())
    novel = f"{fewest} to {most}" if fewest < most else f"{most}"
    sets = "one more role set" if len(sizes) == 1 else f"{len(sizes)} more role sets"
    return [f"Measured on {sets} with {novel} novel class{'es' if most > 1 else ''}, which no column stands for."]


def mask_shares(rows: Sequence[MaskRow], part: Sequence[ResultCell]) -> list[str]:
    """How much mask is enough: a sentence and, of each split, a table; nothing where all trainings had all masks.

    Args:
        rows: of one table. part: its trainings that were given part of the masks.
    """
    if not rows:
        return []
    hours = sum(cell.wall_seconds for cell in part) / 3600
    found = [
        f"How much mask is enough? {len(part)} more training{'s' if len(part) > 1 else ''} of {hours:.1f} hours in all "
        "with masks on a share of the photos that could have some. On the others base classes have image labels alone; "
        '"masked photos alone" leaves these out. Coarse masks are polygons of at most so many corners.'
    ]
    for split in dict.fromkeys(row.split for row in rows):
        of_split = [row for row in rows if row.split == split]
        columns = sorted({(row.corners, row.share) for row in of_split})
        heads = [f"{100 * share:g} %" + (f", {corners} corners" if corners else "") for corners, share in columns]
        lines = [f"| {split}: masks on | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(columns)}"]
        for group in ("novel", "all"):
            named = sorted({(row.method, row.alone) for row in of_split}, key=lambda name: place((name[0], None)))
            for method, alone in named:
                line = {
                    (row.corners, row.share): row
                    for row in of_split
                    if (row.method, row.alone, row.group) == (method, alone, group)
                }
                who = f"{method}{', masked photos alone' if alone else ''}, {TITLES[group]}"
                lines.append(f"| {who} | {' | '.join(show(line.get(key)) for key in columns)} |")
        found.append("\n".join(lines))
    return found


def grid(rows: Iterable[MiouRow], group: Group) -> str:
    """One Markdown table: a line per method, a column per split; several seeds as mean (lowest to highest)."""
    chosen = [row for row in rows if row.group == group]
    splits = list(dict.fromkeys(row.split for row in chosen))
    methods = sorted({(row.method, row.points) for row in chosen}, key=place)
    found = {(row.method, row.points, row.split): row for row in chosen if row.miou is not None}
    averaged = [f"mean of {AVERAGED[0]}–{AVERAGED[-1]}"] if set(AVERAGED) <= set(splits) else []
    titles = [split.replace("|", r"\|") for split in splits]
    lines = [f"| {' | '.join([TITLES[group], *titles, *averaged])} |", f"| --- |{' ---: |' * len(splits + averaged)}"]
    for method, points in methods:
        values = [show(found.get((method, points, split))) for split in splits]
        if averaged:
            of_method = [found.get((method, points, split)) for split in AVERAGED]
            measured = [row.miou for row in of_method if row is not None and row.miou is not None]
            values.append(f"{mean(measured):.1f}" if len(measured) == len(AVERAGED) else MISSING)
        lines.append(f"| {title(method, points)} | {' | '.join(values)} |")
    return "\n".join(lines)


def title(method: str, points: int | None) -> str:
    """A method as tables name it, with its J."""
    return method if points is None else f"{method} (J = {points})"


def key(row: MiouRow) -> tuple[str, int | None]:
    return row.method, row.points


def place(variant: tuple[str, int | None]) -> tuple[int, str, int]:
    """Where a method stands in a table: as in METHOD_ORDER, unknown ones behind, small J first."""
    method, points = variant
    known = METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER)
    return known, method, points or 0


def show(row: MiouRow | MaskRow | None) -> str:
    if row is None:
        return MISSING
    spread = f" ({row.lowest:.1f} to {row.highest:.1f})" if row.seeds > 1 else ""
    return f"{row.miou:.1f}{spread}"


def insert(text: str, tables: str) -> str:
    """The text with what stands between the two markers replaced. Raises ConfigError if they are not there."""
    if BEGIN not in text or END not in text:
        raise ConfigError(f"the file has no place for results: it needs the lines {BEGIN} and {END}")
    before, rest = text.split(BEGIN, 1)
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{rest.split(END, 1)[1]}"


def main(
    file: Annotated[Path, typer.Option(help="the file that holds the markers")] = ROOT / "docs" / "results.md",
    results: Annotated[Path, typer.Option(help="folder of result JSONs")] = RESULTS_FOLDER,
) -> None:
    """Rewrite the tables of docs/results.md."""
    with exit_on_error():
        try:
            old = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} cannot be read: {error}") from error
        text = insert(old, report(results))
        with atomic_write(file, "w") as written:
            written.write(text)


if __name__ == "__main__":
    typer.run(main)
