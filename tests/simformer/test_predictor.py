from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simformer.errors import CheckpointError, ConfigError, ImageError
from simformer.predictor import Predictor, input_size, keep_present


def photo(height=48, width=80, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module", params=["split1", "cam"])
def predictor(request, tiny_models):
    return Predictor.load(tiny_models / f"{request.param}.safetensors", "cpu")


def test_input_size_by_hand():
    assert input_size((320, 240), 224) == (300, 224)  # 298.67 -> 300, a multiple of 4
    assert input_size((240, 320), 224) == (224, 300)
    assert input_size((10, 10), 64) == (64, 64)
    assert input_size((4000, 100), 64) == (192, 4)  # long side 3 x 64; the short one would be 4.8
    assert input_size((1, 5000), 64) == (4, 192)


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.sampled_from([64, 224, 640]))
def test_input_size_is_bounded(width, height, short_side):
    sides = input_size((width, height), short_side)
    assert all(side % 4 == 0 and 4 <= side <= 3 * short_side for side in sides)
    if max(width, height) <= 3 * min(width, height):
        assert min(sides) == short_side


def test_segmentation_fits_the_photo(predictor):
    result = predictor.segment(photo(48, 80))
    assert result.size == (48, 80)
    assert result.labels.dtype == np.uint8
    assert result.score_maps.shape == (3, 16, 27)  # 64 x 108 at stride 4
    assert result.score_maps.dtype == np.float32
    assert result.score_maps.min() >= 0
    assert result.classes == ("sky", "grass", "cat") == predictor.classes
    # Whatever its card says of the classes, CAM learnt all of them from image-level labels.
    expected = ("novel",) * 3 if result.model == "cam" else ("base", "base", "novel")
    assert result.roles == expected == predictor.roles
    assert result.model in ("split1", "cam")
    assert result.labels.max() < 3
    assert sum(row.area for row in result.table()) == pytest.approx(1)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 200), (7, 5)])
def test_tiny_and_thin_photos(predictor, size):
    assert predictor.segment(photo(*size)).labels.shape == size


def test_everything_load_image_takes_gives_the_same(predictor, tmp_path):
    array = photo()
    Image.fromarray(array).save(tmp_path / "x.png")
    expected = predictor.segment(array).labels
    for source in (Image.fromarray(array), tmp_path / "x.png", (tmp_path / "x.png").read_bytes()):
        assert np.array_equal(predictor.segment(source).labels, expected)
    with pytest.raises(ImageError, match="missing"):
        predictor.segment(tmp_path / "missing.jpg")


def test_exif_rotation_decides_the_size(predictor, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo(40, 60)).save(tmp_path / "x.jpg", exif=exif)
    assert predictor.segment(tmp_path / "x.jpg").size == (60, 40)


def test_threshold(predictor):
    whole = predictor.segment(photo())
    strict = predictor.segment(photo(), threshold=float(np.median(whole.score_maps.max(0))))
    assert 0 < strict.unsure < 1
    sure = strict.labels != 255
    assert np.array_equal(strict.labels[sure], whole.labels[sure])


def test_score_maps_are_the_networks(tiny_models):
    predictor = Predictor.load(tiny_models / "split1.safetensors", "cpu")
    array = photo(64, 72)  # test-time size already: nothing is resized, but the network pads 72 to 96
    pixels = torch.from_numpy(array).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        expected = predictor.network.score_maps(pixels)[0]
    torch.testing.assert_close(torch.from_numpy(predictor.segment(array).score_maps), expected)


def test_queries_explain_the_score_maps(tiny_models):
    result = Predictor.load(tiny_models / "split1.safetensors", "cpu").segment(photo())
    queries = result.queries
    assert queries.class_scores.shape == (6, 3)
    assert queries.masks.shape == (6, 16, 27)
    product = np.einsum("nk,nhw->khw", queries.class_scores, queries.masks)
    np.testing.assert_allclose(result.score_maps, product, atol=1e-5)


def test_cam_has_no_queries_and_obeys_its_presence_threshold(tiny_models):
    def present(threshold):
        predictor = Predictor.load(tiny_models / "cam.safetensors", "cpu", present_threshold=threshold)
        result = predictor.segment(photo())
        assert result.queries is None
        return [bool(channel.any()) for channel in result.score_maps], set(np.unique(result.labels))

    assert present(0.0)[0] == [True, True, True]
    maps, labels = present(1.0)  # no class is that sure: the most probable one is kept
    assert sum(maps) == 1
    assert labels == {maps.index(True)}


def test_keep_present_by_hand():
    maps = torch.tensor([[[1.0, 0.0]], [[0.5, 0.0]], [[0.9, 1.0]]])
    kept = keep_present(maps, torch.tensor([0.6, 0.7, 0.2]), 0.5)
    assert kept[2].tolist() == [[0.0, 0.0]]
    assert kept[0, 0, 0] == 1.0
    assert kept[1, 0, 0] == 0.5
    # Nothing is active at the second pixel: the most probable present class takes it, not class 0 or 2.
    assert kept[:, 0, 1].argmax() == 1
    assert 0 < kept[:, 0, 1].max() < 1e-5
    only = keep_present(maps, torch.tensor([0.1, 0.3, 0.2]), 0.5)
    assert only.argmax(0).tolist() == [[1, 1]]


