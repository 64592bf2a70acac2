"""The network: shapes and padding, the decoder's queries, and how score maps are composed."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from simformer.model import (
    ModelConfig,
    PixelDecoder,
    SimFormer,
    TransformerDecoder,
    compose_score_maps,
    pool_under_masks,
    sine_position_encoding,
)

TINY = {"backbone": "test_efficientnet", "width": 64, "queries": 8, "decoder_layers": 2, "heads": 4, "feed_forward": 32}


def tiny(**changes) -> SimFormer:
    torch.manual_seed(0)
    return SimFormer(ModelConfig(**{"num_classes": 3, **TINY, **changes}), pretrained=False).eval()


@pytest.fixture(scope="module")
def network() -> SimFormer:
    return tiny()


def picture(height: int, width: int, count: int = 1) -> torch.Tensor:
    return 255 * torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(height * width))


# --- sizes ------------------------------------------------------------------------------------------------


def test_the_papers_sizes():
    config = ModelConfig.paper(171)
    assert (config.backbone, config.output_stride, config.width) == ("resnet50", 32, 256)
    assert (config.decoder_layers, config.queries, config.heads) == (6, 100, 8)
    assert (config.feed_forward, config.dropout, config.num_classes) == (2048, 0.1, 171)
    assert not (config.head_features or config.separable or config.pooled_class_logits)


def test_the_default_sizes():
    config = ModelConfig(num_classes=21)
    assert (config.backbone, config.width, config.decoder_layers, config.queries) == ("efficientnet_lite0", 128, 3, 50)


@pytest.mark.parametrize("bad", [{"widht": 64}, {"width": 100}, {"num_classes": 0}, {"heads": 7}, {"output_stride": 8}])
def test_impossible_sizes(bad):
    with pytest.raises(ValidationError):
        ModelConfig(**{"num_classes": 3, **bad})


@pytest.mark.parametrize("changes", [
    {},
    {"output_stride": 32, "head_features": False, "separable": False, "pooled_class_logits": False},
])  # fmt: skip
@torch.no_grad()
def test_output(changes):
    network = tiny(**changes, decoder_layers=3)
    output = network(picture(50, 70, 2))
    height, width = (16, 20) if network.config.output_stride == 16 else (16, 24)  # of the padded 64 x 80 or 64 x 96
    assert output.class_logits.shape == (2, 8, 4)
    assert output.mask_logits.shape == (2, 8, height, width)
    assert output.pixel_embeddings.shape == (2, 64, height, width)
    assert [(c.shape, m.shape) for c, m in output.auxiliary] == 2 * [
        (output.class_logits.shape, output.mask_logits.shape)
    ]
    assert torch.equal(network.pixel_embeddings(picture(50, 70, 2)), output.pixel_embeddings)


def test_configuration_decides_the_layers():
    full = PixelDecoder([8, 8, 8, 8], 32, separable=False)
    assert full.top[1].kernel_size == (3, 3) and full.top[1].groups == 1
    separable = PixelDecoder([8, 8, 8, 8], 32, separable=True)
    depthwise, pointwise = separable.outputs[0][0]
    assert depthwise.groups == 32 and pointwise.kernel_size == (1, 1)
    for decoder in (full, separable):
        convolutions = [m for m in decoder.modules() if isinstance(m, torch.nn.Conv2d)]
        assert [m.bias is not None for m in convolutions].count(True) == 1  # the embeddings' alone
    paper = tiny(head_features=False, pooled_class_logits=False)
    assert not hasattr(paper, "pooled_class_head")


# --- images -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (33, 65), (64, 64), (47, 3)])
@torch.no_grad()
def test_score_maps_of_any_size(network, size):
    maps = network.score_maps(picture(*size))
    assert maps.shape == (1, 3, math.ceil(size[0] / 4), math.ceil(size[1] / 4))
    assert maps.isfinite().all() and (maps >= 0).all()


@torch.no_grad()
def test_the_narrowest_network_on_one_pixel():
    assert tiny(width=32).score_maps(picture(1, 1)).isfinite().all()


@torch.no_grad()
def test_padding_is_the_mean_color_below_and_to_the_right(network):
    image = picture(33, 50)
    padded = network.mean.expand(1, 3, 48, 64).clone()
    padded[..., :33, :50] = image
    assert torch.allclose(network(image).mask_logits, network(padded).mask_logits, atol=1e-5)
    assert torch.allclose(network.score_maps(image), network.score_maps(padded)[..., :9, :13], atol=1e-5)


@torch.no_grad()
def test_images_of_a_batch_do_not_touch(network):
    both = torch.cat((picture(32, 48), picture(48, 32).transpose(2, 3)))
    alone = network(both[:1])
    together = network(both)
    assert torch.allclose(together.class_logits[:1], alone.class_logits, atol=1e-4)
    assert torch.allclose(together.mask_logits[:1], alone.mask_logits, atol=1e-4)
    assert not torch.allclose(together.mask_logits[0], together.mask_logits[1], atol=1e-2)


@torch.no_grad()
def test_normalization_is_inside(network):
    pyramid, last = network.backbone((picture(32, 32) - network.mean) / network.std)
    features = network.features(picture(32, 32))
    assert torch.equal(features[-1], last) and all(map(torch.equal, features[:-1], pyramid[:-1]))
    assert tuple(network.mean.flatten().tolist()) == pytest.approx(network.backbone.mean)


def test_the_network_is_saved_without_its_normalization(network):
    assert not {"mean", "std"} & network.state_dict().keys()  # the card holds them


# --- queries ----------------------------------------------------------------------------------------------


def spread(**changes) -> list[float]:
    """Mean distance between queries over their length, after every decoder layer, in evaluation mode."""
    torch.manual_seed(0)
    decoder = TransformerDecoder(64, ModelConfig(num_classes=3, **changes)).eval()
    with torch.no_grad():
        layers = decoder(torch.randn(1, 64, 8, 10))
    return [float(torch.pdist(queries[0]).mean() / queries[0].norm(dim=1).mean()) for queries in layers]


def test_queries_do_not_collapse():
    assert min(spread()) > 0.1
    assert max(spread(query_std=0.02)) < 0.02  # so the test would see a collapse


@torch.no_grad()
def test_every_layer_passes_the_shared_norm():
    network = tiny(decoder_layers=3, pooled_class_logits=False)
    network.transformer.norm.weight.zero_()
    network.transformer.norm.bias.normal_()
    expected = network.class_head(network.transformer.norm.bias)
    output = network(picture(32, 32))
    for class_logits, _ in [*output.auxiliary, (output.class_logits, output.mask_logits)]:
        assert torch.allclose(class_logits, expected.expand_as(class_logits), atol=1e-5)


@torch.no_grad()
def test_earlier_layers_do_not_see_the_norm():
    """The norm serves the predictions only: layers pass their queries on without it."""
    network = tiny(decoder_layers=2)
    before = network(picture(32, 32))
    network.transformer.norm.bias.add_(1)
    hidden = []
    network.transformer.layers[1].register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0]))
    network(picture(32, 32))
    network.transformer.norm.bias.sub_(1)
    network(picture(32, 32))
    assert torch.equal(*hidden)
    assert torch.equal(network(picture(32, 32)).class_logits, before.class_logits)


def test_dropout_is_for_training_only(network):
    image = picture(32, 32)
    assert torch.equal(network(image).class_logits, network(image).class_logits)
    network.train()
    assert not torch.equal(network(image).class_logits, network(image).class_logits)
    network.eval()


def test_position_encoding_by_hand():
    encoding = sine_position_encoding(torch.zeros(2, 8, 2, 3))
    assert encoding.shape == (1, 8, 2, 3) and encoding.dtype == torch.float32
    y, x = 1 / 2 * 2 * math.pi, 3 / 3 * 2 * math.pi  # the first row of two, the last column of three
    # Four channels of y, then four of x: two frequencies, 1 and 1 / 10000^(2/4) = 1 / 100, sine and cosine of each.
    expected = [f(place / scale) for place in (y, x) for scale in (1, 100) for f in (math.sin, math.cos)]
    assert encoding[0, :, 0, 2].tolist() == pytest.approx(expected, abs=1e-5)


# --- predictions ------------------------------------------------------------------------------------------


def test_score_maps_by_hand():
    # Class probabilities (1/4, 1/4, 1/2 no object) and (3/5, 1/5, 1/5); masks 1/2 and 3/4 in the first pixel.
    class_logits = torch.tensor([[[1.0, 1.0, 2.0], [3.0, 1.0, 1.0]]]).log()
    mask_logits = torch.tensor([[[[0.0, -50.0]], [[math.log(3), 50.0]]]])
    maps = compose_score_maps(class_logits, mask_logits)
    assert maps.shape == (1, 2, 1, 2)
    assert maps[0, 0, 0].tolist() == pytest.approx([1 / 4 * 1 / 2 + 3 / 5 * 3 / 4, 3 / 5])
    assert maps[0, 1, 0].tolist() == pytest.approx([1 / 4 * 1 / 2 + 1 / 5 * 3 / 4, 1 / 5])


@torch.no_grad()
def test_score_maps_are_the_outputs_composed(network):
    image = picture(30, 40)
    output = network(image)
    scores = output.class_logits[0].softmax(1)[:, :3]
    expected = sum(scores[query, :, None, None] * output.mask_logits[0, query, :8, :10].sigmoid() for query in range(8))
    assert torch.allclose(network.score_maps(image)[0], expected, atol=1e-5)


def test_pooling_under_masks_by_hand():
    features = torch.tensor([[[[1.0, 5.0]], [[2.0, 10.0]]]])  # two channels, two pixels
    # Two mask pixels to a feature pixel: their means are 1/2 and 3/4 for the first query, 1 and 0 for the second.
    mask_logits = torch.tensor([[[[0.0, 0.0, 50.0, 0.0]], [[50.0, 50.0, -50.0, -50.0]]]])
    pooled = pool_under_masks(features, mask_logits)
    first = (0.5 * 1 + 0.75 * 5) / 1.25
    assert pooled[0, 0].tolist() == pytest.approx([first, 2 * first], rel=1e-4)
    assert pooled[0, 1].tolist() == pytest.approx([1, 2], rel=1e-4)


def test_pooled_class_logits_do_not_shape_the_masks():
    network = tiny(pooled_class_logits=True)
    torch.nn.init.zeros_(network.class_head.weight)
    output = network(picture(32, 32))
    output.class_logits.sum().backward()
    assert network.pooled_class_head.weight.grad.abs().sum() > 0
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in network.mask_head.parameters())
