"""Sixty-odd kinds of photos, as people have them: the right picture, or one sentence.

Each kind is made here, from pixels that are known, by the libraries that the field writes photos with.
"""

import io
import lzma
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import png
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from colorize_lib.data import sample_photos
from colorize_lib.photos import SUFFIXES, PhotoError, open_photo, read_photo, save_photo, to_8_bit

RGB = np.asarray(Image.open(sample_photos("val")[0]).convert("RGB").resize((48, 32)))
GREY = np.asarray(Image.fromarray(RGB).convert("L"))
DEEP = np.random.default_rng(0).integers(0, 65536, (32, 48, 3), dtype=np.uint16)
ALPHA = (
    np.where(np.arange(48) < 24, 255, 0).astype(np.uint8)[None].repeat(32, 0)
)  # the right half is see-through
ON_WHITE = np.where(ALPHA[..., None] == 255, RGB, 255)
GREY_ON_WHITE = np.where(ALPHA == 255, GREY, 255)
EXACT, LOSSY = 0, 6  # largest mean difference, of 255

KINDS: dict[str, tuple[Callable[[Path], None], np.ndarray | str, float]] = {}


def kind(name: str, expected: np.ndarray | str, error: float = EXACT):
    """Register a maker of a photo, with the picture that is in it, or a part of the sentence against it."""

    def register(make: Callable[[Path], None]) -> Callable[[Path], None]:
        KINDS[name] = (make, expected, error)
        return make

    return register


def pillow(
    name: str, array: np.ndarray, expected: np.ndarray | str, error: float = EXACT, mode=None, **options
):
    image = Image.fromarray(array)
    image = image.convert(mode) if mode else image
    kind(name, expected, error)(lambda path: image.save(path, **options))


def tiff(name: str, array: np.ndarray, expected: np.ndarray | str, error: float = EXACT, **options):
    kind(name, expected, error)(lambda path: tifffile.imwrite(path, array, metadata=None, **options))


