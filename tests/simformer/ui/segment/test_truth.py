from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from simformer.checkpoint import build_network, save_checkpoint
from simformer.datasets.examples import list_examples, load_example_truth
from simformer.labels import VOID
from simformer.splits import load_split
from simformer.ui.parts.models import Models
from simformer.ui.parts.photos import Photo
from simformer.ui.segment.examples import examples_of
from simformer.ui.segment.truth import outlined, score, truth_views
from simformer.ui.segment.views import segment_photo

PATHS = {example.name: example.path for example in list_examples()}


@pytest.fixture
def msrc(tmp_path, make_card, monkeypatch):
    """An untrained SimFormer of the classes of MSRC-21 behind the page."""
    split = load_split("msrc21", "s1")
    architecture = make_card().architecture | {"num_classes": len(split.classes)}
    card = make_card(architecture=architecture, classes=split.classes, roles=split.roles, dataset="msrc21")
    torch.manual_seed(0)
    (tmp_path / "weights").mkdir()
    save_checkpoint(tmp_path / "weights" / "split1.safetensors", build_network(card).state_dict(), card)
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path / "weights"))
    return Models()


def captions(html):
    return re.findall(r"<figcaption><strong>(.*?)</strong>(?:<b>(.*?)</b>)?", html)


def test_an_example_comes_with_truth_and_score(msrc):
    views, _, _ = list(segment_photo(msrc, str(PATHS["Temple"]), "split1", 0.0))[-1]
    assert [title for title, _ in captions(views)] == ["Photo", "Truth", "Base and novel", "SimFormer, split 1"]
    scores = [number for _, number in captions(views)]
    photo = Photo(PATHS["Temple"])
    assert scores == ["", "", "", score(msrc.segment("split1", photo), outlined(msrc, photo, "split1"))]
    assert re.fullmatch(r"mIoU \d+\.\d", scores[-1])
    assert f"{scores[-1]}. The arrow keys" in views


def test_until_models_answer_the_legend_is_that_of_the_truth(msrc):
    views, _, _ = next(segment_photo(msrc, str(PATHS["Temple"]), "split1", 0.0))
    chips = re.findall(r"</span>(\w+) <span class=\"role (\w+)\">", views)
    assert chips == [("sky", "base"), ("tree", "novel"), ("building", "base"), ("water", "base")]
    assert [title for title, _ in captions(views)][1] == "Truth"


def test_an_unsure_photo_scores_nothing(msrc):
    views, _, _ = list(segment_photo(msrc, str(PATHS["Temple"]), "split1", 100.0))[-1]
    assert captions(views)[-1] == ("SimFormer, split 1", "mIoU 0.0")


def test_the_truth_itself_scores_100(msrc):
    truth = outlined(msrc, Photo(PATHS["Photographer"]), "split1")
    assert np.array_equal(truth.labels, load_example_truth("Photographer", "msrc21"))
    assert score(truth, truth) == "mIoU 100.0"
    half = truth.labels.copy()
    half[: len(half) // 2] = VOID
    assert score(replace(truth, labels=half), truth) != "mIoU 100.0"
    [view] = truth_views(truth)
    assert view.text.startswith("grass 31 %, sky 28 %") and "not outlined" in view.text


def test_a_copy_has_the_truth_and_other_photos_have_none(msrc, tmp_path, photo_file):
    copy = tmp_path / "upload.png"
    shutil.copy(PATHS["Cat"], copy)
    assert outlined(msrc, Photo(copy), "split1") is not None
    for path in (photo_file, PATHS["Lion"], PATHS["Coffee"]):
        assert outlined(msrc, Photo(path), "split1") is None
    views, _, _ = list(segment_photo(msrc, str(PATHS["Lion"]), "split1", 0.0))[-1]
    assert "Truth" not in views and "mIoU" not in views


def test_photos_of_no_known_class_are_examples_where_something_is_said_of_them(msrc, models, monkeypatch):
    assert all("msrc21" in example.outlines for example in examples_of(msrc))
    monkeypatch.setattr(msrc, "familiarity", "was fitted")
    assert {example.name for example in examples_of(msrc)} == set(PATHS)
    # Where no photo shows a known class there are still some to try.
    assert {example.name for example in examples_of(models)} == set(PATHS)


def test_models_of_other_classes_have_no_truth(models):
    assert models.dataset == "custom"
    assert outlined(models, Photo(PATHS["Cat"]), "split1") is None
    assert Models(()).dataset == ""
    assert truth_views(None) == []
