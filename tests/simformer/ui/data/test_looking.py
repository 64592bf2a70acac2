from __future__ import annotations

import base64
import io
import re
from functools import partial

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from simformer.batch.gallery import to_score
from simformer.errors import CheckpointError, DatasetError
from simformer.evaluation import evaluate as score
from simformer.predictor import Predictor
from simformer.ui.data import photos as own_photos
from simformer.ui.data.looking import (
    ANY_CLASS,
    PAGE_SIZE,
    build,
    evaluate,
    first_overview,
    gallery,
    open_photo,
    overview,
    step,
)
from simformer.ui.data.photos import OwnData
from simformer.ui.parts.models import Models


def overlays(html):
    """View -> data URI of its overlay."""
    figures = re.findall(r'<figure data-view="(\w+)"(.*?)</figure>', html, re.DOTALL)
    return {key: found[1] for key, inside in figures if (found := re.search(r'<img src="([^"]+)"', inside))}


def picture(uri):
    """The label map, or colors, of a data URI."""
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


def names(html):
    """Names on the cards, in their order."""
    return re.findall(r"<strong>(scene_\d+)</strong>", html)


def test_which_photos(root):
    assert (len(OwnData(root).dataset), OwnData(root).list_file) == (3, "val.txt")
    assert len(OwnData(root, "train.txt").dataset) == 5
    (root / "val.txt").unlink()
    assert (len(OwnData(root).dataset), OwnData(root).list_file) == (8, None)
    with pytest.raises(DatasetError, match="there is no data set folder"):
        OwnData(root / "none")


def test_evaluation_photo_by_photo_equals_the_evaluate_command(own, models, monkeypatch):
    monkeypatch.setattr("simformer.ui.data.looking.PROGRESS_SECONDS", 0)
    steps = [status for status, _ in evaluate(own, models, "split1") if isinstance(status, str)]
    told = [int(found[1]) for text in steps if (found := re.search(r"(\d) of 5 photos evaluated", text))]
    assert told == [1, 2, 3, 4, 5, 5]
    assert "left" in steps[-3] and "left" not in steps[-1]
    predictor = Predictor.load("split1")
    expected, _ = score(lambda image: predictor.segment(image.permute(1, 2, 0).numpy()).labels, own.dataset, (2,))
    assert own.evaluation("split1").scores((2,)) == expected
    assert f"<dt>mIoU, all</dt><dd>{expected.miou:.1f} %</dd>" in steps[-1]
    assert f"<dt>novel</dt><dd>{expected.novel:.1f} %</dd>" in steps[-1]


def test_a_stopped_evaluation_keeps_what_it_has_and_goes_on(own, models, monkeypatch):
    monkeypatch.setattr("simformer.ui.data.looking.PROGRESS_SECONDS", 0)
    models.predictor("split1")
    run = evaluate(own, models, "split1")
    next(run)
    next(run)
    run.close()
    assert len(to_score(own.dataset, own.evaluation("split1"))) == 3
    status, table = overview(own, models, "split1")
    assert "2 of 5 photos evaluated" in status
    assert "over 2 photos" in table
    assert len(list(evaluate(own, models, "split1"))) == 4
    assert own.evaluation("split1").scores().images == 5


def test_models_are_scored_apart(own, models):
    list(evaluate(own, models, "split1"))
    assert "0 of 5 photos" in overview(own, models, "split2")[0]
    html, _ = gallery(own, "split2", "worst", ANY_CLASS)
    assert html.count("<span>not evaluated yet</span>") == 5


def test_the_table_has_the_roles_of_the_model(own, models):
    list(evaluate(own, models, "split2"))
    table = overview(own, models, "split2")[1]
    assert re.findall(r'</span>(\w+) <span class="role (\w+)">', table) == [
        ("sky", "novel"), ("grass", "base"), ("cat", "base"),
    ]  # fmt: skip


def test_gallery_before_and_after_evaluation(own, models):
    html, slider = gallery(own, "split1", "worst", ANY_CLASS)
    assert names(html) == sorted(own.dataset.names)
    assert html.count("mini none") == 10 and not slider["visible"]
    list(evaluate(own, models, "split1"))
    html, _ = gallery(own, "split1", "worst", ANY_CLASS)
    photos = own.evaluation("split1").photos
    assert names(html) == sorted(own.dataset.names, key=lambda name: photos[own.dataset.names.index(name)].miou)
    assert "mini none" not in html
    assert names(gallery(own, "split1", "best", ANY_CLASS)[0]) == names(html)[::-1]


