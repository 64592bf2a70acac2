from __future__ import annotations

import base64
import re

import gradio as gr
import pytest
from downloads import saved_csv
from known_roles import known_roles

from simformer.costs import (
    KINDS,
    AnnotationSeconds,
    NotMeasured,
    best_for_budget,
    cost_inputs,
    shipped_frequency,
)
from simformer.costs.evidence import NOT_MEASURED, PAPER, SHARES, expectation, expectation_choices
from simformer.costs.plan import make_plan
from simformer.costs.roles import split_masked
from simformer.costs.typed import (
    frequencies,
    frequency_rows,
    read_inputs,
)
from simformer.errors import ConfigError, UnknownClassError
from simformer.results import CellScores, read_results, write_result
from simformer.splits import dataset_classes
from simformer.ui.costs import tab as costs
from simformer.ui.costs.calculating import calculate
from simformer.ui.costs.html import best_html, money, plan_html, scenarios_html, sources_html
from simformer.ui.costs.tab import split_choices, take_expectation, take_split

ROWS = [["cow", 50, 2], ["sky", 100, None], ["bird", 10, ""]]
SECONDS = {"image_label": 1.0, "point": 2.0, "scribble": 10.0, "box": 7.0, "mask": 36.0, "assisted_mask": 9.0}
MEASURED = known_roles(
    {
        "cow": {"base": 60.0, "novel": 40.0, "cam": 10.0, "oracle": 65.0},
        "sky": {"base": 90.0, "novel": 85.0, "cam": 50.0, "oracle": 92.0},
        "bird": {"base": 70.0, "novel": 30.0, "cam": 15.0, "oracle": 75.0},
    }
)


def inputs(**changes):
    values = {
        "images": 100, "classes": ROWS, "seconds": SECONDS, "hourly_rate": 36.0, "quality_control": 0,
        "instances": 1.5, "currency": "EUR",
    }  # fmt: skip
    values |= changes
    return read_inputs(**{**values, "classes": frequencies(values["classes"])})


def answer(folder, given=None, **changes):
    """What the page shows, by name. given: the classes that its table was filled with, if they are compared."""
    values = {
        "images": 100, "classes": frequency_rows(shipped_frequency()), "masked": split_masked("msrc21", "s1"),
        "hourly_rate": 15.0, "currency": "USD", "quality_control": 20.0, "instances": 1.87, "budget": None,
        "expected_from": "msrc21/synthetic", "wishes": "", "have": [], "drawn_by": "hand", "mask_share": 100,
    }  # fmt: skip
    seconds = [SECONDS[kind] for kind in KINDS]
    names = (
        "scenarios", "frontier", "no_frontier", "best", "best_masked", "changes", "changes_table", "kinds", "plan",
        "take", "send",
    )  # fmt: skip
    return dict(zip(names, calculate(folder, *{**values, **changes}.values(), *seconds, names=given), strict=True))


def plain(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


# ---------------------------------------------------------------------------------- what was typed


def test_typed_values_become_inputs():
    found = inputs(quality_control=25)
    assert found.quality_control == 0.25
    assert [(c.name, c.share, c.instances) for c in found.classes] == [
        ("cow", 0.5, 2.0), ("sky", 1.0, None), ("bird", 0.1, None),
    ]  # fmt: skip
    assert found.seconds == AnnotationSeconds(**SECONDS)


def test_the_table_of_classes_keeps_its_numbers():
    shipped = shipped_frequency()
    again = frequencies(frequency_rows(shipped))
    for before, after in zip(shipped, again, strict=True):
        assert after.name == before.name
        assert after.share == pytest.approx(before.share, abs=1e-4)
        assert after.instances == pytest.approx(before.instances, abs=0.01)
    # The command `cost` takes the exact numbers, and both should show one amount.
    exact = cost_inputs(images=1000, classes=shipped, hourly_rate=15.0)
    typed = exact.model_copy(update={"classes": again})
    plans = [make_plan(values, ["cow"], NotMeasured()) for values in (exact, typed)]
    shown = [[money(scenario.money, "USD") for scenario in plan.scenarios] for plan in plans]
    assert shown[0] == shown[1]
    assert frequencies([*ROWS, ["", "", ""], [None, None, None]]) == frequencies(ROWS)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (["cow", 140, 1], "cow: it cannot be in 140 %"),
        (["cow", -1, 1], "cow: it cannot be in -1 %"),
        (["cow", "often", 1], "cow: 'often' is not a share"),
        (["cow", "", 1], "cow: '' is not a share"),
        (["cow", "nan", 1], "cow: it cannot be in nan %"),
        (["cow", 10, "many"], "cow: instances"),
        (["cow", 10, 0.5], "cow: instances"),
    ],
)
def test_a_row_that_does_not_fit_is_named(row, words):
    with pytest.raises(ConfigError, match=words):
        frequencies([*ROWS[1:], row])


