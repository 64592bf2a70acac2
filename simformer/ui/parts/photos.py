"""A photo that came in over the page: decoded once a request, remembered only as the small picture that is shown."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from simformer.errors import ImageError
from simformer.utils.apart import load_apart

# Long side of the views in pixels: twice their width on a wide screen, for sharp displays.
VIEW_SIDE = 800
MAX_PIXELS = 25_000_000
# What cameras, phones and browsers make. `load_apart` knows more, which are decoded slowly.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF")


class Photo:
    """A photo file.

    Args:
        path: the file.
        max_pixels: a larger photo is refused before it is decoded.

    Raises:
        ImageError: the file is gone. The other reasons appear when `image` is read.
    """

    def __init__(self, path: str | Path, *, max_pixels: int = MAX_PIXELS):
        self.path = Path(path)
        self.name = self.path.name
        self.max_pixels = max_pixels
        if not self.path.is_file():
            raise self._gone()

    @cached_property
    def key(self) -> Hashable:
        """Equal for photos of the same content, wherever they are. Raises ImageError: the file is gone."""
        # Not its time: Gradio sets that anew whenever it shows the file.
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        except (OSError, ValueError) as error:  # a name may hold zeros
            raise self._gone() from error

    def _gone(self) -> ImageError:
        return ImageError(f"{self.name} is no longer on the server; please choose it again")

    @cached_property
    def image(self) -> Image.Image:
        """The whole photo, RGB and upright. Raises ImageError, which names the file without its folder."""
        try:
            return load_apart(self.path, max_pixels=self.max_pixels, formats=FORMATS)
        except ImageError as error:
            raise ImageError(str(error).replace(str(self.path), self.name)) from error


@dataclass(frozen=True)
class Shown:
    """What the page shows of a photo.

    Attributes:
        uri: JPEG of at most 800 pixels a side as a data URI.
        size: (height, width) of that JPEG.
        full_size: (height, width) of the photo.
    """

    uri: str
    size: tuple[int, int]
    full_size: tuple[int, int]


def show(image: Image.Image) -> Shown:
    """The picture of a photo (RGB) for the page."""
    small = image.copy()
    small.thumbnail((VIEW_SIDE, VIEW_SIDE), Image.Resampling.BILINEAR)
    return Shown(data_uri(small, "JPEG", quality=88), (small.height, small.width), (image.height, image.width))


def data_uri(image: Image.Image, file_format: str, **options: object) -> str:
    """The image as a data URI ("JPEG", "PNG"); nothing of it stays on the server's disk."""
    file = io.BytesIO()
    image.save(file, format=file_format, **options)
    return f"data:image/{file_format.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
