from __future__ import annotations

from threading import Thread
from unittest.mock import Mock

import gradio as gr
import pytest

from simformer.ui.compare import endpoint

PAIR = {"split": "s1", "columns": ["CAM", "SimFormer"], "first": "SimFormer", "second": "CAM"}


def gallery_function(compared):
    with gr.Blocks(analytics_enabled=False) as page:
        endpoint.build({"scenes": compared})
    [function] = [function.fn for function in page.fns.values() if function.api_name == "gallery"]
    return function


def test_endpoint(compared):
    answer = gallery_function(compared)("s1", ["CAM", "SimFormer"], limit=2)
    assert answer["columns"] == ["CAM", "SimFormer"] and answer["compared"] == ["SimFormer", "CAM"]
    assert answer["classes"] == ["cat"]
    assert answer["predictions_made"] == answer["predictions"] == 2 * answer["photos"]
    assert len(answer["rows"]) == 2 < answer["photos"]
    first, second = answer["rows"]
    assert first["lead"] >= second["lead"]
    assert first["lead"] == pytest.approx(first["cells"]["SimFormer"]["iou"] - first["cells"]["CAM"]["iou"])
    rest = gallery_function(compared)("s1", ["CAM", "SimFormer"], offset=2)["rows"]
    assert len(rest) == answer["photos"] - 2
    assert set(first["cells"]["CAM"]) == {"iou", "under_expanded", "over_expanded"}
    with pytest.raises(gr.Error, match="there is no split"):
        gallery_function(compared)("s9")


def test_endpoint_without_waiting(compared, monkeypatch):
    monkeypatch.setattr("simformer.compare.background.Thread", Mock())
    answer = gallery_function(compared)("s1", ["CAM", "SimFormer"], wait=False)
    assert answer["predictions_made"] == 0
    assert all(row["lead"] is None for row in answer["rows"])


def test_an_unforeseen_error_ends_the_waiting(compared, monkeypatch):
    def full(tasks):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(compared.gallery, "make", full)
    answer = gallery_function(compared)("s1", ["CAM", "SimFormer"])
    assert answer["predictions_made"] == 0
    assert answer["problems"] == ["No more predictions are made, because of an error: out of memory"]
    progress = compared.progress(PAIR)
    assert progress["failed"] and progress["finished"] and "out of memory" in progress["html"]
    row = compared.rows({"query": PAIR, "indices": [0]})["rows"]["0"]
    assert "on its way" not in row and "data-waiting" not in row


def test_the_endpoint_waits_for_a_view_that_others_have_pushed_out(compared, monkeypatch):
    monkeypatch.setattr("simformer.compare.background.MOST_WANTED", 2)
    want, threads = compared.background.want, []

    def pushed_out(view):
        with monkeypatch.context() as patched:
            patched.setattr("simformer.compare.background.Thread", Mock())
            want(view)
            for name in ("FullyOracle", "SimFormer+"):
                want(compared.gallery.view({"split": "s1", "columns": [name]}))
        threads.append(Thread(target=compared.background._work, daemon=True))
        threads[-1].start()

    monkeypatch.setattr(compared.background, "want", pushed_out)
    answer = gallery_function(compared)("s1", ["CAM", "SimFormer"])
    threads[-1].join()
    assert answer["predictions_made"] == answer["predictions"] > 0
