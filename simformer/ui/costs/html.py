"""The answers of the Annotation cost tab as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from simformer.costs import Decisions, Expected, KindCost, PlanRow, Scenario, Sensitivity, annotation_costs
from simformer.costs.plan import Plan
from simformer.results import to_csv
from simformer.ui.parts.html import chip, download_link, hint, html_table, iou_text, swatch, wrapped
from simformer.utils.palette import hex_colors
from simformer.worklist.printed import printed_plan

KIND_LABELS = {
    "image_label": "Image label",
    "point": "Point",
    "scribble": "Scribble",
    "box": "Box",
    "mask": "Mask, by hand",
    "assisted_mask": "Mask, with an assistant",
}

VERDICTS = {"mask": "Mask", "labels will do": "Labels will do", "undecided": "Undecided"}


def scenarios_html(scenarios: Sequence[Scenario], currency: str) -> str:
    """Hours, money and expected mIoU of the ways to annotate, and where each expectation comes from."""
    rows = [
        [
            escape(scenario.name),
            money(scenario.money, currency),
            f"{scenario.hours:,.1f}",
            _with_interval(scenario.expected),
            _group(scenario.expected.base, len(scenario.masked)),
            _group(scenario.expected.novel, scenario.expected.counted - len(scenario.masked)),
            str(len(scenario.masked)),
        ]
        for scenario in scenarios
    ]
    shares = any(scenario.expected.unit == "share" for scenario in scenarios)
    head = ["Masks", "Cost", "Hours", "of full masks" if shares else "mIoU", "base", "novel", "Masks for"]
    notes = "".join(
        f"<li><strong>{escape(scenario.name)}</strong>: {escape(scenario.expected.note)} {_missing(scenario)}</li>"
        for scenario in scenarios
    )
    return (
        html_table(
            "Cost and expected mIoU in % (in brackets: of four in five trainings)", head, rows, numbers=range(1, 7)
        )
        + f'<ul class="hint">{notes}</ul>'
    )


def best_html(plan: Plan, budget: float | None, currency: str) -> str:
    """The best classes to mask for the budget, beside the present roles; or why there are none."""
    if budget is None:
        return hint("Type a budget to find the classes whose masks gain most for it.")
    if not plan.efficient:
        return ""
    if plan.best is None:
        return hint(escape(f"No answer for this budget: {plan.problem}."))
    best = plan.best
    colors = hex_colors(best.masked)
    chips = "".join(chip(name, colors[name]) for name in best.masked)
    lines = [
        f"<p><strong>For {money(budget, currency)}: masks for {len(best.masked)} of {len(plan.rows)} classes.</strong> "
        f"They cost {money(best.money, currency)} ({best.hours:,.1f} hours) with the image labels of the others; "
        f"expected {_what(best.expected)} {_with_interval(best.expected)} %.</p>",
        f'<ul class="masked">{chips}</ul>' if best.masked else hint("Image labels for every class."),
    ]
    present = plan.present
    lines.append(
        hint(
            f"The present roles cost {money(present.money, currency)}; expected {_what(present.expected)} "
            f"{_with_interval(present.expected)} %."
        )
    )
    lines.append(hint(escape(f"{best.how} {best.expected.note}")))
    if plan.decisions is not None:
        lines.append(decisions_html(plan.decisions))
    return "".join(lines)


def decisions_html(decisions: Decisions) -> str:
    """Every class under its decision, with the share of resampled fits that mask it, and the next training."""
    rows = []
    for verdict, words in VERDICTS.items():
        found = [row for row in decisions.classes if row.decision == verdict]
        listed = ", ".join(escape(row.class_name) + _unless_sure(row.share) for row in found)
        rows.append([words, str(len(found)), wrapped(listed) if found else "–"])
    text = html_table(
        "How sure: of the resampled fits, so many mask a class in their best choice (without a number: all, or none)",
        ["Decision", "Number", "Classes"],
        rows,
    )
    following = decisions.next_training
    if following is not None:
        text += hint(
            f"The training that would tell most ({following.settles:.0%} of what is open): novel "
            f"{escape(', '.join(following.novel))}, masks for all others."
        )
    return text


def _unless_sure(share: float) -> str:
    """The share as a word behind a class; nothing where it is all or none, which the decision says."""
    return "" if share in (0, 1) else f" {share:.0%}"


def sensitivity_html(rows: Sequence[Sensitivity], currency: str) -> str:
    """The scenarios' money for faster and slower masks, and what the budget then buys."""
    with_best = any(row.best_masked is not None for row in rows)
    head = ["A mask takes", "Seconds", "All masks", "Weak-shot", "Image labels only"]
    head += ["Best for the budget: masks", "mIoU"] if with_best else []
    lines = [
        [
            f"{row.factor:g} ×",
            f"{row.mask_seconds:g}",
            money(row.all_masks, currency),
            money(row.weak_shot, currency),
            money(row.labels_only, currency),
            *([str(len(row.best_masked or ())), iou_text(row.best_miou)] if with_best else []),
        ]
        for row in rows
    ]
    return html_table("If a mask takes longer or shorter", head, lines, numbers=range(1, len(head)))


