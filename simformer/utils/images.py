"""Photos in: whatever a person may hand over becomes an upright 8-bit RGB image, or one clear sentence."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from simformer.errors import ImageError
from simformer.utils.spans import row_strips

if TYPE_CHECKING:
    from torch import Tensor  # importing it takes a second, which callers without tensors need not wait for

ImageSource: TypeAlias = "str | Path | bytes | BinaryIO | Image.Image | np.ndarray | Tensor"

# Only formats that Pillow decodes itself: EPS would start Ghostscript on a stranger's file.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "TGA", "AVIF")
MAX_PIXELS = 50_000_000
MAX_SIDE = 30_000
# Scans of a JPEG. Progressive photos have about ten; each costs as much as the whole picture.
MAX_SCANS = 100
SCAN = b"\xff\xda"
# Pixels turned into 8-bit RGB at a time where that takes several copies.
STRIP_PIXELS = 2_000_000


def load_image(
    source: ImageSource, *, max_pixels: int = MAX_PIXELS, max_side: int = MAX_SIDE, formats: tuple[str, ...] = FORMATS
) -> Image.Image:
    """Read a photo as it is meant to be seen.

    EXIF rotation is applied; transparency is laid on white; gray, palette, CMYK and 16-bit images become
    8-bit RGB, 16-bit and float values scaled rather than clipped; of an animation the first frame is taken
    (of an open Pillow image the current one).

    Args:
        source: a file name, the bytes of a file, an open binary file, a Pillow image, or an array of
            H x W, H x W x 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha), bool, uint8 0..255,
            uint16 0..65535, or float 0..1 (0..255 if any value is above 1); or a tensor of such values with the
            channels first, C x H x W.
        max_pixels, max_side: the largest width x height and the longest side; checked on the declared size, before
            any pixel is decoded.
        formats: of files, as Pillow calls them; others are not recognized.

    Returns:
        A Pillow image of mode "RGB" that shares no memory with the source.

    Raises:
        ImageError: not an image, damaged, empty, too large, or of a kind that has no RGB meaning.
    """
    name = _name(source)
    try:
        pixels = source if isinstance(source, np.ndarray) else _pixels_of_tensor(source)
        if pixels is not None:
            _check_size(name, pixels.shape[1::-1], max_pixels, max_side)
            return _to_rgb(_from_array(pixels, name), name)
        if isinstance(source, Image.Image):
            _check_size(name, source.size, max_pixels, max_side)
            return _to_rgb(source, name)
        with _open(cast("str | Path | bytes | BinaryIO", source), name, max_pixels, formats) as image:
            _check_size(name, image.size, max_pixels, max_side)
            if image.format in ("JPEG", "MPO"):
                _check_scans(image, name)
            return _to_rgb(image, name, own=True)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{name} needs too much memory to be decoded") from error
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        raise ImageError(f"{name} is damaged or cut short and cannot be decoded ({error})") from error


def _pixels_of_tensor(source: Any) -> np.ndarray | None:
    torch = sys.modules.get("torch")  # who has a tensor has imported it
    if torch is None or not isinstance(source, torch.Tensor):
        return None
    pixels = source.detach().cpu()
    return (pixels.movedim(0, -1) if pixels.dim() == 3 else pixels).numpy()


def bounded(size: Sequence[int], side: int) -> tuple[int, int]:
    """(height, width) shrunk until the longer is at most `side`, both at least 1."""
    scale = min(1.0, side / max(size))
    height, width = (max(1, round(length * scale)) for length in size)
    return height, width


def _name(source: ImageSource) -> str:
    if isinstance(source, str | Path):
        return str(source)
    inner = getattr(source, "filename", None) or getattr(source, "name", None)
    return inner if isinstance(inner, str) else "the image"


def _open(
    source: str | Path | bytes | BinaryIO, name: str, max_pixels: int, formats: tuple[str, ...]
) -> ImageFile.ImageFile:
    try:
        if isinstance(source, bytes | bytearray | memoryview):
            source = io.BytesIO(source)
        elif isinstance(source, str | Path):
            _check_file(source, name)
        elif not hasattr(source, "read"):
            raise ImageError(f"an image cannot be read from a {type(source).__name__}")
        return Image.open(source, formats=formats)
    except FileNotFoundError as error:
        raise ImageError(f"there is no file {name}") from error
    except PermissionError as error:
        raise ImageError(f"{name} may not be read (permission denied)") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image of a known format (such as JPEG, PNG or WebP)") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ImageError(f"{name} is a link that leads to itself") from error
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} is too large: at most {max_pixels:,} pixels are accepted") from error


def _check_file(path: str | Path, name: str) -> None:
    """A path that leads nowhere passes: opening it says why."""
    if os.path.isdir(path):
        raise ImageError(f"{name} is a folder, not an image")
    if os.path.exists(path) and not os.path.isfile(path):
        raise ImageError(f"{name} is a device or a pipe, not an image")
    if os.path.exists(path) and os.path.getsize(path) == 0:
        raise ImageError(f"{name} is an empty file")


def _check_size(name: str, size: tuple[int, ...], max_pixels: int, max_side: int) -> None:
    if len(size) != 2 or min(size) < 1:
        raise ImageError(f"{name} has no pixels (its size is {' x '.join(map(str, size))})")
    width, height = size
    if width * height > max_pixels:
        raise ImageError(f"{name} is too large: {width} x {height} pixels, at most {max_pixels:,} pixels are accepted")
    if max(size) > max_side:
        raise ImageError(f"{name} is too large: {width} x {height} pixels, at most {max_side:,} a side are accepted")


def _check_scans(image: ImageFile.ImageFile, name: str) -> None:
    """A marker cannot be part of a JPEG's pixels; in a thumbnail it can be, which has few."""
    file = image.fp
    assert file is not None, "open until its pixels are read"
    place = file.tell()
    file.seek(0)
    scans, last = 0, b""
    while block := file.read(2**20):
        scans += (last + block).count(SCAN)
        last = block[-1:]
    file.seek(place)
    if scans > MAX_SCANS:
        raise ImageError(f"{name} has {scans:,} scans, at most {MAX_SCANS} are accepted")