def test_keep_present_takes_a_class_at_the_threshold_and_never_an_absent_one():
    maps = torch.zeros(3, 1, 1)
    assert keep_present(maps, torch.tensor([0.0, 0.0, 0.5]), 0.5).argmax() == 2
    assert keep_present(maps, torch.tensor([0.0, 0.0, 0.0]), 0.5).max() > 0


def test_cam_views_are_options_and_the_card_has_the_first_word(tiny_models, tmp_path, make_card):
    from simformer.checkpoint import load_checkpoint, save_checkpoint

    state_dict, card = load_checkpoint(tiny_models / "cam.safetensors")
    careful = card.model_copy(update={"inference": card.inference.model_copy(update={"scales": (1.0, 2.0)})})
    path = tmp_path / "careful.safetensors"
    save_checkpoint(path, state_dict, careful)
    assert Predictor.load(path, "cpu").inference.scales == (1.0, 2.0)
    fast = Predictor.load(path, "cpu", scales=(1.0,))
    assert (fast.inference.scales, fast.inference.flip) == ((1.0,), False)
    flipped = Predictor.load(path, "cpu", flip=True)
    array = photo()
    maps = [each.segment(array).score_maps for each in (Predictor.load(path, "cpu"), fast, flipped)]
    assert not np.allclose(maps[0], maps[1], atol=1e-3)
    assert not np.allclose(maps[0], maps[2], atol=1e-3)
    for scales in ((), (0.0,), (float("nan"),), (1.0, 100.0)):
        with pytest.raises(ConfigError, match="scales"):
            Predictor.load(path, "cpu", scales=scales)


def test_flipping_a_photo_flips_a_flip_averaged_cam(tiny_models):
    predictor = Predictor.load(tiny_models / "cam.safetensors", "cpu", flip=True, present_threshold=0)
    array = photo(64, 64)
    plain, mirrored = (predictor.segment(each).score_maps for each in (array, array[:, ::-1]))
    np.testing.assert_allclose(plain, mirrored[:, :, ::-1], atol=1e-4)


def maps(folder, array, **views):
    predictor = Predictor.load(folder / "split1.safetensors", "cpu", **views)
    result = predictor.segment(array)
    assert (result.queries is None) == bool(views)
    return result.score_maps


def test_the_views_of_a_symmetric_photo_are_one(tiny_models):
    half = photo(64, 48)
    symmetric = np.concatenate((half, half[:, ::-1]), 1)
    once, both = maps(tiny_models, symmetric), maps(tiny_models, symmetric, flip=True)
    np.testing.assert_allclose(both, (once + once[:, :, ::-1]) / 2, atol=1e-5)
    np.testing.assert_allclose(both, both[:, :, ::-1], atol=1e-5)


def test_score_maps_are_the_mean_over_the_views(tiny_models):
    array = photo(64, 72)  # padded to 64 x 96 on the right, mirrored or not
    once, mirrored = maps(tiny_models, array), maps(tiny_models, array[:, ::-1])[:, :, ::-1]
    np.testing.assert_allclose(maps(tiny_models, array, flip=True), (once + mirrored) / 2, atol=1e-5)
    # At twice the size the maps are 32 x 36; bilinear interpolation to 16 x 18 is the mean of four.
    predictor = Predictor.load(tiny_models / "split1.safetensors", "cpu")
    large = np.array(Image.fromarray(array).resize((144, 128), Image.Resampling.BILINEAR))
    with torch.inference_mode():
        twice = predictor.network.score_maps(torch.from_numpy(large).permute(2, 0, 1)[None].float())[0].numpy()
    twice = twice.reshape(3, 16, 2, 18, 2).mean((2, 4))
    np.testing.assert_allclose(maps(tiny_models, array, scales=(2.0,)), twice, atol=1e-5)
    found = maps(tiny_models, array, scales=(1.0, 2.0))
    np.testing.assert_allclose(found, (once + twice) / 2, atol=1e-5)


def test_load_by_name(shipped):
    assert Predictor.load("cam", "cpu").card.kind == "cam"
    with pytest.raises(CheckpointError, match="split7"):
        Predictor.load("split7", "cpu")


@pytest.mark.slow
def test_importing_the_door_needs_no_page_and_no_training(run_python):
    loaded = run_python("import sys, simformer.predictor; print(*sys.modules)").split()
    assert not {"gradio", "plotly", "train"} & set(loaded)


@pytest.mark.parametrize("options", [{}, {"scales": (0.5, 1.0), "flip": True}, {"exact": True}])
@pytest.mark.parametrize("model", ["split1", "cam"])
def test_a_batch_gives_what_photos_alone_give(tiny_models, model, options):
    if model == "cam" and "exact" in options:
        pytest.skip("CAM has no exact inference")
    predictor = Predictor.load(tiny_models / f"{model}.safetensors", "cpu", **options)
    # Of one size for the network, not on disk.
    photos = [photo(48, 80, 0), photo(96, 160, 1), photo(48, 80, 2)]
    together = predictor.segment_batch([predictor.prepare(array) for array in photos])
    for array, result in zip(photos, together, strict=True):
        alone = predictor.segment(array)
        np.testing.assert_allclose(result.score_maps, alone.score_maps, atol=1e-5)
        assert result.size == array.shape[:2]
        assert np.mean(result.labels == alone.labels) > 0.999
        assert (result.queries is None) == (alone.queries is None)
        if alone.queries is not None:
            np.testing.assert_allclose(result.queries.masks, alone.queries.masks, atol=1e-5)
