"""The Compare tab as somebody with a data set and weights of several methods sees it."""

from __future__ import annotations

import json
import os
import re

import pytest
import torch
from compared import SETTINGS, write_photos
from PIL import Image
from playwright.sync_api import expect
from serving import serve, slow_down

from simformer.checkpoint import build_network, load_checkpoint, save_checkpoint
from simformer.splits import dataset_classes

PHOTOS = 44
SLOW = 60_000  # milliseconds
LATENCY = 400
FILTERS = "Columns, order, filters"


@pytest.fixture(scope="module")
def runs(weights, tmp_path_factory):
    """CAM and FullyOracle of the tiny models, and the three methods of split 1 under their settings."""
    folder = tmp_path_factory.mktemp("runs")
    named = {path.stem: path for path in weights.rglob("*.safetensors")}
    split = named.get("split1") or named["s1"]
    for name in ("cam", "oracle"):
        (folder / f"{name}.safetensors").write_bytes(named[name].read_bytes())
    for seed, name in enumerate(("wsss", "simformer", "plus")):
        _, card = load_checkpoint(split)
        torch.manual_seed(10 + seed)
        card = card.model_copy(update={"training": SETTINGS[name]})
        save_checkpoint(folder / f"{name}.safetensors", build_network(card).state_dict(), card)
    return folder


@pytest.fixture(scope="module")
def compare_server(browser, runs, tmp_path_factory):
    root = write_photos(tmp_path_factory.mktemp("compared") / "scenes", PHOTOS, dataset_classes("msrc21"))
    folder = tmp_path_factory.mktemp("compare-server")
    os.environ["SIMFORMER_CACHE"] = str(folder / "cache")
    try:
        with serve(runs, folder, ["--data", str(root)]) as running:
            yield running
    finally:
        del os.environ["SIMFORMER_CACHE"]


@pytest.fixture
def open_tab(window, compare_server):
    """open_tab(width, latency) -> the page with the tab and its filters open and everything predicted."""

    def open_one(width=1440, latency=0, wait=True):
        page = window(width, 900)
        page.goto(compare_server.address)
        if latency:
            slow_down(page, latency)
        page.get_by_role("tab", name="Compare", exact=True).click()
        page.locator(".compare-row").first.wait_for()
        page.get_by_role("button", name=FILTERS).click()
        if wait:
            settled(page)
        return page

    return open_one


def settled(page):
    """Everything is made and sorted, and the first rows show it."""
    page.wait_for_function(
        """() => document.querySelector(".compare-row") && !document.querySelector(".compare-progress progress")
        && !document.querySelector(".compare[aria-busy]") && !document.querySelector(".compare-row[data-waiting]")"""
    )


def choose(page, label, option):
    """Choose from a list, and wait until the rows are those of the new query."""
    before = page.locator(".compare").get_attribute("data-query")
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=True).click()
    page.wait_for_function("before => document.querySelector('.compare').dataset.query !== before", arg=before)
    settled(page)


def leads(page, first, second):
    """Points by which the first leads, row by row, of the rows that are there: further ones may be on their way."""
    found = []
    for text in page.locator(".compare-row header > span").all_inner_texts():
        assert first in text and second in text
        number = re.search(r"by ([\d.]+) points", text)
        found.append(0.0 if number is None else float(number[1]) * (1 if text.startswith(f"{first} leads") else -1))
    return found


def titles(page):
    return page.locator(".compare-row").first.locator("figcaption > span:first-child").all_inner_texts()


def test_rows_as_in_the_paper_sorted_by_who_leads(open_tab, compare_server):
    page = open_tab()
    assert titles(page) == [
        "Input", "Ground truth", "Base / novel", "CAM", "WSSS (CAM)", "SimFormer", "SimFormer+", "FullyOracle",
    ]  # fmt: skip
    down = leads(page, "SimFormer", "WSSS (CAM)")
    assert down == sorted(down, reverse=True)
    choose(page, "Order", "WSSS (CAM) leads first")
    up = leads(page, "SimFormer", "WSSS (CAM)")
    assert up == sorted(up) and up[0] <= down[-1]
    choose(page, "with", "FullyOracle")
    up = leads(page, "SimFormer", "FullyOracle")
    assert up and up == sorted(up)
    picture = page.locator(".compare-row img").nth(3)
    assert picture.evaluate("image => image.complete && image.naturalWidth") == 64
    assert compare_server.unfailing()


