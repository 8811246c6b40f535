"""What an image file holds beside its pixels, as each format keeps it: EXIF, XMP and IPTC data, comments.

All of it stays bytes.  TIFF files, whose fields are EXIF data themselves, are read by `exif`.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL.ImageFile import ImageFile

from .png import texts

_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
_IPTC = 0x0404  # number of a Photoshop resource, as are the next two
_PSD = {0x0422: "exif", 0x0424: "xmp", _IPTC: "iptc"}
_JP2 = {  # uuids of boxes: JPEG 2000 leaves this to its users, and these three are ExifTool's and Adobe's
    bytes.fromhex("4a706754696666457869662d3e4a5032"): "exif",
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "xmp",
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): "iptc",
}


def captions(image: ImageFile, file: BinaryIO) -> dict[str, Any]:
    """The metadata of an opened image that is no TIFF, under the names of `encoding.About`; what it lacks is left out."""
    found: dict[str, Any] = {"exif": image.info.get("exif"), "xmp": image.info.get("xmp")}
    comment = image.info.get("comment")
    found["comments"] = [comment] if isinstance(comment, bytes) else []
    more = {"PNG": _of_png, "JPEG": _of_jpeg, "MPO": _of_jpeg, "PSD": _of_psd, "JPEG2000": _of_jpeg_2000}
    if image.format in more:
        found |= more[image.format](image, file, found)
    if not found.get("texts"):
        found["texts"] = [_png_text(comment) for comment in found["comments"]]
    while isinstance(found["exif"], bytes) and found["exif"].startswith(b"Exif\0\0"):
        found["exif"] = found["exif"][6:]  # some programs write this head twice
    return {name: value for name, value in found.items() if value and isinstance(value, (bytes, list))}


def _of_jpeg(image: ImageFile, *_: object) -> dict[str, Any]:
    # Pillow's `info` has only the last comment.
    comments = [data for kind, data in getattr(image, "applist", ()) if kind == "COM"]
    resources = image.info.get("photoshop")
    return {"comments": comments, "iptc": resources.get(_IPTC) if isinstance(resources, dict) else None}


def _of_psd(image: ImageFile, *_: object) -> dict[str, Any]:
    return {_PSD[number]: data for number, _, data in getattr(image, "resources", ()) if number in _PSD}


def _of_jpeg_2000(_: ImageFile, file: BinaryIO, *__: object) -> dict[str, Any]:
    return {_JP2[data[:16]]: data[16:] for data in _boxes(file) if data[:16] in _JP2}


def _of_png(image: ImageFile, file: BinaryIO, found: dict[str, Any]) -> dict[str, Any]:
    """The texts of a PNG, and what ImageMagick writes into it as text."""
    comments = [text if key == "Comment" else f"{key}: {text}" for key, text in _texts(image.info)]
    segment = _raw_profile(image, "APP1")  # of a JPEG that became this PNG
    exif = segment if segment.startswith(b"Exif\0\0") else b""
    xmp = segment.removeprefix(_XMP_SEGMENT) if segment.startswith(_XMP_SEGMENT) else b""
    resource = _raw_profile(image, "iptc")  # with a head: 8BIM, its number, a name (mostly empty), its length
    return {
        "comments": [comment.encode(errors="surrogateescape") for comment in comments],
        "texts": texts(file),
        "exif": found["exif"] or _raw_profile(image, "exif") or exif,
        "xmp": found["xmp"] or _raw_profile(image, "xmp") or xmp,
        "iptc": resource[12 : 12 + int.from_bytes(resource[8:12], "big")]
        if resource[:4] == b"8BIM"
        else resource,
    }


def _raw_profile(image: ImageFile, kind: str) -> bytes:
    """Three lines of head, then hexadecimal digits."""
    text = image.info.get(f"Raw profile type {kind}")
    try:
        return bytes.fromhex("".join(text.split("\n")[3:])) if isinstance(text, str) else b""
    except ValueError:
        return b""


def _texts(info: dict) -> Iterator[tuple[str, str]]:
    for key, text in info.items():
        if isinstance(text, str) and not str(key).startswith(("Raw profile type", "XML:com.adobe")):
            yield key, text


def _png_text(comment: bytes) -> bytes:
    """A comment of another format as a text of a PNG: international if it is UTF-8, else as it is."""
    try:
        comment.decode()
    except UnicodeDecodeError:
        return b"tEXtComment\0" + comment.replace(b"\0", b"")
    return b"iTXtComment\0\0\0\0\0" + comment.replace(b"\0", b"")


def _boxes(file: BinaryIO) -> Iterator[bytes]:
    """The contents of the uuid boxes of a JP2 file."""
    file.seek(0)
    while len(head := file.read(8)) == 8:
        size, kind, end = int.from_bytes(head[:4], "big"), head[4:], file.tell() - 8
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        if size == 0 and kind != b"uuid" or 0 < size < 8:  # to the end of the file; no box
            return
        if kind == b"uuid":
            yield file.read(size - (file.tell() - end) if size else -1)
        file.seek(end + size if size else 0, 0 if size else 2)
