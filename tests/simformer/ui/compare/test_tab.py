from __future__ import annotations

import base64
import io
import json
import re
import time
from dataclasses import replace
from html import unescape
from unittest.mock import Mock

import gradio as gr
import numpy as np
import pytest
from compared import write_models
from PIL import Image

from simformer.compare.columns import PICTURES, columns_of
from simformer.compare.gallery import Cell
from simformer.errors import DatasetError
from simformer.splits import Split
from simformer.ui.compare.served import MOST_AT_ONCE, Compared
from simformer.ui.compare.tab import (
    ANY_CLASS,
    build,
    choices_for,
    choices_of_pair,
    filters_text,
    link_text,
    linked_choices,
    named_splits,
    query_html,
    server_functions,
)

CLASSES = ("sky", "grass", "cat")
QUERY = {"split": "s1", "columns": ["CAM", "SimFormer", "FullyOracle"], "first": "SimFormer", "second": "CAM"}


def made(compared, query=QUERY):
    """The answer of `arrange` once everything is made."""
    compared.arrange(query)
    latest = time.monotonic() + 60
    while not compared.progress(query)["finished"]:
        assert time.monotonic() < latest
        time.sleep(0.02)
    return compared.arrange(query)


def titles(html):
    return re.findall(r"<figcaption><span>([^<]+)</span>", html)


