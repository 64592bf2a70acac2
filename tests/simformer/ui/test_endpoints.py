from __future__ import annotations

import json

import gradio as gr
import pytest

from simformer.results import published, read_results
from simformer.ui import endpoints
from simformer.ui.endpoints import Endpoints


@pytest.fixture
def served(synthetic_results):
    return Endpoints(synthetic_results)


def test_results_are_filtered_and_are_json(served):
    answer = json.loads(json.dumps(served.results(methods=["SimFormer"], splits=["s2", "s3"], group="novel")))
    rows = {(row["split"], row["points"]): row["miou"] for row in answer["miou"]}
    assert rows == {("s2", 50): pytest.approx(30 + 51 / 5), ("s2", 100): None}
    assert {row["class_name"]: row["iou"] for row in answer["per_class"] if row["points"] == 50}["cow"] == 33.0
    assert "NeurIPS" in answer["note"]


def test_results_by_origin(served):
    paper = served.results(dataset="coco_stuff_10k")["miou"]
    assert len(paper) == len(published()) and {row["origin"] for row in paper} == {"published"}
    assert served.results(dataset="coco_stuff_10k", origin="measured") == {**served.results("ade20k")}
    assert served.results(origin="published")["miou"] == []


def test_costs_have_all_answers_and_are_json(served):
    answer = json.loads(json.dumps(served.costs(images=100, budget=20.0)))
    assert [row["name"] for row in answer["scenarios"]] == ["All masks", "Weak-shot", "Image labels only"]
    assert answer["best_for_budget"]["money"] <= 20
    assert answer["expected_from"] == "msrc21/synthetic"
    assert len(answer["plan"]) == 21 and len(answer["kinds"]) == 6 and len(answer["sensitivity"]) == 5
    assert len(answer["frontier"]) > 2
    assert len(answer["scenarios"][1]["masked"]) == 16


def test_costs_of_own_classes(served):
    own = [{"name": "unicorn", "share": 0.5, "instances": 2}, {"name": "cow", "share": 1.0}]
    seconds = {"mask": 36.0, "image_label": 1.0}
    answer = served.costs(images=10, masked=["unicorn"], classes=own, seconds=seconds, hourly_rate=36.0)
    # Seconds: unicorn 5 x 72 + 5, cow 10 answers; a cent each.
    assert answer["scenarios"][1]["money"] == pytest.approx(3.75)
    # Nothing is measured of unicorns: percent of full masks' IoU.
    assert answer["expected_from"] == "shares" and answer["scenarios"][1]["expected"]["unit"] == "share"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"images": 0}, "images"),
        ({"images": "many"}, "images"),
        ({"split": "s77"}, "s77"),
        ({"masked": ["unicorn"]}, "unicorn"),
        ({"classes": [{"name": "unicorn", "share": 0.5}]}, "name the classes that get masks"),
        ({"classes": [{"name": "unicorn", "share": 5}], "masked": []}, "share"),
        ({"classes": [{"colour": "red"}], "masked": []}, "classes"),
        ({"seconds": {"polygon": 3}}, "polygon"),
        ({"budget": 0.01}, "does not cover"),
        ({"expected_from": "elsewhere"}, "no measured results"),
    ],
)
def test_what_does_not_fit_is_one_sentence(served, wrong, words):
    with pytest.raises(gr.Error) as error:
        served.costs(**wrong)
    assert words in error.value.message and "\n" not in error.value.message


def test_both_endpoints_are_public_and_typed(synthetic_results):
    with gr.Blocks() as page:
        endpoints.build(synthetic_results)
    info = page.get_api_info()["named_endpoints"]
    assert set(info) == {"/results", "/costs"}
    for name, first in (("/results", "miou"), ("/costs", "scenarios")):
        (answer,) = info[name]["returns"]
        assert first in answer["type"]["properties"]
        assert all(parameter["type"] for parameter in info[name]["parameters"])
    parameters = {parameter["parameter_name"]: parameter for parameter in info["/costs"]["parameters"]}
    assert parameters["images"]["type"] == {"type": "integer"} and parameters["images"]["parameter_default"] == 1000
    assert len(read_results(synthetic_results)) == 14
