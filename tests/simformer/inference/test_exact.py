from __future__ import annotations

import numpy as np
import pytest
import torch
from recorded import recorded_network

from simformer.bench.plain import PlainPredictor, plain_score_maps
from simformer.checkpoint import build_network
from simformer.errors import ConfigError
from simformer.inference import exact
from simformer.inference.engines import speed_up
from simformer.inference.resampling import labels_from_scores
from simformer.inference.shared_backbone import SharedBackbones
from simformer.model import ModelConfig, SimFormer, compose_score_maps
from simformer.predictor import Predictor
from simformer.weights import Inference


def logits(queries=12, classes=7, height=16, width=24, seed=0, sharpness=6.0):
    generator = torch.Generator().manual_seed(seed)
    class_logits = sharpness * torch.randn(queries, classes + 1, generator=generator)
    return class_logits, sharpness * torch.randn(queries, height, width, generator=generator)


def whole(class_logits, mask_logits, input_size, size):
    """K x height x width from the tiles, which must cover the photo row by row."""
    tiles = list(exact.score_tiles(class_logits, mask_logits, input_size, size))
    assert [row for (rows, _), _ in tiles for row in range(rows.start, rows.stop)] == list(range(size[0]))
    return torch.cat([scores for _, scores in tiles], 1)


# (height, width) of the input, whose padded size is 64 x 96, and of the photo
SIZES = [
    ((64, 96), (64, 96)),
    ((60, 92), (60, 92)),
    ((60, 92), (61, 97)),
    ((64, 96), (1, 200)),
    ((64, 96), (200, 1)),
    ((4, 96), (1, 333)),
    ((60, 4), (777, 3)),
    ((60, 92), (13, 17)),
    ((36, 52), (500, 700)),
]


@pytest.mark.parametrize("tile_values", [500, exact.TILE_VALUES])
@pytest.mark.parametrize(("input_size", "size"), SIZES)
def test_tiles_are_the_plain_score_maps(monkeypatch, input_size, size, tile_values):
    monkeypatch.setattr(exact, "TILE_VALUES", tile_values)
    class_logits, mask_logits = logits()
    expected = plain_score_maps(class_logits[None], mask_logits[None], input_size, size)[0]
    found = whole(class_logits, mask_logits, input_size, size)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    labels = exact.exact_labels(class_logits, mask_logits, input_size, size)
    assert labels.dtype == np.uint8
    assert (labels == expected.argmax(0).numpy()).mean() >= 0.999


def test_pixels_below_the_threshold_are_unsure():
    class_logits, mask_logits = logits()
    best = plain_score_maps(class_logits[None], mask_logits[None], (64, 96), (64, 96))[0].amax(0).numpy()
    middle = float(np.median(best))
    labels = exact.exact_labels(class_logits, mask_logits, (64, 96), (64, 96), middle)
    clear = abs(best - middle) > 1e-5
    assert np.array_equal((labels == 255)[clear], (best < middle)[clear])


def test_stride_4_differs_where_a_mask_is_steep():
    """Logits 9 and -9 in neighbouring cells, against a constant rival of 0.05 (logit -2.944)."""
    class_logits = torch.tensor([[40.0, 0, 0], [0, 40.0, 0]])
    mask_logits = torch.tensor([[[9.0, -9.0]], [[-2.944, -2.944]]])
    # Columns 2 to 5 lie 1/8, 3/8, 5/8, 7/8 of the way: logits 6.75, 2.25, -2.25 (sigmoid 0.095) and -6.75 (0.001).
    labels = exact.exact_labels(class_logits, mask_logits, (4, 8), (4, 8))
    assert labels.tolist() == [[0, 0, 0, 0, 0, 1, 1, 1]] * 4
    # Sigmoids of nearly 1 and 0, upsampled: 0.875, 0.625, 0.375, 0.125.
    later = labels_from_scores(compose_score_maps(class_logits[None], mask_logits[None])[0], (4, 8))
    assert later.tolist() == [[0, 0, 0, 0, 0, 0, 1, 1]] * 4


# --- queries that cannot matter ------------------------------------------------------------------------------


def test_queries_that_matter_by_hand():
    masks = torch.full((4, 2, 2), -30.0)  # sigmoid 9e-14
    masks[1, 0, 1] = 0.0  # one pixel is enough
    masks[3] = 30.0
    class_scores = torch.tensor([[0.9, 0.5, 0.1, 1e-8], [0.1, 0.2, 0.9, 2e-8]])
    assert exact.queries_that_matter(class_scores, masks).tolist() == [1]
    class_scores[1, 3] = 1e-5
    assert exact.queries_that_matter(class_scores, masks).tolist() == [1, 3]