def pictures(html):
    found = re.findall(r'<img src="data:image/\w+;base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in found]


def test_rows_come_at_once_and_predictions_later(compared, monkeypatch):
    monkeypatch.setattr("simformer.compare.background.Thread", Mock())
    answer = compared.arrange(QUERY)
    total = 3 * len(answer["order"])
    assert not answer["progress"]["finished"]
    assert f"0 of {total} predictions made" in answer["progress"]["html"]
    first = answer["rows"][str(answer["order"][0])]
    assert first.count("on its way") == 3 and "data-waiting" in first
    assert len(pictures(first)) == 3  # photo, truth, base/novel map


def test_a_row_shows_what_the_paper_s_figure_shows(compared):
    answer = made(compared)
    index = answer["order"][0]
    row = compared.gallery.row(compared.gallery.view(QUERY), index)
    html = answer["rows"][str(index)]
    assert "data-waiting" not in html and answer["progress"]["html"] == ""
    assert titles(html) == ["Input", "Ground truth", "Base / novel", "CAM", "SimFormer", "FullyOracle"]
    numbers = re.findall(r'<abbr title="IoU, %">([\d.]+)</abbr>', html)
    assert numbers == [f"{cell.iou:.1f}" for cell in row.cells.values()]
    photo, truth, _, *predictions = pictures(html)
    assert photo.size == (64, 48)
    assert np.array_equal(np.asarray(truth), row.truth)
    for picture, cell in zip(predictions, row.cells.values(), strict=True):
        assert np.array_equal(np.asarray(picture), cell.labels)
    assert html.count("<i ") == 6 * len(row.boxes)
    assert "SimFormer leads CAM by" in html or "are equal" in html or "CAM leads SimFormer by" in html
    assert f"{len(answer['order'])} photos. Numbers: mean IoU" in answer["head"]


def test_input_truth_and_roles_can_be_left_out_of_rows_and_figure(compared):
    html = query_html("s1", ["Ground truth", "CAM", "SimFormer"], "SimFormer", "CAM", "first", "", "")
    query = json.loads(unescape(re.search('data-query="([^"]+)"', html)[1]))
    answer = made(compared, query)
    index = answer["order"][0]
    assert titles(answer["rows"][str(index)]) == ["Ground truth", "CAM", "SimFormer"]
    drawn = compared.figure({"query": query, "indices": [index]})["uri"]
    with Image.open(io.BytesIO(base64.b64decode(drawn.partition(",")[2]))) as image:
        assert image.width == 3 * (320 + 8) + 8


def test_leads_go_down(compared):
    answer = made(compared)
    view = compared.gallery.view(QUERY)
    leads = [compared.gallery.row(view, index).lead for index in answer["order"]]
    assert leads == sorted(leads, reverse=True)
    assert compared.arrange({**QUERY, "order": "second"})["order"][0] == answer["order"][-1] or len(set(leads)) == 1


def test_rows_that_are_asked_for(compared):
    order = made(compared)["order"]
    asked = [order[-1], order[0]]
    assert list(compared.rows({"query": QUERY, "indices": asked})["rows"]) == [str(index) for index in asked]


def test_a_figure(compared):
    order = made(compared)["order"]
    answer = compared.figure({"query": QUERY, "indices": order[:2]})
    assert answer["name"] == "scenes-s1.png"
    image = Image.open(io.BytesIO(base64.b64decode(answer["uri"].split(",")[1])))
    image.load()
    assert image.width == 6 * (320 + 8) + 8
    assert image.text["Photos"] == ", ".join(compared.gallery.photos.names[index] for index in order[:2])


def test_a_figure_waits_for_its_predictions(compared, monkeypatch):
    order = made(compared)["order"]
    row = compared.gallery.row(compared.gallery.view(QUERY), order[0])
    blank = replace(row, cells={name: Cell() for name in row.cells})
    monkeypatch.setattr(compared.gallery, "row", lambda view, index: blank)
    assert "uri" in compared.figure({"query": QUERY, "indices": order[:1]})  # they failed: none will come
    monkeypatch.setattr(compared.background, "progress", lambda view: Mock(finished=False))
    answer = compared.figure({"query": QUERY, "indices": order[:1]})
    assert answer == {"error": f"predictions of {row.name} are on their way: draw the figure when they are there"}


@pytest.mark.parametrize(
    "asked, sentence",
    [
        (None, "indices of photos are whole numbers"),
        ({"query": QUERY, "indices": ["../x"]}, "indices of photos are whole numbers"),
        ({"query": QUERY, "indices": [True]}, "indices of photos are whole numbers"),
        ({"query": QUERY, "indices": [-1]}, "there is no photo number -1"),
        ({"query": QUERY, "indices": [0] * (MOST_AT_ONCE + 1)}, "at most 12 photos at a time"),
        ({"query": {"split": "s2"}, "indices": [0]}, "there is no split 's2' here"),
        ({"query": 7, "indices": [0]}, "the gallery cannot be arranged so"),
    ],
)
def test_what_the_network_sends_may_be_anything(compared, asked, sentence):
    assert sentence in compared.rows(asked)["error"]


def test_answers_are_json(compared):
    """Keys too: gradio's encoder takes only strings."""
    orjson = pytest.importorskip("orjson")
    order = made(compared)["order"]
    for answer in (
        compared.arrange(QUERY),
        compared.progress(QUERY),
        compared.rows({"query": QUERY, "indices": order[:1]}),
        compared.figure({"query": QUERY, "indices": []}),
    ):
        orjson.dumps(answer)


def test_names_are_escaped(root, tmp_path, make_card, monkeypatch):
    for folder, suffix in (("images", "jpg"), ("labels", "png")):
        (root / folder / f"scene_00000.{suffix}").rename(root / folder / f"<i>.{suffix}")
    (root / "val.txt").write_text("<i>\n")
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(write_models(tmp_path / "runs", make_card)))
    monkeypatch.setenv("SIMFORMER_CACHE", str(tmp_path / "cache"))
    compared = Compared(root)
    html = compared.rows({"query": {**QUERY, "class_name": "grass"}, "indices": [0]})["rows"]["0"]
    assert "&lt;i&gt;" in html and "<strong><i>" not in html