def test_filter_by_class(own, models):
    evaluation = own.evaluation("split1")
    truth = [own.dataset.label_map(index).numpy() for index in range(5)]
    html, _ = gallery(own, "split1", "name", "cat")
    assert names(html) == [name for name, labels in zip(own.dataset.names, truth, strict=True) if (labels == 2).any()]
    for index, labels in enumerate(truth):
        evaluation.add(index, np.where(labels == 2, 0, labels), labels)
        own._keep("split1", index, labels)
    html, _ = gallery(own, "split1", "worst", "cat")
    assert "cat 0.0 % · mIoU" in html
    for path in (own.dataset.root / "labels").iterdir():
        Image.fromarray(np.zeros((48, 64), np.uint8)).save(path)
    html, slider = gallery(OwnData(own.dataset.root), "split1", "name", "cat")
    assert "No photo shows cat" in html
    assert not slider["visible"]


def test_pages(own, models, monkeypatch):
    assert PAGE_SIZE >= 6
    monkeypatch.setattr("simformer.ui.data.looking.PAGE_SIZE", 2)
    every = names(gallery(own, None, "name", ANY_CLASS)[0])
    for page in (2, 3):
        html, slider = gallery(own, None, "name", ANY_CLASS, page=page)
        every += names(html)
        assert (slider["value"], slider["maximum"], slider["visible"]) == (page, 3, True)
    assert every == own.dataset.names
    assert gallery(own, None, "name", ANY_CLASS, page=99)[1]["value"] == 3


def test_a_photo_opens_with_truth_at_once_and_is_scored(own, models):
    first, *_, last = open_photo(own, models, "split1", 1)
    assert list(overlays(first)) == ["truth"]
    assert np.array_equal(np.asarray(picture(overlays(first)["truth"])), own.dataset.label_map(1).numpy())
    assert re.findall(r'<figure data-view="(\w+)"', last) == ["photo", "difference", "truth", "prediction"]
    expected = Predictor.load("split1").segment(own.dataset.image(1).permute(1, 2, 0).numpy()).labels
    assert np.array_equal(np.asarray(picture(overlays(last)["prediction"])), expected)
    found = own.evaluation("split1").photos[1]
    assert f"mIoU {found.miou:.1f} %" in last
    assert "1 of 5 photos evaluated" in overview(own, models, "split1")[0]


def test_a_prediction_that_is_remembered_runs_no_network(own, models, monkeypatch):
    list(open_photo(own, models, "split1", 0))
    monkeypatch.setattr(Predictor, "segment", None)
    [only] = open_photo(own, models, "split1", 0)
    assert "prediction" in only


def test_forgotten_predictions_are_made_again(own, models, monkeypatch):
    monkeypatch.setattr(own_photos, "PREDICTION_BYTES", 0)
    forgetful = OwnData(own.dataset.root, "train.txt")
    list(evaluate(forgetful, models, "split1"))
    html, _ = gallery(forgetful, "split1", "worst", ANY_CLASS)
    assert html.count("mini none") == 10 and "mIoU" in html
    *_, last = open_photo(forgetful, models, "split1", 0)
    assert 'data-view="difference"' in last
    assert forgetful.evaluation("split1").scores().images == 5


def test_large_photos_are_kept_small(root, models):
    Image.new("RGB", (2000, 500)).save(root / "images" / "scene_00000.jpg")
    Image.fromarray(np.zeros((500, 2000), np.uint8)).save(root / "labels" / "scene_00000.png")
    own = OwnData(root, "train.txt")
    assert own.predict(models, "split1", 0).shape == (200, 800)
    *_, last = open_photo(own, models, "split1", 0)
    assert "2000 × 500 pixels" in last
    card = own.card("split1", 0)
    assert picture(card.photo).size == picture(card.truth).size == picture(card.difference).size == (320, 80)