def test_no_class_at_all():
    with pytest.raises(ConfigError, match="there is no class"):
        frequencies([["", None, None]])
    with pytest.raises(ConfigError, match="listed twice"):
        inputs(classes=[ROWS[0], ROWS[0]])


# ------------------------------------------------------------------------------------------- plan


def test_plan_by_hand():
    # Image labels: 3 classes x 100 photos x 1 s = 300 s = 3 EUR at 36 EUR an hour (1 cent a second).
    # Masks for cow: 50 photos x 2 x 36 s instead of 50 answers: + 3550 s = 35.50 EUR.
    plan = make_plan(inputs(), ["cow"], MEASURED)
    everything, weak_shot, labels = plan.scenarios
    assert labels.money == pytest.approx(3.0)
    assert weak_shot.money == pytest.approx(38.5)
    assert weak_shot.expected.miou == pytest.approx((60 + 85 + 30) / 3)
    # All masks, in seconds: cow 50 x 2 x 36 + 50, sky 100 x 1.5 x 36, bird 10 x 1.5 x 36 + 90.
    assert everything.money == pytest.approx((3650 + 5400 + 630) / 100)
    assert everything.expected.miou == pytest.approx((65 + 92 + 75) / 3)
    assert plan.present.money == weak_shot.money
    assert plan.best is None and plan.best_rows == []
    assert [row.role for row in plan.rows] == ["base", "novel", "novel"]


def test_the_budget_buys_the_best_classes():
    # bird gains 40 points for 5.30 more, cow 20 for 35.50, sky 5 for 53.
    for budget, masked in ((3, ()), (8.3, ("bird",)), (43.8, ("cow", "bird")), (1000, ("cow", "sky", "bird"))):
        plan = make_plan(inputs(), ["cow"], MEASURED, budget)
        assert plan.best.masked == masked
        assert plan.best.money <= budget + 1e-9
        assert [row.class_name for row in plan.best_rows if row.role == "base"] == list(masked)
        assert plan.sensitivity[2].best_masked == masked


def test_a_budget_without_answer_says_why():
    plan = make_plan(inputs(), ["cow"], MEASURED, 1.0)
    assert plan.best is None
    assert "does not cover image-level labels" in plan.problem
    assert "does not cover image-level labels" in best_html(plan, 1.0, "EUR")
    unknown = make_plan(inputs(), ["cow"], NotMeasured(), 100.0)
    assert unknown.efficient == [] and unknown.best is None and "not known" in unknown.problem
    for budget in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="the budget is"):
            make_plan(inputs(), ["cow"], MEASURED, budget)


def test_a_masked_class_has_to_be_there():
    with pytest.raises(UnknownClassError, match="horse"):
        make_plan(inputs(), ["horse"], MEASURED)


# ----------------------------------------------------------------------------------- expectations


def test_expectations_to_choose(synthetic_results):
    cells = read_results(synthetic_results)
    assert [key for _, key in expectation_choices(cells)] == ["msrc21/synthetic", SHARES, PAPER]
    assert [key for _, key in expectation_choices([])] == [NOT_MEASURED, PAPER]
    own = cells[0].model_copy(update={"dataset": "custom"})
    labels, keys = zip(*expectation_choices([own, *cells]), strict=True)
    assert keys == ("msrc21/synthetic", "custom/synthetic", SHARES, PAPER)
    assert labels[:2] == ("MSRC-21, measured", "Own data, measured")
    # Of several tables each says which it is.
    several = [cell.model_copy(update={"schedule": "msrc21_cpu"}) for cell in cells]
    labels = [label for label, _ in expectation_choices([*cells, *several])]
    assert set(labels[:2]) == {"MSRC-21, measured (synthetic)", "MSRC-21, measured (earlier, with dropout)"}
    classes = dataset_classes("msrc21")
    measured = expectation(cells, "msrc21/synthetic", classes)
    assert measured.evidence == "role sets"
    # Trained with two seeds, the second of which is 2 higher: class number i has 60 + i as base, 30 + i as novel.
    iou = measured.class_iou(split_masked("msrc21", "s1"))
    assert iou["cow"] == pytest.approx(64) and iou["tree"] == pytest.approx(33)
    assert measured.class_iou(())["cow"] == 13 and measured.class_iou(classes)["cow"] == 73
    assert expectation([], NOT_MEASURED, classes).expect(classes, ()).miou is None
    with pytest.raises(ConfigError, match="no measured results"):
        expectation(cells, "msrc21/elsewhere", classes)