def test_choices(compared):
    columns, first, second, order, expansion, class_name = choices_for(compared.splits["s1"], compared.columns)
    assert columns["choices"] == [
        *PICTURES,
        "CAM",
        "WSSS (CAM)",
        "Basic Model",
        "SimFormer",
        "SimFormer+",
        "FullyOracle",
    ]
    assert "Basic Model" not in columns["value"]
    assert (first["value"], second["value"]) == ("SimFormer", "WSSS (CAM)")
    assert order["choices"][0] == ("SimFormer leads first", "first")
    assert expansion["label"] == "Only photos where WSSS (CAM) is"
    assert class_name["choices"] == [
        ("any novel class", ANY_CLASS), ("cat (novel)", "cat"), ("sky", "sky"), ("grass", "grass"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "columns, pair, expected",
    [
        (["CAM", "SimFormer"], ("SimFormer", "CAM"), ("SimFormer", "CAM")),
        ([*PICTURES, "CAM", "SimFormer"], ("Input", "CAM"), ("SimFormer", "CAM")),
        ([*PICTURES], ("SimFormer", "CAM"), (None, None)),
        (["CAM", "SimFormer", "FullyOracle"], ("SimFormer", "RETAB"), ("SimFormer", "CAM")),
        (["CAM", "SimFormer"], ("RETAB", "CAM"), ("SimFormer", "CAM")),
        (["CAM", "SimFormer"], ("SimFormer", "SimFormer"), ("SimFormer", "CAM")),
        (["CAM"], ("SimFormer", "CAM"), (None, "CAM")),
        ([], ("SimFormer", "CAM"), (None, None)),
    ],
)
def test_the_pair_is_of_the_shown_columns(columns, pair, expected):
    first, second, order, _ = choices_of_pair(columns, *pair, "second")
    assert (first["value"], second["value"]) == expected
    both = None not in expected
    assert order["value"] == ("second" if both else "name")


def test_closed_filters_say_what_they_hold():
    held = "Columns, order, filters: "
    assert filters_text([*PICTURES, "CAM", "SimFormer"], "SimFormer", "CAM", "first", "", "") == (
        f"{held}2 methods, SimFormer leads first"
    )
    of_cow = filters_text([*PICTURES, "CAM"], None, None, "name", "cow", "")
    assert of_cow == f"{held}1 method, by name, photos that show cow"
    assert filters_text([*PICTURES], None, None, "name", "", "") == f"{held}the usual methods, by name"
    assert filters_text(["Input", "CAM"], None, None, "name", "", "") == (
        f"{held}1 method, without Ground truth and Base / novel, by name"
    )
    assert filters_text(["CAM", "A"], "A", "CAM", "name", "", "under-expanded").endswith("by name, CAM under-expanded")


def test_the_script_s_query_is_one_of_the_gallery(compared):
    html = query_html("s1", ["CAM", "SimFormer"], "SimFormer", "RETAB", "first", "", "")
    query = json.loads(unescape(re.search('data-query="([^"]+)"', html)[1]))
    view = compared.gallery.view(query)
    assert (view.first.name, view.second.name) == ("SimFormer", "CAM")
    assert view.query.expansion is None
    assert {function.__name__ for function in server_functions(compared)} == {"arrange", "rows", "progress", "figure"}


@pytest.mark.parametrize("pictures", [PICTURES, ("Ground truth",), ()])
def test_a_link_sets_the_choices_again(compared, pictures):
    chosen = ("s1", [*pictures, "CAM", "FullyOracle"], "FullyOracle", "CAM", "second", "cat", "over-expanded")
    split, columns, first, second, order, expansion, shows, query, filters = linked_choices(
        compared, link_text(*chosen)
    )
    values = [update["value"] for update in (columns, first, second, order, shows, expansion)]
    assert (split, *values) == chosen
    assert query == query_html(*chosen) and filters.label == filters_text(*chosen[1:])


def test_a_link_names_a_method_with_a_comma(compared):
    quarter = "SimFormer, masks on 25 % of the photos"
    simformer = next(column for column in compared.columns if column.name == "SimFormer")
    compared.columns.append(replace(simformer, name=quarter))
    chosen = ("s1", [*PICTURES, "CAM", quarter, "FullyOracle"], quarter, "CAM", "second", "", "")
    assert linked_choices(compared, link_text(*chosen))[1]["value"] == chosen[1]


@pytest.mark.parametrize("text", ["s1", "s1;", "s1;RETAB,None;RETAB;RETAB;worst;horse;exploded", "s1;;;;;;;;;;"])
def test_what_a_split_does_not_offer_is_as_usual(compared, text):
    columns, first, second, *_ = choices_for(compared.splits["s1"], compared.columns)
    usual = query_html("s1", columns["value"], first["value"], second["value"], "first", "", "")
    assert linked_choices(compared, text)[7] == usual


def test_an_older_link_shows_input_truth_and_roles(compared):
    assert linked_choices(compared, "s1;CAM,SimFormer;SimFormer;CAM;first;;")[1]["value"] == [
        *PICTURES, "CAM", "SimFormer",
    ]  # fmt: skip


def test_a_link_to_another_split_changes_nothing(compared):
    assert linked_choices(compared, "s7;CAM") is None and linked_choices(compared, "") is None


def test_the_page_is_laid_out(compared, lay_out, root):
    page = lay_out(build, data=root, list_file="val.txt")
    [rows] = [block for block in page.blocks.values() if isinstance(block, gr.HTML)]
    assert rows.server_fns and "data-query" in rows.value
    assert "gallery" in str(page.get_api_info()["named_endpoints"].keys())
    with pytest.raises(DatasetError):
        lay_out(build, data=root / "none")


def test_without_data_the_examples_are_compared(compared, lay_out):
    page = lay_out(build)
    text = " ".join(block.value for block in page.blocks.values() if isinstance(block, gr.Markdown))
    assert "python app.py --data DIR" in text
    examples = Compared()
    assert examples.classes == CLASSES
    assert examples.photos > 3 and examples.name == "Example photos"
    assert len(examples.arrange({"split": "s1", "columns": ["CAM"]})["order"]) == examples.photos


def test_the_first_split_is_one_of_which_the_examples_show_most(compared, monkeypatch):
    examples = Compared()
    monkeypatch.setattr(examples, "columns", [c for c in examples.columns if c.name in ("CAM", "FullyOracle")])
    dataset = examples.columns[0].card.dataset
    photos = [Mock(outlines={dataset: names}) for names in (("grass", "sky"), ("sky",), ())]
    monkeypatch.setattr("simformer.ui.compare.served.list_examples", lambda: photos)
    novel = {"none": (), "grass": (1,), "sky": (0,), "cat": (2,)}
    splits = {name: Split("msrc21", name, CLASSES, indices) for name, indices in novel.items()}
    monkeypatch.setattr(examples, "splits", splits)
    assert examples.first_split() == "sky"


def test_without_fitting_models_the_tab_says_so(root, tmp_path, monkeypatch, lay_out):
    (root / "classes.txt").write_text("x\ny\nz\n")
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path / "none"))
    page = lay_out(build, data=root)
    [sentence] = [block.value for block in page.blocks.values() if isinstance(block, gr.HTML)]
    assert "fits the classes of scenes" in sentence and "SIMFORMER_WEIGHTS" in sentence


def test_own_weights_come_before_the_shipped_ones(compared, tmp_path):
    own = columns_of(compared.splits["s1"], compared.columns)
    assert all((tmp_path / "runs") in column.path.parents for column in own)


def test_the_menu_of_splits_says_novel_classes_where_their_names_do_not():
    classes = ("sky", "grass", "cat")
    splits = {name: Split("msrc21", name, classes, (1, 2)) for name in ("s1", "r02-c348", "grass, cat")}
    assert [label for label, _ in named_splits(splits)] == [
        "Split 1: grass, cat", "Role set r02-c348: grass, cat", "grass, cat",
    ]  # fmt: skip
