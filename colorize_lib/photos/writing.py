"""Pixels → image files, with what the photo held beside its pixels."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..files import write_whole
from .encoding import About, encode
from .exif import of_copy, with_mark
from .reading import PhotoError, PhotoFile, about_file, opened_picture

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".tif": "TIFF",
            ".tiff": "TIFF", ".webp": "WEBP", ".bmp": "BMP"}  # fmt: skip


def save_photo(
    path: str | Path,
    rgb: np.ndarray,
    *,
    like: PhotoFile | About | None = None,
    overwrite: bool = False,
    quality: int = 95,
    mark: str = "",
) -> Path:
    """Write an image file, whole or not at all.

    The file is written under a temporary name and then renamed.

    Args:
        path: file to write; its suffix decides the format.  Missing folders are made.
        rgb: (H, W, 3), or with transparency (H, W, 4), uint8 or uint16.  PNG and TIFF keep 16 bits, others get 8.
            JPEG and BMP hold no transparency: the picture is laid on white.
        like: a photo, or what `read_photo` says of it, whose EXIF data (camera, date, place, texts) and resolution
            are copied, byte by byte, except for the orientation (`rgb` is upright), thumbnails, and what describes
            films and maps behind a phone's photo.  The file gets its modification date, too; and a WebP like a
            lossless one is lossless.  A BMP gets only the resolution and the date.
        overwrite: replace an existing file.
        quality: quality of JPEG and WebP, up to 100.
        mark: name of the program that made the picture, such as "colorize_lib 0.1.0".  It becomes the EXIF field
            `Software`, or `ProcessingSoftware` where the photo's owner has the former; in a PNG
            also the text `Software`.

    Raises:
        FileExistsError: if the file exists and `overwrite` is false.
        PhotoError: if the suffix belongs to no known format, `rgb` is no picture, or the file cannot be written.
    """
    path = Path(path)
    if os.path.lexists(path) and not overwrite:
        raise FileExistsError(f"{path} exists already: choose another name, or allow overwriting")
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise PhotoError(f"{path}: cannot write '{path.suffix}': use .jpg, .png, .tif, .webp or .bmp")
    array: np.ndarray = rgb if isinstance(rgb, np.ndarray) else np.empty(0)
    if (
        array.ndim != 3
        or array.shape[2] not in (3, 4)
        or not array.size
        or array.dtype not in (np.uint8, np.uint16)
    ):
        got = f"{rgb.shape} {rgb.dtype}" if array is rgb else type(rgb).__name__
        raise PhotoError(f"{path}: expected (H, W, 3 or 4) pixels, uint8 or uint16, got {got}")
    if not 1 <= quality <= 100:
        raise PhotoError(f"{path} cannot have a quality of {quality}: take 1 to 100")
    try:
        about = _of_copy(like, rgb, mark)
        data = encode(kind, rgb, about, quality, mark)
    except Exception as error:  # for example, a side that is too long for the format
        raise PhotoError(f"{path} cannot be written as {kind} ({error}): choose PNG or TIFF") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data, about.modified)
    except (OSError, ValueError) as error:  # ValueError: a name with a null in it
        reason = getattr(error, "strerror", None) or str(error)
        raise PhotoError(
            f"{path} cannot be written ({reason}): check the folder, its permissions and the room on the disk"
        ) from error
    return path


def _of_copy(like: PhotoFile | About | None, rgb: np.ndarray, mark: str) -> About:
    """What a copy holds beside its pixels."""
    about = like if isinstance(like, About) else About()
    if like is not None and not isinstance(like, About):
        with suppress(PhotoError), opened_picture(like, 1 << 62) as picture:
            about = about_file(picture, like)
    try:
        exif = of_copy(about.exif, rgb.shape[1], rgb.shape[0], about.turned)
    except Exception:  # malformed EXIF data raises many kinds of errors
        exif = b""
    return about._replace(exif=with_mark(exif, mark) if mark else exif)


def writable_path(path: str | Path) -> Path:
    """The path under which a photo can be saved: the suffix of a format that cannot be written becomes .png."""
    path = Path(path)
    return path if path.suffix.lower() in FORMATS else path.with_suffix(".png")
