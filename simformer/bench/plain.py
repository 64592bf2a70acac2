"""The paper's inference written down plainly: what `bench` compares the project's own against, and tests too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from simformer.model import SimFormer
from simformer.predictor import input_size
from simformer.weights import Card


class PlainPredictor:
    """Segments a photo with a network as it comes: batch norm by itself, all decoder layers predict."""

    def __init__(self, network: SimFormer, card: Card) -> None:
        self.network = network
        self.card = card

    @torch.inference_mode()
    def segment(self, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label map, H x W uint8, of a photo, H x W x 3 uint8, RGB."""
        image = Image.fromarray(photo)
        resized = np.array(image.resize(input_size(image.size, self.card.image_size), Image.Resampling.BILINEAR))
        pixels = torch.from_numpy(resized).permute(2, 0, 1)[None].float().contiguous()
        output = self.network(pixels)
        maps = plain_score_maps(output.class_logits, output.mask_logits, pixels.shape[-2:], photo.shape[:2])
        return maps[0].argmax(0).to(torch.uint8).numpy()


def plain_score_maps(
    class_logits: Tensor, mask_logits: Tensor, input_size: Sequence[int], size: Sequence[int]
) -> Tensor:
    """Score maps at the photo's size, B x K x height x width, all of them at once.

    Mask logits are upsampled to the padded input, their sigmoids composed with the class scores (paper, section 3.1),
    the padding cropped, the maps resized.

    Args:
        class_logits: B x N x (K + 1).
        mask_logits: B x N x h x w at stride 4 of the padded input.
        input_size, size: (height, width) of the input without padding, and of the photo.
    """
    masks = F.interpolate(mask_logits, scale_factor=4, mode="bilinear", align_corners=False).sigmoid()
    maps = torch.einsum("bnk,bnhw->bkhw", class_logits.softmax(-1)[..., :-1], masks)
    height, width = input_size
    return F.interpolate(maps[..., :height, :width], size=list(size), mode="bilinear", align_corners=False)
