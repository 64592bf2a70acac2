"""Zoom, swipe and the legend of the views, with a mouse and with keys."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

CANVAS_COLORS = """(canvas) => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data, found = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 127) found.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
  return [...found];
}"""


@pytest.fixture
def segmented(open_page):
    """The Segment tab with an example segmented by every model."""
    page = open_page()
    page.locator("[data-example=Cat]").click()
    # Not the example that the page opened with.
    page.locator("#status", has_text="FullyOracle on 451 × 300 pixels").wait_for()
    return page


def test_the_legend_isolates_and_hides_classes(segmented):
    page, first = segmented, segmented.locator("[data-color]").first
    color = first.get_attribute("data-color")
    first.click()
    expect(first).to_have_attribute("aria-pressed", "true")
    canvas = page.locator("[data-view=simformer] canvas")
    canvas.wait_for()
    rgb = ",".join(str(int(color[place : place + 2], 16)) for place in (1, 3, 5))
    assert set(canvas.evaluate(CANVAS_COLORS)) <= {rgb}
    page.get_by_role("button", name="Show all").click()
    expect(canvas).to_have_count(0)
    first.focus()
    page.keyboard.press("h")
    canvas.wait_for()
    assert rgb not in canvas.evaluate(CANVAS_COLORS)
    expect(first).to_have_class("off")
    page.keyboard.press("Escape")
    expect(canvas).to_have_count(0)


RENEWED = "#views .views[style*='--look-zoom']"


def test_a_hidden_class_stays_hidden_under_other_roles(segmented):
    page = segmented
    page.locator("[data-color]").first.click(modifiers=["Shift"])
    page.locator("[data-view=simformer] canvas").wait_for()
    page.locator("#split").get_by_label("Split 2").check()
    page.locator("#table caption", has_text="SimFormer, split 2").wait_for()
    page.locator(RENEWED).wait_for()
    expect(page.locator("[data-view=simformer] canvas")).to_have_count(1)


def test_another_photo_hides_no_class(segmented):
    page = segmented
    page.locator("[data-color]").first.click(modifiers=["Shift"])
    page.locator("[data-view=simformer] canvas").wait_for()
    page.locator("[data-example=Temple]").click()
    page.locator("#status", has_text="FullyOracle on 640 × 427 pixels").wait_for()
    page.locator(RENEWED).wait_for()
    expect(page.locator("[data-every]")).to_be_hidden()
    expect(page.locator("#views canvas")).to_have_count(0)


ZOOM = "getComputedStyle(document.querySelector('[data-view=%s] .stage > img')).transform"


def test_the_views_follow_a_pointer_that_the_arrow_keys_move_out_of_them(segmented):
    page, stage = segmented, segmented.locator("[data-view=cam] .stage")
    stage.focus()
    for _ in range(3):
        page.keyboard.press("+")

    def pressed(key, times):
        earlier = page.evaluate(ZOOM % "oracle")
        for _ in range(times):
            page.keyboard.press(key)
        box, name = stage.bounding_box(), stage.locator(".pointer b").bounding_box()
        assert box["x"] <= name["x"] and name["x"] + name["width"] <= box["x"] + box["width"], key
        looks = {page.evaluate(ZOOM % view) for view in ("cam", "simformer", "oracle")}
        assert len(looks) == 1
        return looks != {earlier}

    assert pressed("Shift+ArrowLeft", 8)
    assert page.locator("#views .views").evaluate("(views) => views.style.getPropertyValue('--look-left')") == "0%"
    assert pressed("Shift+ArrowRight", 8)
    assert not pressed("Shift+ArrowLeft", 2), "it is still seen"
    assert pressed("Shift+ArrowDown", 3)


def test_all_views_zoom_and_pan_together(segmented):
    page, zoom = segmented, ZOOM
    assert page.evaluate(zoom % "cam").startswith("matrix(1,")
    page.locator("#views [data-zoom=in]").click()
    for view in ("cam", "simformer", "oracle"):
        assert page.evaluate(zoom % view).startswith("matrix(1.5,")
    stage = page.locator("[data-view=cam] .stage")
    before, box = page.evaluate(zoom % "oracle"), stage.bounding_box()
    page.mouse.move(box["x"] + 80, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 50, box["y"] + 40, steps=4)
    page.mouse.up()
    assert page.evaluate(zoom % "oracle") != before
    stage.focus()
    page.keyboard.press("0")
    assert page.evaluate(zoom % "oracle").startswith("matrix(1,")
    page.keyboard.press("+")
    assert page.evaluate(zoom % "simformer").startswith("matrix(1.5,")
    page.get_by_role("button", name="Whole photo").click()
    assert page.evaluate(zoom % "simformer").startswith("matrix(1,")


def test_two_views_meet_at_a_line_that_moves(segmented):
    page = segmented
    page.get_by_role("button", name="Swipe", exact=True).click()
    figure = page.locator("figure.swipe")
    expect(figure.locator("img")).to_have_count(2)
    page.get_by_label("Left of the line").select_option("photo")
    expect(figure.locator("figcaption strong")).to_have_text("Photo | FullyOracle")
    expect(figure.locator("img")).to_have_count(1)
    figure.locator(".swipe-bar").focus()
    page.keyboard.press("Home")
    assert figure.evaluate("(figure) => figure.style.getPropertyValue('--cut')") == "0%"
    page.get_by_role("button", name="Swipe", exact=True).click()
    expect(figure).to_have_count(0)


def test_before_and_after_a_role_is_switched(segmented):
    page = segmented
    expect(page.locator("[data-before]")).to_be_hidden()
    earlier = page.locator("[data-view=simformer] .stage > img").get_attribute("src")
    page.locator("#roles").get_by_label("grass", exact=True).click()
    page.locator("#status", has_text="serves").wait_for()
    page.get_by_role("button", name="Before and after").click()
    caption = page.locator("figure.swipe figcaption strong")
    expect(caption).to_have_text("Before: SimFormer, split 1 | SimFormer, your roles")
    assert page.locator("figure.swipe img").first.get_attribute("src") == earlier
    # Of two switches the last one counts, though both have roles of one's own.
    view = page.locator("[data-view=simformer]")
    earlier, roles = view.locator(".stage > img").get_attribute("src"), view.get_attribute("data-roles")
    page.locator("#roles").get_by_label("sky", exact=True).click()
    expect(view).not_to_have_attribute("data-roles", roles)
    expect(view).to_have_attribute("data-roles", re.compile("roles-"))
    expect(caption).to_have_text("Before: SimFormer, your roles | SimFormer, your roles")
    assert page.locator("figure.swipe img").first.get_attribute("src") == earlier


def test_the_pointer_says_what_a_class_is_in_each_view(segmented):
    page = segmented
    page.locator("[data-view=cam] .stage").hover(position={"x": 40, "y": 40})
    expect(page.locator("[data-view=cam] .pointer")).to_contain_text("(image labels)")
    expect(page.locator("[data-view=oracle] .pointer")).to_contain_text("(masks)")
    # As draw.py marks all views but the truth of a photo of nothing known.
    page.locator("[data-view=cam]").evaluate("(view) => { view.dataset.doubt = 'unknown, nearest '; }")
    page.locator("[data-view=cam] .stage").hover(position={"x": 41, "y": 40})
    expect(page.locator("[data-view=cam] .pointer")).to_contain_text(re.compile(r"unknown, nearest \w+ \(image labels"))
    expect(page.locator("[data-view=oracle] .pointer")).not_to_contain_text("unknown")