def test_links_hold_what_is_compared(open_tab, window):
    page = open_tab()
    choose(page, "with", "FullyOracle")
    page.wait_for_url("**compare=*FullyOracle*")
    page.wait_for_timeout(1100)  # choices of the same second are one step
    choose(page, "Only photos that show", "cow")
    page.wait_for_url("**compare=*FullyOracle*cow*")
    other = window(1440, 900)
    other.goto(page.url)
    expect(other.locator("#compare-filters button").first).to_contain_text("photos that show cow")
    expect(other.locator("#compare-second input")).to_have_value("FullyOracle")
    assert json.loads(other.locator(".compare").get_attribute("data-query"))["class_name"] == "cow"
    page.go_back()
    expect(page.locator("#compare-filters button").first).not_to_contain_text("photos that show cow")
    expect(page.locator("#compare-second input")).to_have_value("FullyOracle")
    page.go_back()
    expect(page.locator("#compare-second input")).to_have_value("WSSS (CAM)")
    settled(page)
    assert leads(page, "SimFormer", "WSSS (CAM)")


def test_columns_filters_and_enlarging(open_tab):
    page = open_tab()
    page.locator("#compare-columns .token", has_text="WSSS (CAM)").locator(".token-remove").click()
    page.wait_for_function("!document.querySelector('.compare').dataset.query.includes('WSSS')")
    settled(page)
    assert "WSSS (CAM)" not in titles(page)
    expect(page.get_by_role("button", name=FILTERS)).to_contain_text("4 methods, SimFormer leads first")
    other = page.get_by_label("with", exact=True).input_value()
    assert other in ("CAM", "SimFormer+", "FullyOracle")
    down = leads(page, "SimFormer", other)
    assert down and down == sorted(down, reverse=True)
    choose(page, "Only photos that show", "tree (novel)")
    expect(page.get_by_role("button", name=FILTERS)).to_contain_text("photos that show tree")
    page.get_by_text("Numbers: IoU of tree, percent.").wait_for()
    assert all("tree" in text for text in page.locator(".compare-row .legend").all_inner_texts())
    page.locator("#compare-expansion input").click()
    page.get_by_role("option", name=re.compile("under-expanded")).click()
    page.wait_for_function("document.querySelector('.compare').dataset.query.includes('under-expanded')")
    page.wait_for_function("!document.querySelector('.compare[aria-busy]')")
    assert page.locator(".compare-row").count() or page.get_by_text("passes the filter").count()
    choose(page, "Only photos that show", "any novel class")
    page.locator("#compare-columns .token", has_text="Base / novel").locator(".token-remove").click()
    page.wait_for_url("**Base*novel*")
    page.wait_for_function("!document.querySelector('.compare-cells').textContent.includes('Base / novel')")
    assert titles(page)[:3] == ["Input", "Ground truth", "CAM"]
    row = page.locator(".compare-row").first
    narrow = row.locator("img").first.bounding_box()["width"]
    row.get_by_role("button", name="Enlarge").press("Enter")
    assert row.locator("img").first.bounding_box()["width"] > 1.3 * narrow


@pytest.mark.parametrize("latency", [0, LATENCY])
def test_chosen_rows_become_one_picture(open_tab, latency, tmp_path):
    page = open_tab(latency=latency)
    assert page.locator(".compare-figure").is_disabled()
    page.locator("[data-choose]").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.get_by_text("2 rows chosen").wait_for()
    names = page.locator(".compare-row strong").all_inner_texts()[:2]
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Figure of these rows (PNG)").click()
    downloading.value.save_as(tmp_path / "figure.png")
    assert downloading.value.suggested_filename == "scenes-s1.png"
    with Image.open(tmp_path / "figure.png") as image:
        image.load()
        assert image.text["Photos"] == ", ".join(names)
    choose(page, "Order", "by name")
    page.get_by_text("2 rows chosen").wait_for()
    page.get_by_role("button", name="Choose none").click()
    assert page.locator(".compare-figure").is_disabled()


