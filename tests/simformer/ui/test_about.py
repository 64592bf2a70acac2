from __future__ import annotations

import re
from html import escape
from xml.etree import ElementTree

from simformer.paths import ROOT
from simformer.ui import about
from simformer.ui.parts.models import Models


def test_five_sentences_say_what_it_is():
    text = about.WHAT_IT_IS.split("\n", 1)[1]
    assert len(re.findall(r"\.(?:\s|$)", text)) == 5
    for word in ("novel", "base", "CAM", "FullyOracle"):
        assert word in text


def test_the_drawing_is_whole_and_described():
    drawing = ElementTree.fromstring(about.diagram())
    names = {element.get("id") for element in drawing.iter()}
    assert set(drawing.get("aria-labelledby").split()) <= names
    references = set(re.findall(r"url\(#([^)]+)\)", about.diagram()))
    assert references <= names
    # Every class that is drawn has its color in the style sheet, in which the page's ink is used.
    style = (about.DIAGRAM.parent / "about.css").read_text()
    used = {name for element in drawing.iter() for name in (element.get("class") or "").split()}
    assert all(f".{name}" in style for name in used - {"diagram"})
    assert "var(--body-text-color)" in style


def test_commands_and_layout_are_those_of_the_readme():
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```\n(.+?)```", about.OWN_CLASSES, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 8
    assert [line for line in lines if line not in readme] == []


def test_the_tab_has_drawing_links_and_licences(lay_out):
    models = Models(())
    models.dataset = "nyuv2"
    page = lay_out(about.build, models)
    text = "".join(str(block.value) for block in page.blocks.values() if hasattr(block, "value"))
    assert about.diagram() in text
    assert "arxiv.org/abs/2210.02270" in text
    for what, licence in about.licences("nyuv2"):
        assert what in text and escape(licence) in text
    assert "MSRC-21 photos" not in text


def test_licences_are_of_the_data_set():
    assert [what for what, _ in about.licences("msrc21")] == [
        "Code", "Trained weights", "MSRC-21 photos", "Example photos",
    ]  # fmt: skip
    assert dict(about.licences("nyuv2"))["Trained weights"].endswith("NYUv2")
    assert [what for what, _ in about.licences("custom")] == ["Code", "Example photos"]
