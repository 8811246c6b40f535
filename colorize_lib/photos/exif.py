"""EXIF data as bytes: the camera, date, author and place of a photo are copied as they were written.

A block of EXIF data is a TIFF file without pixels (EXIF 3.0, 4.5 to 4.6; TIFF 6.0, section 2):
a header, then directories of numbered fields, some of which point to directories below.
Nothing is decoded here, so no text, and no camera's private note, can be lost on the way.
"""

import struct
from collections.abc import Iterable, Iterator
from mmap import mmap
from typing import NamedTuple

ORIENTATION, RESOLUTION_UNIT = 0x0112, 0x0128
SOFTWARE, PROCESSING_SOFTWARE = 0x0131, 0x000B
ASCII = 2  # the type of a text

_SIZES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8,
}  # fmt: skip
_EXIF, _GPS, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005  # fields that point to a directory
_X_RESOLUTION, _Y_RESOLUTION = 0x011A, 0x011B
_COLOR_SPACE, _PIXEL_X, _PIXEL_Y = 0xA001, 0xA002, 0xA003

# The fields of a TIFF's directory, beside its texts, that describe the photo; the others describe the pixels.
_DESCRIPTIVE = {
    _EXIF, _GPS, _X_RESOLUTION, _Y_RESOLUTION, RESOLUTION_UNIT,
    0x4746, 0x4749,  # rating
    0x83BB, 0x9286, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F,  # IPTC, comment, and Windows' title to subject
}  # fmt: skip
_SETS_UP_PIXELS = {0x010D, 0x011D, 0x014D}  # texts that name pages and inks


class Field(NamedTuple):
    """A field of a directory: its TIFF type, how many values, and their bytes; or the directory below."""

    kind: int
    count: int
    data: "bytes | dict[int, Field]"


Fields = dict[int, Field]


class Tiff:
    """The directories of a TIFF file or of a block of EXIF data.

    Raises:
        ValueError: if the data does not begin like one.
    """

    def __init__(self, data: bytes | bytearray | mmap):
        order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]), "")
        magic = struct.unpack_from(f"{order}H", data, 2)[0] if order and len(data) >= 16 else 0
        if magic not in (42, 43):
            raise ValueError("no TIFF header")
        self.data, self.order, self.big = data, order, magic == 43
        self.first = self._number("Q" if self.big else "L", 8 if self.big else 4)

    def directories(self) -> Iterator[int]:
        """Where the directories of the main chain lie."""
        seen, offset = set(), self.first
        while offset and offset not in seen and offset < len(self.data):
            seen.add(offset)
            yield offset
            try:
                offset = self._number("Q" if self.big else "L", self._end(offset))
            except struct.error:
                return

    def fields(self, offset: int, depth: int = 0) -> Fields:
        """The fields of a directory and of those below it; what cannot be read is left out."""
        found = {}
        for tag, kind, count, at in self.entries(offset):
            data = bytes(self.data[at : at + _SIZES[kind] * count])
            if tag in (_EXIF, _GPS, _INTEROPERABILITY):
                below = int.from_bytes(data, "little" if self.order == "<" else "big")
                if depth < 2 and (inner := self.fields(below, depth + 1)):
                    found[tag] = Field(4, 1, inner)
            else:
                found[tag] = Field(kind, count, data)
        return found

    def entries(self, offset: int) -> Iterator[tuple[int, int, int, int]]:
        """(tag, type, count, where the values lie) of each field whose values are there."""
        width = 8 if self.big else 4
        try:
            start, end = offset + (8 if self.big else 2), self._end(offset)
            for entry in range(start, end, 12 + 2 * (width - 4)):
                tag, kind = struct.unpack_from(f"{self.order}HH", self.data, entry)
                count = self._number("Q" if self.big else "L", entry + 4)
                size, at = _SIZES.get(kind, 0) * count, entry + 4 + width
                if size > width:
                    at = self._number("Q" if self.big else "L", at)
                if size and at + size <= len(self.data):
                    yield tag, kind, count, at
        except struct.error:  # the directory is cut off
            return

    def _number(self, code: str, at: int) -> int:
        return struct.unpack_from(self.order + code, self.data, at)[0]

    def _end(self, offset: int) -> int:
        """Where a directory's fields end, and the pointer to the next directory lies."""
        if self.big:
            return offset + 8 + 20 * self._number("Q", offset)
        return offset + 2 + 12 * self._number("H", offset)


def from_tiff(data: bytes | mmap, offset: int | None = None) -> bytes:
    """The fields of a TIFF file that describe its photo, as a block of EXIF data.

    Args:
        data: the file.
        offset: the directory of the photo; None: the first.  A field that it lacks is taken from the first.
    """
    tiff = Tiff(data)
    fields = {}
    for directory in (tiff.first, offset):
        fields |= descriptive(tiff.fields(directory)) if directory else {}
    return with_fields(_empty(tiff.order), fields) if fields else b""


def first_fields(block: bytes) -> Fields:
    """The fields of a block's first directory."""
    tiff = Tiff(block)
    return tiff.fields(tiff.first)


def with_mark(block: bytes, text: str) -> bytes:
    """The block, or a new one, with a text about what made the picture; the owner's texts stay."""
    block = block or _empty("<")
    fields = first_fields(block)
    tag = PROCESSING_SOFTWARE if _text(fields, SOFTWARE) else SOFTWARE
    texts = [some for some in (_text(fields, tag), text.encode()) if some]
    if text.encode() in _text(fields, SOFTWARE) + _text(fields, tag):
        return block  # our own work, coloured again
    data = b"; ".join(texts) + b"\0"
    return with_fields(block, {tag: Field(ASCII, len(data), data)})


