"""The segmentation network: MaskFormer (backbone, pixel decoder, transformer decoder, heads), top to bottom.

Paper, section 3.1; sizes are configuration. Symbols: B images, N queries, K classes, C embedding channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from simformer.attention import Attention, Dropout
from simformer.backbones import Backbone


class ModelConfig(BaseModel):
    """The network's sizes. The defaults are the small network this project ships."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_classes: int = Field(ge=1, le=255)
    backbone: str = "efficientnet_lite0"
    output_stride: Literal[16, 32] = Field(default=16, description="16 dilates the backbone's last stage")
    head_features: bool = Field(default=True, description="top of the pyramid is the classifier's own last map")
    separable: bool = Field(default=True, description="3x3 convolutions of the pixel decoder are depthwise + pointwise")
    pooled_class_logits: bool = Field(
        default=True, description="adds a linear classifier of the pixels under each mask"
    )
    width: int = Field(default=128, ge=32, le=2048, multiple_of=32)
    queries: int = Field(default=50, ge=1, le=1000)
    query_std: float = Field(default=1.0, gt=0, description="initial spread; small queries collapse into one")
    decoder_layers: int = Field(default=3, ge=1, le=24)
    heads: int = Field(default=8, ge=1)
    feed_forward: int = Field(default=512, ge=1, le=16384)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> ModelConfig:
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self

    @classmethod
    def paper(cls, num_classes: int) -> ModelConfig:
        """The paper's network: ResNet-50, 256 wide, 6 decoder layers, 100 queries."""
        return cls(
            num_classes=num_classes,
            backbone="resnet50",
            output_stride=32,
            head_features=False,
            separable=False,
            pooled_class_logits=False,
            width=256,
            queries=100,
            decoder_layers=6,
            feed_forward=2048,
        )


@dataclass
class Output:
    """Predictions of the last decoder layer, and of the earlier ones for deep supervision.

    class_logits: B x N x (K + 1), the last entry is "no object". mask_logits: B x N x h x w at stride 4 of the
    padded input. pixel_embeddings: B x C x h x w. auxiliary: (class_logits, mask_logits) of each earlier layer.
    """

    class_logits: Tensor
    mask_logits: Tensor
    pixel_embeddings: Tensor
    auxiliary: list[tuple[Tensor, Tensor]] = field(default_factory=list)


@dataclass
class Targets:
    """What losses compare an `Output` with: masks of base classes, labels alone of novel ones.

    labels: int64, B x H x W, class index where a mask is given, 255 elsewhere. padding: bool, B x H x W, True where the
    photo ended. base: for each image the classes that `labels` shows, novel: those that are known from its image-level
    labels; int64 of any length, on the CPU. teacher: float32, B x (novel classes of the split) x h x w, probabilities
    of the novel classes (their sum is at most 1, the rest is "none of them"); None without a teacher of pixels.
    unmasked: bool, B, True where no mask of the photo is given: `novel` then holds all its classes; None: nowhere.
    """

    labels: Tensor
    padding: Tensor
    base: list[Tensor]
    novel: list[Tensor]
    teacher: Tensor | None = None
    unmasked: Tensor | None = None


