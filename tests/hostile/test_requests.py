"""What strangers send to a page, and tables of theirs: one sentence, and nothing that grows."""

from __future__ import annotations

import os
import time
from pathlib import Path

import gradio as gr
import pytest
from gradio.routes import App
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from simformer.costs.frequency import csv_frequency
from simformer.datasets.folder_files import read_image_labels, read_names
from simformer.errors import ConfigError, DatasetError
from simformer.results import to_csv
from simformer.ui.api import LONGEST_WORDS, answer_photo
from simformer.ui.page import build_page
from simformer.ui.parts import uploads
from simformer.ui.parts.headers import HEADERS, SecurityHeaders
from simformer.ui.parts.models import Models
from simformer.ui.parts.uploads import FULL, UploadQuota
from simformer.ui.segment import exporting
from simformer.utils.files import LOCK, only_one

LONG = "x" * 200_000


@pytest.mark.parametrize("photo, model, threshold", [
    (None, "cam", 0.0), ("photo.png", "cam", None), ("photo.png", "x" * (LONGEST_WORDS + 1), 0.0), ("a\0b", "cam", 0.0),
])  # fmt: skip
def test_missing_and_endless_parameters_are_one_sentence(photo, model, threshold):
    with pytest.raises(gr.Error) as error:
        answer_photo(Models(names=()), photo, model, threshold)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_fields_past_the_limit_of_csv(tmp_path):
    for header in ("class,share", "photo,class"):
        (tmp_path / "image_labels.csv").write_text(f"{header}\n{LONG},{LONG}\n")
        with pytest.raises(ConfigError, match=r"image_labels\.csv, line 2: field larger than field limit"):
            csv_frequency(tmp_path / "image_labels.csv")
    with pytest.raises(DatasetError, match=r"image_labels\.csv, line 2: field larger than field limit"):
        read_image_labels(tmp_path, ["cow"], {})


def test_a_long_list_with_a_repeated_name_is_found_at_once(tmp_path):
    names = [f"photo{number}" for number in range(200_000)]
    (tmp_path / "val.txt").write_text("\n".join([*names, names[-1]]))
    started = time.perf_counter()
    with pytest.raises(DatasetError, match="names a photo twice: 'photo199999'"):
        read_names(tmp_path, "val.txt", dict.fromkeys(names, Path()))
    assert time.perf_counter() - started < 10  # it took hours


def test_a_spreadsheet_runs_nothing():
    rows = [{"file": text, "number": -1.5} for text in ("=1+1", "+1", "-1", "@a", "\tx", "cow")]
    assert to_csv(rows).splitlines()[1:] == [
        "'=1+1,-1.5", "'+1,-1.5", "'-1,-1.5", "'@a,-1.5", "'\tx,-1.5", "cow,-1.5",
    ]  # fmt: skip


@pytest.mark.parametrize("stem", ["ü" * 120, "a" * 250, "a\nb\x07", "plain"])
def test_names_of_exports_fit_into_file_systems(tmp_path, stem):
    name = exporting.file_name(Path(f"{stem}.jpg"), "s1", ".zip")
    assert len(name.encode()) <= 200 and name.isprintable() and name.endswith(".zip")
    (tmp_path / name).write_bytes(b"")
    assert exporting.file_name(Path("plain.jpg"), "s1", ".zip") == "plain-s1.zip"


def test_exports_do_not_pile_up(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(exporting, "KEPT_FOLDERS", 3)
    made = []
    for number in range(6):
        made.append(exporting.new_folder())
        os.utime(made[-1], times=(time.time() - 60 + number, time.time() - 60 + number))
    assert sorted(tmp_path.iterdir()) == sorted(made[-4:])
    os.utime(made[-1], times=(0, 0))
    exporting.new_folder()
    assert not made[-1].exists()


def test_every_answer_has_the_headers():
    routes = [Route("/", lambda _: PlainTextResponse("hello"))]
    answer = TestClient(Starlette(routes=routes, middleware=[Middleware(SecurityHeaders)])).get("/")
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_uploads_have_a_quota(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "photo.jpg").write_bytes(bytes(900))
    routes = [Route("/gradio_api/upload", lambda _: PlainTextResponse("taken"), methods=["POST"])]
    client = TestClient(Starlette(routes=routes, middleware=[Middleware(UploadQuota, folder=tmp_path, quota=1000)]))
    assert client.post("/gradio_api/upload", content=bytes(50)).text == "taken"
    refused = client.post("/gradio_api/upload", content=bytes(101))
    assert refused.status_code == 503 and refused.json() == {"detail": FULL}
    (tmp_path / "a" / "photo.jpg").unlink()
    assert client.post("/gradio_api/upload", content=bytes(101)).text == "taken"


def test_a_full_queue_refuses_and_serves_on():
    page = build_page(Models(names=()))
    asked = next(each for each in page.fns.values() if each.api_name == "segment")
    request = {"data": [], "fn_index": asked._id, "session_hash": "visitor"}
    page.queue(max_size=2)
    # Not entered: nothing takes requests out of the queue.
    client = TestClient(App.create_app(page))
    answers = [client.post("/gradio_api/queue/join", json=request) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 503, 503]
    assert answers[-1].json() == {"detail": "Queue is full. Max size is 2 and size is 2."}
    for waiting in page._queue.event_queue_per_concurrency_id.values():
        waiting.queue.clear()
    assert client.post("/gradio_api/queue/join", json=request).status_code == 200


def test_files_of_pages_that_crashed_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv(uploads.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr("atexit.register", lambda *_, **__: None)
    folders = {name: tmp_path / f"{uploads.PREFIX}{name}" for name in ("crashed", "young")}
    for folder in (*folders.values(), tmp_path / "other"):
        folder.mkdir()
        (folder / LOCK).write_bytes(b"")
        os.utime(folder, times=(0, 0))
    os.utime(folders["young"])
    uploads.use_own_folder()
    own = Path(os.environ[uploads.FOLDER_VARIABLE])
    monkeypatch.setenv(uploads.FOLDER_VARIABLE, str(own))  # taken back after the test
    assert sorted(tmp_path.iterdir()) == sorted([own, folders["young"], tmp_path / "other"])
    uploads.use_own_folder()
    assert os.environ[uploads.FOLDER_VARIABLE] == str(own)
    uploads._held.close()
    with only_one(own, "a page"):
        pass
