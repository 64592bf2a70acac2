"""What annotation costs, what mIoU it buys, and which classes to mask for a budget."""

from simformer.costs.budget import Best, Wishes, best_for_budget, frontier, goal_of, sensitivity
from simformer.costs.decisions import Decision, Decisions, NextTraining
from simformer.costs.expected import Expectation, Expected, NotMeasured, PaperSplits
from simformer.costs.frequency import ClassFrequency, csv_frequency, folder_frequency, shipped_frequency
from simformer.costs.inputs import (
    KINDS,
    AnnotationSeconds,
    Cost,
    CostInputs,
    Kind,
    annotation_costs,
    class_cost,
    cost_inputs,
)
from simformer.costs.scenarios import (
    ALL_MASKS,
    LABELS_ONLY,
    WEAK_SHOT,
    KindCost,
    PlanRow,
    Scenario,
    Sensitivity,
    cost_by_kind,
    plan_cost,
    plan_rows,
    scenarios,
)

__all__ = [
    "ALL_MASKS",
    "KINDS",
    "LABELS_ONLY",
    "WEAK_SHOT",
    "AnnotationSeconds",
    "Best",
    "ClassFrequency",
    "Cost",
    "CostInputs",
    "Decision",
    "Decisions",
    "Expectation",
    "Expected",
    "Kind",
    "KindCost",
    "NextTraining",
    "NotMeasured",
    "PaperSplits",
    "PlanRow",
    "Scenario",
    "Sensitivity",
    "Wishes",
    "annotation_costs",
    "best_for_budget",
    "class_cost",
    "cost_by_kind",
    "cost_inputs",
    "csv_frequency",
    "folder_frequency",
    "frontier",
    "goal_of",
    "plan_cost",
    "plan_rows",
    "scenarios",
    "sensitivity",
    "shipped_frequency",
]
