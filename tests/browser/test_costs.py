"""The Annotation cost tab in a real browser, and the endpoints through gradio_client."""

from __future__ import annotations

import csv

import gradio as gr
import pytest
from gradio_client import Client
from playwright.sync_api import Page, expect

from simformer.datasets.synthetic import SYNTHETIC_CLASSES, write_scenes
from simformer.splits import load_split, shipped_choice
from simformer.ui.costs import tab as costs
from simformer.ui.parts.context import PageContext
from simformer.ui.parts.models import Models


@pytest.fixture
def costs_page(open_page):
    """costs_page(width=1440) -> the page with the Annotation cost tab open and its first answer there."""

    def open_tab(width: int = 1440) -> Page:
        page = open_page(width)
        page.get_by_role("tab", name="Annotation cost").click()
        expect(page.locator("#cost-scenarios")).to_contain_text("Weak-shot")
        expect(page.locator("#cost-frontier .scatterlayer path.js-line").first).to_be_attached()
        return page

    return open_tab


def masked(page: Page) -> list[str]:
    """The classes that are ticked."""
    boxes = page.locator("#cost-masked label").all()
    return [box.inner_text().strip() for box in boxes if box.locator("input").is_checked()]


def best(page: Page) -> list[str]:
    """The classes that the page says to mask for the budget."""
    return [name.strip() for name in page.locator("#cost-best ul.masked li").all_inner_texts()]


def test_budget_to_best_roles_to_the_segment_tab(costs_page):
    page = costs_page()
    page.locator("#cost-budget input").fill("450")
    expect(page.locator("#cost-best")).to_contain_text("For 450 USD")
    names = best(page)
    assert 0 < len(names) < 21
    page.locator("#cost-take-best").click()
    expect(page.locator("#cost-split input")).to_have_value("Own choice")
    expect(page.locator("#cost-scenarios tbody tr", has_text="Weak-shot").locator("td").last).to_have_text(
        str(len(names))
    )
    assert masked(page) == names
    page.locator("#cost-send-best").click()
    expect(page.get_by_role("tab", name="Segment")).to_have_attribute("aria-selected", "true")


def test_roles_by_split_and_one_by_one(costs_page):
    page = costs_page()
    split = load_split("msrc21", "s1")
    assert masked(page) == [split.classes[index] for index in split.base]
    page.locator("#cost-split input").click()
    page.get_by_role("option", name="Split 9:").click()
    rows = page.locator("#cost-plan tbody tr", has_text="image label")
    expect(rows).to_have_count(10)
    page.locator("#cost-masked").get_by_label("grass").check()
    expect(rows).to_have_count(9)
    expect(page.locator("#cost-split input")).to_have_value("Own choice")


