from __future__ import annotations

import gradio as gr
import pytest

from simformer.checkpoint import save_checkpoint
from simformer.errors import ConfigError
from simformer.splits import dataset_classes
from simformer.ui.page import build_page
from simformer.ui.parts.dataset import counted_dataset, find_dataset, shown_models, switch, title_of
from simformer.ui.parts.models import Models


@pytest.fixture
def folders(tmp_path, monkeypatch, make_card):
    """folders(*names) -> a weights folder with a SimFormer in each of these; a known data set's has its classes."""
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))

    def make(*names: str, kind: str = "simformer"):
        for name in names:
            known = name in ("msrc21", "nyuv2")
            classes = dataset_classes(name) if known else ("wall", "floor", "cat")
            roles = ("novel", *["base"] * (len(classes) - 1))
            card = make_card(kind, classes=classes, roles=roles, dataset=name if known else "custom")
            (tmp_path / name).mkdir(exist_ok=True)
            save_checkpoint(
                tmp_path / name / ("s1.safetensors" if kind == "simformer" else "cam.safetensors"), {}, card
            )

    return make


def test_every_known_data_set_with_a_simformer_has_a_page(folders):
    folders("nyuv2", "msrc21", "runs")
    assert [models.folder for models in shown_models()] == ["msrc21", "nyuv2"]
    assert [title_of(models) for models in shown_models()] == ["MSRC-21", "NYUv2"]


def test_a_folder_of_other_classes_is_no_page(folders, tmp_path):
    folders("msrc21", "mine")
    folders("nyuv2", kind="cam")
    assert [models.folder for models in shown_models()] == ["msrc21"]
    (tmp_path / "nyuv2/s1.safetensors").write_bytes((tmp_path / "mine/s1.safetensors").read_bytes())
    (tmp_path / "nyuv2/cam.safetensors").unlink()
    assert [models.folder for models in shown_models()] == ["msrc21"]


def test_without_models_there_is_one_page(folders):
    [models] = shown_models()
    assert models.names == () and counted_dataset(models) == "msrc21"


def test_the_planner_begins_with_the_data_sets_classes(folders):
    folders("nyuv2", "mine")
    assert counted_dataset(Models(folder="nyuv2")) == "nyuv2"
    assert counted_dataset(Models(folder="mine")) == "msrc21"


def test_data_sets_are_found_by_name(folders):
    folders("msrc21", "nyuv2")
    first, second = shown = shown_models()
    assert find_dataset(shown, "") is first and find_dataset(shown, "nyuv2") is second
    with pytest.raises(ConfigError, match=r"'ade20k'; it has msrc21, nyuv2"):
        find_dataset(shown, "ade20k")


def switches(page: gr.Blocks) -> list[str]:
    return [str(block.value) for block in page.blocks.values() if getattr(block, "elem_id", "") == "dataset"]


def test_the_switch_says_which_page_is_open(folders):
    folders("msrc21", "nyuv2")
    shown = shown_models()
    with gr.Blocks(analytics_enabled=False) as page:
        switch(shown, shown[1])
    [links] = switches(page)
    assert '<a href="./">MSRC-21</a>' in links and '<a href="./nyuv2" aria-current=page>NYUv2</a>' in links
    with gr.Blocks(analytics_enabled=False) as page:
        switch(shown[:1], shown[0])
    assert switches(page) == []


def test_each_data_set_is_a_page_and_the_endpoints_belong_to_all(folders):
    folders("msrc21", "nyuv2")
    page = build_page()
    config = page.get_config_file()
    assert set(config["page"]) == {"", "nyuv2"} and len(config["pages"]) == 1  # else Gradio adds a bar of links
    assert len(switches(page)) == 2
    boxes = [block for block in page.blocks.values() if getattr(block, "elem_id", "") == "roles"]
    assert [len(box.choices) for box in boxes] == [21, 37]
    names = {"/segment", "/results", "/costs", "/gallery"}
    for name in ("", "nyuv2"):
        assert set(page.get_api_info(page=name)["named_endpoints"]) == names
        events = {event["id"]: event for event in config["dependencies"]}
        public = [
            events[each] for each in config["page"][name]["dependencies"] if events[each]["api_visibility"] == "public"
        ]
        assert {f"/{event['api_name']}" for event in public} == names