def test_many_small_queries_count_together():
    """Each of 100 queries adds 1e-7 to one class at every pixel: at most ten of them are left out."""
    class_scores, masks = torch.full((1, 100), 1e-7), torch.full((100, 1, 1), 30.0)
    assert 90 <= len(exact.queries_that_matter(class_scores, masks)) <= 91
    scores = exact.input_scores(class_scores, masks, slice(0, 4), 4)
    assert float(scores.min()) >= 1e-5 - exact.NEGLIGIBLE * 1.001


@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_out_stays_below_the_bound(seed):
    class_logits, mask_logits = logits(queries=40, seed=seed)
    mask_logits[::2] -= 35 + torch.randn(20, 1, 1, generator=torch.Generator().manual_seed(seed)) * 6
    class_scores = class_logits.softmax(-1)[:, :-1].t()
    kept = exact.queries_that_matter(class_scores, mask_logits)
    assert len(kept) < 40
    full = plain_score_maps(class_logits[None].double(), mask_logits[None].double(), (64, 96), (64, 96))[0]
    part = plain_score_maps(class_logits[None, kept].double(), mask_logits[None, kept].double(), (64, 96), (64, 96))[0]
    assert 0 <= float((full - part).min())
    assert float((full - part).max()) <= exact.NEGLIGIBLE


# --- the network -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("pooled", [False, True])
@torch.inference_mode()
def test_one_convolution_gives_the_mask_logits(separable, pooled):
    torch.manual_seed(1)
    config = ModelConfig(
        num_classes=5, backbone="test_efficientnet", output_stride=32, head_features=False, separable=separable,
        pooled_class_logits=pooled, width=32, queries=6, decoder_layers=2, heads=4, feed_forward=32,
    )  # fmt: skip
    network = SimFormer(config, pretrained=False).eval()
    images = 255 * torch.rand(1, 3, 52, 84)
    expected = network(images)
    class_logits, mask_logits = exact.last_predictions(network, images)
    torch.testing.assert_close(class_logits, expected.class_logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(mask_logits, expected.mask_logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(64, 96), (48, 80), (1, 1), (1, 300), (211, 3), (301, 333)])
def test_exact_predictor_labels_as_the_plain_one(make_card, size):
    torch.manual_seed(3)
    card = make_card()
    network = build_network(card).eval()
    with torch.no_grad():  # masks and classes that differ from place to place
        network.class_head.weight *= 20
        network.mask_head[-1].weight *= 20
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    plain = PlainPredictor(network, card).segment(photo)
    speed_up(network, SharedBackbones())
    result = Predictor(network, card, "exact", inference=Inference(exact=True)).segment(photo)
    assert result.labels.shape == size
    assert (result.labels == plain).mean() >= 0.999
    assert result.score_maps.shape[0] == 3


@torch.inference_mode()
def test_the_papers_network():
    network = recorded_network()
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    images = torch.stack([rows * 2, columns, (rows * columns) % 256])[None]
    output = network(images)
    expected = plain_score_maps(8 * output.class_logits, output.mask_logits, (96, 128), (96, 128))[0]
    speed_up(network, SharedBackbones())
    class_logits, mask_logits = exact.last_predictions(network, images)
    found = whole(8 * class_logits[0], mask_logits[0], (96, 128), (96, 128))
    assert float((found - expected).norm() / expected.norm()) <= 1e-4
    assert (found.argmax(0) == expected.argmax(0)).float().mean() >= 0.999


def test_exact_is_not_for_cam(tiny_models):
    with pytest.raises(ConfigError, match="cam is a CAM network"):
        Predictor.load(tiny_models / "cam.safetensors", "cpu", exact=True)


def test_where_no_query_matters_scores_are_zero():
    labels = exact.exact_labels(torch.zeros(3, 5), torch.full((3, 4, 6), -40.0), (16, 24), (16, 24))
    assert (labels == 0).all()
    unsure = exact.exact_labels(torch.zeros(3, 5), torch.full((3, 4, 6), -40.0), (16, 24), (20, 30), threshold=0.1)
    assert unsure.shape == (20, 30) and (unsure == 255).all()
