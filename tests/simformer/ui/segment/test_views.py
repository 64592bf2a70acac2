from __future__ import annotations

import re
from threading import Event

import gradio as gr
import pytest

from simformer.ui.parts.models import Models
from simformer.ui.segment.views import EMPTY, NO_PHOTO, missing_sentence, segment_photo


def run(models, path, split="split1", left_out=0):
    """What the page shows in the end."""
    return list(segment_photo(models, path and str(path), split, left_out))[-1]


def view_keys(html):
    return re.findall(r'<figure data-view="(\w+)"', html)


def overlays(html):
    """View -> data URI of its overlay."""
    figures = re.findall(r'<figure data-view="(\w+)"(.*?)</figure>', html, re.DOTALL)
    return {key: found[1] for key, inside in figures if (found := re.search(r'<img src="([^"]+)"', inside))}


def test_without_a_photo_the_page_says_what_to_do(models):
    assert run(models, None) == (EMPTY, "", NO_PHOTO)


def test_all_views_a_table_and_a_status(models, photo_file):
    views, table, status = run(models, photo_file)
    assert view_keys(views) == ["photo", "roles", "cam", "simformer", "oracle"]
    assert set(overlays(views)) == {"roles", "cam", "simformer", "oracle"}
    assert "What SimFormer, split 1 found" in table and "Agrees with CAM" in table
    assert status.startswith("CAM · SimFormer, split 1 · FullyOracle on 120 × 80 pixels in ")


def test_view_after_view_arrives(models, photo_file):
    for name in models.names:
        models.predictor(name)
    seen = [len(overlays(views)) for views, _, _ in segment_photo(models, str(photo_file), "split1", 0.0)]
    assert seen == [0, 1, 3, 4]


def test_the_other_split_is_another_model_with_other_roles(models, photo_file):
    first, second = run(models, photo_file)[0], run(models, photo_file, "split2")[0]
    assert overlays(first)["cam"] == overlays(second)["cam"]
    assert "SimFormer, split 1" in first and "SimFormer, split 2" in second
    # As page_weights has it.
    assert "sky (base)" in first and "cat (novel)" in first
    assert "sky (novel)" in second and "cat (base)" in second


def test_the_view_of_simformer_tells_its_roles(models, photo_file):
    for roles in ("roles-bnn", "roles-nnb", "roles-nnn"):
        views = run(models, photo_file, roles)[0]
        assert re.findall(r'<figure data-view="(\w+)"[^>]* data-roles="(roles-\w+)"', views) == [("simformer", roles)]


def test_leaving_out_the_least_certain_runs_no_network(models, photo_file, monkeypatch):
    run(models, photo_file)
    monkeypatch.setattr(models, "_predict", None)
    steps = list(segment_photo(models, str(photo_file), "split1", 50))
    assert len(steps) == 1
    assert "unsure" in steps[0][0] and " in " not in steps[0][2]


def test_a_request_during_loading_says_so_and_waits(page_weights, photo_file, monkeypatch):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(page_weights))
    told, statuses = Event(), []
    load = Models._load
    # However fast models load here, they are not there before the page has said that it waits for them.
    monkeypatch.setattr(Models, "_load", lambda page, name: load(page, name) if told.wait(60) else None)
    models = Models()
    models.start()
    for _, _, status in segment_photo(models, str(photo_file), "split1", 0.0):
        statuses.append(status)
        if "are ready" in status:
            told.set()
    assert any("of 4 are ready" in status for status in statuses[:-1])
    assert "FullyOracle on 120 × 80" in statuses[-1]


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"not a photo", "not an image of a known format"), (b"", "empty file")]
)
def test_a_broken_file_is_one_sentence(models, tmp_path, content, sentence):
    path = tmp_path / "<b>.png"
    path.write_bytes(content)
    steps = segment_photo(models, str(path), "split1", 0.0)
    views, table, _ = next(steps)
    assert sentence in views and table == ""
    with pytest.raises(gr.Error) as raised:
        next(steps)
    # Gradio shows messages as HTML, and nobody needs to know the server's folders.
    assert sentence in raised.value.message and raised.value.message.startswith("&lt;b&gt;.png")


def test_a_model_that_cannot_be_loaded_leaves_the_others(page_weights, tmp_path, monkeypatch, photo_file):
    (tmp_path / "split1.safetensors").write_bytes((page_weights / "split1.safetensors").read_bytes())
    (tmp_path / "cam.safetensors").write_bytes(b"damaged")
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    models = Models()
    models.start()
    views, table, status = run(models, photo_file)
    assert view_keys(views) == ["photo", "roles", "simformer"]
    assert set(overlays(views)) == {"roles", "simformer"}
    assert status.startswith("SimFormer, split 1 on") and "Agrees" not in table
    assert "cam.safetensors cannot be read" in missing_sentence(models)


@pytest.mark.parametrize("split", ["split9", "roles-bx", "roles-bb", "roles-"])
def test_a_model_that_is_none_is_one_sentence(models, photo_file, split):
    with pytest.raises(gr.Error, match=f"there is no model .*{split}.* here"):
        run(models, photo_file, split)


def test_only_the_oracle(page_weights, tmp_path, monkeypatch, photo_file):
    (tmp_path / "oracle.safetensors").write_bytes((page_weights / "oracle.safetensors").read_bytes())
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    models = Models()
    models.start()
    views, table, _ = run(models, photo_file, split=None)
    assert view_keys(views) == ["photo", "oracle"]
    assert "What FullyOracle found" in table


def test_without_weights_the_page_says_how_to_get_them(tmp_path, monkeypatch, photo_file):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    models = Models()
    models.start()
    assert "python -m train train/configs/msrc21_cam.yaml" in missing_sentence(models)
    with pytest.raises(gr.Error, match="There are no weights in"):
        run(models, photo_file, split=None)