def _from_array(array: np.ndarray, name: str) -> Image.Image:
    """Scale an array to uint8 and choose the Pillow mode by its channels."""
    channels = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if channels not in (1, 2, 3, 4):
        raise ImageError(f"an array of shape {array.shape} is not an image (H x W, or H x W x 1 to 4)")
    if array.dtype == bool:
        values = array.astype(np.uint8) * 255
    elif array.dtype == np.uint8:
        values = array
    elif array.dtype == np.uint16:
        values = _scale(array, 65535)
    elif array.dtype.kind in "iuf":
        if not np.isfinite(array).all():
            raise ImageError(f"{name} has values that are not finite")
        values = _scale(array, 1 if array.dtype.kind == "f" and array.max() <= 1 else 255)
    else:
        raise ImageError(f"an array of type {array.dtype} is not an image")
    if channels == 1:
        return Image.fromarray(np.ascontiguousarray(values.reshape(array.shape[:2])), "L")
    return Image.fromarray(np.ascontiguousarray(values), {2: "LA", 3: "RGB", 4: "RGBA"}[channels])


def _to_rgb(image: Image.Image, name: str, *, own: bool = False) -> Image.Image:
    upright = _upright(image, own)
    if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
        upright = _gray_from_deep(upright, name)
    if upright.has_transparency_data:
        return _on_white(upright)
    try:
        return upright if upright.mode == "RGB" else upright.convert("RGB")
    except ValueError as error:
        raise ImageError(f"{name} has colors of the kind {upright.mode}, which cannot be read") from error


def _on_white(image: Image.Image) -> Image.Image:
    """Strip by strip, because every copy of a photo of 50 megapixels takes 200 MB."""
    result = Image.new("RGB", image.size)
    for rows in row_strips(image.height, image.width, STRIP_PIXELS):
        layer = image.crop((0, rows.start, image.width, rows.stop)).convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        result.paste(Image.alpha_composite(white, layer).convert("RGB"), (0, rows.start))
    return result


def _upright(image: Image.Image, own: bool) -> Image.Image:
    """Turned as its EXIF data say: a copy, unless the image is nobody else's."""
    image.load()  # outside the try: a damaged picture is an error, damaged EXIF data is not
    try:
        if own:
            ImageOps.exif_transpose(image, in_place=True)
            return image
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:  # EXIF blocks of phones and editors break in every way; the picture itself is fine
        return image if own else image.copy()


def _gray_from_deep(image: Image.Image, name: str) -> Image.Image:
    """16-bit, 32-bit and float gray to 8 bits: the range of the type, or of the values, becomes 0..255."""
    array = np.asarray(image)
    if not np.isfinite(array).all():
        raise ImageError(f"{name} has values that are not finite")
    if image.mode.startswith("I;16"):
        top = 65535
    else:
        highest = float(array.max())
        top = next((top for top in (1, 255, 65535) if highest <= top), highest)
        top = 255 if image.mode == "I" and top == 1 else top
    return Image.fromarray(_scale(array, top), "L")


def _scale(array: np.ndarray, top: float) -> np.ndarray:
    scaled = np.empty(array.shape, np.uint8)
    for rows in row_strips(len(array), array[0].size, STRIP_PIXELS):
        strip = array[rows].astype(np.float64)
        scaled[rows] = (strip * (255 / top)).round().clip(0, 255)
    return scaled
