"""The Results tab in a real browser."""

from __future__ import annotations

import csv
import json

import pytest
from playwright.sync_api import Page, expect

# What can be chosen besides methods by split, and what it draws.
VIEWS = (
    ("Classes by split", ".heatmaplayer image"),
    ("More novel classes", ".scatterlayer path.js-line"),
    ("Points per photo (J)", ".bars path"),
    ("Pairing", ".bars path"),
)


@pytest.fixture
def results_page(open_page):
    """results_page(width=1440) -> the page with the Results tab open and its first plot drawn."""

    def open_tab(width: int = 1440) -> Page:
        page = open_page(width)
        page.get_by_role("tab", name="Results", exact=True).click()
        expect(page.locator("#results-plot .bars path").first).to_be_attached()
        return page

    return open_tab


def test_filters_change_plot_table_and_csv(results_page, tmp_path):
    page = results_page()
    legend = page.locator("#results-plot .legendtext").all_text_contents()
    assert {"CAM", "SimFormer", "missing"} <= set(legend)
    expect(page.locator("#results-table caption")).to_have_text("mIoU in % over novel classes (measured)")
    closed = page.get_by_role("button", name="Filters")
    expect(closed).to_contain_text("Filters: novel classes, measured and published")
    closed.press("Enter")
    page.locator("#results-group").get_by_label("base classes").check()
    expect(page.locator("#results-table caption")).to_have_text("mIoU in % over base classes (measured)")
    page.locator("#results-methods input").click()
    page.get_by_role("option", name="SimFormer", exact=True).click()
    page.keyboard.press("Escape")
    rows = page.locator("#results-table tbody tr")
    expect(rows).to_have_count(1)
    expect(closed).to_contain_text("Filters: base classes, measured and published, SimFormer")
    expect(page.locator("#results-plot .legendtext")).to_have_text(["SimFormer"])
    with page.expect_download() as download:
        page.get_by_role("link", name="Download this table as CSV").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    saved = list(csv.DictReader(file.open(newline="")))
    shown = [float(text) for text in rows.locator("td a").all_inner_texts()]
    assert [round(float(row["miou"]), 1) for row in saved] == shown
    assert {(row["method"], row["group"]) for row in saved} == {("SimFormer", "base")}


def test_a_number_leads_to_its_run_and_its_json(results_page, tmp_path, synthetic_results):
    page = results_page()
    row = page.locator("#results-table tbody tr", has_text="SimFormer")
    row.locator("a").nth(1).click()
    run = page.locator("details.run[open]")
    expect(run).to_have_count(1)
    expect(run).to_contain_text("0123abcd")
    with page.expect_download() as download:
        run.get_by_role("link", name="Save its JSON").click()
    name = download.value.suggested_filename
    download.value.save_as(tmp_path / name)
    assert json.loads((tmp_path / name).read_text()) == json.loads((synthetic_results / name).read_text())


def test_every_view_draws(results_page):
    page = results_page()
    views = page.locator("#results-view")
    for name, drawn in VIEWS:
        views.get_by_label(name).check()
        expect(page.locator(f"#results-plot {drawn}").first).to_be_attached()
    expect(page.locator("#results-table tbody th").first).to_have_text("Basic Model")
    page.locator("#results-dataset input").click()
    page.get_by_role("option", name="COCO-Stuff-10K").click()
    expect(page.locator("#results-table tbody th").first).to_have_text("Basic Model (published)")
    expect(page.locator("#results-notes")).to_contain_text("Nothing was measured on COCO-Stuff-10K yet")


def test_a_phone_s_first_screen_shows_the_plot(results_page):
    page = results_page(390)
    assert page.locator("#results-plot .main-svg").first.bounding_box()["y"] < 844 - 150


@pytest.mark.parametrize("view", ["Methods by split", "Classes by split"])
def test_a_phone_needs_no_sideways_scrolling(results_page, view):
    page = results_page(390)
    page.locator("#results-view").get_by_label(view).check()
    expect(page.locator("#results-table table")).to_be_visible()
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # What is wider than the phone, the table, scrolls by itself.
    box = page.locator("#results-table .sideways").bounding_box()
    assert 0 <= box["x"] and box["x"] + box["width"] <= 390


def test_lettering_follows_the_theme(open_page):
    colors = {}
    for theme in ("light", "dark"):
        page = open_page(query=f"?__theme={theme}")
        page.get_by_role("tab", name="Results", exact=True).click()
        letters = page.locator("#results-plot .legendtext").first
        letters.wait_for()
        colors[theme] = letters.evaluate("element => getComputedStyle(element).fill")
        assert colors[theme] == page.locator("#results-table th").first.evaluate("e => getComputedStyle(e).color")
    assert colors["light"] != colors["dark"]


@pytest.mark.parametrize("width", [1440, 390])
def test_how_much_mask_is_enough(results_page, width):
    page = results_page(width)
    expect(page.get_by_role("heading", name="How much mask is enough?")).to_be_visible()
    expect(page.locator("#results-shares-plot .scatterlayer path.js-line")).to_have_count(4)
    page.wait_for_function(APART, arg="#results-shares-plot")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#results-shares td a").first.click()
    run = page.locator("#results-shares details.run[open]")
    expect(run).to_contain_text("masks on 10 % of the photos")


# Plotly's buttons: within the plot's place, and wholly above or below its legend. A plot may just be drawn anew.
APART = """(selector) => {
  const box = (name) => document.querySelector(`${selector} ${name}`)?.getBoundingClientRect();
  const outer = document.querySelector(selector)?.getBoundingClientRect();
  const buttons = box(".modebar"), legend = box(".legend");
  return outer && buttons?.height && legend?.height && buttons.top >= outer.top && buttons.right <= outer.right
    && (buttons.bottom <= legend.top || legend.bottom <= buttons.top);
}"""


@pytest.mark.parametrize("width", [1440, 390])
def test_plotly_buttons_cover_no_legend(results_page, width):
    page = results_page(width)
    page.wait_for_function(APART, arg="#results-plot")
    for name, drawn in VIEWS:
        page.locator("#results-view").get_by_label(name).check()
        expect(page.locator(f"#results-plot {drawn}").first).to_be_attached()
        page.wait_for_function(APART, arg="#results-plot")
    page.get_by_role("tab", name="Annotation cost").click()
    page.get_by_role("button", name="What if a mask takes longer").click()
    for plot in ("#cost-frontier", "#cost-changes"):
        page.wait_for_function(APART, arg=plot)
