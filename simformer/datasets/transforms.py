"""Random scale, crop, flip and color of a photo together with its label map (paper, section 4: training)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from simformer.errors import ConfigError
from simformer.labels import VOID

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

    The photo's short side is scaled to crop x a number drawn from `scale`; a crop x crop window is cut out at random;
    where the scaled photo is smaller, it is padded right and below. All randomness comes from torch's global generator.
    """

    def __init__(
        self,
        crop: int,
        scale: tuple[float, float] = (0.5, 2.0),
        flip: bool = True,
        photometric: bool = True,
        scale_step: float = 0.0,
        long_side: int | None = None,
    ):
        """
        Args:
            crop: side of the result in pixels.
            scale: range of the scaled short side, as a multiple of `crop`.
            flip: mirror half of the crops.
            photometric: apply `photometric_distortion`.
            scale_step: 0: any number of the range is drawn; else one of low, low + step, low + 2 step, ... up to high.
            long_side: pixels that the scaled photo's long side has at most; the photo is scaled less where it would
                have more.

        Raises:
            ConfigError: crop or long_side below 1, a scale range that is empty or not positive, a negative step.
        """
        if crop < 1:
            raise ConfigError(f"crop must be at least 1 pixel, not {crop}")
        if not 0 < scale[0] <= scale[1]:
            raise ConfigError(f"scale must be a range of positive numbers, not {scale[0]} to {scale[1]}")
        if scale_step < 0:
            raise ConfigError(f"scale_step must not be negative, but is {scale_step}")
        if long_side is not None and long_side < 1:
            raise ConfigError(f"long_side must be at least 1 pixel, not {long_side}")
        self.crop = crop
        self.scale = scale
        self.flip = flip
        self.photometric = photometric
        self.scale_step = scale_step
        self.long_side = long_side

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
        return self.with_maps(image, labels, None)[:3]

    def with_maps(
        self, image: Tensor, labels: Tensor, maps: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """As a call, and maps of the whole photo are cropped along.

        Args:
            maps: float, C x h x w of any size, or None.

        Returns:
            What a call returns, and the maps at a quarter of the crop's side, C x crop/4 x crop/4 (None for None). In
            the padding they repeat the photo's edge.
        """
        window, size = self._window(image.shape[1], image.shape[2])
        # Cutting before resizing, and jittering whichever is smaller of the cut and its resized copy, takes a
        # fraction of the time of doing either on the whole scaled photo.
        photo = (image.shape[1], image.shape[2])
        image = TF.crop(image, *window)
        jitter_first = window[2] * window[3] < size[0] * size[1]
        if self.photometric and jitter_first:
            image = photometric_distortion(image)
        image = TF.resize(image, list(size), TF.InterpolationMode.BILINEAR, antialias=True)
        if self.photometric and not jitter_first:
            image = photometric_distortion(image)
        labels = TF.resized_crop(labels[None], *window, list(size), TF.InterpolationMode.NEAREST_EXACT)
        flipped = self.flip and bool(torch.rand(()) < 0.5)
        if flipped:
            image, labels = TF.horizontal_flip(image), TF.horizontal_flip(labels)
        padding = torch.zeros(self.crop, self.crop, dtype=torch.bool)
        padding[size[0] :] = True
        padding[:, size[1] :] = True
        rest = [0, 0, self.crop - size[1], self.crop - size[0]]
        image, labels = TF.pad(image, rest, fill=PAD_VALUE), TF.pad(labels, rest, fill=VOID)[0]
        return image, labels, padding, None if maps is None else self._crop_maps(maps, photo, window, size, flipped)

    def _crop_maps(
        self,
        maps: Tensor,
        photo: tuple[int, int],
        window: tuple[int, int, int, int],
        size: tuple[int, int],
        flipped: bool,
    ) -> Tensor:
        """What maps of a (height, width) `photo` hold at the middles of the crop's cells of 4 x 4 pixels."""
        middles = 4 * torch.arange(self.crop // 4) + 2.0
        y = window[0] + middles / size[0] * window[2]
        x = window[1] + (size[1] - middles if flipped else middles) / size[1] * window[3]
        grid = torch.stack(torch.meshgrid(2 * x / photo[1] - 1, 2 * y / photo[0] - 1, indexing="xy"), -1)
        return F.grid_sample(maps[None], grid[None], padding_mode="border", align_corners=False)[0]

    def _window(self, height: int, width: int) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
        """Draw the crop as (top, left, height, width) in the photo's pixels, and its size after scaling."""
        factor = self.crop * self._scale() / min(height, width)
        if self.long_side is not None:
            factor = min(factor, self.long_side / max(height, width))
        window_height = min(height, max(1, round(self.crop / factor)))
        window_width = min(width, max(1, round(self.crop / factor)))
        top = int(torch.randint(height - window_height + 1, ()))
        left = int(torch.randint(width - window_width + 1, ()))
        size = (
            min(self.crop, max(1, round(window_height * factor))),
            min(self.crop, max(1, round(window_width * factor))),
        )
        return (top, left, window_height, window_width), size

    def _scale(self) -> float:
        """The short side of the scaled photo, as a multiple of the crop's side."""
        low, high = self.scale
        if not self.scale_step:
            return low + (high - low) * float(torch.rand(()))
        steps = int((high - low) / self.scale_step + 1e-6)  # 15 steps of 0.1 are a little more than 1.5
        return low + self.scale_step * int(torch.randint(steps + 1, ()))