def test_the_plan_as_csv(costs_page, tmp_path):
    page = costs_page()
    expect(page.locator("#cost-best ul.masked")).to_be_visible()
    names = best(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Plan for the budget (CSV)").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    rows = list(csv.DictReader(file.open(newline="")))
    assert len(rows) == 21
    assert [row["class_name"] for row in rows if row["role"] == "base"] == names
    assert sum(float(row["money"]) for row in rows) <= 500


def test_own_classes_from_a_csv_file_and_a_bad_one(costs_page, tmp_path):
    page = costs_page()
    before = masked(page)
    page.get_by_role("button", name="Classes and how often they occur").click()
    good, bad = tmp_path / "mine.csv", tmp_path / "bad.csv"
    good.write_text("class,share,instances\nunicorn,0.25,3\ncow,0.5,1\n")
    bad.write_text("class,share\ncow,seven\n")
    upload = page.locator("#cost-upload input[type=file]")
    upload.set_input_files(bad)
    expect(page.get_by_text("bad.csv, line 2: share")).to_be_visible()
    page.locator("#cost-upload").get_by_role("button", name="Clear").click()
    upload.set_input_files(good)
    expect(page.locator("#cost-plan tbody tr")).to_have_count(2)
    expect(page.locator("#cost-plan tbody th").first).to_have_text("unicorn")
    # The models do not know unicorns: a sentence, and the tab stays.
    page.locator("#cost-send-present").click()
    expect(page.get_by_text("do not know")).to_be_visible()
    expect(page.get_by_role("tab", name="Annotation cost")).to_have_attribute("aria-selected", "true")
    # Without the file everything is as it was.
    page.locator("#cost-upload").get_by_role("button", name="Clear").click()
    expect(page.locator("#cost-split input")).to_have_value(shipped_choice("msrc21", "s1"))
    upload.set_input_files(good)
    expect(page.locator("#cost-plan tbody tr")).to_have_count(2)
    # ... but for the cow, which lost its masks meanwhile.
    page.locator("#cost-masked").get_by_label("cow").uncheck()
    expect(page.locator("#cost-plan tbody tr", has_text="image label")).to_have_count(2)
    page.locator("#cost-upload").get_by_role("button", name="Clear").click()
    expect(page.locator("#cost-plan tbody tr")).to_have_count(21)
    assert masked(page) == [name for name in before if name != "cow"]
    expect(page.locator("#cost-split input")).to_have_value("Own choice")


def test_a_row_of_the_table_cannot_be_deleted(costs_page):
    page = costs_page()
    page.get_by_role("button", name="Classes and how often they occur").click()
    page.locator("#cost-classes").get_by_role("gridcell").nth(1).click(button="right")
    page.get_by_role("menuitem", name="Delete row").click()
    expect(page.locator("#cost-scenarios")).to_contain_text("only numbers can be changed")


def test_a_wrong_number_is_one_sentence(costs_page):
    page = costs_page()
    page.locator("#cost-rate input").fill("-3")
    message = page.get_by_text("hourly_rate: Input should be greater than or equal to 0")
    expect(message).to_be_visible()
    assert "Traceback" not in page.content()


def test_a_visitor_cannot_name_folders(costs_page):
    assert costs_page().locator("#cost-folder").count() == 0


def test_a_phone_needs_no_sideways_scrolling(costs_page):
    page = costs_page(390)
    for name in ("Seconds for one annotation", "What if a mask takes longer", "Where the default seconds come from"):
        page.get_by_role("button", name=name).click()
    expect(page.locator("#cost-sensitivity table")).to_be_visible()
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # Nor does what the tab is there for.
    seen = page.locator("#cost-scenarios .sideways").bounding_box()
    expected = page.locator("#cost-scenarios thead th", has_text="mIoU").bounding_box()
    assert expected["x"] + expected["width"] <= seen["x"] + seen["width"] + 1


def test_endpoints_answer_a_client(server):
    client = Client(server.address, verbose=False)
    answer = client.predict(images=100, budget=60.0, api_name="/costs")
    assert answer["best_for_budget"]["money"] <= 60 < answer["scenarios"][0]["money"]
    rows = client.predict(methods=["CAM"], splits=["s1"], group="novel", api_name="/results")["miou"]
    assert [row["method"] for row in rows] == ["CAM"]
    with pytest.raises(Exception, match="does not cover image-level labels"):
        client.predict(images=100, budget=0.01, api_name="/costs")


@pytest.mark.parametrize("opened", ["first", "costs"])
def test_a_plan_of_own_data_is_calculated_once_and_not_before_somebody_looks(
    window, synthetic_results, tmp_path, monkeypatch, opened
):
    calculated, calculate = [], costs.calculate
    monkeypatch.setattr(costs, "calculate", lambda *given, **named: calculated.append(1) or calculate(*given, **named))
    data = write_scenes(tmp_path / "scenes", 4, size=(48, 64))
    with gr.Blocks() as page:
        sent = gr.State(None)
        with gr.Tabs(selected=opened) as tabs:
            with gr.Tab("First", id="first"):
                gr.Markdown("Nothing")
            with gr.Tab("Annotation cost", id="costs") as tab:
                costs.build(PageContext(page, Models(()), tabs, tab, sent, results_folder=synthetic_results, data=data))
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
    try:
        visitor = window()
        visitor.goto(address)
        if opened == "first":
            visitor.get_by_text("Nothing").wait_for()
            visitor.wait_for_timeout(3000)
            assert not calculated
            visitor.get_by_role("tab", name="Annotation cost").click()
        expect(visitor.locator("#cost-plan tbody tr")).to_have_count(len(SYNTHETIC_CLASSES))
        for name in ("First", "Annotation cost"):
            visitor.get_by_role("tab", name=name).click()
        visitor.wait_for_timeout(2000)
        assert len(calculated) == 1
    finally:
        page.close()
