from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from simformer.checkpoint import load_checkpoint, save_checkpoint
from simformer.errors import CheckpointError, ImageError
from simformer.paths import ROOT
from simformer.predictor import Predictor
from simformer.ui.parts.models import Models, title
from simformer.ui.parts.photos import Photo, show
from simformer.ui.segment.tab import missing_sentence


def test_models_are_found_by_name(models):
    assert set(models.names) == {"split1", "split2", "cam", "oracle"}
    assert models.simformers == ("split1", "split2")
    assert models.missing == ()


def test_what_is_missing_is_named(tmp_path, monkeypatch, make_card):
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    assert Models().missing == ("s1", "cam", "oracle")
    save_checkpoint(tmp_path / "split3.safetensors", {}, make_card())
    assert Models().missing == ("cam", "oracle")


def test_titles():
    assert [title(name) for name in ("split12", "s2", "cam", "oracle", "mine", "splitter", "s", "s1_mine")] == [
        "SimFormer, split 12", "SimFormer, split 2", "CAM", "FullyOracle", "mine", "splitter", "s", "s1_mine",
    ]  # fmt: skip
    assert [title(name) for name in ("s1_plus", "r07-c870_plus", "retab_s1", "mine_s1", "retab_s1_plus")] == [
        "SimFormer+, split 1", "SimFormer+, role set r07-c870", "RETAB, split 1", "mine_s1", "retab_s1_plus",
    ]  # fmt: skip


def test_one_simformer_a_role_set(tmp_path, monkeypatch, make_card):
    """Another method's model of the same roles is asked by its name, and nothing is composed of it."""
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    trainings = {
        "s1": {"pairing": "cross"}, "s1_wsss_rib": {"pseudo": "rib"}, "s2_basic": {"pairing": "none"}, "oracle": {},
    }  # fmt: skip
    for name, training in trainings.items():
        novel = {"s1": 0, "s2": 1}.get(name[:2])
        roles = tuple("novel" if index == novel else "base" for index in range(3))
        save_checkpoint(tmp_path / f"{name}.safetensors", {}, make_card(roles=roles, training=training))
    models = Models()
    assert models.simformers == ("s1", "s2_basic") and set(models.names) == set(trainings)
    assert models._parts == ("oracle", "s1", "s2_basic")
    assert [title(name) for name in trainings] == [
        "SimFormer, split 1", "WSSS (RIB), split 1", "Basic Model, split 2", "FullyOracle",
    ]  # fmt: skip


@pytest.fixture
def two_datasets(page_weights, tmp_path, monkeypatch):
    """The models of `page_weights` as MSRC-21's, and one of other classes as NYUv2's."""
    (tmp_path / "msrc21").mkdir()
    (tmp_path / "nyuv2").mkdir()
    for path in page_weights.glob("*.safetensors"):
        (tmp_path / "msrc21" / path.name.replace("split", "s")).write_bytes(path.read_bytes())
    tensors, card = load_checkpoint(page_weights / "split1.safetensors")
    renamed = card.model_copy(update={"classes": ("wall", "floor", "cat")})
    save_checkpoint(tmp_path / "nyuv2" / "s1.safetensors", tensors, renamed)
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    return tmp_path


def test_a_page_shows_one_data_sets_models(two_datasets, photo_file):
    msrc21, nyuv2 = Models(), Models(folder="nyuv2")
    assert msrc21.names == ("cam", "oracle", "s1", "s2") and msrc21.classes == ("sky", "grass", "cat")
    assert nyuv2.names == ("s1",) and nyuv2.classes == ("wall", "floor", "cat") and not nyuv2.left_out
    assert Models(classes=("wall", "floor", "cat")).folder == "nyuv2"
    photo = Photo(photo_file)
    assert nyuv2.segment("s1", photo).classes == ("wall", "floor", "cat")
    assert msrc21.find("split2") == "s2" and msrc21.predictor("split2") is msrc21.predictor("s2")
    assert msrc21.segment("split2", photo).classes == ("sky", "grass", "cat") and msrc21.knows("s2", photo)
    assert "train/configs/nyuv2_cam.yaml" in missing_sentence(nyuv2)
    with pytest.raises(CheckpointError, match="no models of ade20k"):
        Models(folder="ade20k")


