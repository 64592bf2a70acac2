"""The Own data tab as somebody with a data set sees it."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from accessibility import grave
from PIL import Image
from playwright.sync_api import expect
from serving import serve

from simformer.datasets.synthetic import write_scenes
from simformer.paths import ROOT
from simformer.splits import dataset_classes

PHOTOS = 14  # two pages
SLOW = 60_000  # milliseconds


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Drawn scenes under the class names of the tiny models; the last photo's label map has another size."""
    root = write_scenes(tmp_path_factory.mktemp("own") / "scenes", PHOTOS, size=(48, 64))
    (root / "classes.txt").write_text("\n".join(dataset_classes("msrc21")))
    (root / "mine.txt").write_text("\n".join(f"scene_{index:05d}" for index in range(PHOTOS)))
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(root / "labels" / f"scene_{PHOTOS - 1:05d}.png")
    return root


@pytest.fixture(scope="module")
def data_server(browser, weights, data, tmp_path_factory):
    """A server of its own: only with --data there is the tab."""
    arguments = ["--data", str(data), "--list", "mine.txt"]
    with serve(weights, tmp_path_factory.mktemp("data-server"), arguments) as running:
        yield running


@pytest.fixture
def open_tab(window, data_server):
    """open_tab(width) -> the page with the step Compare open and the gallery shown."""

    def open_one(width=1440):
        page = window(width)
        page.goto(data_server.address)
        page.get_by_role("tab", name="2. Compare").click()
        page.locator(".card").first.wait_for()
        page.locator("#own-status progress").wait_for()
        return page

    return open_one


def names(page):
    return page.locator(".card strong").all_inner_texts()


def evaluated(page):
    """All photos evaluated, and the gallery redrawn."""
    page.get_by_role("button", name="Evaluate all").click()
    page.get_by_text(f"{PHOTOS} of {PHOTOS} photos evaluated").wait_for()
    page.wait_for_function("document.querySelectorAll('.card .mini.none').length === 0")
    return page


def scrolls_sideways(page):
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def test_without_data_there_is_no_such_tab(open_page):
    assert open_page().get_by_role("tab", name="Own data").count() == 0


def test_the_page_opens_on_the_check_of_the_data(window, data_server):
    page = window(390)
    page.goto(data_server.address)
    page.locator("#own-check", has_text="Photos whose label map has another size: 1.").wait_for()
    page.locator("#own-check table.matrix").wait_for()
    assert page.locator("#own-check table.data tbody tr").count() == 21
    assert not scrolls_sideways(page)
    page.get_by_text("Show them").first.click()
    page.locator("#own-check li", has_text="9 x 9 pixels").first.wait_for()
    assert list(grave(page)) == []
    page.goto(f"{data_server.address}/?tab=results")
    page.locator("#results-plot").wait_for()


def test_a_cell_of_the_confusion_matrix_opens_its_photos(open_tab, data_server):
    page = evaluated(open_tab())
    cell = page.locator("#own-matrix table.matrix button").first
    cell.focus()
    assert cell.get_attribute("tabindex") == "0"
    page.keyboard.press("ArrowDown")
    focused = page.locator("#own-matrix table.matrix button:focus")
    assert focused.get_attribute("tabindex") == "0" and cell.get_attribute("tabindex") == "-1"
    confusion = page.locator("#own-matrix .confusions button").first
    truth, predicted = re.sub(r"\s+[<\d].*", "", confusion.inner_text()).split(" → ")
    confusion.click()
    page.get_by_text(f"in which {truth} was taken for {predicted}, most pixels first").wait_for()
    pixels = re.findall(r": ([\d,]+) pixels", page.locator("#own-cards").inner_text())
    counts = [int(text.replace(",", "")) for text in pixels]
    # Who uses the keyboard goes on from what was opened.
    expect(page.locator("#own-cards")).to_be_focused()
    assert counts and counts == sorted(counts, reverse=True)
    page.get_by_role("button", name="Show all photos again").click()
    page.locator("#own-cards", has_text=f"{PHOTOS} photos").wait_for()
    with page.expect_download() as download:
        page.get_by_text("Confusion matrix as CSV").click()
    assert download.value.path().read_text().startswith("truth,predicted building,")
    assert data_server.unfailing()


