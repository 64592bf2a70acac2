"""The Segment tab as a visitor sees it."""

from __future__ import annotations

import io
import re
import zipfile

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import expect

from simformer.splits import dataset_classes, load_split

CLASSES = dataset_classes("msrc21")
VIEWS = ["photo", "roles", "cam", "simformer", "oracle"]


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A photo of 300 x 200 pixels, sky above grass."""
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[:100], pixels[100:] = (120, 170, 240), (70, 130, 50)
    pixels += np.random.default_rng(0).integers(0, 12, pixels.shape, dtype=np.uint8)
    path = tmp_path_factory.mktemp("photos") / "meadow.jpg"
    Image.fromarray(pixels).save(path)
    return path


def upload(page, path):
    """Without a wait for the example that the page opens with: who is quick sees the own photo, too."""
    page.locator("#photo input[type=file]").set_input_files(path)


def segmented(page, path):
    """Upload a photo and wait for the last view."""
    upload(page, path)
    page.locator("#status", has_text="FullyOracle on 300 × 200").wait_for()
    return page


def scrolls_sideways(page):
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def test_a_photo_gives_views_of_one_size_and_a_table(open_page, photo):
    page = open_page()
    segmented(page, photo)
    figures = page.locator("#views figure")
    assert [figure.get_attribute("data-view") for figure in figures.all()] == VIEWS
    boxes = [figure.locator(".stage").bounding_box() for figure in figures.all()]
    sizes = {(round(box["width"]), round(box["height"])) for box in boxes}
    assert len(sizes) == 1
    ((width, height),) = sizes
    assert abs(width / height - 1.5) < 0.02
    drawn = page.evaluate("[...document.querySelectorAll('#views img')].map((image) => image.naturalWidth)")
    assert drawn == [300] * 4
    assert page.locator("table.classes tbody tr").count() >= 1
    assert page.locator(".legend li").count() >= 1


def test_pointing_at_a_view_names_the_class_in_all_of_them(open_page, photo):
    page = segmented(open_page(), photo)
    page.locator("[data-view=photo] .stage").hover(position={"x": 30, "y": 20})
    readout = page.locator(".readout").inner_text()
    said = re.findall(r"(CAM|SimFormer, split 1|FullyOracle): (\w+) \((base|novel|image labels|masks)\)", readout)
    told = {model: name for model, name, _ in said}
    roles = {model: role for model, _, role in said}
    assert roles.pop("SimFormer, split 1") in ("base", "novel")
    assert roles == {"CAM": "image labels", "FullyOracle": "masks"}
    assert set(told.values()) <= set(CLASSES)
    shown = page.locator("[data-view=roles] .pointer").inner_text()
    assert shown == page.locator("[data-view=simformer] .pointer").inner_text()
    assert told["SimFormer, split 1"] in shown
    # The table and the legend say the same as the pointer.
    assert told["SimFormer, split 1"] in page.locator("table.classes").inner_text()
    page.locator("table.classes").hover()
    assert not page.locator("[data-view=cam] .pointer").is_visible()


def test_the_keyboard_reaches_the_views_and_moves_the_pointer(open_page, photo):
    page = segmented(open_page(), photo)
    page.locator("[data-view=cam] .stage").focus()
    page.keyboard.press("ArrowRight")
    pointer = page.locator("[data-view=cam] .pointer")
    before = pointer.bounding_box()["x"]
    assert "CAM: " in page.locator(".readout").inner_text()
    page.keyboard.press("Shift+ArrowRight")
    assert pointer.bounding_box()["x"] > before
    page.keyboard.press("Escape")
    assert not pointer.is_visible()


def test_opacity_changes_the_pictures_at_once(open_page, photo):
    page = segmented(open_page(), photo)
    page.locator("#opacity input[type=number]").fill("0")
    page.locator("#opacity input[type=number]").press("Enter")
    page.wait_for_function("getComputedStyle(document.querySelector('#views img')).opacity === '0'")


def test_leaving_out_the_least_certain_redraws_the_views(open_page, photo):
    page = segmented(open_page(), photo)
    before = page.locator("[data-view=cam] img").get_attribute("src")
    page.locator("#left-out input[type=number]").fill("60")
    page.locator("#left-out input[type=number]").press("Enter")
    page.wait_for_function(
        "(before) => document.querySelector('[data-view=cam] img')?.getAttribute('src') !== before", arg=before
    )
    assert "unsure" in page.locator("[data-view=cam] img").get_attribute("alt")


def test_another_split_is_another_view(open_page, photo):
    page = segmented(open_page(), photo)
    page.locator("#split").get_by_label("Split 2").check()
    page.locator("#table caption", has_text="SimFormer, split 2").wait_for()
    assert page.locator("[data-view=simformer] figcaption strong").inner_text() == "SimFormer, split 2"
    expect(page.locator("#split")).to_contain_text(f"{CLASSES[load_split('msrc21', 's2').novel[-1]]}, novel here.")


def test_an_example_is_segmented_at_a_click(open_page):
    page = open_page()
    page.locator("#examples").get_by_role("button", name="Cat").click()
    page.locator("#status", has_text="on 451 × 300 pixels").wait_for()


def test_a_broken_file_gives_one_sentence(open_page, server, photo, tmp_path):
    page = segmented(open_page(), photo)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"this is not a photo")
    upload(page, broken)
    toast = page.get_by_test_id("toast-body")
    toast.wait_for()
    assert "broken.jpg is not an image of a known format" in toast.inner_text()
    assert "broken.jpg is not an image" in page.locator("#views").inner_text()
    # The page goes on.
    page.locator("#examples").get_by_role("button", name="Cat").click()
    page.locator("#status", has_text="on 451 × 300 pixels").wait_for()
    assert server.unfailing()


def test_a_label_map_can_be_downloaded_and_read_back(open_page, photo):
    page = segmented(open_page(), photo)
    page.get_by_label("File format").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    assert download.value.suggested_filename == "meadow-split1.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        labels = np.array(Image.open(io.BytesIO(archive.read("meadow.png"))))
        classes = archive.read("classes.csv").decode().splitlines()
    assert labels.shape == (200, 300)
    found = {classes[1 + index].split(",")[1] for index in np.unique(labels)}
    areas = {
        row.locator("th").inner_text(): row.locator("td").nth(1).inner_text()
        for row in page.locator("table.classes tbody tr").all()
    }
    assert found == {name for name, area in areas.items() if area != "0 %"}


def test_nothing_is_wider_than_a_phone(open_page, photo):
    page = open_page(width=390)
    assert not scrolls_sideways(page)
    segmented(page, photo)
    assert not scrolls_sideways(page)
    # A name at the right edge, too.
    box = page.locator("[data-view=roles] .stage").bounding_box()
    page.locator("[data-view=roles] .stage").hover(position={"x": box["width"] / 2 - 2, "y": 10})
    assert not scrolls_sideways(page)


@pytest.mark.parametrize("width, screen", [(1440, 900), (390, 1.5 * 844)])
def test_the_first_example_s_answer_and_the_choice_of_roles_are_seen_soon(open_page, width, screen):
    page = open_page(width)
    page.locator("#status", has_text="pixels").wait_for()
    for part in ("[data-view=simformer] .stage", "#split"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= screen, part


def test_segment_without_a_photo_says_so_at_the_button(open_page, server):
    page = open_page()
    page.locator("#status", has_text="FullyOracle on 377 × 600").wait_for()
    page.locator("#photo").get_by_role("button", name="Remove Image").click()
    status, button = page.locator("#status"), page.locator("#run")
    expect(status).to_have_text("There is no photo yet: choose one above, or click an example.")
    button.click()
    expect(page.locator("#photo button").first).to_be_focused()
    expect(status).to_have_text("There is no photo yet: choose one above, or click an example.")
    said, beside = status.bounding_box(), button.bounding_box()
    assert said["y"] < beside["y"] + beside["height"] and beside["y"] < said["y"] + said["height"]
    assert server.unfailing()


def test_a_thumbnail_comes_to_tell_the_miou_of_its_photo(open_page):
    page = open_page()
    thumbnail = page.locator("[data-example=Cat]")
    expect(thumbnail.locator("b")).to_have_text(re.compile(r"^\d+\.\d$"))
    expect(page.locator("#examples", has_text="with the mIoU of SimFormer, split 1 in %")).to_be_visible()
    score = thumbnail.locator("b").inner_text()
    expect(thumbnail.locator("b")).to_have_attribute("aria-label", f"mIoU {score} %")
    thumbnail.click()
    page.locator("#status", has_text="FullyOracle on 451 × 300").wait_for()
    expect(page.locator("[data-view=simformer] figcaption b")).to_have_text(f"mIoU {score}")


def test_the_endpoint_answers_with_types(server, photo):
    client = Client(server.address, verbose=False)
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert "/segment" in named and "/segment_photo" not in named
    answer, file = client.predict(handle_file(photo), "split2", 0.0, api_name="/segment")
    assert answer["model"] == "split2" and answer["size"] == {"width": 300, "height": 200}
    labels = np.array(Image.open(file))
    assert labels.shape == (200, 300)
    for row in answer["table"]:
        assert np.mean(labels == row["index"]) == pytest.approx(row["area"])
        assert CLASSES[row["index"]] == row["name"]
    with pytest.raises(Exception, match="there is no model 'split9'"):
        client.predict(handle_file(photo), "split9", 0.0, api_name="/segment")


def test_one_class_switched_says_which_model_served_it(open_page, photo):
    page = segmented(open_page(), photo)
    roles = page.locator("#roles")
    # The served models are of splits 1 and 2.
    splits = [load_split("msrc21", name) for name in ("s1", "s2")]
    both = [name for index, name in enumerate(CLASSES) if all(index in split.base for split in splits)]
    novel = [CLASSES[index] for index in load_split("msrc21", "s2").novel]
    roles.get_by_label(novel[0], exact=True).uncheck()
    page.locator("#table caption", has_text="your roles").wait_for()
    status = page.locator("#status").inner_text()
    assert re.search(rf"SimFormer, split 2 \(\d of \d+ roles differs?\) serves {novel[0]}", status)
    expect(page.locator("#split").get_by_label("Your roles")).to_be_checked()
    page.wait_for_url("**roles=roles-*")
    # Back again: the shipped model with these roles.
    roles.get_by_label(novel[0], exact=True).check()
    page.locator("#table caption", has_text="SimFormer, split 1").wait_for()
    expect(page.locator("#split").get_by_label("Split 1")).to_be_checked()
    page.wait_for_url(lambda address: "roles=" in address and "roles-" not in address)
    # A role that no model had is not pretended.
    roles.get_by_label(both[0], exact=True).uncheck()
    page.locator("#status", has_text=f"not shown: {both[0]}").wait_for()


def test_an_address_restores_tab_and_roles(open_page, server, photo):
    page = open_page()
    page.goto(f"{server.address}/?tab=results&roles=split2")
    expect(page.get_by_role("tab", name="Results")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Segment").click()
    assert page.locator("#split").get_by_label("Split 2").is_checked()
    for index, name in enumerate(CLASSES):
        checked = page.locator("#roles").get_by_label(name, exact=True).is_checked()
        assert checked == (index in load_split("msrc21", "s2").base), name
    page.wait_for_url("**tab=segment**")


def test_the_proposals_of_the_chosen_model(open_page, photo):
    page = segmented(open_page(), photo)
    page.get_by_role("button", name="Proposals").click()
    page.locator("#proposals .proposals > li").first.wait_for()
    before = page.locator("#proposals").inner_text()
    images = page.evaluate("[...document.querySelectorAll('#proposals img')].map((image) => image.naturalWidth)")
    assert len(images) == 2 * page.locator("#proposals .proposals > li").count() and min(images) > 0
    page.locator("#split").get_by_label("Split 2").check()
    page.wait_for_function("(before) => document.querySelector('#proposals').innerText !== before", arg=before)


def test_an_example_comes_with_its_truth_and_how_well_models_do(open_page):
    page = open_page(width=390)
    page.locator("#status", has_text="FullyOracle on 377 × 600").wait_for()
    figures = page.locator("#views figure")
    assert [figure.get_attribute("data-view") for figure in figures.all()] == ["photo", "truth", *VIEWS[1:]]
    scores = page.locator("#views figcaption b")
    assert scores.count() == 3
    for score in scores.all():
        assert score.is_visible() and re.fullmatch(r"mIoU \d+\.\d", score.inner_text())
    page.locator('[data-view="truth"] .stage').click(position={"x": 5, "y": 5})
    assert page.locator('[data-view="truth"] .pointer b').inner_text().startswith("sky")
    assert not scrolls_sideways(page)
