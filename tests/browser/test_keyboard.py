"""A visitor without a pointer: menus, panels and pictures give the focus back, and every stop can be seen."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

RING = """(element) => {
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  return [outlineStyle, outlineWidth];
}"""
WHICH = "(stops) => stops.find((stop) => document.querySelector(stop) === document.activeElement)"
NEVER_STOPS = """() => document.getAnimations().filter((animation) => {
  const { duration, iterations } = animation.effect.getComputedTiming();
  return duration * iterations > 20;
}).map((animation) => animation.animationName ?? animation.transitionProperty)"""


def test_tab_leads_from_a_long_menu_to_what_comes_next(open_page):
    page = open_page(query="?tab=compare")
    menu = page.locator("#compare-split input")
    menu.focus()
    page.locator("[role=listbox]").wait_for()
    # The list has to be one that scrolls: a short one is no stop of its own.
    page.locator("[role=listbox]").evaluate("(list) => { list.style.cssText = 'overflow: auto; max-height: 20px'; }")
    page.keyboard.press("Tab")
    expect(page.locator("#compare-first input")).to_be_focused()
    expect(page.locator("[role=listbox]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("[role=listbox]")).to_have_count(0)
    expect(page.locator("#compare-first input")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(menu).to_be_focused()
    split = menu.input_value()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(menu).not_to_have_value(split)
    page.keyboard.press("Tab")
    expect(page.locator("#compare-first input")).to_be_focused()


@pytest.mark.parametrize("name", ["Use via API", "Settings"])
def test_escape_closes_a_panel_of_the_footer_and_gives_the_focus_back(open_page, name):
    page = open_page()
    opener = page.locator("footer").get_by_role("button", name=name)
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator("[role=dialog] button:focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("[role=dialog]")).to_have_count(0)
    expect(opener).to_be_focused()


def test_a_photo_that_fills_the_window_has_the_focus_and_gives_it_back(open_page):
    page = open_page()
    button = page.locator("#photo").get_by_role("button", name="Fullscreen", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#photo").get_by_role("button", name="Exit fullscreen mode")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_focus_is_seen_on_what_gradio_marks_by_a_line_or_not_at_all(open_page, theme):
    page = open_page(query=f"?tab=segment&__theme={theme}")
    page.locator("#status", has_text="pixels").wait_for()
    for stop in ("#split input:checked", "#roles input:checked", "#opacity input[type=range]"):
        page.locator(stop).first.focus()
        page.keyboard.press("Shift+Tab")  # by the keyboard: a click needs no ring
        page.keyboard.press("Tab")
        expect(page.locator(stop).first).to_be_focused()
        assert page.locator(stop).first.evaluate(RING) == ["solid", "3px"], stop


def test_nothing_moves_for_who_wants_it_still(browser, server):
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(server.address)
    page.locator("#status", has_text="pixels").wait_for()
    page.locator("#examples button").nth(1).click()
    for _ in range(20):
        assert page.evaluate(NEVER_STOPS) == []
        page.wait_for_timeout(50)
    context.close()


def test_a_button_that_leads_to_another_tab_takes_the_focus_along(open_page):
    page = open_page(query="?tab=costs")
    button = page.locator("button#cost-send-present")
    expect(button).to_be_enabled()
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Segment", exact=True)).to_be_focused()


# Some of the stops, as they stand from the top.
@pytest.mark.parametrize(
    ("query", "stops"),
    [
        ("?tab=segment", ["#split input", "[data-view=photo] .stage", "[data-view=cam] .stage", "#roles input"]),
        (
            "?tab=costs",
            ["#cost-scenarios [tabindex]", "#cost-budget input", "#cost-images input", "#cost-classes-section button"],
        ),
    ],
)
def test_on_a_phone_tab_follows_what_is_seen(open_page, query, stops):
    page = open_page(390, query)
    if "segment" in query:
        page.locator("#status", has_text="pixels").wait_for()
    for stop in stops:
        expect(page.locator(stop).first).to_be_visible()
    tops = [page.locator(stop).first.evaluate("(e) => e.getBoundingClientRect().top") for stop in stops]
    assert tops == sorted(tops), "the stops are named as they stand"
    page.get_by_role("tab", selected=True).first.focus()
    reached = []
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(WHICH, stops))
        if page.locator("footer :focus").count():
            break
    assert [stop for stop in reached if stop] == stops