def test_other_classes_bring_the_table_that_has_measured_them(synthetic_results, tmp_path):
    for path in synthetic_results.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    scores = CellScores(miou=50.0, per_class={"gear": 40.0, "bolt": 60.0})
    simformer = next(cell for cell in read_results(tmp_path) if cell.method == "SimFormer")
    own = {"dataset": "custom", "split": "mine", "novel": ["bolt"], "scores": scores}
    write_result(simformer.model_copy(update=own), tmp_path)
    assert take_expectation(tmp_path, [["bolt", 10, 1], ["gear", 20, 1]], [])[0] == "custom/synthetic"
    assert take_expectation(tmp_path, [["cow", 10, 1]], [])[0] == "msrc21/synthetic"
    assert take_expectation(tmp_path, [["cow", 10, 1], ["bolt", 10, 1]], [])[0] == SHARES


def test_the_menu_of_roles_says_whose_they_are(synthetic_results, tmp_path):
    shipped = frequency_rows(shipped_frequency())

    def said(masked, rows=shipped, folder=synthetic_results):
        return take_expectation(folder, rows, masked)[1].value

    assert said(split_masked("msrc21", "s2")[::-1]) == "msrc21/s2"
    assert said(split_masked("msrc21", "s2")[1:]) == "own" == said([])
    assert said([row[0] for row in shipped]) == "msrc21/all_base"
    simformer = next(cell for cell in read_results(synthetic_results) if cell.method == "SimFormer")
    scores = CellScores(miou=50.0, per_class={"gear": 40.0, "bolt": 60.0})
    own = {"dataset": "custom", "split": "mine", "novel": ["bolt"], "scores": scores}
    write_result(simformer.model_copy(update=own), tmp_path)
    rows = [["bolt", 10, 1], ["gear", 20, 1]]
    assert said(["gear"], rows, tmp_path) == "custom/mine" and said(["bolt"], rows, tmp_path) == "own"


def test_crop_labels_do_not_count_as_what_a_plan_buys(make_result):
    cells = [make_result("SimFormer", "s1", points=50, label_rule="crop")]
    assert [key for _, key in expectation_choices(cells)] == [NOT_MEASURED, PAPER]


def test_the_paper_serves_coco_stuff(tmp_path):
    classes = [[name, 1, 1] for name in dataset_classes("coco_stuff_10k")]
    masked = split_masked("coco_stuff_10k", "s4")
    text = plain(answer(tmp_path, classes=classes, masked=masked, expected_from=PAPER)["scenarios"])
    assert "29.5" in text and "split s4" in text and "missing" in text


# ----------------------------------------------------------------------------------- the handlers


def test_the_page_shows_the_plan(synthetic_results):
    shown = answer(synthetic_results, budget=20.0)
    cells = read_results(synthetic_results)
    found = read_inputs(100, frequencies(frequency_rows(shipped_frequency())), SECONDS, 15.0, 20.0, 1.87, "USD")
    best = best_for_budget(found, expectation(cells, "msrc21/synthetic", found.names), 20.0)
    assert shown["best_masked"] == list(best.masked) and 0 < len(best.masked) < 21
    text = plain(shown["best"])
    assert f"masks for {len(best.masked)} of 21 classes" in text
    assert all(name in text for name in best.masked)
    assert shown["frontier"].visible and shown["no_frontier"] == ""
    assert shown["send"].interactive and shown["take"].interactive
    rows = saved_csv(shown["plan"], "plan_for_budget.csv")
    assert [row["class_name"] for row in rows if row["annotation"] == "mask"] == list(best.masked)
    present = saved_csv(shown["plan"], "plan.csv")
    assert [row["class_name"] for row in present if row["role"] == "novel"] == [
        "tree",
        "sheep",
        "bicycle",
        "road",
        "dog",
    ]
    assert sum(float(row["money"]) for row in rows) == pytest.approx(best.money)
    assert "Scribble" in shown["kinds"] and "0.25 ×" in shown["changes_table"]


def test_without_results_the_costs_are_there_and_the_rest_is_said_to_be_missing(tmp_path):
    shown = answer(tmp_path, budget=500.0, expected_from=NOT_MEASURED)
    assert "Cost" in shown["scenarios"] and ">missing<" in shown["scenarios"]
    assert not shown["frontier"].visible and "measured role sets" in shown["no_frontier"]
    assert shown["best_masked"] is None and not shown["send"].interactive
    assert "plan_for_budget.csv" not in shown["plan"]