def with_resolution(block: bytes, x: float, y: float) -> bytes:
    """The block, or a new one, with the pixels per inch in it."""
    block = block or _empty("<")
    order = Tiff(block).order
    ratios = (Field(5, 1, struct.pack(f"{order}LL", round(value * 1000), 1000)) for value in (x, y))
    unit = Field(3, 1, struct.pack(f"{order}H", 2))
    return with_fields(
        block, dict(zip((_X_RESOLUTION, _Y_RESOLUTION), ratios, strict=True)) | {RESOLUTION_UNIT: unit}
    )


def _empty(order: str) -> bytes:
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}LHLH", 8, 0, 0, 0)


def _text(fields: Fields, tag: int) -> bytes:
    field = fields.get(tag)
    return field.data.rstrip(b"\0 ") if field and isinstance(field.data, bytes) else b""


def descriptive(fields: Fields) -> Fields:
    """The fields that describe a photo, in whatever file they are."""
    return {
        tag: field
        for tag, field in fields.items()
        if tag in _DESCRIPTIVE or field.kind == ASCII and tag not in _SETS_UP_PIXELS
    }


def of_copy(block: bytes, width: int, height: int, turned: bool) -> bytes:
    """EXIF data for the upright sRGB copy of a photo.

    Every byte stays where it was, since a camera's note may point anywhere; but the
    orientation goes, the size and the colour space are those of the copy, and thumbnails,
    which show another picture now, are blanked.

    Args:
        block: without the leading `Exif\\0\\0`.
        width, height: size of the copy, in pixels.
        turned: the copy is the photo turned on its side: the two resolutions change places.

    Raises:
        ValueError: if this is no EXIF data.
    """
    data = bytearray(_without_thumbnails(block))
    tiff = Tiff(data)
    if tiff.big or not any(tiff.entries(tiff.first)):
        raise ValueError("no EXIF data")
    pointers = {tag: at for tag, kind, count, at in tiff.entries(tiff.first) if (kind, count) == (4, 1)}
    if _EXIF in pointers:
        new = {_COLOR_SPACE: 1, _PIXEL_X: width, _PIXEL_Y: height}
        for tag, kind, count, at in tiff.entries(tiff._number("L", pointers[_EXIF])):
            if tag in new and kind in (3, 4) and count == 1 and new[tag] < 1 << 8 * _SIZES[kind]:
                struct.pack_into(tiff.order + {3: "H", 4: "L"}[kind], data, at, new[tag])
    other = {_X_RESOLUTION: _Y_RESOLUTION, _Y_RESOLUTION: _X_RESOLUTION} if turned else {}
    return with_fields(bytes(data), {}, without={ORIENTATION}, renamed=other)


def _without_thumbnails(block: bytes) -> bytes:
    """The block with the pictures of its second directory blanked, or cut off at the end."""
    tiff, data = Tiff(block), bytearray(block)
    for offset in list(tiff.directories())[1:]:
        found = {tag: tiff._number({3: "H", 4: "L"}[kind], at)
                 for tag, kind, count, at in tiff.entries(offset) if kind in (3, 4) and count == 1}  # fmt: skip
        for start, size in ((0x0201, 0x0202), (0x0111, 0x0117)):
            if start in found and size in found:
                begin, end = found[start], min(found[start] + found[size], len(data))
                if begin >= 8 and begin < end:
                    data[begin:end] = b"" if end == len(data) else bytes(end - begin)
    return bytes(data)


def with_fields(
    data: bytes, fields: Fields, *, without: Iterable[int] = (), renamed: dict[int, int] | None = None
) -> bytes:
    """A TIFF file, or a block of EXIF data, with more fields in its first directory.

    The new directory is appended and all other bytes stay where they are, so that what
    points to them still does.  Only the first directory is left in the chain.

    Args:
        data: a TIFF file or a block of EXIF data, but no BigTIFF.
        fields: their values in the byte order of `data`; they replace those of the same number.
        without: numbers of fields to leave out.
        renamed: {a field's number: its new number}.
    """
    tiff = Tiff(data)
    gone, renamed = set(without) | fields.keys(), renamed or {}
    kept = {}
    for tag, kind, count, at in tiff.entries(tiff.first):
        if tag not in gone:
            inline = _SIZES[kind] * count <= 4
            value = bytes(data[at : at + 4]) if inline else struct.pack(f"{tiff.order}L", at)
            kept[renamed.get(tag, tag)] = (
                struct.pack(f"{tiff.order}HHL", renamed.get(tag, tag), kind, count) + value
            )
    out = bytearray(data) + bytes(len(data) % 2)
    struct.pack_into(f"{tiff.order}L", out, 4, len(out))
    return bytes(out) + _directory(fields, tiff.order, len(out), kept)


def _directory(fields: Fields, order: str, base: int, raw: dict[int, bytes] | None = None) -> bytes:
    """A directory as it lies at `base`, with its values and the directories below it behind it."""
    entries = dict(raw or {})
    behind = bytearray()
    start = base + 2 + 12 * len(entries.keys() | fields.keys()) + 4
    for tag, (kind, count, data) in fields.items():
        head = struct.pack(f"{order}HHL", tag, kind, count)
        if isinstance(data, bytes) and len(data) <= 4:
            entries[tag] = head + data.ljust(4, b"\0")
            continue
        entries[tag] = head + struct.pack(f"{order}L", start + len(behind))
        behind += data if isinstance(data, bytes) else _directory(data, order, start + len(behind))
        behind += bytes(len(behind) % 2)
    listed = b"".join(entries[tag] for tag in sorted(entries))
    return struct.pack(f"{order}H", len(entries)) + listed + bytes(4) + bytes(behind)
