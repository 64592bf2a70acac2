"""A plan on one page to print or to send: what to do, what it costs, and all that these figures rest on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined

from simformer.costs import annotation_costs
from simformer.costs.plan import Plan
from simformer.costs.role_expectation import LEVELS
from simformer.paths import DATA

if TYPE_CHECKING:
    from simformer.worklist.work import Row

_SHOWN_PHOTOS = 10


def printed_plan(
    plan: Plan, title: str, counted: str, work: Sequence[Row] = (), *, best: bool = False, made: date | None = None
) -> str:
    """The plan as an HTML document that needs no other file.

    Args:
        title: what it is for. counted: where the classes' frequencies come from, as "the photos of train.txt".
        work: a worklist of the plan; its first photos are named.
        best: of the best classes for the budget, in place of the present roles. Without a best one these are taken.
        made: the date that it bears; None = today.
    """
    best = best and plan.best is not None
    chosen = plan.chosen(best=best)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    currency = plan.inputs.currency

    def money(amount: float) -> str:
        return f"{amount:,.0f} {currency}" if amount >= 100 else f"{amount:,.2f} {currency}"

    def number(value: float | None, of: int = 1) -> str:
        return "–" if not of else "not measured" if value is None else f"{value:.1f}"

    decisions = plan.decisions.classes if best and plan.decisions is not None else ()
    return environment.from_string((DATA / "plan.html").read_text(encoding="utf-8")).render(
        title=title,
        made=f"{made or date.today():%d %B %Y}".lstrip("0"),
        scenario=chosen,
        masked=chosen.masked,
        to_draw=plan.to_draw(chosen),
        rows=plan.best_rows if best else plan.rows,
        compared=[plan.scenarios[0], chosen, plan.scenarios[2]],
        sure={row.class_name: f"{max(row.share, 1 - row.share):.0%}" for row in decisions},
        work=work[:_SHOWN_PHOTOS],
        more=len(work[_SHOWN_PHOTOS:]),
        assumptions=assumptions(plan, counted, best=best),
        money=money,
        number=number,
    )


def assumptions(plan: Plan, counted: str, *, best: bool = False) -> list[str]:
    """Sentences on all that the plan's figures rest on."""
    inputs, shipped = plan.inputs, annotation_costs()["defaults"]
    best = best and plan.best is not None
    chosen = plan.chosen(best=best)
    found = [
        f"{inputs.images:,} photos to annotate; how often a class occurs was counted on {counted}.",
        f"{inputs.hourly_rate:,.2f} {inputs.currency} an hour; checking adds {inputs.quality_control:.0%} of the time.",
    ]
    drawn = "A mask" if inputs.drawn_by == "hand" else "A mask drawn with an assistant"
    for kind, words in ((inputs.mask_kind, drawn), ("image_label", "An image label")):
        seconds, entry = getattr(inputs.seconds, kind), shipped[kind]
        low, high = entry["range"]
        origin = entry["citation"] if seconds == entry["seconds"] else "typed by whoever made this plan"
        reported = f"reported: {low:g} to {high:g} s"
        found.append(f"{words} takes {seconds:g} s for each {entry['per']} ({origin}; {reported}).")
    found.append(
        f"A photo that shows a class has as many of it as were counted, or {inputs.instances:g} where none were."
    )
    if inputs.have:
        found.append(f"These classes have masks already and cost nothing: {', '.join(inputs.have)}.")
    if inputs.share_note:
        found.append(inputs.share_note)
    if plan.evidence:
        found.append(LEVELS[plan.evidence])
    found.append(f"Expected IoU: {chosen.expected.note}")
    if plan.assistant_note:
        found.append(plan.assistant_note)
    if chosen.expected.low is not None:
        found.append("In brackets: the range that is to hold four of five such trainings.")
    if best and plan.best is not None:
        found.append(f"The best classes for the budget: {plan.best.how}")
    if plan.decisions is not None and best:
        found.append("How sure: the share of resampled fits of the expectation whose best choice agrees on that class.")
    return found
