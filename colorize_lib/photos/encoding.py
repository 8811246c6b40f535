"""Pixels and metadata → the bytes of an image file."""

import struct
import zlib
from io import BytesIO
from typing import NamedTuple

import numpy as np
import tifffile
from PIL import Image

from .exif import RESOLUTION_UNIT, Field, descriptive, first_fields, with_fields, with_resolution
from .profiles import on_white, to_8_bit

_EXIF = b"Exif\0\0"
_SEGMENT = 65533  # bytes that a segment of a JPEG holds


class About(NamedTuple):
    """What an image file holds beside its pixels.  Texts are bytes, which are copied without being decoded."""

    exif: bytes = b""  # without the leading "Exif\0\0"
    dpi: tuple[float, float] | None = None
    xmp: bytes = b""
    iptc: bytes = b""
    comments: list[bytes] = []  # for a JPEG
    texts: list[bytes] = []  # for a PNG: kind and body
    turned: bool = False  # the pixels lie on their side in the file
    lossless: bool = False  # of a WebP
    modified: int | None = None  # the file's date, in nanoseconds since 1970
    left_out: str = ""  # such as "2 of 3 pages"


def encode(kind: str, rgb: np.ndarray, about: About, quality: int, mark: str) -> bytes:
    """The bytes of an image file.

    Args:
        kind: JPEG, PNG, TIFF, WEBP or BMP.
        rgb: (H, W, 3), or with transparency (H, W, 4), uint8 or uint16; only PNG and TIFF keep the latter.
            JPEG and BMP hold no transparency, and get the picture on white.
        about: metadata; a BMP takes only the resolution.
        quality: quality of JPEG and of a WebP that is not `about.lossless`, up to 100.
        mark: a text for PNG; elsewhere it stands in the EXIF data.
    """
    if kind == "TIFF":
        return _encode_tiff(rgb, about)
    if kind == "PNG":
        return _encode_png(rgb, about, mark)
    effort = {"lossless": True, "exact": True} if about.lossless else {"quality": quality}
    options = {
        "JPEG": {"quality": quality, "subsampling": 0},
        "WEBP": {**effort, "exif": _with_resolution(about), "xmp": about.xmp},
        "BMP": {},
    }[kind]
    buffer = BytesIO()
    pixels = to_8_bit(rgb if kind == "WEBP" else on_white(rgb))
    Image.fromarray(pixels).save(buffer, kind, dpi=about.dpi or (0, 0), **options)
    data = buffer.getvalue()
    if kind == "JPEG":
        data = data[:20] + _segments(about) + data[20:]  # behind the start and the JFIF segment
    return data


def _segments(about: About) -> bytes:
    """The metadata of a JPEG, as segments.  EXIF data take as many segments as they need; Pillow writes one."""
    room = _SEGMENT - len(_EXIF)
    parts = [(0xE1, _EXIF + about.exif[i : i + room]) for i in range(0, len(about.exif), room)]
    if about.xmp:
        parts.append((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + about.xmp))
    if about.iptc:
        parts.append((0xED, b"Photoshop 3.0\0" + _resource(about.iptc)))
    for comment in about.comments:
        parts += [(0xFE, comment[i : i + _SEGMENT]) for i in range(0, len(comment), _SEGMENT)]
    return b"".join(
        struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body for kind, body in parts if len(body) <= _SEGMENT
    )


def _resource(iptc: bytes) -> bytes:
    """IPTC data as a resource of Photoshop."""
    return b"8BIM" + struct.pack(">HHL", 0x0404, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)


def _with_resolution(about: About) -> bytes:
    """The EXIF data with the resolution in it, for a format that has no other place."""
    if about.dpi is None or about.exif and RESOLUTION_UNIT in first_fields(about.exif):
        return about.exif
    return with_resolution(about.exif, *about.dpi)


def _encode_png(rgb: np.ndarray, about: About, mark: str) -> bytes:
    if rgb.dtype == np.uint16:
        import imagecodecs  # takes a second to import

        data = imagecodecs.png_encode(np.ascontiguousarray(rgb))
    else:
        buffer = BytesIO()
        Image.fromarray(rgb).save(buffer, "PNG")
        data = buffer.getvalue()
    chunks = [(b"eXIf", about.exif)] if about.exif else []
    if about.dpi:
        per_metre = (round(value / 0.0254) for value in about.dpi)
        chunks.append((b"pHYs", struct.pack(">LLB", *per_metre, 1)))
    if about.xmp:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + about.xmp))
    if about.iptc and not any(text[4:].startswith(b"Raw profile type iptc") for text in about.texts):
        resource = _resource(about.iptc)  # as ImageMagick does: PNG has no place of its own for it
        body = b"\niptc\n%8d\n%s\n" % (len(resource), resource.hex().encode())
        chunks.append((b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(body)))
    if mark:
        taken = any(text[4:].startswith(b"Software\0") for text in about.texts)
        key = b"Comment\0" if taken else b"Software\0"
        chunks.append((b"tEXt", key + mark.encode("latin-1", "replace")))
    chunks += [(text[:4], text[4:]) for text in about.texts]
    written = b"".join(
        struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return b"".join((data[:33], written, data[33:]))  # behind the signature and the header


def _encode_tiff(rgb: np.ndarray, about: About) -> bytes:
    buffer = BytesIO()
    options = {"resolution": about.dpi, "resolutionunit": "INCH"} if about.dpi else {}
    order = ">" if about.exif.startswith(b"MM") else "<"  # the fields' own
    options |= {"photometric": "rgb", "extrasamples": ["unassalpha"] * (rgb.shape[2] - 3), "byteorder": order}
    tifffile.imwrite(buffer, rgb, compression="zlib", software=False, metadata=None, **options)
    data = buffer.getvalue()
    fields = descriptive(first_fields(about.exif)) if about.exif else {}
    if about.xmp:
        fields[700] = Field(1, len(about.xmp), about.xmp)
    if about.iptc and 33723 not in fields:
        fields[33723] = Field(7, len(about.iptc), about.iptc)
    return with_fields(data, fields) if fields else data
