from __future__ import annotations

import base64
import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from simformer.segmentation import Segmentation
from simformer.ui.parts.photos import Shown
from simformer.ui.segment.draw import View, class_overlay, describe, role_overlay, views_html
from simformer.ui.segment.truth import truth_views
from simformer.utils.palette import BASE_COLOR, NOVEL_COLOR, hex_colors

CLASSES = ("sky", "grass", "cat")
LABELS = np.array([[0, 0, 1], [2, 255, 1]], dtype=np.uint8)


@pytest.fixture
def found():
    return Segmentation(LABELS, np.zeros((3, 1, 1), np.float32), CLASSES, ("base", "base", "novel"), "split1")


def pixels(uri):
    head, data = uri.split(",")
    assert head == "data:image/png;base64"
    return np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))


def test_overlay_has_the_colors_of_the_classes_and_lets_unsure_pixels_through(found):
    drawn = pixels(class_overlay(found))
    colors = hex_colors(CLASSES)
    for row, column, name in ((0, 0, "sky"), (1, 2, "grass"), (1, 0, "cat")):
        assert "#{:02x}{:02x}{:02x}".format(*drawn[row, column, :3]) == colors[name]
        assert drawn[row, column, 3] == 255
    assert drawn[1, 1, 3] == 0


def test_role_overlay_is_red_for_base_and_blue_for_novel(found):
    drawn = pixels(role_overlay(found))
    assert tuple(drawn[0, 0, :3]) == tuple(drawn[1, 2, :3]) == BASE_COLOR
    assert tuple(drawn[1, 0, :3]) == NOVEL_COLOR
    assert drawn[..., 3].tolist() == [[255, 255, 255], [255, 0, 255]]


def test_description_in_words(found):
    assert describe(found) == "sky 33 %, grass 33 %, cat 17 %, unsure 17 %"


class Tags(HTMLParser):
    """Every opening tag with its attributes, and the text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_views_name_every_class_and_say_what_they_show(found):
    shown = Shown("data:image/jpeg;base64,AAAA", (2, 3), (200, 300))
    cam = View("cam", "CAM", "labels", class_overlay(found), describe(found), "cam")
    views = [View("photo", "Photo", "300 × 200"), cam]
    tags = Tags(views_html(shown, views, [found]))
    grid = tags.all("div")[0]
    assert grid["class"] == "views" and "--ratio:1.5000" in grid["style"] and shown.uri in grid["style"]
    colors = hex_colors(CLASSES)
    assert json.loads(grid["data-names"]) == {
        colors["sky"]: "sky (base)", colors["grass"]: "grass (base)", colors["cat"]: "cat (novel)",
    }  # fmt: skip
    assert [figure["data-view"] for figure in tags.all("figure")] == ["photo", "cam"]
    assert tags.all("img")[0]["alt"] == describe(found)
    assert all(stage["tabindex"] == "0" and stage["aria-label"] for stage in tags.all("div")[1:])


def test_the_first_segmentation_decides_a_role_and_classes_may_differ(found):
    other = Segmentation(
        np.zeros((2, 3), np.uint8), np.zeros((2, 1, 1), np.float32), ("cat", "boat"), ("base", "base"), "oracle"
    )
    tags = Tags(views_html(Shown("", (2, 3), (2, 3)), [], [found, other]))
    names = json.loads(tags.all("div")[0]["data-names"])
    assert set(names.values()) == {"sky (base)", "grass (base)", "cat (novel)", "boat (base)"}


def test_upright_photos_are_said_to_be(found):
    shape = Tags(views_html(Shown("", (3, 2), (3, 2)), [], [found])).all("div")[0]["class"]
    assert shape == "views upright"


def test_class_names_cannot_smuggle_in_html():
    name = '<img src=x onerror="alert(1)">'
    hostile = Segmentation(np.zeros((1, 1), np.uint8), np.zeros((1, 1, 1), np.float32), (name,), ("novel",), "split1")
    view = View("cam", "CAM", "", class_overlay(hostile), describe(hostile), "cam", "")
    tags = Tags(views_html(Shown("", (1, 1), (1, 1)), [view], [hostile]))
    assert all("onerror" not in attributes for _, attributes in tags.tags)
    assert name in tags.text


def test_under_cam_and_oracle_roles_do_not_depend_on_the_choice(found):
    views = [View(key, key, "") for key in ("simformer", "cam", "oracle")]
    figures = Tags(views_html(Shown("", (2, 3), (2, 3)), views, [found])).all("figure")
    assert [figure["data-role"] for figure in figures] == ["", "image labels", "masks"]


def test_every_class_of_the_legend_is_a_button_of_its_color(found):
    tags = Tags(views_html(Shown("", (2, 3), (2, 3)), [], [found]))
    colors = [button["data-color"] for button in tags.all("button") if "data-color" in button]
    present = [CLASSES[index] for index in range(3) if (found.labels == index).any()]
    assert sorted(colors) == sorted(hex_colors(CLASSES)[name] for name in present)


def test_an_unknown_photo_has_no_sure_names_but_those_of_its_truth(found):
    views = [View("cam", "CAM", ""), *truth_views(found)]
    tags = Tags(views_html(Shown("", (2, 3), (2, 3)), views, [found], "<b>Probably none"))
    names = json.loads(tags.all("div")[0]["data-names"])
    assert set(names.values()) == {"sky (base)", "grass (base)", "cat (novel)"}
    assert [figure["data-doubt"] for figure in tags.all("figure")] == ["unknown, nearest ", ""]
    assert "<b>Probably none" in tags.text and "probably none of them right" in tags.text
    assert len(tags.all("b")) == len(views), "the pointers', none of the notice"