def test_score_maps_are_those_of_the_door(models, tmp_path):
    """Photos are shrunk before the network sees them; that must not change what it sees."""
    path = tmp_path / "large.png"
    pixels = np.random.default_rng(1).integers(0, 255, (900, 1300, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    for name in ("split1", "cam"):
        ours = models.segment(name, Photo(path))
        door = Predictor.load(name).segment(path)
        np.testing.assert_array_equal(ours.score_maps, door.score_maps)
        assert ours.labels.shape == (554, 800)


def test_an_answer_is_remembered_and_leaving_out_starts_from_it(models, photo_file, monkeypatch):
    photo = Photo(photo_file)
    assert not models.knows("split1", photo)
    first = models.segment("split1", photo)
    assert models.knows("split1", photo)

    def run_again(*_):
        raise AssertionError("the network ran again")

    monkeypatch.setattr(models, "_predict", run_again)
    assert models.segment("split1", Photo(photo_file), 75).unsure == pytest.approx(0.75, abs=0.05)
    np.testing.assert_array_equal(models.segment("split1", photo).labels, first.labels)


def test_a_photo_that_changes_is_not_taken_for_the_old_one(models, photo_file):
    before = Photo(photo_file).key
    Image.new("RGB", (30, 40)).save(photo_file)
    assert Photo(photo_file).key != before


def test_a_photo_that_is_shown_again_is_still_the_same(models, photo_file, tmp_path):
    before = Photo(photo_file).key
    os.utime(photo_file, (0, 0))
    copy = tmp_path / "copy.png"
    copy.write_bytes(photo_file.read_bytes())
    assert Photo(photo_file).key == Photo(copy).key == before


def test_a_broken_weights_file_harms_no_other_model(page_weights, tmp_path, monkeypatch, photo_file):
    (tmp_path / "oracle.safetensors").write_bytes(b"no tensors")
    (tmp_path / "split1.safetensors").write_bytes((page_weights / "split1.safetensors").read_bytes())
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    models = Models()
    models.start()
    with pytest.raises(CheckpointError, match=r"oracle\.safetensors"):
        models.segment("oracle", Photo(photo_file))
    assert models.segment("split1", Photo(photo_file)).labels.shape == (80, 120)


def test_a_damaged_file_is_named_and_never_the_default(page_weights, tmp_path, monkeypatch):
    (tmp_path / "split1.safetensors").write_bytes(b"no tensors")
    (tmp_path / "split2.safetensors").write_bytes((page_weights / "split2.safetensors").read_bytes())
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    models = Models()
    assert models.simformers == ("split2",) and "split1.safetensors" in models.damaged["split1"]
    sentence = missing_sentence(models)
    assert "SimFormer, split 1 is not shown: " in sentence and "FullyOracle (train it" in sentence


def test_models_of_other_classes_do_not_stand_beside_the_others(page_weights, tmp_path, monkeypatch):
    for path in page_weights.glob("*.safetensors"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors, card = load_checkpoint(tmp_path / "split1.safetensors")
    renamed = card.model_copy(update={"classes": tuple(f"my {name}" for name in card.classes)})
    save_checkpoint(tmp_path / "mine.safetensors", tensors, renamed)
    monkeypatch.setenv("SIMFORMER_WEIGHTS", str(tmp_path))
    models = Models()
    assert models.left_out == ("mine",) and models.simformers == ("split1", "split2")
    assert models.classes == card.classes
    assert missing_sentence(models).endswith("so not shown: mine.")


def test_an_unknown_model_is_named(models):
    with pytest.raises(CheckpointError, match="split9"):
        models.predictor("split9")


def test_a_photo_that_is_gone_or_too_large_is_said_without_folders(tmp_path, photo_file):
    with pytest.raises(ImageError, match=r"^gone\.png is no longer") as raised:
        Photo(tmp_path / "gone.png")
    assert str(tmp_path) not in str(raised.value)
    with pytest.raises(ImageError, match=r"^holiday\.png is too large: 120 x 80") as raised:
        _ = Photo(photo_file, max_pixels=100).image
    assert str(tmp_path) not in str(raised.value)


def test_the_picture_shown_is_bounded_and_keeps_its_shape():
    shown = show(Image.new("RGB", (4000, 1000)))
    assert shown.size == (200, 800)
    assert shown.full_size == (1000, 4000)
    assert shown.uri.startswith("data:image/jpeg;base64,")
    assert show(Image.new("RGB", (900, 1))).size == (1, 800)


@pytest.mark.slow
def test_the_page_is_built_without_torch(page_weights):
    """The first page must be up before torch is: importing it takes longer than everything else."""
    code = (
        "import sys; import simformer.ui.page as page; from simformer.ui.parts.models import Models\n"
        "models = Models(); models.start = lambda: None\n"
        "page.build_page(models); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "SIMFORMER_WEIGHTS": str(page_weights)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
