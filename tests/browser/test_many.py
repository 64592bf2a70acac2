"""Many photos at once, as somebody with a folder of them sees it."""

from __future__ import annotations

import io
import zipfile

import numpy as np
from PIL import Image


def photo(path, value):
    Image.fromarray(np.full((40, 60, 3), value, np.uint8)).save(path)
    return path


def test_photos_and_a_zip_become_a_zip_of_label_maps(open_page, server, tmp_path):
    single = photo(tmp_path / "single.png", 30)
    with zipfile.ZipFile(tmp_path / "trip.zip", "w") as archive:
        archive.write(photo(tmp_path / "a.png", 90), "days/a.png")
        archive.writestr("days/broken.jpg", b"\xff\xd8 broken")
    page = open_page(390)
    page.get_by_role("button", name="Many photos at once").click()
    page.locator("#many-files input[type=file]").set_input_files([single, tmp_path / "trip.zip"])
    page.locator("#many-files", has_text="trip").wait_for()
    page.get_by_role("button", name="Segment all").click()
    page.get_by_text("2 of 3 photos segmented by SimFormer, split 1").wait_for()
    assert "broken.jpg is" in page.locator("#many-progress").inner_text()
    assert page.locator("#many-stop").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    with page.expect_download() as download:
        page.locator("#many-save").click()
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        assert set(archive.namelist()) == {"single.png", "days/a.png", "classes.csv", "failed.csv"}
    assert server.unfailing()


def test_without_photos_it_says_so(open_page):
    page = open_page()
    page.get_by_role("button", name="Many photos at once").click()
    page.get_by_role("button", name="Segment all").click()
    page.locator("#many-progress", has_text="There are no photos yet").wait_for()
