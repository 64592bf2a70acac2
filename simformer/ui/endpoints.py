"""The endpoints `/results` and `/costs`: the tables and the planner for programs, without a page."""

# Without `from __future__ import annotations`: gr.api reads the return type as an object to describe the answer.

from dataclasses import asdict
from typing import Literal, TypedDict, cast

from gradio.events import api

from simformer import costs as planner
from simformer.costs.evidence import planning_cells
from simformer.costs.plan import plan_for
from simformer.costs.typed import read_inputs
from simformer.costs.wishes import read_wishes
from simformer.errors import SimFormerError
from simformer.results import (
    RESULTS_FOLDER,
    ClassRow,
    Folders,
    MiouRow,
    miou_table,
    per_class_table,
    published,
    published_note,
    read_results,
)
from simformer.ui.parts.inputs import failure


class ResultsAnswer(TypedDict):
    """Rows of mean IoU and of per-class IoU; a value that is null was never measured."""

    miou: list[MiouRow]
    per_class: list[ClassRow]
    note: str


class CostsAnswer(TypedDict):
    """The planner's answers; expected mIoU in percent, null = missing."""

    expected_from: str
    evidence: str | None
    inputs: planner.CostInputs
    scenarios: list[planner.Scenario]
    wishes: planner.Wishes
    best_for_budget: planner.Best | None
    decisions: planner.Decisions | None
    frontier: list[planner.Scenario]
    sensitivity: list[planner.Sensitivity]
    kinds: list[planner.KindCost]
    plan: list[planner.PlanRow]
    plan_for_budget: list[planner.PlanRow]


class ClassShare(TypedDict, total=False):
    """A class: the share (0 to 1) of the photos that show it, and its mean number of instances in those."""

    name: str
    share: float
    instances: float | None


class Endpoints:
    """The endpoints' functions, over one folder of results."""

    def __init__(self, results_folder: Folders = RESULTS_FOLDER):
        self.folder = results_folder

    def results(
        self,
        dataset: str = "msrc21",
        origin: Literal["measured", "published", "both"] = "both",
        methods: list[str] | None = None,
        splits: list[str] | None = None,
        group: Literal["all", "base", "novel"] | None = None,
    ) -> ResultsAnswer:
        """Mean and per-class IoU in percent, measured by this project and published in the paper.

        Args:
            dataset: msrc21, nyuv2, coco_stuff_10k, ade20k or custom (own data).
            origin: measured, published or both.
            methods: only these, such as SimFormer or CAM; null for all.
            splits: only these, such as s1; null for all.
            group: mean over these classes; null for all three groups.

        Returns:
            Rows of mean IoU, rows of per-class IoU (measured only), and what the published numbers are.
        """
        cells = [cell for cell in read_results(self.folder) if cell.dataset == dataset and origin != "published"]
        miou = miou_table(cells)
        if origin != "measured":
            miou += [row for row in published() if row.dataset == dataset]

        def wanted(row: MiouRow | ClassRow) -> bool:
            return (methods is None or row.method in methods) and (splits is None or row.split in splits)

        answer = {
            "miou": [asdict(row) for row in miou if wanted(row) and group in (None, row.group)],
            "per_class": [asdict(row) for row in per_class_table(cells) if wanted(row)],
            "note": published_note(),
        }
        return cast(ResultsAnswer, answer)  # as JSON: rows are dictionaries

    def costs(
        self,
        images: int = 1000,
        split: str | None = "s1",
        masked: list[str] | None = None,
        classes: list[ClassShare] | None = None,
        seconds: dict[str, float] | None = None,
        hourly_rate: float = 15.0,
        quality_control: float = 0.0,
        instances: float | None = None,
        currency: str = "USD",
        budget: float | None = None,
        expected_from: str | None = None,
        wishes: list[str] | None = None,
        have: list[str] | None = None,
        drawn_by: Literal["hand", "assistant"] = "hand",
        dataset: str = "msrc21",
        mask_share: float = 1.0,
    ) -> CostsAnswer:
        """What annotation costs, what mIoU to expect of it, and which classes to mask for a budget.

        Args:
            images: Photos to annotate.
            split: The classes that get masks are the base classes of this split (null: s1); not used with masked.
            masked: The classes that get masks.
            classes: Every class with its share (0 to 1) of the photos and its instances; null for those of dataset.
            seconds: Per annotation, by image_label, point, scribble, box, mask and assisted_mask; those left out keep
                their defaults.
            hourly_rate: Price of an hour.
            quality_control: Percent of the annotation time that checking adds; 20 is a fifth more.
            instances: Of a class in a photo that shows it, where they were not counted; null for the default.
            currency: Shown beside amounts.
            budget: Find the best classes to mask for this money; null for none.
            expected_from: DATASET/TABLE of measured results, or "paper" (COCO-Stuff-10K); null for
                what has measured these classes, or else the shares of full masks' IoU that novel classes keep.
            wishes: "CLASS at least IOU" (percent), "CLASS weight NUMBER", "CLASS masks" or "CLASS labels", each for
                the best classes for the budget; null for none.
            have: Classes that have masks already, which cost nothing; null for none.
            drawn_by: How masks are drawn: by hand, or with an assistant.
            dataset: Whose classes are meant, as counted on its training photos, such as msrc21 or nyuv2; not used with
                classes.
            mask_share: Part of the photos (above 0 to 1) in which masks are drawn; the others get image labels.

        Returns:
            Three scenarios, the best classes for the budget and how sure each decision is, the frontier of mIoU against
            money, the sensitivity to the time a mask takes, the cost of each kind of annotation, and the plans class by
            class: with the present roles, and with the best for the budget (empty without one).
        """
        try:
            frequencies = planner.shipped_frequency(dataset) if classes is None else classes
            inputs = read_inputs(
                images, frequencies, seconds or {}, hourly_rate, quality_control, instances, currency,
                have=have or (), drawn_by=drawn_by, mask_share=mask_share,
            )  # fmt: skip
            cells = planning_cells(self.folder, report=lambda problem: None)
            plan = plan_for(
                inputs,
                cells,
                masked=masked,
                split=split,
                expected_from=expected_from,
                budget=budget,
                wishes=read_wishes(wishes),
            )
            return CostsAnswer(**plan.answer())
        except SimFormerError as error:
            raise failure(error) from error


def build(results_folder: Folders = RESULTS_FOLDER) -> None:
    """Put both endpoints into the open Blocks context."""
    endpoints = Endpoints(results_folder)
    api(endpoints.results, api_name="results")
    api(endpoints.costs, api_name="costs")
