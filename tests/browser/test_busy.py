"""The Segment tab of a server that has more to do than it can do at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import pytest
from playwright.sync_api import Page, expect

from simformer.bench.page import free_port
from simformer.datasets.examples import list_examples
from simformer.ui.page import build_page
from simformer.ui.parts.models import Models
from simformer.ui.theme import STYLES, theme

DONE = "FullyOracle on 377 × 600 pixels"
LATE_MILLISECONDS = 3000  # what would come late has come

# The status is read as a visitor reads it (`use_inner_text`): Gradio's tracker, hidden there, may say "Error" of an
# event that was canceled.


@dataclass(frozen=True)
class Stalled:
    """A page whose models answer only while `answering` is set; `asked` lists what they were asked."""

    address: str
    answering: Event
    asked: list[tuple[object, ...]]


@pytest.fixture
def stalled(browser, weights, monkeypatch) -> Iterator[Stalled]:
    """It begins with models that do not answer."""
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(weights))
    answering, models, seen = Event(), Models(), []
    predict = models._predict
    monkeypatch.setattr(models, "_predict", lambda *asked: (seen.append(asked), answering.wait(), predict(*asked))[2])
    page, port = build_page(models), free_port()
    settings = {"theme": theme(), "css_paths": STYLES, "ssr_mode": False, "run_history": False}
    # In a thread of its own: the browser's driver runs a loop in this one, where Gradio wants none.
    with ThreadPoolExecutor(1) as launcher:
        launcher.submit(page.launch, server_port=port, prevent_thread_lock=True, quiet=True, **settings).result()
        yield Stalled(f"http://127.0.0.1:{port}", answering, seen)
        answering.set()
        launcher.submit(page.close, verbose=False).result()
    models.close()


def visit(page: Page, address: str) -> Page:
    page.goto(address)
    page.locator("#status").wait_for(state="attached")
    return page


def offered(page: Page) -> dict[str, bool]:
    """What can be used."""
    return {name: page.locator(f"#{name}").is_visible() for name in ("run", "stop", "opacity", "proposals-section")}


def test_who_waits_reads_the_place_in_the_queue(window, stalled):
    first = visit(window(), stalled.address)
    expect(first.locator("#stop")).to_be_visible()
    second = visit(window(), stalled.address)
    place = second.get_by_role("status").filter(has_text="queue")
    expect(place).to_have_text("The page is busy: yours is number 2 in the queue.")
    third = visit(window(390), stalled.address)
    expect(third.locator("#queue")).to_have_text("The page is busy: yours is number 3 in the queue.")
    expect(place).to_have_text("The page is busy: yours is number 2 in the queue.")
    expect(second.locator("#status [data-testid=status-tracker]")).to_be_hidden()
    assert first.locator("#queue").inner_text() == ""
    # Nothing has come of it yet that could be looked through or saved.
    for page in (first, second, third):
        assert not offered(page)["opacity"] and not offered(page)["proposals-section"]
    stalled.answering.set()
    for page in (first, second, third):
        expect(page.locator("#status")).to_contain_text(DONE)
        expect(page.locator("#queue")).to_have_text("")
        expect(page.locator("#stop")).to_be_hidden()  # a moment after the last answer
        assert offered(page) == {"run": False, "stop": False, "opacity": True, "proposals-section": True}


def test_what_was_stopped_does_not_come_late(window, stalled):
    page = visit(window(), stalled.address)
    expect(page.locator("#stop")).to_be_visible()
    page.locator("#stop").click()
    expect(page.locator("#status")).to_have_text("Stopped.", use_inner_text=True)
    stopped = {"run": True, "stop": False, "opacity": False, "proposals-section": False}
    assert offered(page) == stopped
    views = page.locator("#views").inner_html()
    assert "on its way" not in views
    stalled.answering.set()
    page.wait_for_timeout(LATE_MILLISECONDS)
    assert page.locator("#status").inner_text() == "Stopped." and page.locator("#views").inner_html() == views
    assert offered(page) == stopped
    page.locator("#run").click()
    expect(page.locator("#status")).to_contain_text(DONE)
    expect(page.locator("#stop")).to_be_hidden()
    assert offered(page) == {"run": False, "stop": False, "opacity": True, "proposals-section": True}
    # A part that is stopped keeps what had come to its end.
    stalled.answering.clear()
    page.locator("#split").get_by_label("Split 2").check()
    page.locator("#stop").click()
    expect(page.locator("#status")).to_have_text("Stopped.", use_inner_text=True)
    assert offered(page) == {"run": True, "stop": False, "opacity": True, "proposals-section": True}


def test_who_waits_can_leave_the_queue(window, stalled):
    first = visit(window(), stalled.address)
    expect(first.locator("#stop")).to_be_visible()
    second = visit(window(), stalled.address)
    leave = second.get_by_role("button", name="Leave the queue")
    expect(leave).to_be_visible()
    leave.click()
    expect(second.locator("#status")).to_have_text("You left the queue.", use_inner_text=True)
    left = {"run": True, "stop": False, "opacity": False, "proposals-section": False}
    assert offered(second) == left and not leave.is_visible()
    stalled.answering.set()
    expect(first.locator("#status")).to_contain_text(DONE)
    second.wait_for_timeout(LATE_MILLISECONDS)
    assert offered(second) == left and second.locator("#status").inner_text() == "You left the queue."
    # Later everything is there as ever, and what is there stays when a change is not waited for.
    second.locator("#run").click()
    expect(second.locator("#status")).to_contain_text(DONE)
    second.get_by_role("button", name="Proposals").click()
    expect(second.locator("#proposals li").first).to_be_visible()
    views, proposals = second.locator("#views .views").inner_html(), second.locator("#proposals").inner_text()
    stalled.answering.clear()
    first.locator("#split").get_by_label("Split 2").check()
    expect(first.locator("#stop")).to_be_visible()
    second.locator("#roles").get_by_label("cow", exact=True).click()
    second.locator("#roles").get_by_label("car", exact=True).click()
    leave.click()
    expect(second.locator("#status")).to_have_text("You left the queue.", use_inner_text=True)
    asked = len(stalled.asked)
    stalled.answering.set()
    expect(first.locator("#status")).to_contain_text("split 2 on")
    second.wait_for_timeout(LATE_MILLISECONDS)
    assert len(stalled.asked) == asked
    assert second.locator("#status").inner_text() == "You left the queue."
    assert offered(second) == {"run": True, "stop": False, "opacity": True, "proposals-section": True}
    assert second.locator("#views .views").inner_html() == views
    assert second.locator("#proposals").inner_text() == proposals
    second.locator("#run").click()
    expect(second.locator("#status")).to_contain_text("serves")


def test_who_waits_for_anothers_many_photos_reads_so_and_can_stop(window, stalled):
    pages = [visit(window(), stalled.address) for _ in range(2)]
    first, second = pages
    flower = next(str(example.path) for example in list_examples() if example.name == "Flower")
    for page in pages:
        page.get_by_role("button", name="Many photos at once").click()
        page.locator("#many-files input[type=file]").set_input_files(flower)
        page.locator("#many-files", has_text="KB").wait_for()
        page.get_by_role("button", name="Segment all").click()
        expect(page.locator("#many-stop")).to_be_visible()
        expect(first.locator("#many-progress")).to_contain_text("0 of 1 photos")
    expect(second.locator("#many-queue")).to_have_text("The page is busy: yours is number 2 in the queue.")
    assert first.locator("#many-queue").inner_text() == ""
    second.locator("#many-stop").click()
    expect(second.locator("#many-run")).to_be_visible()
    expect(second.locator("#many-queue")).to_have_text("")
    stalled.answering.set()
    expect(first.locator("#many-progress")).to_contain_text("1 of 1 photos segmented")
    expect(first.locator("#many-queue")).to_have_text("")
