"""The chunks of a PNG (PNG Specification, third edition, section 5), where Pillow does not see or take them."""

import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LONG_TEXT, _ALL_TEXTS = 1 << 20, 1 << 25  # bytes of a text, and of all: Pillow refuses a file with more


def chunks(data: bytes) -> Iterator[bytes]:
    """The chunks, whole: length, kind, body and checksum; the last may be cut off."""
    at = len(SIGNATURE)
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        yield data[at:end]
        at = end


def texts(file: BinaryIO) -> list[bytes]:
    """The texts, each as its kind and its body, but for XMP data and all profiles but IPTC captions."""
    file.seek(0)
    found = []
    for text in (chunk[4:-4] for chunk in chunks(file.read())):
        profile = text[4:].startswith((b"Raw profile type", b"XML:com.adobe"))
        captions = text[4:].startswith(b"Raw profile type iptc")
        if text[:4] in (b"tEXt", b"zTXt", b"iTXt") and (captions or not profile):
            found.append(text)
    return found


def texts_first(data: bytes) -> tuple[BytesIO, bytes | None]:
    """A PNG with its EXIF data and texts in front of the pixels, where Pillow sees them.

    Texts for which Pillow would refuse the photo (PngImagePlugin.MAX_TEXT_CHUNK, or a checksum) are left out.

    Returns:
        The file, and a colour profile that Pillow would refuse, too.
    """
    first, rest, profile, room = [], [], None, _ALL_TEXTS
    for chunk in chunks(data):
        kind = chunk[4:8]
        if kind[0:1].islower() and zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            pass  # damaged, and not needed for the pixels
        elif kind in (b"tEXt", b"zTXt", b"iTXt", b"eXIf"):
            size = max(len(chunk), len(_inflate(kind, chunk, _LONG_TEXT + 1)))
            if size <= min(_LONG_TEXT, room):
                room -= size
                first.append(chunk)
        elif kind == b"iCCP" and len(inflated := _inflate(kind, chunk, _ALL_TEXTS)) > _LONG_TEXT:
            profile = inflated
        else:
            rest.append(chunk)
    return BytesIO(b"".join([SIGNATURE, *rest[:1], *first, *rest[1:]])), profile  # rest[0] is the header


def _inflate(kind: bytes, chunk: bytes, limit: int) -> bytes:
    """The first bytes of what a chunk holds compressed."""
    value = chunk[8:-4].partition(b"\0")[2]
    if kind == b"iTXt":  # flag, method, language, translated keyword, text
        value = b"\0".join(value[2:].split(b"\0")[2:]) if value[:1] == b"\1" else b""
    elif kind not in (b"zTXt", b"iCCP"):
        return b""
    try:
        return zlib.decompressobj().decompress(value[kind != b"iTXt" :], limit)
    except zlib.error:
        return b""
