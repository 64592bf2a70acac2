"""The Annotation cost tab, the endpoint `/costs` and `python -m simformer cost` answer alike."""

from __future__ import annotations

import json
import random

import pytest
import typer
from downloads import saved_csv
from typer.testing import CliRunner

from simformer.cli.cost import cost
from simformer.costs import KINDS
from simformer.splits import dataset_classes
from simformer.ui.costs.calculating import calculate
from simformer.ui.endpoints import Endpoints


def drawn(seed: int) -> dict:
    """What somebody might type: shares with as many digits as the page's table shows."""
    draw = random.Random(seed)
    names = draw.sample(dataset_classes("msrc21"), draw.randint(3, 21))
    have = draw.sample(names[:2], draw.randint(0, 2))
    counted = [draw.choice([None, round(draw.uniform(1, 9), 3)]) for _ in names]
    return {
        "images": draw.randint(1, 50_000),
        "classes": [
            {"name": name, "share": round(draw.random(), 5), "instances": instances}
            for name, instances in zip(names, counted, strict=True)
        ],
        "masked": draw.sample(names, draw.randint(1, len(names))),
        "hourly_rate": round(draw.uniform(1, 90), 2),
        "quality_control": draw.choice([0, 1, 20, 250]),
        "instances": round(draw.uniform(1, 5), 2),
        "currency": draw.choice(["USD", "EUR"]),
        "have": have,
        "drawn_by": draw.choice(["hand", "assistant"]),
        "mask_share": 1 if have else draw.choice([1, 0.5, 0.75]),
        "wishes": draw.sample([f"{names[0]} weight 3", f"{names[1]} at least 5", f"{names[2]} labels"], 2),
        "seconds": {kind: round(draw.uniform(0.5, 200), 1) for kind in KINDS},
    }


def asked_of_page(folder, typed, budget):
    rows = [[each["name"], 100 * each["share"], each["instances"]] for each in typed["classes"]]
    names = ("scenarios", "frontier", "no_frontier", "best", "best_masked", "changes", "changes_table", "kinds", "plan")
    values = calculate(
        folder, typed["images"], rows, typed["masked"], typed["hourly_rate"], typed["currency"],
        typed["quality_control"], typed["instances"], budget, "msrc21/synthetic",
        "\n".join(typed["wishes"]), typed["have"], typed["drawn_by"], 100 * typed["mask_share"],
        *typed["seconds"].values(),
    )  # fmt: skip
    return dict(zip(names, values, strict=False))


def asked_of_command(folder, typed, budget, tmp_path):
    csv_file = tmp_path / "classes.csv"
    lines = [f"{each['name']},{each['share']},{each['instances'] or ''}" for each in typed["classes"]]
    csv_file.write_text("\n".join(["class,share,instances", *lines]))
    words = ["--json", "--results", folder, "--csv", csv_file, "--budget", budget]
    words += [word for name in typed["masked"] for word in ("--mask", name)]
    words += [word for line in typed["wishes"] for word in ("--wish", line)]
    words += [word for name in typed["have"] for word in ("--have", name)] + ["--drawn-by", typed["drawn_by"]]
    words += ["--images", typed["images"], "--rate", typed["hourly_rate"], "--currency", typed["currency"]]
    words += ["--quality-control", typed["quality_control"], "--instances", typed["instances"]]
    words += ["--mask-share", typed["mask_share"]]
    for kind, seconds in typed["seconds"].items():
        words += [f"--{'label' if kind == 'image_label' else kind.replace('_', '-')}-seconds", seconds]
    app = typer.Typer()
    app.command()(cost)
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("seed", range(12))
def test_page_endpoint_and_command_answer_alike(synthetic_results, tmp_path, seed):
    typed = drawn(seed)
    endpoint = Endpoints(synthetic_results).costs
    labels, masks = (endpoint(**typed)["scenarios"][index]["money"] for index in (2, 0))
    budget = round(labels + (seed + 1) / 12 * abs(masks - labels), 2) + 0.01
    answer = json.loads(json.dumps(endpoint(**typed, budget=budget)))

    printed = asked_of_command(synthetic_results, typed, budget, tmp_path)
    assert printed.exit_code == 0, printed.output
    assert json.loads(printed.stdout) == answer

    shown = asked_of_page(synthetic_results, typed, budget)
    assert shown["best_masked"] == answer["best_for_budget"]["masked"]
    for row in answer["decisions"]["classes"]:
        # Where all fits agree the decision says it.
        share = "" if row["share"] in (0, 1) else f" {row['share']:.0%}"
        assert any(f"{row['class_name']}{share}{end}" in shown["best"] for end in (", ", "</span></td>"))
    for file, rows in (("plan.csv", answer["plan"]), ("plan_for_budget.csv", answer["plan_for_budget"])):
        saved = saved_csv(shown["plan"], file)
        assert [row["class_name"] for row in saved] == [row["class_name"] for row in rows]
        assert [row["role"] for row in saved] == [row["role"] for row in rows]
        assert [float(row["money"]) for row in saved] == pytest.approx([row["money"] for row in rows])
        gains = [row["mask_gain"] for row in rows]
        assert [float(row["mask_gain"]) if row["mask_gain"] else None for row in saved] == pytest.approx(gains)
    line = json.loads(shown["frontier"].value["plot"])["data"][0]
    assert list(line["x"]) == pytest.approx([each["money"] for each in answer["frontier"]])
    assert list(line["y"]) == pytest.approx([each["expected"]["miou"] for each in answer["frontier"]])
    for factor, row in zip((0.25, 0.5, 1, 2, 4), answer["sensitivity"], strict=True):
        assert f"{factor:g} ×" in shown["changes_table"] and row["factor"] == factor
        assert f"{row['weak_shot']:,.0f} {typed['currency']}" in shown["changes_table"] or row["weak_shot"] < 100
    assert ("Masks are drawn in" in shown["scenarios"]) == (typed["mask_share"] < 1)
    for scenario in answer["scenarios"]:
        miou = scenario["expected"]["miou"]
        assert f"{scenario['hours']:,.1f}" in shown["scenarios"]
        assert ("missing" if miou is None else f"{miou:.1f}") in shown["scenarios"]


def test_a_budget_too_small_is_said_in_the_same_words(synthetic_results, tmp_path):
    typed = drawn(0)
    sentence = asked_of_page(synthetic_results, typed, 0.01)["best"]
    with pytest.raises(Exception, match="does not cover image-level labels") as refused:
        Endpoints(synthetic_results).costs(**typed, budget=0.01)
    printed = asked_of_command(synthetic_results, typed, 0.01, tmp_path)
    assert printed.exit_code == 1 and str(printed.exception) in sentence
    assert refused.value.message.rstrip(".") == str(printed.exception)
