"""Photos that once broke something, each named after what it broke. Small files, made here: none is kept."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

MAKERS: dict[str, Callable[[], bytes]] = {}


def hostile(name: str) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    """Registers what makes the file of that name."""

    def register(make: Callable[[], bytes]) -> Callable[[], bytes]:
        MAKERS[name] = make
        return make

    return register


def make_photos(folder: Path, names: list[str] | None = None) -> Iterator[Path]:
    """Write the files, all or those named, one after the other; who asks for the next may delete the last."""
    for name in names or MAKERS:
        path = folder / name
        path.write_bytes(MAKERS[name]())
        yield path


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def flat_png(width: int, height: int, bits: int, color: int, *extra: bytes) -> bytes:
    """A PNG of zeros: a few KB whatever its size."""
    row = 1 + (width * bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] + 7) // 8
    compressor, blocks = zlib.compressobj(9), []
    block = bytes(min(row * height, 2**22))
    left = row * height
    while left:
        blocks.append(compressor.compress(block[:left]))
        left -= min(left, len(block))
    blocks.append(compressor.flush())
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", b"".join(blocks)) + chunk(b"IEND", b"")


def directory(entries: list[tuple[int, int, int, int]], after: bytes = b"") -> bytes:
    """A little-endian TIFF with one directory of (tag, type, count, value or offset), and bytes behind it."""
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + body + bytes(4) + after


def tiff(width: int, height: int, entries: list[tuple[int, int, int, int]], after: bytes = b"") -> bytes:
    """An uncompressed 8-bit gray TIFF; offsets in `entries` are counted from the end of the directory."""
    base = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    behind = 8 + 2 + 12 * (len(base) + len(entries)) + 4
    moved = [
        (tag, kind, count, value + behind if count > 1 or tag == 273 else value) for tag, kind, count, value in entries
    ]
    return directory(sorted(base + moved), after)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@hostile("one_row_of_fifty_million.png")
def _one_row() -> bytes:
    return flat_png(50_000_000, 1, 8, 0)


@hostile("one_column.png")
def _one_column() -> bytes:
    return flat_png(1, 25_000_000, 1, 0)


@hostile("declares_too_much.png")
def _declares_too_much() -> bytes:
    return flat_png(1, 1, 8, 0).replace(struct.pack(">II", 1, 1), struct.pack(">II", 2**31 - 1, 2**31 - 1))


@hostile("exif_entries.png")
def _exif_entries() -> bytes:
    """Each of 65,000 entries says that its value is the whole megabyte."""
    exif = directory([(tag, 7, 1_000_000, 0) for tag in range(1, 65_000)], bytes(300_000))
    return flat_png(8, 8, 8, 0, chunk(b"eXIf", exif))


@hostile("exif_numbers.webp")
def _exif_numbers() -> bytes:
    """Numbers become objects, which take ten times the memory."""
    exif = directory([(tag, 5, 100_000, 8) for tag in range(1, 3_000)], bytes(800_000))
    return saved(Image.new("RGB", (8, 8)), "WEBP", exif=exif)


@hostile("exif_entries.jpg")
def _exif_entries_jpeg() -> bytes:
    exif = directory([(tag, 1, 60_000, 0) for tag in range(1, 5_000)])
    return saved(Image.new("RGB", (8, 8)), "JPEG", exif=b"Exif\0\0" + exif)


@hostile("directory_entries.tif")
def _directory_entries() -> bytes:
    entries = [(tag, 7, 1_000_000, 0) for tag in range(30_000, 65_000)]
    return tiff(8, 8, [(273, 4, 1, 0), (278, 4, 1, 8), (279, 4, 1, 64), *entries], bytes(1_000_000))


@hostile("directory_numbers.tif")
def _directory_numbers() -> bytes:
    entries = [(tag, 12, 100_000, 0) for tag in range(30_000, 33_000)]
    return tiff(8, 8, [(273, 4, 1, 0), (278, 4, 1, 8), (279, 4, 1, 64), *entries], bytes(1_000_000))


@hostile("directory_of_itself.tif")
def _directory_of_itself() -> bytes:
    """The next directory is this one, again and again."""
    content = bytearray(tiff(8, 8, [(273, 4, 1, 0), (278, 4, 1, 8), (279, 4, 1, 64)], bytes(64)))
    end = 8 + 2 + 12 * 8
    content[end : end + 4] = struct.pack("<I", 8)
    return bytes(content)


@hostile("strips.tif")
def _strips() -> bytes:
    """A strip for each of two million rows, all of them the same few bytes."""
    rows = 2_000_000
    offsets = struct.pack("<I", 0) * rows
    return tiff(12, rows, [(273, 4, rows, 0), (278, 4, 1, 1), (279, 4, rows, 0)], offsets)


@hostile("lzw.tif")
def _lzw() -> bytes:
    return saved(Image.new("L", (7000, 7000)), "TIFF", compression="tiff_lzw")


@hostile("float.tif")
def _float() -> bytes:
    return saved(Image.new("F", (7000, 7000), 0.5), "TIFF", compression="tiff_adobe_deflate")


@hostile("scans.jpg")
def _scans() -> bytes:
    """A progressive photo whose last scan comes ten thousand times."""
    content = saved(Image.new("RGB", (4000, 4000), "gray"), "JPEG", progressive=True, quality=50)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * 10_000 + b"\xff\xd9"


@hostile("eighty_scans.jpg")
def _few_scans() -> bytes:
    content = saved(Image.new("RGB", (4900, 4900), "gray"), "JPEG", progressive=True, quality=50)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * 80 + b"\xff\xd9"


@hostile("declared_size_alone.jpg")
def _declared_size_alone() -> bytes:
    """A progressive photo of 49 megapixels that ends after its header: memory for nothing."""
    content = saved(Image.new("RGB", (16, 16)), "JPEG", progressive=True)
    frame = content.index(b"\xff\xc2")
    return content[: frame + 5] + struct.pack(">HH", 7000, 7000) + content[frame + 9 :]


@hostile("comments.ppm")
def _comments() -> bytes:
    return b"P3 3000 3000 255\n" + b"#" + b"c" * 20 + b"\n" + (b"1 #c\n" * 2_000_000) + b"1 " * 25_000_000


@hostile("comment_without_end.ppm")
def _comment_without_end() -> bytes:
    return b"P3 2000 2000 255\n#" + b"c" * 20_000_000


@hostile("odd_maxval.ppm")
def _odd_maxval() -> bytes:
    return b"P6 4500 4500 100\n" + bytes(3 * 4500 * 4500)


@hostile("alpha.png")
def _alpha() -> bytes:
    return flat_png(7000, 7000, 8, 6)


@hostile("sixteen_bits.png")
def _sixteen_bits() -> bytes:
    return flat_png(7000, 7000, 16, 0)


@hostile("sixteen_bits_with_alpha.png")
def _sixteen_bits_alpha() -> bytes:
    return flat_png(7000, 7000, 16, 6)


@hostile("text.png")
def _text() -> bytes:
    """Texts of 60 MB each, a hundred times."""
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(60_000_000), 9))
    return flat_png(8, 8, 8, 0, *[text] * 100)


@hostile("color_profile.png")
def _color_profile() -> bytes:
    return flat_png(8, 8, 8, 0, chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(200_000_000), 9)))


@hostile("chunks.png")
def _chunks() -> bytes:
    return flat_png(8, 8, 8, 0, chunk(b"abCd", b"") * 1_500_000)


@hostile("frames.gif")
def _frames() -> bytes:
    """Five hundred pictures, of which the first is wanted."""
    frame = saved(Image.new("P", (4000, 4000)), "GIF")
    start = frame.index(b"\x2c", 13)
    return frame[:-1] + frame[start:-1] * 500 + b";"


@hostile("extensions.gif")
def _extensions() -> bytes:
    gif = saved(Image.new("P", (8, 8)), "GIF")
    start = gif.index(b"\x2c", 13)
    return gif[:start] + b"!\xfe\x01c\x00" * 3_000_000 + gif[start:]


@hostile("frames.png")
def _animated() -> bytes:
    return flat_png(8, 8, 8, 0, chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))


@hostile("no_pixels.gif")
def _no_pixels() -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b","


@hostile("run_lengths.tga")
def _run_lengths() -> bytes:
    header = struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 7000, 7000, 32, 8)
    return header + (b"\xff" + bytes(4)) * (7000 * 7000 // 128 + 1)


@hostile("cut.avif")
def _cut_avif() -> bytes:
    content = saved(Image.new("RGB", (3000, 3000)), "AVIF")
    return content[: len(content) // 2]


@hostile("tiles.jp2")
def _tiles() -> bytes:
    return saved(Image.new("RGB", (2000, 2000)), "JPEG2000", tile_size=(64, 64))


@hostile("flat.webp")
def _flat_webp() -> bytes:
    return saved(Image.new("RGBA", (16383, 3000), (0, 0, 0, 0)), "WEBP", lossless=True, method=0)


@hostile("palette_of_nothing.bmp")
def _palette() -> bytes:
    content = bytearray(saved(Image.new("P", (64, 64)), "BMP"))
    content[46:50] = struct.pack("<I", 2**32 - 1)
    return bytes(content)


@hostile("offset_past_the_end.bmp")
def _offset() -> bytes:
    content = bytearray(saved(Image.new("RGB", (7000, 7000)), "BMP")[:100])
    content[10:14] = struct.pack("<I", 2**31)
    return bytes(content)


@hostile("noise.jpg")
def _noise() -> bytes:
    return b"\xff\xd8\xff\xe0" + np.random.default_rng(0).bytes(1_000_000)


@hostile("script_in_a_comment.jpg")
def _page_in_a_photo() -> bytes:
    """A photo that is also a page with a script."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "<script>alert(1)</script>")
    return saved(Image.new("RGB", (8, 8)), "PNG", pnginfo=info)


@hostile("large.avif")
def _large_avif() -> bytes:
    return saved(Image.new("RGB", (8000, 6000)), "AVIF", speed=10)
