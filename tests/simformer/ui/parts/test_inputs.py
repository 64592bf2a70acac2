"""A visitor's request may name uploads of this page, and no other file of the server."""

from __future__ import annotations

import json

import gradio as gr
import httpx
import pytest

from simformer.costs.typed import uploaded_rows
from simformer.ui import api
from simformer.ui.parts.inputs import ChangingChoices, UploadedFiles

FILE = {"_type": "gradio.FileData"}
REFUSED = "The photo was not uploaded to this page; please choose it again."


@pytest.fixture
def served(models, tmp_path, monkeypatch):
    """Address of a page with the endpoint `/segment`, and one that reads a CSV of classes."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    with gr.Blocks(analytics_enabled=False) as page:
        api.build([models])
        upload = UploadedFiles(file_types=[".csv"], type="filepath")
        upload.upload(lambda path: str(uploaded_rows(path)), upload, gr.Textbox(), api_name="classes")
    _, address, _ = page.queue().launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield address.rstrip("/") + "/gradio_api"
    page.close()


def call(address: str, endpoint: str, *data) -> tuple[str, object]:
    """How an event ends, "complete" or "error", and with what."""
    event = httpx.post(f"{address}/call/{endpoint}", json={"data": data}).json()["event_id"]
    *_, last = httpx.get(f"{address}/call/{endpoint}/{event}", timeout=120).text.strip().split("\n\n")
    kind, value = (line.split(": ", 1)[1] for line in last.split("\n"))
    return kind, json.loads(value)


def uploaded(address: str, path) -> str:
    return httpx.post(f"{address}/upload", files={"files": (path.name, path.read_bytes())}).json()[0]


def marked(path, mark: bool) -> dict:
    return {"path": str(path), **({"meta": FILE} if mark else {})}


@pytest.mark.parametrize("mark", [True, False])
def test_an_upload_is_segmented(served, photo_file, mark):
    kind, (answer, label_map) = call(served, "segment", marked(uploaded(served, photo_file), mark), "split1", 0, "", "")
    assert kind == "complete" and answer["size"] == {"width": 120, "height": 80}
    assert label_map["path"].endswith("holiday-split1.png")


@pytest.mark.parametrize("mark", [True, False])
def test_a_picture_of_the_server_is_not_read(served, photo_file, mark):
    kind, answer = call(served, "segment", marked(photo_file, mark), "split1", 0, "", "")
    assert kind == "error" and "size" not in str(answer)
    if not mark:
        assert answer["error"] == REFUSED


@pytest.mark.parametrize("way", ["link", "dots"])
def test_no_way_leads_out_of_the_uploads(served, photo_file, tmp_path, way):
    folder = tmp_path / "uploads"
    folder.mkdir(exist_ok=True)
    (folder / "link.png").symlink_to(photo_file)
    path = folder / ("link.png" if way == "link" else f"../{photo_file.name}")
    assert path.is_file()
    kind, answer = call(served, "segment", marked(path, False), "split1", 0, "", "")
    assert kind == "error" and answer["error"] == REFUSED


def test_a_path_that_is_none_is_refused_in_one_sentence(served, tmp_path):
    (tmp_path / "uploads").mkdir(exist_ok=True)
    circle = tmp_path / "uploads" / "circle.png"
    circle.symlink_to(circle)
    for path in (circle, "\0.png", "x" * 5000):
        kind, answer = call(served, "segment", marked(path, False), "split1", 0, "", "")
        assert kind == "error" and answer["error"] == REFUSED


@pytest.mark.parametrize("mark", [True, False])
def test_a_csv_file_of_the_server_is_not_read(served, tmp_path, mark):
    secret = tmp_path / "secret.csv"
    secret.write_text("class,share\npassword,0.5\n")
    kind, answer = call(served, "classes", marked(secret, mark))
    assert kind == "error" and "password" not in str(answer)
    if mark:
        kind, (answer,) = call(served, "classes", marked(uploaded(served, secret), mark))
        assert kind == "complete" and "password" in answer


def test_choices_that_are_no_longer_there_are_dropped():
    boxes = ChangingChoices(["unicorn", "cow"])
    assert boxes.preprocess(["building", "cow"]) == ["cow"]
    assert boxes.preprocess(["building"]) == []