class SimFormer(nn.Module):
    """Pixels in, queries with class and mask out.

    Args:
        config: sizes.
        pretrained: ImageNet weights for the backbone; False where a checkpoint follows.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig, *, pretrained: bool = True):
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone, pretrained=pretrained, output_stride=config.output_stride)
        channels = list(self.backbone.channels)
        if config.head_features:
            channels[-1] = self.backbone.head_channels
        self.pixel_decoder = PixelDecoder(channels, config.width, separable=config.separable)
        self.transformer = TransformerDecoder(channels[-1], config)
        self.class_head = nn.Linear(config.width, config.num_classes + 1)
        self.mask_head = MaskHead(config.width)
        if config.pooled_class_logits:
            self.pooled_class_head = nn.Linear(channels[-1], config.num_classes + 1)
        self.register_buffer("mean", torch.tensor(self.backbone.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.backbone.std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor, *, auxiliary: bool = True) -> Output:
        """images: B x 3 x H x W, RGB 0..255, any size: padded at the right and bottom to whole strides.

        Without `auxiliary` only the last decoder layer's predictions are made.
        """
        pyramid = self.features(images)
        pixel_embeddings = self.pixel_decoder(pyramid)
        queries = self.transformer(pyramid[-1])[0 if auxiliary else -1 :]
        # All layers at once: one large product of matrices takes less time than several small ones.
        predictions = self.predict(torch.cat(queries, 1), pyramid[-1], pixel_embeddings)
        of_layers = (each.split(self.config.queries, 1) for each in predictions)
        *earlier, (class_logits, mask_logits) = zip(*of_layers, strict=True)
        return Output(class_logits, mask_logits, pixel_embeddings, earlier)

    def features(self, images: Tensor) -> list[Tensor]:
        """The pyramid of the normalized, padded images: four maps, finest first."""
        stride = self.config.output_stride
        height, width = images.shape[-2:]
        images = F.pad((images - self.mean) / self.std, (0, -width % stride, 0, -height % stride))
        pyramid, last = self.backbone(images)
        return [*pyramid[:-1], last] if self.config.head_features else pyramid

    def pixel_embeddings(self, images: Tensor) -> Tensor:
        """B x 3 x H x W -> per-pixel embeddings, B x C x h x w at stride 4 of the padded input."""
        return self.pixel_decoder(self.features(images))

    def predict(self, queries: Tensor, top: Tensor, pixel_embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Queries, B x N x C -> class logits B x N x (K + 1), mask logits B x N x h x w."""
        mask_logits = self.mask_head(queries) @ pixel_embeddings.flatten(2)
        mask_logits = mask_logits.unflatten(2, pixel_embeddings.shape[-2:])
        return self.classify(queries, top, mask_logits), mask_logits

    def classify(self, queries: Tensor, top: Tensor, mask_logits: Tensor) -> Tensor:
        """Queries, B x N x C, and the mask logits made of them -> class logits B x N x (K + 1)."""
        class_logits = self.class_head(queries)
        if self.config.pooled_class_logits:
            class_logits = class_logits + self.pooled_class_head(pool_under_masks(top, mask_logits.detach()))
        return class_logits

    def score_maps(self, images: Tensor) -> Tensor:
        """Class score maps at stride 4, B x K x ceil(H/4) x ceil(W/4): sum over queries of class score x mask.

        Paper, section 3.1 (inference): softmax over classes without "no object", sigmoid masks.
        """
        height, width = images.shape[-2:]
        output = self(images, auxiliary=False)
        maps = compose_score_maps(output.class_logits, output.mask_logits)
        return maps[..., : math.ceil(height / 4), : math.ceil(width / 4)]


def compose_score_maps(class_logits: Tensor, mask_logits: Tensor) -> Tensor:
    """B x N x (K + 1), B x N x h x w -> B x K x h x w, each entry at least 0."""
    class_scores = class_logits.softmax(-1)[..., :-1]
    return torch.einsum("bnk,bnhw->bkhw", class_scores, mask_logits.sigmoid())


def pool_under_masks(features: Tensor, mask_logits: Tensor) -> Tensor:
    """Mean of B x F x h' x w' features under each soft mask, B x N x h x w -> B x N x F."""
    height, width = features.shape[-2:]
    masks = F.adaptive_avg_pool2d(mask_logits.sigmoid(), (height, width)).flatten(2)
    pooled = masks @ features.flatten(2).transpose(1, 2)
    return pooled / (masks.sum(-1, keepdim=True) + 1e-6)


class PixelDecoder(nn.Module):
    """FPN, top-down with nearest upsampling; GroupNorm; ReLU after the 3x3 convolutions only.

    Args:
        channels: of the four maps, finest first.
        width: of every level and of the per-pixel embeddings.
        separable: 3x3 convolutions as depthwise + pointwise, an eighth of the work.
    """

    def __init__(self, channels: list[int], width: int, *, separable: bool):
        super().__init__()
        conv = separable_conv if separable else full_conv
        *lower, top = channels
        self.laterals = nn.ModuleList(
            nn.Sequential(PointwiseConv(c, width, bias=False), group_norm(width)) for c in lower
        )
        # A separable convolution of the widest map would still be the largest layer: narrow it first.
        narrow = PointwiseConv(top, width, bias=False) if separable else nn.Identity()
        self.outputs = nn.ModuleList(
            nn.Sequential(conv(width, width, bias=False), group_norm(width), nn.ReLU()) for _ in lower
        )
        self.top = nn.Sequential(
            narrow, conv(width if separable else top, width, bias=False), group_norm(width), nn.ReLU()
        )
        self.embedding = conv(width, width, bias=True)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        """Four maps, finest first -> per-pixel embeddings, B x C x h x w at the finest map's size."""
        return self.embedding(self.finest(pyramid))

    def finest(self, pyramid: list[Tensor]) -> Tensor:
        """What the last convolution makes the per-pixel embeddings of, B x C x h x w."""
        level = self.top(pyramid[-1])
        for features, lateral, output in zip(
            reversed(pyramid[:-1]), reversed(self.laterals), reversed(self.outputs), strict=True
        ):
            level = output(lateral(features) + F.interpolate(level, size=features.shape[-2:], mode="nearest"))
        return level