def image_data(array: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


# Formats

pillow("grey.jpg", GREY, GREY, LOSSY)
pillow("colour.jpg", RGB, RGB, LOSSY, quality=95, subsampling=0)
pillow("progressive.jpg", RGB, RGB, LOSSY, quality=95, progressive=True)
pillow("saved_by_windows.jfif", RGB, RGB, LOSSY, format="JPEG", quality=95)
pillow("old.jpe", RGB, RGB, LOSSY, format="JPEG", quality=95)
pillow("shouting.JPG", RGB, RGB, LOSSY, format="JPEG", quality=95)
pillow("colour.png", RGB, RGB)
pillow("grey.png", GREY, GREY)
pillow("bilevel.png", GREY, np.asarray(Image.fromarray(GREY).convert("1")) * np.uint8(255), mode="1")
pillow("palette.png", RGB, np.asarray(Image.fromarray(RGB).convert("P").convert("RGB")), mode="P")
pillow("lossless.webp", RGB, RGB, lossless=True)
pillow("lossy.webp", RGB, RGB, LOSSY + 2, quality=95)
pillow("colour.bmp", RGB, RGB)
pillow("colour.gif", RGB, RGB, 20)
pillow("grey.gif", GREY, GREY)
pillow("colour.avif", RGB, RGB, LOSSY, quality=95)
pillow("lossless.jp2", RGB, RGB)
pillow("colour.ppm", RGB, RGB)
pillow("grey.pgm", GREY, GREY)
pillow("bilevel.pbm", GREY, np.asarray(Image.fromarray(GREY).convert("1")) * np.uint8(255), mode="1")
pillow("colour.tga", RGB, RGB)
pillow("colour.pcx", RGB, RGB)
pillow("colour.sgi", RGB, RGB)
pillow("colour.qoi", RGB, RGB)
pillow("wrong_suffix.png", RGB, RGB, LOSSY, format="JPEG", quality=95)
kind("no_suffix", RGB)(lambda path: Image.fromarray(RGB).save(path, "PNG"))
kind("colour.psd", RGB)(lambda path: path.write_bytes(
    struct.pack(">4sH6xHLLHHLLLH", b"8BPS", 1, 3, 32, 48, 8, 3, 0, 0, 0, 0) + RGB.transpose(2, 0, 1).tobytes()
))  # fmt: skip

# Transparency

pillow("rgba.png", np.dstack([RGB, ALPHA]), ON_WHITE)
pillow("rgba.webp", np.dstack([RGB, ALPHA]), ON_WHITE, lossless=True)
pillow("rgba.tif", np.dstack([RGB, ALPHA]), ON_WHITE)
pillow("rgba.tga", np.dstack([RGB, ALPHA]), ON_WHITE)
pillow("grey_alpha.png", np.dstack([GREY, ALPHA]), GREY_ON_WHITE)
tiff(
    "grey_alpha.tif",
    np.dstack([GREY, ALPHA]),
    GREY_ON_WHITE,
    photometric="minisblack",
    extrasamples=["unassalpha"],
)
tiff("premultiplied.tif", np.dstack([RGB * (ALPHA[..., None] > 0), ALPHA]), ON_WHITE, photometric="rgb",
     extrasamples=["assocalpha"])  # fmt: skip
for planar in ("contig", "separate"):
    for name, parts, expected, photometric in (
        ("grey", [GREY * (ALPHA > 0), ALPHA], GREY_ON_WHITE, "minisblack"),
        ("colour", [*(RGB * (ALPHA[..., None] > 0)).transpose(2, 0, 1), ALPHA], ON_WHITE, "rgb"),
    ):
        for compression in (None, "lzw", "zlib", "packbits"):
            tiff(f"premultiplied_{name}_{planar}_{compression}.tif", np.stack(parts, axis=-1 if planar == "contig" else 0), expected,
                 photometric=photometric, extrasamples=["assocalpha"], planarconfig=planar, compression=compression)  # fmt: skip
tiff("extra_sample.tif", np.dstack([RGB, ALPHA]), RGB, photometric="rgb", extrasamples=["unspecified"])
kind("transparent_grey.png", np.where(GREY[0, 0] == GREY, 255, GREY))(
    lambda path: Image.fromarray(GREY).save(path, transparency=int(GREY[0, 0]))
)
kind("transparent_palette.png", np.repeat(np.where(np.arange(48) < 24, 30, 255)[None], 32, 0))(
    lambda path: _palette().save(path, transparency=1)
)
kind("transparent_palette.gif", np.repeat(np.where(np.arange(48) < 24, 30, 255)[None], 32, 0))(
    lambda path: _palette().save(path, transparency=1)
)


def _palette() -> Image.Image:
    image = Image.fromarray((np.arange(48) >= 24).astype(np.uint8)[None].repeat(32, 0), "P")
    image.putpalette([30, 30, 30, 200, 10, 10])
    return image


PALETTE = np.array([[30, 30, 30], [200, 10, 10], [0, 200, 0], [10, 20, 250]])
INDEX = np.tile(np.arange(48, dtype=np.uint8) // 12, (32, 1))
OPACITY = np.array([255, 128, 0, 64], np.uint8)[INDEX]
SHARE = OPACITY[..., None] / 255
COLOURS = PALETTE[INDEX]


def palette_with_alpha(path: Path, planar: str, compression: str | None, alpha: str) -> None:
    """tifffile writes no such thing: it is told that the numbers of the colours are grey."""
    stored = np.stack([INDEX, OPACITY], axis=-1 if planar == "contig" else 0)
    colormap = np.pad(PALETTE.T * 257, ((0, 0), (0, 252))).ravel().tolist()
    tifffile.imwrite(path, stored, photometric="minisblack", extrasamples=[alpha], planarconfig=planar, metadata=None,
                     compression=compression, extratags=[(320, 3, 768, colormap, True)])  # fmt: skip
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags[262].valueoffset
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, place, 3)
    path.write_bytes(data)


for alpha, expected in (
    ("unassalpha", COLOURS * SHARE + 255 * (1 - SHARE)),
    ("assocalpha", np.minimum(COLOURS, 255 * SHARE) + 255 * (1 - SHARE)),
    ("unspecified", COLOURS),
):
    for planar in ("contig", "separate"):
        for compression in (None, "lzw", "zlib", "packbits"):
            kind(f"palette_{alpha}_{planar}_{compression}.tif", expected, 0.5)(
                lambda path, options=(planar, compression, alpha): palette_with_alpha(path, *options)
            )


def indexed() -> Image.Image:
    image = Image.fromarray(INDEX, "P")
    image.putpalette(PALETTE.ravel().tolist())
    return image


kind("opacities.png", COLOURS * SHARE + 255 * (1 - SHARE), 0.5)(
    lambda path: indexed().save(path, transparency=bytes([255, 128, 0, 64]))
)
kind("opacities_2_bits.png", COLOURS * SHARE + 255 * (1 - SHARE), 0.5)(
    lambda path: indexed().save(path, bits=2, transparency=bytes([255, 128, 0, 64]))
)
for hidden in range(4):
    kind(f"hidden_{hidden}.gif", np.where(INDEX[..., None] == hidden, 255, COLOURS))(
        lambda path, hidden=hidden: indexed().save(path, transparency=hidden)
    )

# CMYK: plain ink, no profile

INK = np.dstack([255 - RGB, np.zeros_like(GREY)])
kind("cmyk.jpg", RGB, LOSSY)(lambda path: Image.fromarray(INK, "CMYK").save(path, quality=98, subsampling=0))
kind("cmyk.tif", RGB)(lambda path: Image.fromarray(INK, "CMYK").save(path))
kind("cmyk_lzw.tif", RGB)(lambda path: Image.fromarray(INK, "CMYK").save(path, compression="tiff_lzw"))
kind("ycck.jpg", RGB, LOSSY)(lambda path: path.write_bytes(_ycck()))
tiff("cmyk_16.tif", np.dstack([65535 - DEEP, np.zeros_like(DEEP[..., 0])]), DEEP, photometric="separated")


def _ycck() -> bytes:
    """As Photoshop writes it: inverted CMYK, the first three stored as YCbCr."""
    colours = np.asarray(Image.fromarray(255 - RGB).convert("YCbCr"))
    data = bytearray(image_data(np.dstack([colours, np.full_like(GREY, 255)]), "PNG"))
    image = Image.open(io.BytesIO(data))
    buffer = io.BytesIO()
    Image.merge("CMYK", [Image.fromarray(255 - band) for band in np.asarray(image).transpose(2, 0, 1)]).save(
        buffer, "JPEG", quality=98, subsampling=0
    )
    data = bytearray(buffer.getvalue())
    at = data.index(b"Adobe")
    data[at + 11] = 2  # the transform: YCCK
    return bytes(data)


# TIFF

for compression in (None, "lzw", "zlib", "packbits"):
    tiff(f"colour_{compression}.tif", RGB, RGB, photometric="rgb", compression=compression)
    tiff(f"grey_{compression}.tif", GREY, GREY, photometric="minisblack", compression=compression)
    tiff(f"deep_{compression}.tif", DEEP, DEEP, photometric="rgb", compression=compression)
    tiff(
        f"deep_grey_{compression}.tif",
        DEEP[..., 0],
        DEEP[..., 0],
        photometric="minisblack",
        compression=compression,
    )
for compression in ("lzw", "zlib"):
    tiff(
        f"deep_predictor_{compression}.tif",
        DEEP,
        DEEP,
        photometric="rgb",
        compression=compression,
        predictor=True,
    )
tiff("deep_big_endian.tif", DEEP, DEEP, photometric="rgb", compression="lzw", byteorder=">")
tiff("deep_planar.tif", DEEP.transpose(2, 0, 1), DEEP, photometric="rgb", planarconfig="separate")
tiff("deep_tiled.tif", DEEP, DEEP, photometric="rgb", tile=(16, 16), compression="zlib")
tiff("deep_bigtiff.tif", DEEP, DEEP, photometric="rgb", bigtiff=True)
tiff("planar.tif", RGB.transpose(2, 0, 1), RGB, photometric="rgb", planarconfig="separate")
tiff("zstd.tif", RGB, RGB, photometric="rgb", compression="zstd")
tiff("jpeg.tif", RGB, RGB, LOSSY, photometric="rgb", compression="jpeg")
tiff("white_is_zero.tif", 255 - GREY, GREY, photometric="miniswhite")
tiff("deep_white_is_zero.tif", 65535 - DEEP[..., 0], DEEP[..., 0], photometric="miniswhite")
ALPHA_16 = ALPHA.astype(np.uint16) * 257
tiff("deep_rgba.tif", np.dstack([DEEP, ALPHA_16]), np.where(ALPHA[..., None] == 255, DEEP, 65535), photometric="rgb",
     extrasamples=["unassalpha"])  # fmt: skip
tiff("deep_premultiplied.tif", np.dstack([DEEP * (ALPHA_16[..., None] > 0), ALPHA_16]),
     np.where(ALPHA[..., None] == 255, DEEP, 65535), photometric="rgb", extrasamples=["assocalpha"])  # fmt: skip
tiff("deep_grey_alpha.tif", np.dstack([DEEP[..., 0], ALPHA_16]), np.where(ALPHA == 255, DEEP[..., 0], 65535),
     photometric="minisblack", extrasamples=["unassalpha"])  # fmt: skip
tiff("palette.tif", GREY, np.stack([np.arange(255, -1, -1, dtype=np.uint8)[GREY]] * 3, axis=-1),
     photometric="palette", colormap=np.arange(65535, -1, -257, dtype=np.uint16)[None].repeat(3, 0))  # fmt: skip
kind("bilevel_fax.tif", np.asarray(Image.fromarray(GREY).convert("1")) * np.uint8(255))(
    lambda path: Image.fromarray(GREY).convert("1").save(path, compression="group4")
)
tiff("float.tif", RGB.astype(np.float32), "floating-point", photometric="rgb")
tiff("float_grey.tif", GREY.astype(np.float32), "floating-point", photometric="minisblack")
tiff(
    "int_32_too_large.tif",
    np.full((8, 8), 2**20, np.uint32),
    "damaged or unsupported",
    photometric="minisblack",
)


ENCODERS = {1: bytes, 5: imagecodecs.lzw_encode, 8: zlib.compress, 32773: imagecodecs.packbits_encode,
            34925: lzma.compress, 50000: imagecodecs.zstd_encode}  # the compressions of TIFF  # fmt: skip


def packed(bits: int, samples: np.ndarray, compression: int = 1, planar: bool = False) -> bytes:
    """A TIFF of grey (H, W) or RGB (H, W, 3) samples, `bits` each, written by hand: each row ends at a byte."""
    height, width, channels = (*samples.shape, 1)[:3]

    def strip(plane: np.ndarray) -> bytes:
        rows = ("".join(f"{value:0{bits}b}" for value in row.ravel()) for row in plane)
        size = -(-plane[0].size * bits // 8)
        return ENCODERS[compression](
            b"".join(int(row.ljust(8 * size, "0"), 2).to_bytes(size, "big") for row in rows)
        )

    strips = [strip(plane) for plane in (np.moveaxis(samples, -1, 0) if planar else [samples])]
    sizes = [len(data) for data in strips]
    tags = [(256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * channels), (259, 4, [compression]),
            (262, 4, [2 if channels == 3 else 1]), (273, 4, sizes), (277, 4, [channels]), (278, 4, [height]),
            (279, 4, sizes), (284, 4, [2 if planar else 1])]  # fmt: skip
    behind = 8 + 2 + 12 * len(tags) + 4
    start = behind + sum(len(values) * (2 if kind == 3 else 4) for _, kind, values in tags if len(values) > 1)
    ifd, more = b"", b""
    for tag, kind, values in tags:
        if tag == 273:
            values = [start + sum(sizes[:i]) for i in range(len(sizes))]
        data = b"".join(struct.pack("<H" if kind == 3 else "<L", value) for value in values)
        place = data.ljust(4, b"\0") if len(values) == 1 else struct.pack("<L", behind + len(more))
        ifd += struct.pack("<HHL", tag, kind, len(values)) + place
        more += data if len(values) > 1 else b""
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + ifd + bytes(4) + more + b"".join(strips)


for depth in (10, 12, 14):
    for channels in (1, 3):
        samples = (DEEP[..., :channels].squeeze() >> (16 - depth)).astype(np.uint32)
        scaled = ((samples * 65535 + (1 << depth) // 2 - 1) // ((1 << depth) - 1)).astype(np.uint16)
        kind(f"{depth}_bits_{channels}.tif", scaled)(
            lambda path, depth=depth, samples=samples: path.write_bytes(packed(depth, samples))
        )
for depth in range(1, 8):
    for channels in (1, 3):
        samples = (DEEP[..., :channels].squeeze() >> (16 - depth)).astype(np.uint32)
        kind(f"{depth}_bits_{channels}.tif", (samples * 255 + (1 << depth) // 2 - 1) // ((1 << depth) - 1))(
            lambda path, depth=depth, samples=samples: path.write_bytes(packed(depth, samples))
        )
for compression in ENCODERS:
    for depth in (1, 4):
        for planar in (False, True):
            samples = RGB >> (8 - depth)
            kind(f"{depth}_bits_planar_{planar}_{compression}.tif", samples * (255 // ((1 << depth) - 1)))(
                lambda path, options=(depth, samples, compression, planar): path.write_bytes(packed(*options))
            )
        samples = GREY >> (8 - depth)
        kind(f"{depth}_bits_grey_{compression}.tif", samples * (255 // ((1 << depth) - 1)))(
            lambda path, options=(depth, samples, compression): path.write_bytes(packed(*options))
        )
kind("white_is_zero_4_bits.tif", 255 - (GREY >> 4) * 17)(
    lambda path: path.write_bytes(packed(4, GREY >> 4).replace(struct.pack("<HHLL", 262, 4, 1, 1), struct.pack("<HHLL", 262, 4, 1, 0)))
)  # fmt: skip
tiff("webp.tif", RGB, RGB, LOSSY + 2, photometric="rgb", compression="webp")
tiff("12_in_16_bits.tif", DEEP[..., 0] >> 4, ((DEEP[..., 0] >> 4).astype(np.uint32) * 65535 // 4095).astype(np.uint16),
     0.01, photometric="minisblack", extratags=[(281, 3, 1, 4095, True)])  # fmt: skip

# 16 bits elsewhere


def deep_png(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    height, width = pixels.shape[:2]
    png.Writer(width, height, bitdepth=16, **options).write(buffer, pixels.reshape(height, -1))
    return buffer.getvalue()


for name, pixels, expected, options in (
    ("deep.png", DEEP, DEEP, {"greyscale": False}),
    ("deep_interlaced.png", DEEP, DEEP, {"greyscale": False, "interlace": True}),
    ("deep_grey.png", DEEP[..., 0], DEEP[..., 0], {"greyscale": True}),
    ("deep_rgba.png", np.dstack([DEEP, ALPHA_16]), np.where(ALPHA[..., None] == 255, DEEP, 65535),
     {"greyscale": False, "alpha": True}),
    ("deep_grey_alpha.png", np.dstack([DEEP[..., 0], ALPHA_16]), np.where(ALPHA == 255, DEEP[..., 0], 65535),
     {"greyscale": True, "alpha": True}),
    ("deep_transparent_grey.png", np.where(ALPHA == 255, 65535 - GREY.astype(np.uint16), 1000).astype(np.uint16),
     np.where(ALPHA == 255, 65535 - GREY.astype(np.uint16), 65535), {"greyscale": True, "transparent": 1000}),
    ("deep_transparent.png", np.where(ALPHA[..., None] == 255, DEEP | 1, 1000).astype(np.uint16),
     np.where(ALPHA[..., None] == 255, DEEP | 1, 65535), {"greyscale": False, "transparent": (1000, 1000, 1000)}),
):  # fmt: skip
    kind(name, expected.astype(np.uint16))(
        lambda path, pixels=pixels, options=options: path.write_bytes(deep_png(pixels, **options))
    )
kind("deep.pgm", DEEP[..., 0])(
    lambda path: path.write_bytes(b"P5 48 32 65535\n" + DEEP[..., 0].astype(">u2").tobytes())
)
kind("12_bits.pgm", ((DEEP[..., 0] >> 4).astype(np.uint32) * 65535 // 4095).astype(np.uint16), 0.01)(
    lambda path: path.write_bytes(b"P5 48 32 4095\n" + (DEEP[..., 0] >> 4).astype(">u2").tobytes())
)

# What is around the pixels


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))


def with_chunk(data: bytes, *chunks: bytes, behind: bool = False) -> bytes:
    at = len(data) - 12 if behind else 33
    return data[:at] + b"".join(chunks) + data[at:]


def with_exif(data: bytes, block: bytes) -> bytes:
    """A JPEG with that block behind its first segment."""
    return data[:20] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[20:]


JPEG, PNG = image_data(RGB, "JPEG", quality=95, subsampling=0, dpi=(300, 300)), image_data(RGB, "PNG")
SIDEWAYS = b"MM\0*" + struct.pack(
    ">LHHHLHHL", 8, 1, 0x0112, 3, 1, 6, 0, 0
)  # the smallest EXIF data: turn it right
for name, data, expected, error in (
    ("zeroed_exif.jpg", with_exif(JPEG, b"Exif\0\0" + bytes(200)), RGB, LOSSY),
    ("text_as_exif.jpg", with_exif(JPEG, b"Exif\0\0" + b"no EXIF data " * 9), RGB, LOSSY),
    ("cut_exif.jpg", with_exif(JPEG, b"Exif\0\0MM\0*"), RGB, LOSSY),
    ("empty_exif.jpg", with_exif(JPEG, b"Exif\0\0"), RGB, LOSSY),
    ("circular_exif.jpg", with_exif(JPEG, b"Exif\0\0" + SIDEWAYS[:-4] + struct.pack(">L", 8)), np.rot90(RGB, -1), LOSSY),
    ("orientation_9.jpg", with_exif(JPEG, b"Exif\0\0" + SIDEWAYS.replace(b"\0\6\0\0", b"\0\x09\0\0")), RGB, LOSSY),
    ("junk_exif.png", with_chunk(PNG, chunk(b"eXIf", b"junkjunk")), RGB, EXACT),
    ("exif_behind_the_pixels.png", with_chunk(PNG, chunk(b"eXIf", SIDEWAYS), behind=True), np.rot90(RGB, -1), EXACT),
    ("exif_checksum.png", with_chunk(PNG, chunk(b"eXIf", SIDEWAYS)[:-1] + b"?"), RGB, EXACT),
    ("text_checksum.png", with_chunk(PNG, chunk(b"tEXt", b"Title\0x")[:-1] + b"?"), RGB, EXACT),
    ("long_text.png", with_chunk(PNG, chunk(b"tEXt", b"Comment\0" + b"x" * 3_000_000)), RGB, EXACT),
    ("long_packed_text.png", with_chunk(PNG, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(9_000_000)))), RGB, EXACT),
    ("long_world_text.png",
     with_chunk(PNG, chunk(b"iTXt", b"Comment\0\1\0en\0\0" + zlib.compress(bytes(9_000_000)))), RGB, EXACT),
    ("many_texts.png",
     with_chunk(PNG, *[chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(900_000)))] * 99), RGB, EXACT),
    ("raw_profile_text.png",
     with_chunk(PNG, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(
         f"\nexif\n{len(SIDEWAYS) + 6:8}\n{(b'Exif' + bytes(2) + SIDEWAYS).hex()}\n".encode()))),
     np.rot90(RGB, -1), EXACT),
    ("broken_profile.jpg", image_data(RGB, "JPEG", quality=95, icc_profile=b"not a profile"), RGB, LOSSY),
    ("trailing_bytes.jpg", JPEG + bytes(10_000), RGB, LOSSY),
    ("leading_zeros.jpg", bytes(10) + JPEG, "not an image", EXACT),
    ("empty.jpg", b"", "empty", EXACT),
    ("zeros.jpg", bytes(10_000), "not an image", EXACT),
    ("text.jpg", b"My grandmother, 1943", "not an image", EXACT),
    ("postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "not an image", EXACT),
    ("vector.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image", EXACT),
    ("heic.heic", struct.pack(">L4s4sL4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic"), "not an image|pi-heif", EXACT),
    ("bomb.png", with_chunk(image_data(GREY[:1, :1], "PNG")[:8] + chunk(b"IHDR", struct.pack(
        ">LLBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)) + PNG[33:]), "more than 179 megapixels", EXACT),
    ("bomb.gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + image_data(GREY, "GIF")[10:], "megapixels", EXACT),
    ("one_pixel.png", image_data(RGB[:1, :1], "PNG"), RGB[:1, :1], EXACT),
    ("one_pixel.jpg", image_data(RGB[:1, :1], "JPEG", quality=98), RGB[:1, :1], LOSSY),
    ("one_row.png", image_data(np.resize(RGB, (1, 20_000, 3)), "PNG"), np.resize(RGB, (1, 20_000, 3)), EXACT),
    ("one_column.tif", image_data(np.resize(RGB, (20_000, 1, 3)), "TIFF"), np.resize(RGB, (20_000, 1, 3)), EXACT),
):  # fmt: skip
    kind(name, expected, error)(lambda path, data=data: path.write_bytes(data))

# Colour profiles, some of which only call themselves sRGB


def profile(space: bytes, gamma: float, name: bytes) -> bytes:
    """A small ICC profile: sRGB's colorants, or grey, with a curve of our own (ICC.1:2001-04)."""

    def s15(*values: float) -> bytes:
        return b"".join(struct.pack(">l", round(value * 65536)) for value in values)

    curve = b"curv" + struct.pack(">LLH", 0, 1, round(gamma * 256))
    white = (0.9642, 1.0, 0.8249)
    tags = {b"desc": b"desc" + struct.pack(">LL", 0, len(name) + 1) + name + bytes(79), b"cprt": b"text\0\0\0\0none\0",
            b"wtpt": b"XYZ \0\0\0\0" + s15(*white)}  # fmt: skip
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        colorants = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
        for letter, colorant in zip((b"r", b"g", b"b"), colorants, strict=True):
            tags |= {letter + b"XYZ": b"XYZ \0\0\0\0" + s15(*colorant), letter + b"TRC": curve}
    listed, data, offset = b"", b"", 132 + 12 * len(tags)
    for tag, body in tags.items():
        listed += tag + struct.pack(">LL", offset + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    size = offset + len(data)
    head = (
        struct.pack(">L4sL4s4s4s", size, b"lcms", 0x02100000, b"mntr", space, b"XYZ ") + bytes(12) + b"acsp"
    )
    return head + bytes(28) + s15(*white) + bytes(48) + struct.pack(">L", len(tags)) + listed + data


def in_srgb(values: np.ndarray, gamma: float) -> np.ndarray:
    """What a profile with that curve means in sRGB (IEC 61966-2-1), with full scale 1."""
    linear = values**gamma
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


for curve in (1.0, 1.8):
    icc, grey_icc = profile(b"RGB ", curve, b"My sRGB"), profile(b"GRAY", curve, b"sRGB grey")
    eight, sixteen = in_srgb(RGB / 255, curve) * 255, in_srgb(DEEP / 65535, curve) * 65535
    grey_8, grey_16 = in_srgb(GREY / 255, curve) * 255, in_srgb(DEEP[..., 0] / 65535, curve) * 65535
    tag = [(34675, 7, len(icc), icc, True)]
    pillow(f"profile_{curve}.png", RGB, eight, 1.5, icc_profile=icc)
    pillow(f"profile_{curve}.jpg", RGB, eight, LOSSY, icc_profile=icc, quality=98, subsampling=0)
    pillow(f"profile_{curve}.webp", RGB, eight, 1.5, icc_profile=icc, lossless=True)
    tiff(f"profile_{curve}.tif", RGB, eight, 1.5, photometric="rgb", extratags=tag)
    tiff(f"deep_profile_{curve}.tif", DEEP, sixteen.astype(np.uint16), 0.2, photometric="rgb", extratags=tag)
    pillow(f"rgb_profile_on_grey_{curve}.png", GREY, grey_8, 1.5, icc_profile=icc)
    pillow(f"grey_profile_{curve}.png", GREY, grey_8, 1.5, icc_profile=grey_icc)
    pillow(f"grey_profile_{curve}.jpg", GREY, grey_8, LOSSY, icc_profile=grey_icc, quality=98)
    pillow(f"grey_profile_alpha_{curve}.png", np.dstack([GREY, ALPHA]), np.where(ALPHA == 255, grey_8, 255), 1.5,
           icc_profile=grey_icc)  # fmt: skip
    pillow(f"grey_profile_palette_{curve}.png", GREY, grey_8, 1.5, mode="P", icc_profile=grey_icc)
    pillow(f"grey_profile_transparent_{curve}.png", GREY, np.where(GREY[0, 0] == GREY, 255, grey_8), 1.5,
           icc_profile=grey_icc, transparency=int(GREY[0, 0]))  # fmt: skip
    kind(f"deep_grey_profile_{curve}.png", grey_16.astype(np.uint16), 0.5)(
        lambda path, icc=grey_icc: path.write_bytes(with_chunk(
            deep_png(DEEP[..., 0], greyscale=True), chunk(b"iCCP", b"p\0\0" + zlib.compress(icc))))
    )  # fmt: skip
    kind(f"deep_profile_{curve}.png", sixteen.astype(np.uint16), 0.2)(
        lambda path, icc=icc: path.write_bytes(with_chunk(
            deep_png(DEEP, greyscale=False), chunk(b"iCCP", b"p\0\0" + zlib.compress(icc))))
    )  # fmt: skip
    kind(f"large_profile_{curve}.png", eight, 1.5)(  # with a private tag's megabytes behind it
        lambda path, icc=icc: path.write_bytes(with_chunk(
            PNG, chunk(b"iCCP", b"p\0\0" + zlib.compress(struct.pack(">L", len(icc) + 3_000_000) + icc[4:] + bytes(3_000_000)))))
    )  # fmt: skip
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
pillow("srgb_profile.png", RGB, RGB, icc_profile=SRGB)
tiff("deep_srgb_profile.tif", DEEP, DEEP, photometric="rgb", extratags=[(34675, 7, len(SRGB), SRGB, True)])
pillow("cmyk_profile_on_rgb.png", RGB, RGB, icc_profile=SRGB[:16] + b"CMYK" + SRGB[20:])
LINEAR, GREY_ICC = profile(b"RGB ", 1.0, b"linear"), profile(b"GRAY", 1.8, b"grey")
IN_SRGB = in_srgb(RGB / 255, 1.0) * 255, in_srgb(DEEP / 65535, 1.0) * 65535
for name, icc, (eight, sixteen) in (
    ("version_4", LINEAR[:8] + b"\4\x30\0\0" + LINEAR[12:], IN_SRGB),
    ("of_a_scanner", LINEAR[:12] + b"scnr" + LINEAR[16:], IN_SRGB),
    ("grey_profile_on_rgb", GREY_ICC, (RGB, DEEP)),
    ("cmyk_profile_on_rgb", LINEAR[:16] + b"CMYK" + LINEAR[20:], (RGB, DEEP)),
    ("lab_profile_on_rgb", LINEAR[:16] + b"Lab " + LINEAR[20:], (RGB, DEEP)),
    ("device_link", LINEAR[:12] + b"link" + LINEAR[16:], (RGB, DEEP)),
    ("named_colours", LINEAR[:12] + b"nmcl" + LINEAR[16:], (RGB, DEEP)),
    ("zero_bytes", bytes(len(LINEAR)), (RGB, DEEP)),
    ("one_byte", b"\0", (RGB, DEEP)),
    ("too_many_tags", LINEAR[:128] + b"\x40\0\0\0" + LINEAR[132:], (RGB, DEEP)),
    *((f"cut_{tenth}", LINEAR[: len(LINEAR) * tenth // 10], (RGB, DEEP)) for tenth in range(1, 10)),
):
    tag = [(34675, 7, len(icc), icc, True)]
    pillow(f"{name}.jpg", RGB, eight, LOSSY, icc_profile=icc, quality=98, subsampling=0)
    pillow(f"{name}.png", RGB, eight, 1.5, icc_profile=icc)
    pillow(f"{name}.webp", RGB, eight, 1.5, icc_profile=icc, lossless=True)
    tiff(f"{name}.tif", RGB, eight, 1.5, photometric="rgb", extratags=tag)
    tiff(f"deep_{name}.tif", DEEP, sixteen.astype(np.uint16), 0.2, photometric="rgb", extratags=tag)


def test_there_are_enough_kinds():
    assert len(KINDS) >= 60


@pytest.mark.parametrize("name", KINDS)
def test_kind(tmp_path, name):
    make, expected, error = KINDS[name]
    make(path := tmp_path / name)
    if isinstance(expected, str):
        with pytest.raises(PhotoError, match=expected) as caught:
            open_photo(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    rgb = open_photo(path)
    expected = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, axis=2)
    full = 255
    if expected.dtype == np.uint16:
        assert rgb.dtype == np.uint16
        full = 65535
    else:
        assert rgb.dtype == np.uint8
    assert rgb.shape == expected.shape
    assert np.abs(rgb.astype(float) - expected).mean() * 255 / full <= error
    small = open_photo(path, min_side=1)  # as training reads it
    assert small.dtype == np.uint8
    assert read_photo(path)[1].left_out == ""


# Orientation

TURNED = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE",
          8: "ROTATE_90"}  # EXIF 3.0, table 6  # fmt: skip


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    image = Image.fromarray(array)
    return np.asarray(image.transpose(Image.Transpose[TURNED[orientation]]) if orientation > 1 else image)


MODES = {
    "1": (np.asarray(Image.fromarray(GREY).convert("1")), {}),
    "L": (GREY, {}), "P": (GREY, {}), "RGB": (RGB, {}), "CMYK": (INK, {}),
    "RGBA": (np.dstack([RGB, ALPHA]), {"extrasamples": ["unassalpha"]}),
    "LA": (np.dstack([GREY, ALPHA]), {"extrasamples": ["unassalpha"]}),
    "I;16": (DEEP[..., 0], {}), "RGB;16": (DEEP, {}),
}  # fmt: skip
PHOTOMETRIC = {"P": "palette", "RGB": "rgb", "RGB;16": "rgb", "RGBA": "rgb", "CMYK": "separated"}
COLORMAP = {"colormap": np.arange(0, 65536, 257, dtype=np.uint16)[None].repeat(3, 0)}


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize("mode", MODES)
def test_every_tiff_is_upright(tmp_path, mode, compression):
    if mode == "1" and compression == "lzw":
        pytest.skip("tifffile writes no bilevel LZW")
    array, options = MODES[mode]
    options = options | (COLORMAP if mode == "P" else {})
    for orientation in range(1, 9):
        path = tmp_path / f"{orientation}.tif"
        tifffile.imwrite(
            path, array, photometric=PHOTOMETRIC.get(mode, "minisblack"), compression=compression, metadata=None,
            extratags=[(274, 3, 1, orientation, True)], **options,
        )  # fmt: skip
        tifffile.imwrite(
            lying := tmp_path / "lying.tif", array, photometric=PHOTOMETRIC.get(mode, "minisblack"), metadata=None,
            **options,
        )  # fmt: skip
        upright, stored = open_photo(path), open_photo(lying)
        if upright.dtype == np.uint8:
            assert np.array_equal(upright, turned(stored, orientation)), orientation
        else:
            planes = [turned(plane, orientation) for plane in stored.transpose(2, 0, 1)]
            assert np.array_equal(upright, np.stack(planes, axis=-1)), orientation
        small = open_photo(path, min_side=8)
        factor = 1 if mode in ("1", "P") else 4  # those cannot be averaged
        assert small.shape == (upright.shape[0] // factor, upright.shape[1] // factor, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "tif", "mpo"])
def test_every_format_is_upright(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {
        "webp": {"lossless": True},
        "jpg": {"quality": 95},
        "mpo": {"quality": 95},
        "avif": {"quality": 95},
    }
    Image.fromarray(RGB).save(path := tmp_path / f"photo.{suffix}", exif=exif, **options.get(suffix, {}))
    upright = turned(RGB, orientation)
    rgb = open_photo(path)
    assert rgb.shape == upright.shape
    assert np.abs(rgb.astype(float) - upright).mean() <= LOSSY


def with_xmp(path: Path, suffix: str, xmp: bytes) -> None:
    """A photo whose XMP data alone says something."""
    chunk_ = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    options = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}, "avif": {"quality": 95}}
    if suffix == "png":
        path.write_bytes(with_chunk(PNG, chunk_))
    elif suffix == "16.png":
        path.write_bytes(with_chunk(deep_png(RGB.astype(np.uint16) * 257, greyscale=False), chunk_))
    elif suffix in ("tif", "16.tif"):
        pixels = RGB.astype(np.uint16) * 257 if suffix == "16.tif" else RGB
        tifffile.imwrite(
            path, pixels, photometric="rgb", metadata=None, extratags=[(700, 1, len(xmp), xmp, True)]
        )
    else:
        Image.fromarray(RGB).save(path, xmp=xmp, **options[suffix])


XMPS = {
    "attribute": b'<rdf:Description tiff:Orientation="6"/>',
    "element": b"<tiff:Orientation>6</tiff:Orientation>",
    "not closed": b'tiff:Orientation="6',
    "no XML": b'\xff\xfe tiff:Orientation="6"',
}


@pytest.mark.parametrize("xmp", XMPS)
@pytest.mark.parametrize("suffix", ["jpg", "png", "16.png", "webp", "avif", "tif", "16.tif"])
def test_an_orientation_in_xmp_alone_counts_as_for_pillow(tmp_path, suffix, xmp):
    with_xmp(path := tmp_path / f"photo.{suffix}", suffix, XMPS[xmp])
    rgb, expected = to_8_bit(open_photo(path)), np.rot90(RGB, -1)
    assert rgb.shape == expected.shape
    assert np.abs(rgb.astype(float) - expected).mean() <= LOSSY
    assert open_photo(path, min_side=8).shape == (12, 8, 3)


@pytest.mark.parametrize("xmp", XMPS)
@pytest.mark.parametrize("suffix", ["jpg", "png", "16.png", "webp", "avif", "tif", "16.tif"])
@pytest.mark.parametrize("target", ["jpg", "png", "webp", "tif"])
def test_a_copy_is_not_turned_a_second_time(tmp_path, suffix, target, xmp):
    with_xmp(path := tmp_path / f"photo.{suffix}", suffix, XMPS[xmp])
    copy = save_photo(tmp_path / f"copy.{target}", to_8_bit(open_photo(path)), like=path)
    with Image.open(copy) as image:
        assert ImageOps.exif_transpose(image).size == (32, 48)


@pytest.mark.parametrize("tenth", range(11))
@pytest.mark.parametrize("order", ["<", ">"])
def test_truncated_exif_data_turn_a_photo_as_for_pillow(tmp_path, order, tenth):
    """Pillow reads a field of the orientation that is whole, whatever is missing behind it."""
    entries = struct.pack(f"{order}HHLHH", 0x0112, 3, 1, 6, 0) + struct.pack(
        f"{order}HHLL", 0x010E, 2, 40, 38
    )
    exif = (
        struct.pack(f"{order}2sHLH", b"II" if order == "<" else b"MM", 42, 8, 2)
        + entries
        + bytes(4)
        + b"x" * 40
    )
    exif = exif[: len(exif) * tenth // 10]
    for suffix, data in (
        ("jpg", with_exif(JPEG, b"Exif\0\0" + exif)),
        ("png", with_chunk(PNG, chunk(b"eXIf", exif))),
    ):
        (path := tmp_path / f"photo.{suffix}").write_bytes(data)
        with Image.open(path) as image:
            try:
                expected = ImageOps.exif_transpose(image).size
            except Exception:  # it is too short for Pillow, whose errors are of many kinds
                expected = (48, 32)
        assert open_photo(path).shape[1::-1] == expected, suffix


# Pages and frames


def test_the_largest_page_is_the_photo(tmp_path):
    with tifffile.TiffWriter(path := tmp_path / "thumbnail_first.tif") as file:
        file.write(GREY[::4, ::4], photometric="minisblack", subfiletype=1, metadata=None)
        file.write(GREY, photometric="minisblack", metadata=None)
    assert np.array_equal(open_photo(path)[..., 0], GREY)
    assert read_photo(path)[1].left_out == ""


def test_a_thumbnail_is_not_the_photo_even_if_it_is_larger(tmp_path):
    with tifffile.TiffWriter(path := tmp_path / "large.tif") as file:
        file.write(GREY.repeat(2, 0), photometric="minisblack", subfiletype=1, metadata=None)
        file.write(GREY, photometric="minisblack", metadata=None)
    assert np.array_equal(open_photo(path)[..., 0], GREY)


def test_a_photo_below_its_thumbnail_is_found(tmp_path):
    with tifffile.TiffWriter(path := tmp_path / "below.tif") as file:
        file.write(RGB[::4, ::4], photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        file.write(RGB, photometric="rgb", metadata=None)
    assert np.array_equal(open_photo(path), RGB)
    assert read_photo(path)[1].left_out == ""


def test_the_page_that_is_chosen_brings_its_own_profile_and_orientation(tmp_path):
    icc = profile(b"RGB ", 1.0, b"linear")
    with tifffile.TiffWriter(path := tmp_path / "pages.tif") as file:
        tags = [(34675, 7, len(icc), icc, True), (274, 3, 1, 8, True)]
        file.write(RGB[::4, ::4], photometric="rgb", subfiletype=1, metadata=None, extratags=tags)
        file.write(RGB, photometric="rgb", metadata=None, extratags=[(274, 3, 1, 6, True)])
    assert np.array_equal(open_photo(path), np.rot90(RGB, -1))


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png", "avif"])
def test_what_is_left_out_is_told(tmp_path, suffix):
    images = [Image.fromarray(RGB // part) for part in (1, 2, 3)]
    options = {} if suffix == "tif" else {"duration": 300}
    images[0].save(path := tmp_path / f"three.{suffix}", save_all=True, append_images=images[1:], **options)
    assert read_photo(path)[1].left_out == ("2 of 3 pages" if suffix == "tif" else "2 of 3 frames")
    assert np.abs(open_photo(path).astype(float) - RGB).mean() < 20


def test_previews_of_a_phone_are_not_frames(tmp_path):
    image = Image.fromarray(RGB)
    image.save(path := tmp_path / "photo.mpo", save_all=True, append_images=[image.resize((24, 16))])
    data = path.read_bytes()
    assert read_photo(path)[1].left_out in ("", "1 of 2 frames")
    assert data[:2] == b"\xff\xd8"


def test_the_second_photo_of_a_stereo_camera_is_a_frame(tmp_path):
    """The kind of each picture stands in the MP entries: CIPA DC-007, 5.2.3.3."""
    image = Image.fromarray(RGB)
    image.save(path := tmp_path / "photo.mpo", save_all=True, append_images=[image])
    with Image.open(path) as photo:
        entry = photo.mpinfo[0xB002][1]
    data = bytearray(path.read_bytes())
    place = data.index(struct.pack("<LL", entry["Size"], entry["DataOffset"]))
    struct.pack_into("<L", data, place - 4, 0x020002)  # a multi-frame image for disparity
    path.write_bytes(data)
    assert read_photo(path)[1].left_out == "1 of 2 frames"


# Damage


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("jpg", {}), ("png", {}), ("tif", {}), ("tif", {"compression": "tiff_lzw"}), ("webp", {}), ("gif", {}), ("bmp", {}),
     ("avif", {}), ("jp2", {}), ("tga", {}), ("ppm", {}), ("pcx", {}), ("qoi", {})],
)  # fmt: skip
def test_a_truncated_photo_is_whole_or_refused(tmp_path, suffix, options):
    Image.fromarray(RGB).save(path := tmp_path / f"whole.{suffix}", **options)
    whole, data = open_photo(path), path.read_bytes()
    refused = 0
    for tenth in range(10):
        (cut := tmp_path / f"cut.{suffix}").write_bytes(data[: len(data) * tenth // 10])
        try:
            rgb = open_photo(cut)
        except PhotoError as error:
            assert str(cut) in str(error)
            refused += 1
        else:
            assert np.array_equal(rgb, whole), tenth
    assert refused >= 8


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
def test_a_truncated_deep_tiff_is_refused(tmp_path, compression):
    tifffile.imwrite(
        path := tmp_path / "whole.tif",
        DEEP,
        photometric="rgb",
        compression=compression,
        rowsperstrip=4,
        metadata=None,
    )
    data = path.read_bytes()
    for tenth in range(10):
        path.write_bytes(data[: len(data) * tenth // 10])
        with pytest.raises(PhotoError, match=str(path)):
            open_photo(path)


# What is no file


def test_no_photo_but_a_folder_a_pipe_or_a_dangling_link(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "dangling.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, reason in (
        ("folder.jpg", "folder"),
        ("dangling.jpg", "does not exist"),
        ("pipe.jpg", "no file"),
    ):
        with pytest.raises(PhotoError, match=reason):
            open_photo(tmp_path / name)


@pytest.mark.parametrize(
    "name", [b"Gro\xdfmutter.jpg", "祖母.jpg".encode(), b" .jpg", b"-o.jpg", b"a\nb.jpg", "🎞.jpg".encode(), b"x" * 251 + b".jpg",
             b"e\xcc\x81.jpg", b"'\".jpg", b"[1].jpg", b"%s%n.jpg", b"photo.jpg.", b"photo.jpg ", b"\x1b[31m.jpg"],
)  # fmt: skip
def test_odd_names(tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.write_bytes(JPEG)
    assert open_photo(path).shape == RGB.shape


@pytest.mark.parametrize(
    ("error", "reason"),
    [(PermissionError(13, "no"), "may not be read"), (MemoryError(), "more memory than there is")],
)
def test_a_photo_that_may_not_be_read_is_named(tmp_path, monkeypatch, error, reason):
    def refuse(*_, **__):
        raise error

    Image.fromarray(RGB).save(path := tmp_path / "photo.png")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PhotoError, match=reason) as caught:
        open_photo(path)
    assert str(path) in str(caught.value)


def test_the_limit_can_be_raised_and_lowered(tmp_path):
    Image.fromarray(RGB).save(path := tmp_path / "photo.png")
    assert open_photo(path, max_pixels=48 * 32).shape == RGB.shape
    with pytest.raises(PhotoError, match="megapixels"):
        open_photo(path, max_pixels=48 * 32 - 1)
    assert Image.MAX_IMAGE_PIXELS == 89_478_485  # Pillow's own is as before


def test_an_icon_that_lies_about_its_size_is_refused(tmp_path):
    big = image_data(np.zeros((512, 512), np.uint8), "PNG")
    header = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHLL", 16, 16, 0, 0, 1, 32, len(big), 22)
    (path := tmp_path / "lying.ico").write_bytes(header + big)
    with pytest.raises(PhotoError, match="megapixels"):
        open_photo(path, max_pixels=10_000)


def test_suffixes_are_those_that_pillow_reads():
    Image.init()
    no_photos = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
    readable = {suffix for suffix, name in Image.registered_extensions().items()
                if name in Image.OPEN and name not in no_photos}  # fmt: skip
    assert readable <= SUFFIXES


def test_pixels_survive_a_round_trip_at_8_bits():
    assert np.array_equal(to_8_bit(RGB.astype(np.uint16) * 257), RGB)