def test_why_there_is_no_figure_stays_in_sight(open_tab):
    page = open_tab()
    asked = []

    def answer(route):
        name = route.request.post_data_json["fn_name"]
        asked.append(name)
        if name == "figure":
            return route.fulfill(json={"error": "at most 24 photos at a time"})
        response = route.fetch()
        found = response.json()
        of_progress = {"arrange": found.get("progress"), "progress": found}.get(name)
        if of_progress:
            of_progress["finished"] = False  # so that it is asked for again and again
        return route.fulfill(response=response, json=found)

    page.route("**/component_server/", answer)
    choose(page, "Order", "by name")
    page.locator("[data-choose]").first.check()
    page.mouse.wheel(0, 3000)
    page.wait_for_function("window.scrollY > 1000")
    page.locator(".compare-figure").click()
    sentence = page.get_by_text("at most 24 photos at a time")
    expect(sentence).to_be_in_viewport()
    before = asked.count("progress")
    for _ in range(100):
        if asked.count("progress") > before + 1:
            break
        page.wait_for_timeout(100)
    assert asked.count("progress") > before + 1
    expect(sentence).to_be_in_viewport()
    page.locator(".compare-none").click()
    expect(sentence).to_have_count(0)
    page.unroute("**/component_server/")


@pytest.mark.parametrize("latency", [0, LATENCY])
def test_scrolling_has_no_end_and_few_rows_in_the_page(open_tab, latency):
    page = open_tab(latency=latency)
    choose(page, "Order", "by name")
    names, most = set(), 0
    for _ in range(200):
        rows = page.locator(".compare-row strong").all_inner_texts()
        names |= set(rows)
        most = max(most, len(rows))
        if page.evaluate("window.scrollY + window.innerHeight >= document.documentElement.scrollHeight - 2"):
            break
        page.mouse.wheel(0, 700)
        page.wait_for_function(
            """() => [...document.querySelectorAll(".compare-chunk")].every((chunk) => {
              const place = chunk.getBoundingClientRect();
              return chunk.dataset.filled || place.bottom < 0 || place.top > innerHeight; })"""
        )
    listed = int(re.search(r"(\d+) photos\.", page.locator(".compare-head").inner_text())[1])
    assert len(names) == listed > 20
    assert most < 0.75 * listed
    page.evaluate("window.scrollTo(0, 0)")
    page.locator(".compare-row strong", has_text=min(names)).wait_for()


def test_the_last_of_quick_choices_counts(open_tab):
    page = open_tab(latency=LATENCY)
    for option in ("by name", "WSSS (CAM) leads first", "SimFormer leads first"):
        page.get_by_label("Order", exact=True).click()
        page.get_by_role("option", name=option, exact=True).click()
    page.wait_for_function("""document.querySelector('.compare').dataset.query.includes('"order": "first"')""")
    settled(page)
    found = leads(page, "SimFormer", "WSSS (CAM)")
    assert found == sorted(found, reverse=True)


def test_a_phone_s_first_screen_shows_a_picture(window, compare_server):
    page = window(390, 844)
    page.goto(f"{compare_server.address}/?tab=compare")
    picture = page.locator(".compare-row img").first
    picture.wait_for()
    settled(page)
    assert picture.bounding_box()["y"] < 844 - 40


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_window(open_tab, width):
    page = open_tab(width)
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wider)
    page.locator("[data-enlarge]").first.click()
    assert not page.evaluate(wider)


def test_without_data_the_examples_are_there(open_page):
    page = open_page()
    page.get_by_role("tab", name="Compare", exact=True).click()
    page.locator(".compare-row").first.wait_for()
    page.get_by_role("button", name="Compare on a data set instead").press("Enter")
    page.get_by_text("python app.py --data DIR").wait_for()
    assert titles(page)[0] == "Input"
