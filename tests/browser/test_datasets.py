"""The switch between the page's data sets in a real browser, and the endpoints that answer of all of them."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import expect

from simformer.ui.parts.uploads import FULL, QUOTA_BYTES

WIDE, NARROW = 1440, 390


def at(page, dataset):
    """The page of this data set is there, and the switch says so."""
    expect(page.locator("#dataset a[aria-current=page]")).to_have_text(dataset)


def tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def test_the_switch_leads_there_and_back(window, two_datasets):
    page = window(WIDE)
    page.goto(two_datasets.address)
    at(page, "MSRC-21")
    page.locator("#status", has_text="pixels").wait_for()
    expect(page.locator("#roles input")).to_have_count(21)
    page.get_by_role("link", name="NYUv2").click()
    page.wait_for_url("**/nyuv2")
    at(page, "NYUv2")
    expect(page.locator("#roles input")).to_have_count(37)
    expect(page.locator("#split label")).to_contain_text(["Split 2", "Split 3", "Your roles"])
    expect(page.locator("#examples li").first).to_contain_text("wall, floor, door, shelves, box")
    expect(page.locator("#missing")).to_contain_text("FullyOracle (train it: python -m train train/configs/nyuv2.yaml")
    # It was segmented with models that nobody had asked for before.
    page.locator("#status", has_text="SimFormer, split 2").wait_for()
    expect(page.locator("[data-view=truth] img")).to_be_visible()
    lamp = page.locator("#roles").get_by_label("lamp", exact=True)
    base = lamp.is_checked()
    lamp.click()
    page.wait_for_url("**/nyuv2?roles=roles-*")
    page.go_back()
    page.wait_for_url("**/nyuv2")
    # What the first step back sets again is no step of its own.
    expect(lamp).to_be_checked(checked=base)
    page.wait_for_timeout(1000)
    page.go_back()
    at(page, "MSRC-21")
    expect(page.locator("#roles input")).to_have_count(21)
    assert two_datasets.unfailing()


def test_the_switch_keeps_the_tab_and_every_tab_follows(window, two_datasets):
    page = window(WIDE)
    page.goto(two_datasets.address)
    tab(page, "Annotation cost")
    page.wait_for_url("**tab=costs")
    page.get_by_role("link", name="NYUv2").click()
    page.wait_for_url("**/nyuv2?tab=costs")
    expect(page.get_by_role("tab", name="Annotation cost")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#cost-plan tbody tr").first).to_contain_text("wall")
    expect(page.locator("#cost-masked input")).to_have_count(37)
    # Of its own role sets.
    expect(page.locator("#cost-scenarios")).to_contain_text("Evidence: role sets")
    tab(page, "Results")
    expect(page.locator("#results-notes")).to_contain_text("Nothing was measured on NYUv2 yet")
    tab(page, "Compare")
    page.locator(".compare-row").first.wait_for()
    expect(page.locator("#compare-rows")).to_contain_text("Motorcycle")
    tab(page, "About")
    expect(page.get_by_role("table", name="Licences")).to_contain_text("NYUv2 photos")


def too_much(address):
    """(status, body) of the answer to an upload of which no byte was sent yet, and which would be beyond the quota."""
    where = urlsplit(address)
    connection = HTTPConnection(where.netloc, timeout=60)
    connection.putrequest("POST", f"{where.path}?{where.query}")
    connection.putheader("Content-Length", str(QUOTA_BYTES + 1))
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


@pytest.mark.parametrize("path", ["", "nyuv2"])
def test_what_both_pages_upload_has_the_quota(window, two_datasets, tmp_path, path):
    photo = tmp_path / "room.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(photo)
    page = window(WIDE)
    page.goto(f"{two_datasets.address}/{path}")
    with page.expect_response(lambda answer: answer.request.method == "POST" and "/upload" in answer.url) as sent:
        page.locator("#photo input[type=file]").set_input_files(photo)
    assert sent.value.status == 200
    status, body = too_much(sent.value.url)
    assert status == 503 and FULL in body


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_switch_fits_a_phone_and_can_be_read(window, two_datasets, theme):
    page = window(NARROW)
    page.goto(f"{two_datasets.address}/nyuv2?__theme={theme}")
    page.locator("#status", has_text="pixels").wait_for()
    switch = page.get_by_role("navigation", name="Data set")
    box = switch.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= NARROW and box["y"] < 400
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    assert Axe().run(page, context="#dataset").response["violations"] == []


def test_the_api_panel_is_the_same_on_both_pages(window, two_datasets):
    for path in ("", "nyuv2"):
        page = window(WIDE)
        page.goto(f"{two_datasets.address}/{path}")
        page.get_by_role("button", name="Use via API").click()
        expect(page.get_by_text("4 API endpoints")).to_be_visible()


def test_endpoints_answer_of_both(two_datasets, tmp_path):
    photo = tmp_path / "room.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(photo)
    client = Client(two_datasets.address, verbose=False)

    def classes(**asked) -> int:
        return len(client.predict(handle_file(photo), **asked, api_name="/segment")[0]["classes"])

    assert classes() == classes(model="s1") == classes(dataset="msrc21") == 21
    assert classes(dataset="nyuv2") == classes(dataset="nyuv2", roles="wall,lamp") == 37
    with pytest.raises(Exception, match="it has msrc21, nyuv2"):
        classes(dataset="ade20k")
    assert len(client.predict(dataset="nyuv2", api_name="/costs")["plan"]) == 37
    assert client.predict(dataset="nyuv2", api_name="/results")["miou"] == []
    answer = client.predict("s2", wait=False, dataset="nyuv2", api_name="/gallery")
    # Shipped models stand beside those of the folder.
    assert {"CAM", "SimFormer", "FullyOracle"} <= set(answer["columns"]) and "cabinet" in answer["classes"]
    with pytest.raises(Exception, match="only of msrc21, nyuv2"):
        client.predict("s2", dataset="ade20k", api_name="/gallery")
