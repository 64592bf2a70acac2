"""The planner: from a plan's inputs to all that is to be said of it. No page, no HTML.

The Annotation cost tab, the endpoint `/costs` and `python -m simformer cost` all ask here, so that they answer alike:
`typed.read_inputs`, then `plan_for`. What they call a share is 0 to 1; quality control and IoU are in percent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from simformer import costs
from simformer.costs.decisions import Decisions, decide
from simformer.costs.evidence import NOT_MEASURED, default_expectation, expectation
from simformer.costs.mask_share import assistant_note
from simformer.costs.role_expectation import Evidence, RoleExpectation
from simformer.costs.roles import present_roles
from simformer.errors import ConfigError
from simformer.results import ResultCell

FRONTIER_POINTS = 80


@dataclass(frozen=True)
class Plan:
    """All answers to one set of inputs.

    Attributes:
        inputs, expected_from: what it is made for, and the key (`expectation_choices`) of what mIoU is expected from.
        evidence: what is known of these classes, a key of `LEVELS`; None where nothing is measured, or the paper alone.
        wishes: what was asked for besides.
        scenarios: all masks, weak-shot with the present roles, image labels only.
        efficient: the frontier of expected mIoU against money; empty without measurements.
        present: the present roles.
        best: the best roles for the budget; None without a budget, or for the reason in `problem`.
        decisions: how sure every class's role in them is; None where there are none.
        rows, best_rows: class by class, with the present roles and with the best.
        assistant_note: what is known of masks drawn with an assistant; empty where they are drawn by hand.
    """

    inputs: costs.CostInputs
    expected_from: str
    evidence: Evidence | None
    wishes: costs.Wishes
    scenarios: list[costs.Scenario]
    efficient: list[costs.Scenario]
    present: costs.Scenario
    best: costs.Best | None
    problem: str
    decisions: Decisions | None
    sensitivity: list[costs.Sensitivity]
    kinds: list[costs.KindCost]
    rows: list[costs.PlanRow]
    best_rows: list[costs.PlanRow]
    assistant_note: str = ""

    def chosen(self, *, best: bool) -> costs.Scenario:
        """The best roles for the budget, or the present ones. Raises ConfigError: there are no best ones."""
        if not best:
            return self.present
        if self.best is None:
            raise ConfigError(self.problem or "there is no budget that says which classes are best; type one")
        return self.best

    def to_draw(self, chosen: costs.Scenario) -> tuple[str, ...]:
        """The classes of a scenario whose masks are still to be drawn."""
        return tuple(name for name in chosen.masked if name not in self.inputs.have)

    def answer(self) -> dict[str, Any]:
        """All of it as JSON values, for programs.

        Raises:
            ConfigError: why there is no best set of classes for the budget that was set.
        """
        if self.problem:
            raise ConfigError(self.problem)
        parts = {
            "inputs": self.inputs,
            "wishes": self.wishes,
            "scenarios": self.scenarios,
            "best_for_budget": self.best,
            "decisions": self.decisions,
            "frontier": self.efficient,
            "sensitivity": self.sensitivity,
            "kinds": self.kinds,
            "plan": self.rows,
            "plan_for_budget": self.best_rows,
        }
        return {
            "expected_from": self.expected_from,
            "evidence": self.evidence,
            "assistant_note": self.assistant_note,
            **{name: _json(part) for name, part in parts.items()},
        }


def _json(part: BaseModel | Sequence[BaseModel] | None) -> Any:
    if isinstance(part, BaseModel):
        return part.model_dump(mode="json")
    return None if part is None else [model.model_dump(mode="json") for model in part]


def plan_for(
    inputs: costs.CostInputs,
    cells: Iterable[ResultCell],
    *,
    masked: Collection[str] | None = None,
    split: str | None = None,
    dataset: str | None = None,
    expected_from: str | None = None,
    budget: float | None = None,
    wishes: costs.Wishes | None = None,
) -> Plan:
    """The plan for these inputs.

    Args:
        cells: all measured results there are; where not all photos get masks, or an assistant draws them, also
            part-masked ones.
        masked: the classes that get masks at present; None = the base classes of `split`.
        split: of the data set that has just these classes; None = the first.
        dataset: whose splits and results are meant; None = one that fits the classes.
        expected_from: a key of `expectation_choices`; None = `default_expectation`.
        budget: in the inputs' currency; None = no budget is set.
        wishes: what is asked for besides.

    Raises:
        ConfigError: no split fits, no classes are named and no budget says which are best; the split or the key is
            unknown, the budget is negative, a wish does not fit.
        UnknownClassError: a masked class is not among the classes.
    """
    cells = list(cells)
    key = expected_from or default_expectation(cells, inputs.names, dataset)
    found = expectation(cells, key, inputs.names, inputs.mask_share)
    if inputs.mask_share < 1 and inputs.have:
        found = costs.NotMeasured("Not measured: some classes with masks on all photos, others on part of them.")
    if masked is None:
        try:
            masked = present_roles(inputs.names, split, dataset)
        except ConfigError:
            if budget is None or split is not None:
                raise
    plan = make_plan(inputs, masked, found, budget, expected_from=key, wishes=wishes)
    return replace(plan, assistant_note=assistant_note(cells)) if inputs.drawn_by == "assistant" else plan


def make_plan(
    inputs: costs.CostInputs,
    masked: Collection[str] | None,
    expectation: costs.Expectation,
    budget: float | None = None,
    *,
    expected_from: str = NOT_MEASURED,
    wishes: costs.Wishes | None = None,
) -> Plan:
    """Everything the planner has to say.

    Args:
        masked: the classes that get masks at present; None = the best for the budget.
        budget: in the inputs' currency; None = no budget is set.

    Raises:
        UnknownClassError: a class that is named is not among the classes. ConfigError: the budget is negative, a wish
            does not fit, or neither classes that get masks are known nor the best of them.
    """
    if budget is not None and not 0 <= budget < float("inf"):
        raise ConfigError(f"the budget is {budget:,.2f} {inputs.currency}; it has to be zero or more")
    wishes = wishes or costs.Wishes()
    known = expectation if isinstance(expectation, RoleExpectation) else None
    if known:
        costs.goal_of(inputs, known, wishes)  # what does not fit is said, not shown as "no answer for this budget"
    best, problem = None, ""
    if budget is not None:
        try:
            best = costs.best_for_budget(inputs, expectation, budget, wishes)
        except ConfigError as error:
            problem = str(error)
    if masked is None:
        if best is None:
            raise ConfigError(problem)
        masked = best.masked
    scenarios = costs.scenarios(inputs, masked, expectation)
    present = scenarios[1].model_copy(update={"name": "Present roles"})
    tried = [*scenarios, *([best] if best else [])]
    return Plan(
        inputs=inputs,
        expected_from=expected_from,
        evidence=known.evidence if known else None,
        wishes=wishes,
        scenarios=scenarios,
        efficient=costs.frontier(inputs, known, wishes, points=FRONTIER_POINTS, besides=tried) if known else [],
        present=present,
        best=best,
        problem=problem,
        decisions=decide(inputs, known, budget, wishes) if best and known and budget is not None else None,
        sensitivity=costs.sensitivity(
            inputs, present.masked, expectation=expectation, wishes=wishes, best=best, budget=budget
        ),
        kinds=costs.cost_by_kind(inputs),
        rows=costs.plan_rows(inputs, masked, expectation),
        best_rows=costs.plan_rows(inputs, best.masked, expectation) if best else [],
    )
