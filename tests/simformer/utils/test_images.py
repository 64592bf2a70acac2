"""A zoo of good and bad images."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from simformer.errors import ImageError
from simformer.utils.images import bounded, load_image

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, color: int, data: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG with any declared size; `data` are its filtered rows."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def pixels(source) -> list[list[int]]:
    image = load_image(source)
    assert image.mode == "RGB"
    return np.asarray(image).reshape(-1, 3).tolist()


PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))


# --- doors --------------------------------------------------------------------------------------------------


def test_every_door_gives_the_same_picture(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(PHOTO))
    expected = np.asarray(PHOTO)
    stream = io.BytesIO(encoded(PHOTO))
    with open(path, "rb") as file:
        for source in (path, str(path), path.read_bytes(), stream, file, PHOTO, expected):
            result = load_image(source)
            assert result.mode == "RGB" and (np.asarray(result) == expected).all()
    assert not stream.closed


def test_tensors_have_their_channels_first():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    for source in (tensor, tensor.float().requires_grad_(), tensor / 255):
        assert (np.asarray(load_image(source)) == pixels).all()
    gray = load_image(tensor[0])
    assert gray.size == (7, 5) and (np.asarray(gray) == pixels[..., :1]).all()
    with pytest.raises(ImageError):
        load_image(torch.zeros(2, 3, 4, 5))
    with pytest.raises(ImageError, match="pixels"):
        load_image(tensor, max_pixels=10)


def test_the_result_is_a_copy():
    source = PHOTO.copy()
    load_image(source).paste(RED, (0, 0, 60, 40))
    assert (np.asarray(source) == np.asarray(PHOTO)).all()
    array = np.zeros((2, 2, 3), np.uint8)
    load_image(array).paste(RED, (0, 0, 2, 2))
    assert not array.any()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_common_formats(kind):
    assert load_image(encoded(Image.new("RGB", (30, 20), RED), kind)).size == (30, 20)


def test_one_pixel_high():
    assert load_image(encoded(Image.new("RGB", (500, 1), RED))).size == (500, 1)
    assert load_image(encoded(Image.new("RGB", (1, 1), RED))).size == (1, 1)


# --- modes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode, color, expected", [
    ("1", 1, WHITE),
    ("L", 100, (100, 100, 100)),
    ("LA", (100, 255), (100, 100, 100)),
    ("LA", (0, 0), WHITE),
    ("RGBA", (255, 0, 0, 255), RED),
    ("RGBA", (255, 0, 0, 0), WHITE),
    ("RGBA", (255, 0, 0, 51), (255, 204, 204)),
])  # fmt: skip
def test_gray_and_alpha(mode, color, expected):
    assert pixels(encoded(Image.new(mode, (2, 1), color))) == [list(expected)] * 2


def test_palette_with_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    assert pixels(encoded(image)) == [list(RED), [0, 255, 0]]
    assert pixels(encoded(image, transparency=1)) == [list(RED), list(WHITE)]


def test_rgb_with_a_transparent_color():
    transparent_red = struct.pack(">I", 6) + b"tRNS" + struct.pack(">HHH", *RED)
    transparent_red += struct.pack(">I", zlib.crc32(transparent_red[4:]))
    source = png(2, 1, 8, 2, b"\0" + bytes(RED) + bytes(BLACK), transparent_red)
    assert pixels(source) == [list(WHITE), list(BLACK)]


def test_cmyk_jpeg():
    red = pixels(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))[0]
    assert red[0] > 240 and max(red[1:]) < 15


def test_16_bit_gray_is_scaled_not_clipped():
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    gray = encoded(Image.fromarray(values))
    assert Image.open(io.BytesIO(gray)).mode.startswith("I;16")
    assert [pixel[0] for pixel in pixels(gray)] == [0, 1, 128, 255]
    assert [pixel[0] for pixel in pixels(values)] == [0, 1, 128, 255]


def test_16_bit_rgb():
    rows = b"\0" + struct.pack(">HHHHHH", 65535, 0, 0, 32768, 32768, 32768)
    assert pixels(png(2, 1, 16, 2, rows)) == [list(RED), [128, 128, 128]]


@pytest.mark.parametrize("values, expected", [
    ([0.0, 0.5, 1.0], [0, 128, 255]),
    ([0.0, 100.0, 255.0], [0, 100, 255]),
    ([0.0, 32767.5, 65535.0], [0, 128, 255]),
    ([-5.0, 0.0, 1.0], [0, 0, 255]),
])  # fmt: skip
def test_float_tiff(values, expected):
    image = Image.fromarray(np.array([values], np.float32))
    assert [pixel[0] for pixel in pixels(encoded(image, "TIFF"))] == expected


def test_32_bit_gray():
    assert [pixel[0] for pixel in pixels(Image.fromarray(np.array([[0, 1, 255]], np.int32)))] == [0, 1, 255]
    assert [pixel[0] for pixel in pixels(Image.fromarray(np.array([[0, 65535]], np.int32)))] == [0, 255]


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, BLACK)]
    for kind in ("GIF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        source = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert pixels(source)[0] == list(RED)


def test_two_pictures_in_one_jpeg_as_phones_make_them():
    frames = [Image.new("RGB", (16, 16), color) for color in (RED, BLACK)]
    source = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(source)).format == "MPO"
    assert pixels(source)[0][0] > 240


def test_exif_orientation_6_is_turned_clockwise():
    left_red = Image.new("RGB", (40, 20), BLACK)
    left_red.paste(RED, (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = load_image(encoded(left_red, "JPEG", exif=exif, quality=95, subsampling=0))
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 5))[0] > 200 and upright.getpixel((10, 35))[0] < 50
    assert load_image(upright).size == (20, 40)  # not turned twice


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_cost_the_picture():
    assert load_image(encoded(PHOTO, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\1")).size == (60, 40)


# --- arrays -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("array, expected", [
    (np.array([[True, False]]), [WHITE, BLACK]),
    (np.array([[[7], [9]]], np.uint8), [(7, 7, 7), (9, 9, 9)]),
    (np.array([[[0, 255], [0, 0]]], np.uint8), [BLACK, WHITE]),
    (np.array([[[255, 0, 0, 255], [0, 0, 0, 0]]], np.uint8), [RED, WHITE]),
    (np.array([[[1.0, 0, 0], [0.2, 0.2, 0.2]]]), [RED, (51, 51, 51)]),
    (np.array([[[255.0, 0, 0], [51, 51, 51]]]), [RED, (51, 51, 51)]),
    (np.array([[0, 300]], np.int64), [BLACK, WHITE]),
])  # fmt: skip
def test_arrays(array, expected):
    assert pixels(array) == [list(pixel) for pixel in expected]


@pytest.mark.parametrize("array, sentence", [
    (np.zeros((0, 5, 3), np.uint8), "no pixels"),
    (np.zeros(5, np.uint8), "shape|pixels"),
    (np.zeros((2, 2, 5), np.uint8), r"shape \(2, 2, 5\)"),
    (np.zeros((2, 2, 3, 1), np.uint8), "shape"),
    (np.full((2, 2), np.nan), "not finite"),
    (np.zeros((2, 2), complex), "complex128"),
    (np.array([["a"]]), "is not an image"),
])  # fmt: skip
def test_bad_arrays(array, sentence):
    with pytest.raises(ImageError, match=sentence):
        load_image(array)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6).map(lambda s: (*s[:2], 3))))
def test_rgb_arrays_come_back_unchanged(array):
    assert (np.asarray(load_image(array)) == array).all()


# --- bad files ----------------------------------------------------------------------------------------------


def test_truncated_and_corrupt_files_name_the_file(tmp_path):
    for kind, name in (("JPEG", "cut.jpg"), ("PNG", "cut.png"), ("GIF", "cut.gif")):
        whole = encoded(PHOTO, kind)
        path = tmp_path / name
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ImageError, match=name):
            load_image(path)
    corrupt = bytearray(encoded(PHOTO))
    corrupt[60:2000] = bytes(1940)
    (tmp_path / "corrupt.png").write_bytes(corrupt)
    with pytest.raises(ImageError, match=r"corrupt\.png is damaged or cut short"):
        load_image(tmp_path / "corrupt.png")


@pytest.mark.parametrize("name, content, sentence", [
    ("notes.jpg", b"Dear diary, this is not a photo.", "notes.jpg is not an image of a known format"),
    ("empty.jpg", b"", "empty.jpg is an empty file"),
    ("random.png", bytes(range(256)) * 4, "random.png is not an image"),
    ("page.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "page.eps is not an image"),
    ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "drawing.svg is not an image"),
])  # fmt: skip
def test_files_that_are_no_images(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=sentence):
        load_image(tmp_path / name)


def test_missing_files_folders_and_odd_names(tmp_path):
    with pytest.raises(ImageError, match=r"there is no file .*gone\.jpg"):
        load_image(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)
    for source in ("a\0b.jpg", "x" * 5000, "", None, 3, [1, 2]):
        with pytest.raises(ImageError):
            load_image(source)
    with pytest.raises(ImageError, match="the image is not an image of a known format"):
        load_image(b"nonsense")


@pytest.mark.parametrize("width, height", [(8000, 8000), (12000, 12000), (100_000, 100_000), (2**31 - 1, 1)])
def test_huge_declared_size_is_refused_before_decoding(tmp_path, width, height):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(width, height, 8, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ImageError, match=r"bomb\.png is too large.*50,000,000 pixels"):
            load_image(path)


def test_the_pixel_bound_is_exact():
    for source in (PHOTO, np.asarray(PHOTO), encoded(PHOTO)):
        assert load_image(source, max_pixels=2400).size == (60, 40)
        with pytest.raises(ImageError, match="60 x 40 pixels, at most 2,399 pixels are accepted"):
            load_image(source, max_pixels=2399)


JPEG, WEBP = encoded(PHOTO, "JPEG"), encoded(PHOTO, "WEBP")


@settings(max_examples=80, deadline=None)
@given(
    source=st.sampled_from([JPEG, WEBP, encoded(PHOTO), encoded(PHOTO, "GIF"), encoded(PHOTO, "TIFF")]),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=6),
    keep=st.floats(0.01, 1),
)
def test_damaged_bytes_give_an_image_or_one_sentence(source, cuts, keep):
    content = bytearray(source)
    for place, bytes_there in cuts:
        start = int(place * (len(content) - 4))
        content[start : start + len(bytes_there)] = bytes_there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert load_image(bytes(content[: max(1, int(keep * len(content)))])).mode == "RGB"
        except ImageError as error:
            assert "\n" not in str(error)


def test_bounded():
    assert bounded((100, 50), 200) == (100, 50)
    assert bounded((1000, 4000), 800) == (200, 800)
    assert bounded((1, 5000), 800) == (1, 800)