def test_nothing_changes_while_a_number_is_being_typed(tmp_path):
    for name in ("images", "hourly_rate", "quality_control", "instances"):
        assert all(value == gr.skip() for value in answer(tmp_path, **{name: None}).values())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": -5}, "images"),
        ({"images": 2.5}, "images"),
        ({"hourly_rate": -1}, "hourly_rate"),
        ({"quality_control": -1}, "quality_control"),
        ({"currency": " "}, "currency"),
        ({"budget": -1}, "the budget is"),
        ({"wishes": "cow is nice"}, "is no wish"),
        ({"classes": [["cow", "x", 1]]}, "cow"),
        ({"masked": ["horse"]}, "horse"),
        ({"expected_from": "nowhere/at_all"}, "no measured results"),
    ],
)
def test_a_value_that_does_not_fit_is_one_sentence(tmp_path, changes, words):
    changes = {"expected_from": NOT_MEASURED, **changes}
    shown = answer(tmp_path, **changes)
    assert words in shown["scenarios"] and "Traceback" not in shown["scenarios"] and "<table" not in shown["scenarios"]
    # No answer to earlier inputs stays.
    assert [shown[name] for name in ("best", "plan", "kinds", "changes_table")] == [""] * 4
    assert shown["best_masked"] is None and not shown["take"].interactive and not shown["frontier"].visible


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ROWS[:2], "only numbers can be changed"),
        ([*ROWS, ["", 3, None]], "only numbers can be changed"),
        ([row[1:] for row in ROWS], "only numbers can be changed"),
        ([[] for _ in ROWS], "only numbers can be changed"),
        ([[*row, None] for row in ROWS], "has three columns"),
    ],
)
def test_rows_and_columns_are_not_added_or_deleted(tmp_path, rows, words):
    settings = {"given": ["bird", "cow", "sky"], "masked": ["cow"], "expected_from": NOT_MEASURED}
    assert "<table" in answer(tmp_path, classes=ROWS[::-1], **settings)["scenarios"]
    assert words in answer(tmp_path, classes=rows, **settings)["scenarios"]


def test_folders_are_read_only_where_the_app_was_told_so(lay_out, synthetic_results):
    for allowed in (False, True):
        page = lay_out(costs.build, results_folder=synthetic_results, local_folders=allowed)
        names = {function.name for function in page.fns.values()}
        assert ("count_folder" in names) is allowed
        assert all(function.api_visibility == "private" for function in page.fns.values())


# ------------------------------------------------------------------------------------- splits


def test_splits_that_fit_the_classes():
    assert [key for _, key in split_choices(dataset_classes("msrc21"))][:2] == ["msrc21/s1", "msrc21/s2"]
    assert split_choices(["cow"]) == [("Own choice", "own")]


def test_the_masked_classes_of_a_split(tmp_path):
    assert take_split(tmp_path, "msrc21/s1", ROWS) == split_masked("msrc21", "s1")
    assert len(take_split(tmp_path, "msrc21/all_base", ROWS)) == 21
    assert take_split(tmp_path, "own", ROWS) == gr.skip()


# ---------------------------------------------------------------------------------------- words


def test_scenarios_say_what_is_missing():
    text = plain(scenarios_html(make_plan(inputs(), ["cow"], NotMeasured("Not measured.")).scenarios, "EUR"))
    assert "Missing: cow, sky, bird" in text
    assert "missing" in text and "None" not in text and "nan" not in text


def test_names_are_escaped():
    plan = make_plan(inputs(classes=[["<b>cow", 10, 1], ["sky", 5, 1]]), ["<b>cow"], NotMeasured(), None)
    text = plan_html(plan, "<i>", "all <i> photos", "<i>")
    pages = [base64.b64decode(page).decode() for page in re.findall(r'href="data:text/html[^,]*,([^"]+)"', text)]
    assert len(pages) == 1 and "&lt;b&gt;cow" in pages[0] and "all &lt;i&gt; photos" in pages[0]
    for html in (text, *pages):
        assert "<b>cow" not in html and "<i>" not in html
    assert "<i>" not in scenarios_html(plan.scenarios, "<i>")


def test_amounts_and_sources():
    assert money(1234.6, "EUR") == "1,235 EUR" and money(12.5, "EUR") == "12.50 EUR"
    text = plain(sources_html())
    assert "Bearman" in text and "79" in text and "Read in:" in text
