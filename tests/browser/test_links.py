"""The address in use: back, forward, Copy link; and what quick hands do to a slow connection."""

from __future__ import annotations

from playwright.sync_api import expect
from serving import slow_down

LATENCY = 400  # milliseconds


def split(page, number):
    return page.locator("#split").get_by_label(f"Split {number}", exact=True)


def test_back_and_forward_and_a_copied_link(open_page):
    page = open_page()
    page.locator("#status", has_text="pixels").wait_for()
    split(page, 2).check()
    page.locator("#table caption", has_text="SimFormer, split 2").wait_for()
    page.wait_for_timeout(1100)  # what is changed within a second is one step
    page.get_by_role("tab", name="Results").click()
    page.wait_for_url("**tab=results*")
    page.go_back()
    expect(page.get_by_role("tab", name="Segment")).to_have_attribute("aria-selected", "true")
    expect(split(page, 2)).to_be_checked()
    page.go_back()
    expect(split(page, 1)).to_be_checked()
    page.locator("#table caption", has_text="SimFormer, split 1").wait_for()
    page.go_forward()
    expect(split(page, 2)).to_be_checked()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Copied", exact=True).wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    assert "roles=" in page.url


def test_a_link_holds_the_budget(open_page):
    page = open_page(query="?tab=costs&budget=140")
    budget, best = page.locator("#cost-budget input"), page.locator("#cost-best")
    expect(budget).to_have_value("140")
    expect(best).to_contain_text("For 140 USD")
    budget.fill("300")
    page.keyboard.press("Tab")
    expect(best).to_contain_text("For 300 USD")
    page.wait_for_url("**budget=300*")
    page.go_back()
    expect(budget).to_have_value("140")
    expect(best).to_contain_text("For 140 USD")
    page.goto(page.url.replace("budget=140", "budget=-1"))
    expect(budget).to_have_value("500")


# What the server answers to a page that opens stays unread until the test calls `readAddress`.
HELD = """Object.defineProperty(window, "studioAddress", {
  get() { return this.heldAddress; },
  set(address) {
    const opened = address.opened;
    address.opened = (defaults) => { window.readAddress = () => opened.call(address, defaults); };
    this.heldAddress = address;
  },
})"""


def test_what_is_chosen_before_the_page_has_read_its_address_is_in_it(window, server):
    page = window()
    page.add_init_script(HELD)
    page.goto(server.address)
    page.wait_for_function("Boolean(window.readAddress)")
    split(page, 2).check()
    page.locator("#table caption", has_text="SimFormer, split 2").wait_for()
    assert "roles=" not in page.url
    page.evaluate("window.readAddress()")
    page.wait_for_url("**roles=*")
    page.go_back()
    expect(split(page, 1)).to_be_checked()


def test_of_quick_choices_over_a_slow_connection_the_last_is_shown(open_page, server):
    page = open_page()
    page.locator("#status", has_text="pixels").wait_for()
    slow_down(page, LATENCY)
    for number in (2, 1, 2, 1, 2):
        split(page, number).check()
    page.locator("#table caption", has_text="SimFormer, split 2").wait_for()
    page.locator("#status", has_text="SimFormer, split 2").wait_for()
    page.wait_for_timeout(3 * LATENCY)
    assert page.locator("[data-view=simformer] figcaption strong").inner_text() == "SimFormer, split 2"
    expect(split(page, 2)).to_be_checked()
    expect(page.locator("#stop")).to_be_hidden()
    assert server.unfailing()
