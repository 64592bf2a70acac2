"""Random scale, crop, flip and color of a photo together with its label map (paper, section 4: training)."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from simformer.errors import ConfigError
from simformer.palette import VOID

PAD_VALUE = 128


def photometric_distortion(image: Tensor) -> Tensor:
    """A color jitter like SSD's, which MaskFormer uses: each part half of the time, contrast before or after color.

    Not number by number: there brightness is added (32 of 255 at most), contrast multiplies all values, and the hue
    turns twice as far. torchvision's RandomPhotometricDistort also swaps color channels, which would make grass blue.

    Args:
        image: uint8 RGB, 3 x H x W.

    Returns:
        uint8, 3 x H x W.
    """
    changes = [
        (TF.adjust_saturation, 0.5, 1.5),
        (TF.adjust_hue, -0.05, 0.05),
    ]
    changes.insert(0 if torch.rand(()) < 0.5 else 2, (TF.adjust_contrast, 0.5, 1.5))
    for change, low, high in [(TF.adjust_brightness, 0.875, 1.125), *changes]:
        chance, position = torch.rand(2).tolist()
        if chance < 0.5:
            image = change(image, low + (high - low) * position)
    return image


class TrainTransform:
    """A random square crop of a randomly scaled, flipped and color-jittered photo.

    The photo's short side is scaled to crop x U(scale); a crop x crop window is cut out at random; where the
    scaled photo is smaller, it is padded right and below. All randomness comes from torch's global generator.
    """

    def __init__(self, crop: int, scale: tuple[float, float] = (0.5, 2.0), flip: bool = True, photometric: bool = True):
        """
        Args:
            crop: side of the result in pixels.
            scale: range of the scaled short side, as a multiple of `crop`.
            flip: mirror half of the crops.
            photometric: apply `photometric_distortion`.

        Raises:
            ConfigError: crop below 1, or a scale range that is empty or not positive.
        """
        if crop < 1:
            raise ConfigError(f"crop must be at least 1 pixel, not {crop}")
        if not 0 < scale[0] <= scale[1]:
            raise ConfigError(f"scale must be a range of positive numbers, not {scale[0]} to {scale[1]}")
        self.crop = crop
        self.scale = scale
        self.flip = flip
        self.photometric = photometric

    def __call__(self, image: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            image: uint8 RGB, 3 x H x W.
            labels: uint8 class indices, 255 void, H x W.

        Returns:
            image: uint8, 3 x crop x crop, 128 where padded.
            labels: uint8, crop x crop, 255 where padded.
            padding: bool, crop x crop, True where padded.
        """
        window, size = self._window(image.shape[1], image.shape[2])
        # Cutting before resizing, and jittering whichever is smaller of the cut and its resized copy, takes a
        # fraction of the time of doing either on the whole scaled photo.
        image = TF.crop(image, *window)
        jitter_first = window[2] * window[3] < size[0] * size[1]
        if self.photometric and jitter_first:
            image = photometric_distortion(image)
        image = TF.resize(image, list(size), TF.InterpolationMode.BILINEAR, antialias=True)
        if self.photometric and not jitter_first:
            image = photometric_distortion(image)
        labels = TF.resized_crop(labels[None], *window, list(size), TF.InterpolationMode.NEAREST_EXACT)
        if self.flip and torch.rand(()) < 0.5:
            image, labels = TF.horizontal_flip(image), TF.horizontal_flip(labels)
        padding = torch.zeros(self.crop, self.crop, dtype=torch.bool)
        padding[size[0] :] = True
        padding[:, size[1] :] = True
        rest = [0, 0, self.crop - size[1], self.crop - size[0]]
        return TF.pad(image, rest, fill=PAD_VALUE), TF.pad(labels, rest, fill=VOID)[0], padding

    def _window(self, height: int, width: int) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
        """Draw the crop as (top, left, height, width) in the photo's pixels, and its size after scaling."""
        low, high = self.scale
        short = self.crop * (low + (high - low) * float(torch.rand(())))
        factor = short / min(height, width)
        window_height = min(height, max(1, round(self.crop / factor)))
        window_width = min(width, max(1, round(self.crop / factor)))
        top = int(torch.randint(height - window_height + 1, ()))
        left = int(torch.randint(width - window_width + 1, ()))
        size = (
            min(self.crop, max(1, round(window_height * factor))),
            min(self.crop, max(1, round(window_width * factor))),
        )
        return (top, left, window_height, window_width), size
