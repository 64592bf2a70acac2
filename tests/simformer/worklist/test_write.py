"""What is written is read back by readers of its own: csv, zip and PNG, XML, JSON, HTML."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import date
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from label_maps import iou, painted
from PIL import Image

from simformer.costs import NotMeasured
from simformer.costs.plan import make_plan
from simformer.utils.palette import hex_colors
from simformer.worklist.printed import printed_plan
from simformer.worklist.work import Worklist
from simformer.worklist.write import write_worklist


@pytest.fixture
def made(folder, inputs, halves, tmp_path):
    """(worklist, its rows, folder of its files)"""
    work = Worklist(folder, inputs, ["cow", "cat"], halves)
    list(work.look())
    rows = work.rows()
    files = write_worklist(work, rows, tmp_path / "out", url="/data/local-files/?d=my photos/")
    assert sorted(file.name for file in files) == sorted(file.name for file in (tmp_path / "out").iterdir())
    return work, rows, tmp_path / "out"


def test_the_table(made):
    _, rows, out = made
    with (out / "worklist.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [(row["place"], row["photo"]) for row in read] == [(str(row.place), row.photo) for row in rows]
    assert [row["draw"] for row in read] == ["; ".join(row.draw) for row in rows]
    assert [float(row["money"]) for row in read] == [row.money for row in rows]


def test_the_tasks_for_cvat(made):
    work, rows, out = made
    labels = json.loads((out / "cvat_labels.json").read_text())
    assert [label["name"] for label in labels] == ["cow", "cat"] and {label["type"] for label in labels} == {"mask"}
    with zipfile.ZipFile(out / "cvat.zip") as archive:
        listed = archive.read("ImageSets/Segmentation/default.txt").decode().split()
        assert listed == [row.photo.removesuffix(".png") for row in rows]
        lines = archive.read("labelmap.txt").decode().splitlines()[1:]
        colors = {line.split(":")[0]: tuple(map(int, line.split(":")[1].split(","))) for line in lines}
        assert [label["color"] for label in labels] == [
            "#{:02x}{:02x}{:02x}".format(*colors[n]) for n in ("cow", "cat")
        ]
        for name in listed:
            image = np.asarray(Image.open(io.BytesIO(archive.read(f"SegmentationClass/{name}.png"))))
            for place, of in enumerate(("cow", "cat")):
                assert np.array_equal((image == colors[of]).all(-1), work.labels(name) == place)


def test_the_tasks_for_label_studio(made):
    work, rows, out = made
    tasks = json.loads((out / "label_studio.json").read_text())
    assert [task["data"]["place"] for task in tasks] == [row.place for row in rows]
    for task, row in zip(tasks, rows, strict=True):
        assert task["data"]["image"] == f"/data/local-files/?d=my photos/{row.photo}"
        assert task["data"]["draw"] == ", ".join(row.draw)
        labels = work.labels(row.photo.removesuffix(".png"))
        height, width = labels.shape
        drawn = {}
        for region in task["predictions"][0]["result"]:
            [name] = region["value"][region["type"]]
            points = [(x * width / 100, y * height / 100) for x, y in region["value"]["points"]]
            drawn.setdefault(name, []).append(points)
        assert set(drawn) == set(row.model_has_drawn)
        for name, polygons in drawn.items():
            assert iou(painted(polygons, labels.shape), labels == work.chosen.index(name)) > 0.95
    interface = ElementTree.parse(out / "label_studio.xml").getroot()
    found = {label.get("value"): label.get("background") for label in interface.iter("Label")}
    assert found == hex_colors(["cow", "cat"])


class Words(HTMLParser):
    """The text of a page by element, and whether every element is closed."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.text: dict[str, list[str]] = {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.open += [] if tag == "meta" else [tag]
        if tag in ("td", "li"):
            self.text.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in ("td", "li"):
            if tag in self.open:
                self.text[tag][-1] += data


def test_the_plan_to_print(made, inputs):
    _, rows, _ = made
    plan = make_plan(inputs, ["cow", "cat"], NotMeasured("Not measured: nothing was trained."))
    page = printed_plan(plan, "Farm & <friends>", "the photos in train.txt of farm", rows, made=date(2026, 11, 5))
    assert page.startswith("<!doctype html>") and "Farm &amp; &lt;friends&gt;" in page and "5 November 2026" in page
    words = Words(page)
    assert words.open == []
    for row in rows:
        assert f"{row.place}. {row.photo}" in words.text["td"]
    assert [cell for cell in words.text["td"] if cell in ("mask", "image label")] == ["image label", "mask", "mask"]
    rests = " ".join(words.text["li"])
    for part in (
        "5 photos to annotate", "the photos in train.txt of farm", "100.00 EUR an hour", "adds 25%",
        "A mask takes 36 s for each instance (typed", "An image label takes 1 s", "or 3 where none were",
        "Not measured: nothing was trained.",
    ):  # fmt: skip
        assert part in rests
    assert f"{plan.present.money:,.2f} EUR" in rests