def kinds_html(kinds: Sequence[KindCost], currency: str) -> str:
    """Cost of annotating every class in one way."""
    lines = [[KIND_LABELS[row.kind], f"{row.hours:,.1f}", money(row.money, currency)] for row in kinds]
    return html_table("Every class annotated in one way", ["Annotation", "Hours", "Cost"], lines, numbers=(1, 2))


def plan_html(plan: Plan, currency: str, counted: str, title: str) -> str:
    """The plan with the present roles class by class; both plans as CSV files and as pages to print.

    Args:
        counted: where the frequencies of the classes come from. title: of the page to print.
    """
    links = ""
    for words, name, rows in (
        ("Plan with the present roles", "plan", plan.rows),
        ("Plan for the budget", "plan_for_budget", plan.best_rows),
    ):
        if rows:
            page = printed_plan(plan, title, counted, best=rows is plan.best_rows)
            links += download_link(f"{words} (CSV)", f"{name}.csv", to_csv(rows))
            links += download_link(f"{words}, to print", f"{name}.html", page, "text/html;charset=utf-8")
    head = ["Class", "Role", "Annotation", "Photos", "Masks", "Hours", "Cost", "Expected IoU", "A mask gains"]
    lines = [_plan_line(row, currency) for row in plan.rows]
    return links + html_table("Plan with the present roles", head, lines, numbers=range(3, 9))


def sources_html() -> str:
    """Where the default seconds come from, with every source read."""
    data = annotation_costs()
    defaults = [
        [
            KIND_LABELS[kind],
            f"{entry['seconds']:g}",
            f"{entry['range'][0]:g}–{entry['range'][1]:g}",
            escape(entry["per"]),
            wrapped(f"{entry['why']} {entry['citation']}."),
        ]
        for kind, entry in data["defaults"].items()
    ]
    sources = [
        [
            escape(entry["kind"].replace("_", " ")),
            f"{entry['seconds']:g}",
            escape(entry["per"]),
            escape(entry["dataset"]),
            wrapped(f"{entry['citation']}, {entry['year']}. {entry['note']} Read in: {entry['read_in']}."),
        ]
        for entry in data["sources"]
    ]
    return (
        hint(escape(data["about"]))
        + hint(escape(data["formula"]))
        + html_table("Defaults", ["Annotation", "Seconds", "Range", "Per", "Why"], defaults, numbers=(1, 2))
        + html_table("Reported times", ["Annotation", "Seconds", "Per", "Data set", "Source"], sources, numbers=(1,))
    )


def money(amount: float, currency: str) -> str:
    """An amount with its currency: cents only where it is small."""
    return f"{amount:,.0f} {escape(currency)}" if amount >= 100 else f"{amount:,.2f} {escape(currency)}"


def _what(expected: Expected) -> str:
    return "mIoU" if expected.unit == "IoU" else "share of full masks' IoU"


def _with_interval(expected: Expected) -> str:
    """The mean, and the interval that is to hold 80 % of what one more training would measure."""
    if expected.low is None or expected.high is None:
        return iou_text(expected.miou)
    return f"{iou_text(expected.miou)} <small>({expected.low:.1f}–{expected.high:.1f})</small>"


def _group(value: float | None, members: int) -> str:
    return iou_text(value) if members else "–"


def _missing(scenario: Scenario) -> str:
    names = scenario.expected.missing
    if not names:
        return ""
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"Missing: {escape(shown)}."


def _plan_line(row: PlanRow, currency: str) -> list[str]:
    gain = '<span class="missing">missing</span>' if row.mask_gain is None else f"{row.mask_gain:+.1f}"
    return [
        swatch(hex_colors([row.class_name])[row.class_name]) + escape(row.class_name),
        f'<span class="{row.role}">{row.role}</span>',
        row.annotation,
        f"{row.photos_with_class:,.0f}",
        f"{row.masks:,.0f}",
        f"{row.hours:,.1f}",
        money(row.money, currency),
        iou_text(row.expected_iou),
        gain,
    ]
