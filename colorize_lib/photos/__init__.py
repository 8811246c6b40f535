"""Image files: read, and written again in colour."""

from .folders import find_photos
from .profiles import to_8_bit
from .reading import (
    MAX_PIXELS,
    SUFFIXES,
    PhotoError,
    PhotoFile,
    is_file,
    open_photo,
    read_photo,
    resize_photo,
    to_srgb,
    turn_upright,
)
from .writing import FORMATS, save_photo, writable_path

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "PhotoError",
    "PhotoFile",
    "SUFFIXES",
    "find_photos",
    "is_file",
    "open_photo",
    "read_photo",
    "resize_photo",
    "save_photo",
    "to_8_bit",
    "to_srgb",
    "turn_upright",
    "writable_path",
]