def group_norm(width: int) -> nn.Module:
    # Two channels a group at least: the top map of a tiny photo is one pixel, and one value has no spread.
    return nn.GroupNorm(min(32, width // 2), width)


def full_conv(inputs: int, outputs: int, *, bias: bool) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def separable_conv(inputs: int, outputs: int, *, bias: bool) -> nn.Module:
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
    return nn.Sequential(depthwise, PointwiseConv(inputs, outputs, bias=bias))


class PointwiseConv(nn.Conv2d):
    """A 1x1 convolution; of channels-last maps a product of matrices, which is faster on a CPU, backward above all."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool):
        super().__init__(inputs, outputs, 1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """B x inputs x h x w -> B x outputs x h x w."""
        if not input.is_contiguous(memory_format=torch.channels_last):
            return super().forward(input)
        return F.linear(input.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class TransformerDecoder(nn.Module):
    """Learned queries attend to the top feature map; every layer's output passes one shared norm."""

    def __init__(self, memory_channels: int, config: ModelConfig):
        super().__init__()
        self.memory_projection = PointwiseConv(memory_channels, config.width, bias=True)
        self.queries = nn.Embedding(config.queries, config.width)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(config.width)
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        # Queries must start far apart: drawn small they become equal, and only dropout tells them apart.
        nn.init.normal_(self.queries.weight, std=config.query_std)

    def forward(self, features: Tensor) -> list[Tensor]:
        """B x F x h' x w' -> the normalized queries after each layer, each B x N x C."""
        memory = self.memory_projection(features)
        position = sine_position_encoding(memory).to(memory.dtype).flatten(2).transpose(1, 2)
        memory = memory.flatten(2).transpose(1, 2)
        query_position = self.queries.weight.expand(len(memory), -1, -1)
        queries = torch.zeros_like(query_position)
        outputs = []
        for layer in self.layers:
            queries = layer(queries, query_position, memory, memory + position)
            outputs.append(self.norm(queries))
        return outputs


class DecoderLayer(nn.Module):
    """Self-attention among queries, attention to the image, feed-forward; normalized after each (post-norm)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width, dropout = config.width, config.dropout
        self.self_attention = Attention(width, config.heads, dropout)
        self.cross_attention = Attention(width, config.heads, dropout)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, config.feed_forward),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(config.feed_forward, width),
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = Dropout(dropout)

    def forward(self, queries: Tensor, query_position: Tensor, memory: Tensor, keys: Tensor) -> Tensor:
        placed = queries + query_position
        attended = self.self_attention(placed, placed, queries)
        queries = self.norms[0](queries + self.dropout(attended))
        attended = self.cross_attention(queries + query_position, keys, memory)
        queries = self.norms[1](queries + self.dropout(attended))
        return self.norms[2](queries + self.dropout(self.feed_forward(queries)))


class MaskHead(nn.Sequential):
    """Three linear layers with ReLU between: queries -> mask embeddings."""

    def __init__(self, width: int):
        layers = (nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        super().__init__(*layers)


def sine_position_encoding(like: Tensor, temperature: float = 10000.0) -> Tensor:
    """DETR's normalized sine encoding, 1 x C x h x w float32 for a B x C x h x w map: y in the first half, x after."""
    _, channels, height, width = like.shape
    half = channels // 2
    y = torch.arange(1, height + 1, device=like.device) / (height + 1e-6) * (2 * math.pi)
    x = torch.arange(1, width + 1, device=like.device) / (width + 1e-6) * (2 * math.pi)
    pairs = torch.arange(half, device=like.device) // 2
    frequency = temperature ** (2 * pairs / half)

    def encode(position: Tensor) -> Tensor:
        angle = position[:, None] / frequency
        return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), -1).flatten(1)

    rows = encode(y).t()[:, :, None].expand(half, height, width)
    columns = encode(x).t()[:, None, :].expand(half, height, width)
    return torch.cat((rows, columns)).unsqueeze(0)