def test_other_classes_are_one_sentence(root, models):
    (root / "classes.txt").write_text("sky\ngrass\ndog\n")
    own = OwnData(root, "train.txt")
    sentence = "SimFormer, split 1 cannot be compared with scenes, whose classes differ: class 2 is &#x27;dog&#x27;"
    assert sentence in list(first_overview(own, models, "split1"))[-1][0]
    with pytest.raises(gr.Error) as error:
        list(evaluate(own, models, "split1"))
    assert "SimFormer, split 1 cannot be compared with scenes" in error.value.message
    shown = open_photo(own, models, "split1", 0)
    assert 'data-view="truth"' in next(shown)
    with pytest.raises(gr.Error):
        list(shown)
    assert len(names(gallery(own, "split1", "worst", ANY_CLASS)[0])) == 5


def test_bad_photos_do_not_end_the_evaluation(root, models):
    (root / "images" / "scene_00001.jpg").write_bytes(b"broken")
    Image.new("L", (9, 9)).save(root / "labels" / "scene_00003.png")
    own = OwnData(root, "train.txt")
    status = list(evaluate(own, models, "split1"))[-1][0]
    assert "5 of 5 photos evaluated" in status
    assert "scene_00001.jpg is not an image" in status and "9 x 9 pixels" in status
    html, _ = gallery(own, "split1", "worst", ANY_CLASS)
    assert names(html)[-2:] == ["scene_00001", "scene_00003"]
    assert "9 x 9 pixels" in html
    with pytest.raises(gr.Error, match="scene_00001"):
        list(open_photo(own, models, "split1", 1))


def test_a_photo_with_image_level_labels_only(root, models):
    (root / "labels" / "scene_00000.png").unlink()
    (root / "image_labels.csv").write_text("photo,class\nscene_00000,cat\n")
    own = OwnData(root, "train.txt")
    assert own.labelled == 4
    *_, last = open_photo(own, models, "split1", 0)
    assert "This photo has no label map." in last and "no score" in last
    assert re.findall(r'<figure data-view="(\w+)"', last) == ["photo", "truth", "prediction"]
    assert "4 of 4" in list(evaluate(own, models, "split1"))[-1][0]
    assert "scene_00000" in names(gallery(own, "split1", "name", "cat")[0])


def test_without_a_model_the_truth_is_there(own, tmp_path, monkeypatch):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path / "nothing"))
    models = Models()
    assert "There are no weights in" in overview(own, models, None)[0]
    assert len(names(gallery(own, None, "worst", ANY_CLASS)[0])) == 5
    [only] = open_photo(own, models, None, 0)
    assert 'data-view="truth"' in only
    with pytest.raises(gr.Error, match="There are no weights"):
        next(evaluate(own, models, None))


def test_a_broken_model_is_one_sentence(own, tmp_path, monkeypatch):
    (tmp_path / "split1.safetensors").write_bytes(b"no tensors")
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    models = Models()
    models.start()
    assert "cannot be read as safetensors" in list(first_overview(own, models, "split1"))[-1][0]
    with pytest.raises(CheckpointError):
        own.predictor(models, "split1")


def test_names_are_escaped(root):
    (root / "classes.txt").write_text("sky\ngrass\n<b>\n")
    for folder, suffix in (("images", "jpg"), ("labels", "png")):
        (root / folder / f"scene_00000.{suffix}").rename(root / folder / f"<i>.{suffix}")
    (root / "mine.txt").write_text("<i>\n")
    own = OwnData(root, "mine.txt")
    html, _ = gallery(own, None, "name", ANY_CLASS)
    assert "&lt;i&gt;" in html and "<i>" not in html
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(root / "labels" / "<i>.png")
    assert "No photo shows &lt;b&gt;" in gallery(OwnData(root, "mine.txt"), None, "name", "<b>")[0]


def test_step_walks_the_gallery_s_order(own):
    walk = [step(own, None, "name", ANY_CLASS, None, None, by=1)]
    for _ in range(5):
        walk.append(step(own, None, "name", ANY_CLASS, None, walk[-1], by=1))
    assert walk == [0, 1, 2, 3, 4, 0]
    assert step(own, None, "name", ANY_CLASS, None, 0, by=-1) == 4


def test_another_model_stops_the_evaluation(lay_out, models, own):
    page = lay_out(lambda context: build(context, own), models)
    [evaluating] = [each for each in page.fns.values() if isinstance(each.fn, partial) and each.fn.func is evaluate]
    choosing = next(block for block in page.blocks.values() if block.elem_id == "own-model")
    cancelling = [function for function in page.fns.values() if evaluating._id in function.cancels]
    assert (choosing._id, "input") in [target for function in cancelling for target in function.targets]