def test_decide_opens_the_plan_of_these_classes(window, data_server, data):
    listed = len((data / "train.txt").read_text().split())
    page = window()
    page.goto(data_server.address)
    page.get_by_role("tab", name="3. Decide").click()
    page.locator("#own-decide", has_text=f"{listed} photos (the photos in train.txt of scenes)").wait_for()
    assert list(grave(page)) == []
    page.get_by_role("button", name="Plan with these classes").click()
    page.locator("#cost-scenarios table").wait_for()
    assert page.locator("#cost-images input").input_value() == str(listed)
    page.get_by_role("button", name="Classes and how often").click()
    page.get_by_text("Counted on the photos in train.txt of scenes").first.wait_for()


def test_measure_says_what_is_trained(window, data_server, data):
    page = window()
    page.goto(data_server.address)
    page.get_by_role("tab", name="4. Measure").click()
    page.get_by_text("so this trains FullyOracle").wait_for()
    page.locator("#own-novel").get_by_label("cat", exact=True).check()
    page.get_by_text("SimFormer+ learns cat from image labels").wait_for()
    page.locator("#own-commands", has_text='novel=["cat"]').wait_for()
    assert list(grave(page)) == []


def test_evaluate_and_look_at_the_worst(open_tab, data_server):
    page = evaluated(open_tab())
    scores = [float(value) for value in re.findall(r"mIoU (\d+\.\d) %", page.locator("#own-cards").inner_text())]
    assert len(scores) == 12 and scores == sorted(scores)
    assert "9 x 9 pixels" in page.locator("#own-status").inner_text()
    assert page.locator("#own-table tbody tr").count() == 21
    page.locator(".card").first.focus()
    page.keyboard.press("Enter")
    page.locator("#own-photo [data-view=difference] img").wait_for()
    worst = page.locator("#own-photo .own-name").inner_text()
    assert worst == names(page)[0]
    assert f"mIoU {scores[0]:.1f} %" in page.locator("#own-photo").inner_text()
    page.get_by_role("button", name="Next photo").click()
    page.locator("#own-photo .own-name", has_text=names(page)[1]).wait_for()
    page.locator("#own-photo [data-view=truth] .stage").hover(position={"x": 40, "y": 10})
    pointer = page.locator("#own-photo [data-view=truth] .pointer").inner_text()
    assert pointer == "void" or any(name in pointer for name in dataset_classes("msrc21"))
    assert data_server.unfailing()


def test_pages_orders_and_classes(open_tab):
    page = evaluated(open_tab())
    page.get_by_label("Order").click()
    page.get_by_role("option", name="by name").click()
    page.locator(".card strong", has_text="scene_00000").wait_for()
    assert names(page) == [f"scene_{index:05d}" for index in range(12)]
    page.locator("#own-page input[type=number]").fill("2")
    page.locator("#own-page input[type=number]").press("Enter")
    page.locator(".card strong", has_text="scene_00013").wait_for()
    assert names(page) == ["scene_00012", "scene_00013"]
    assert "9 x 9 pixels" in page.locator(".card").last.inner_text()
    page.get_by_label("Only photos that show").click()
    page.get_by_role("option", name="boat", exact=True).click()
    page.get_by_text(re.compile("No photo shows boat|boat \\d")).first.wait_for()


def test_another_model_starts_afresh_and_stop_keeps_what_there_is(open_tab):
    page = open_tab()
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name="FullyOracle").click()
    page.get_by_text(f"0 of {PHOTOS} photos evaluated").wait_for()
    page.locator(".card .mini.none").first.wait_for()
    page.locator(".card").first.click()
    page.get_by_text(f"1 of {PHOTOS} photos evaluated").wait_for()
    assert not page.locator("#own-stop").is_visible()
    page.get_by_role("button", name="Evaluate all").click()
    page.locator("#own-stop").click()
    page.locator("#own-stop").wait_for(state="hidden")
    page.locator("#own-status progress").wait_for()
    done = int(page.locator("#own-status progress").get_attribute("value"))
    assert 1 <= done <= PHOTOS


def test_mistakes_on_the_command_line_are_one_sentence(tmp_path):
    for words, sentence in (
        (["--data", str(tmp_path / "none")], f"Error: there is no data set folder {tmp_path / 'none'}\n"),
        (["--list", "val.txt"], "app.py: error: --list is a file in a data set, which --data names\n"),
    ):
        command = [sys.executable, str(ROOT / "app.py"), *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode != 0
        assert done.stderr.endswith(sentence) and "Traceback" not in done.stderr


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_window(open_tab, width):
    page = open_tab(width)
    assert not scrolls_sideways(page)
    page.locator(".card").first.click()
    page.locator("#own-photo [data-view=prediction] img").wait_for()
    assert not scrolls_sideways(page)
    assert list(grave(page)) == []
