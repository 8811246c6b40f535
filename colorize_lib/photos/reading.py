"""Image files of every kind → upright sRGB pixels, and what the files hold beside them."""

import mmap
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeGuard

import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.MpoImagePlugin import MpoImageFile
from PIL.TiffImagePlugin import TiffImageFile

from .captions import captions
from .deep import bits_of_png, choose_page, is_beyond_pillow, is_raw, page_profile, read_page, read_png_16
from .encoding import About
from .exif import ORIENTATION, from_tiff
from .png import SIGNATURE, texts_first
from .profiles import image_to_srgb, on_white, profile_of, samples_to_srgb, to_8_bit

MAX_PIXELS = 178_956_970  # Pillow's own limit, against files that would fill the memory

# Formats that Pillow lists, but that are no photos, or need Ghostscript or Windows.
_NO_PHOTOS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
SUFFIXES = {
    ".apng", ".avif", ".avifs", ".blp", ".bmp", ".bw", ".cur", ".dcx", ".dds", ".dib", ".fit", ".fits",
    ".flc", ".fli", ".ftc", ".ftu", ".gbr", ".gif", ".heic", ".heics", ".heif", ".heifs", ".hif",
    ".icb", ".icns", ".ico", ".iim", ".im", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg",
    ".jpf", ".jpg", ".jpx", ".mpo", ".msp", ".pbm", ".pcd", ".pcx", ".pfm", ".pgm", ".png", ".pnm",
    ".ppm", ".psd", ".pxr", ".qoi", ".ras", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff", ".vda",
    ".vst", ".webp", ".xbm", ".xpm",
}  # fmt: skip

# Brands of HEIC, the format of many phones, which Pillow reads through the extra `heic`.
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # of the web; a Path has lost one slash of it

# Parts of a photo's XMP data that its upright copy must not have: the orientation, thumbnails, and what describes a
# film, a gain map or a depth map behind the photo, or a second block of XMP data.
_NAMES = (
    rb"tiff:Orientation|xmp:Thumbnails|G?Camera:(?:MotionPhoto|MicroVideo)\w*|xmpNote:HasExtendedXMP"
    rb"|(?:hdrgm|HDRGainMap|apdi|GDepth|GImage|GAudio|GContainer|Container|GContainerItem|Item):\w+"
)
_NOT_OF_A_COPY = re.compile(
    rb"(?<![\w:])(?:%b)\s*=\s*(?:\"[^\"]*\"?|'[^']*'?)|<(%b)(?:\s[^>]*?)?(?:/>|>.*?(?:</\1\s*>|\Z))"
    % (_NAMES, _NAMES),
    re.DOTALL,
)
_ORIENTATION_IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')  # where Pillow looks, too

_UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a),
}


PhotoFile = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
)  # a path, or a file's bytes, or the open file


class PhotoError(ValueError):
    """A photo that cannot be read or written; its text is one sentence that names the file."""


def is_file(photo: object) -> TypeGuard[PhotoFile]:
    """Whether a photo is given as a file, to be read: its path, its bytes, or the file itself, open."""
    return isinstance(photo, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(photo, "read")


def open_photo(path: PhotoFile, min_side: int | None = None, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image file as upright sRGB.

    Reads whatever Pillow and tifffile can: JPEG, PNG, TIFF, WebP, AVIF, JPEG 2000, BMP, GIF,
    PGM …, and HEIC with the extra `heic`; palette, grey, RGB, CMYK, with or without transparency (laid on white).  The EXIF
    orientation is applied, an embedded colour profile is converted to sRGB.  Of a TIFF's pages
    the largest is taken that is no thumbnail, of an animation the first frame; `left_out` tells
    how many are left.

    Args:
        path: path of the file; or its bytes, or the file itself, open for reading bytes (an upload, a `BytesIO`),
            which is read from its beginning.
        min_side: if given, a photo whose shorter side is at least twice this is
            decoded at a half, a quarter or an eighth of its size: the smallest
            that keeps the shorter side at `min_side` or more.  For a large JPEG
            this is several times faster.  The result is then 8-bit.
        max_pixels: a larger photo is refused before it fills the memory.

    Returns:
        (H, W, 3), uint8; or uint16 for a PNG or TIFF of 9 to 16 bits, or a 16-bit PGM (without `min_side`).

    Raises:
        PhotoError: if the file is missing, empty, damaged, too large, or not a photo.
    """
    if min_side is not None and not min_side >= 1:
        raise ValueError(f"a side of {min_side} pixels shows nothing: take 1 or more")
    with opened_picture(path, max_pixels) as picture:
        return on_white(_pixels(picture, path, max_pixels, min_side))


def read_photo(path: PhotoFile, *, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, About]:
    """Read an image file once: its pixels, and what it holds beside them, which `save_photo` takes as `like`.

    Args:
        path: the file, as `open_photo` takes it.
        max_pixels: a larger photo is refused before it fills the memory.

    Returns:
        pixels: as `open_photo` gives them; or (H, W, 4), if some are transparent.
        about: metadata, date, and what was left out, such as "2 of 3 pages" (thumbnails of a page do not count).

    Raises:
        PhotoError: as `open_photo` does.
    """
    with opened_picture(path, max_pixels) as picture:
        return _pixels(picture, path, max_pixels), about_file(picture, path)


def resize_photo(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize (H, W, 3) uint8 or uint16 to (height, width, 3) uint8: bicubic, antialiased.

    The same as Pillow's, up to rounding, and several times faster.
    """
    import torch  # takes seconds to import, and a photo that is only coloured does without
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import resize

    planes = torch.from_numpy(np.require(to_8_bit(rgb), requirements=["C", "W"])).permute(2, 0, 1)
    planes = resize(planes, [height, width], InterpolationMode.BICUBIC, antialias=True)
    return planes.permute(1, 2, 0).numpy()


def to_srgb(image: Image.Image) -> Image.Image:
    """A PIL image of any mode → 8-bit sRGB: mode RGBA if it has transparency, else RGB."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed white")
    if image.mode == "La":
        image = image.convert("LA")
    profile, alpha = profile_of(image.info), None
    if image.mode.startswith("I"):
        image = Image.fromarray(to_8_bit(_grey_16(image)))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode in ("P", "PA", "RGBX"):
        image = image.convert("RGB")
    image = image_to_srgb(image, profile)
    if alpha is not None:
        image.putalpha(alpha)
    return image


def turn_upright(image: Image.Image) -> Image.Image:
    """A PIL image, turned as its EXIF data says; the same image if they say nothing."""
    if isinstance(image, TiffImageFile):
        # With a name, Pillow maps the file into memory, and scrambles what lies on its side.
        name, image.filename = image.filename, ""
        image.load()
        image.filename = name
    else:
        image.load()
    with suppress(Exception):  # malformed EXIF data raises many kinds of errors
        return ImageOps.exif_transpose(image)
    return image


# Reading


class _Tiff(NamedTuple):
    """A TIFF file, opened, at the page that is the photo."""

    file: BinaryIO
    page: tifffile.TiffPage
    image: ImageFile | None  # None where Pillow does not know the page
    orientation: int
    others: int  # pages


class _Other(NamedTuple):
    """An image file of any other format, opened."""

    file: BinaryIO
    image: ImageFile
    orientation: int
    page: None = None


_Picture = _Tiff | _Other


@contextmanager
def _file(photo: PhotoFile) -> Iterator[BinaryIO]:
    """A photo's file, open at its beginning."""
    if isinstance(photo, (str, os.PathLike)):
        path = Path(photo)
        if path.is_dir():
            raise PhotoError(f"{path} is a folder, not a photo")
        if path.exists() and not path.is_file():
            raise PhotoError(f"{path} is no file but a device or a pipe: save the photo to a file first")
        with path.open("rb") as file:
            yield file
        return
    if not isinstance(photo, (bytes, bytearray, memoryview)):
        with suppress(AttributeError, OSError):  # a pipe is where it is
            photo.seek(0)
        photo = photo.read()
        if isinstance(photo, str):
            raise PhotoError('a photo is no text: open its file with "rb"')
    yield BytesIO(photo)


def _name(photo: PhotoFile) -> str:
    """What sentences call a photo."""
    if isinstance(photo, (str, os.PathLike)):
        return str(photo) if _ADDRESS.match(str(photo)) else str(Path(photo))
    name = getattr(photo, "name", None)  # of an open file
    return name if isinstance(name, str) and name else "the photo"


@contextmanager
def opened_picture(photo: PhotoFile, max_pixels: int) -> Iterator[_Picture]:
    """Open an image file; whatever goes wrong becomes one sentence."""
    path = _name(photo)
    try:
        with _file(photo) as file, _pillow_held_to(max_pixels):
            yield _open(path, file, max_pixels)
    except PhotoError:
        raise
    except FileNotFoundError:
        if _ADDRESS.match(path):
            raise PhotoError(f"{path} is an address, and this takes files: download it first") from None
        raise PhotoError(f"{path} does not exist: check the path") from None
    except PermissionError:
        raise PhotoError(f"{path} may not be read: check its permissions") from None
    except UnidentifiedImageError:
        raise PhotoError(
            f"{path} is not an image that can be read here: save it as JPEG, PNG, TIFF or WebP"
        ) from None
    except Image.DecompressionBombError:
        raise PhotoError(_too_large(path, max_pixels)) from None
    except MemoryError:
        raise PhotoError(f"{path} needs more memory than there is: scale it down first") from None
    except ModuleNotFoundError as error:
        raise PhotoError(f"{path} needs one more package to be read: pip install {error.name}") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error …
        if isinstance(error, OSError) and error.errno:  # the system's, not a decoder's: no fault of the photo
            raise PhotoError(
                f"{path} cannot be read ({error.strerror}): check the path and the disk"
            ) from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise PhotoError(f"{path} is damaged or unsupported ({reason}): save it anew") from error


def _open(path: str, file: BinaryIO, max_pixels: int) -> _Picture:
    head = file.read(32)
    file.seek(0)
    if not head:
        raise PhotoError(f"{path} is empty (0 bytes): copy it again from where it came")
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _open_tiff(path, file, max_pixels)
    profile = None
    if head.startswith(SIGNATURE):
        file, profile = texts_first(file.read())
    if head[4:8] == b"ftyp" and _HEIC.intersection(head[i : i + 4] for i in range(8, len(head), 4)):
        _teach_heic(path)
    image = _identify(file)
    if profile:
        image.info["icc_profile"] = profile
    _check_size(path, image.size, max_pixels)
    return _Other(file, image, _orientation(image))


def _open_tiff(path: str, file: BinaryIO, max_pixels: int) -> _Tiff:
    page, index, others = choose_page(file)
    if is_raw(page):
        raise PhotoError(f"{path} is a raw file of a camera: develop it to a JPEG or TIFF first")
    _check_size(path, (page.imagewidth, page.imagelength), max_pixels)
    image = _at_page(file, page, index) if index is not None else None
    orientation = page.tags.valueof(ORIENTATION) or _orientation_in_xmp(page.tags.valueof(700))
    return _Tiff(file, page, image, orientation if orientation in _UPRIGHT else 1, others)


def _orientation_in_xmp(xmp: object) -> int:
    found = _ORIENTATION_IN_XMP.search(xmp) if isinstance(xmp, bytes) else None
    return int(found[1]) if found else 1


def _at_page(file: BinaryIO, page: tifffile.TiffPage, index: int) -> ImageFile | None:
    """Pillow's image of a page, or None: what Pillow cannot read, tifffile may."""
    file.seek(0)
    try:
        image = _identify(file)
        image.seek(index)
    except Exception:  # many kinds of errors
        return None
    image.info.pop("icc_profile", None)  # of the first page
    if profile := page_profile(page):
        image.info["icc_profile"] = profile
    return image


def _identify(file: BinaryIO) -> ImageFile:
    """`Image.open` by the content alone, and never through a program like Ghostscript."""
    for load_plugins in (Image.preinit, Image.init):  # the frequent formats; all
        load_plugins()
        with suppress(UnidentifiedImageError):
            return Image.open(file, formats=[name for name in Image.ID if name not in _NO_PHOTOS])
    raise UnidentifiedImageError


def _teach_heic(path: str) -> None:
    """Teach Pillow to read HEIC."""
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        raise PhotoError(
            f"{path} is a HEIC photo, which needs one more package: pip install pi-heif, or save it as JPEG"
        ) from None
    register_heif_opener()


def _check_size(path: str, size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise PhotoError(_too_large(path, max_pixels))


def _too_large(path: str, max_pixels: int) -> str:
    return (
        f"{path} has more than {max_pixels / 1e6:.0f} megapixels: scale it down, "
        "or raise the limit (max_pixels, --max-megapixels) if there is memory for it"
    )


_limits: list[int] = []
_limits_lock = threading.Lock()
_pillows_limit: int | None = None


@contextmanager
def _pillow_held_to(max_pixels: int) -> Iterator[None]:
    """Pillow's limit holds for the whole process: it is ours for as long as a photo is being read."""
    global _pillows_limit
    with _limits_lock:
        if not _limits:
            _pillows_limit = Image.MAX_IMAGE_PIXELS
        _limits.append(max_pixels)
        Image.MAX_IMAGE_PIXELS = max(_limits)
    try:
        yield
    finally:
        with _limits_lock:
            _limits.remove(max_pixels)
            Image.MAX_IMAGE_PIXELS = max(_limits) if _limits else _pillows_limit


def _other_frames(image: ImageFile) -> int:
    """The number of photos in a file beside the first."""
    if isinstance(image, MpoImageFile):  # phones append previews and brightness maps, which are no photos
        entries = (image.mpinfo or {}).get(0xB002, ())
        return sum("Multi-Frame" in str(entry["Attribute"]["MPType"]) for entry in entries[1:])
    if image.format == "PSD":  # its layers are in the picture
        return 0
    return getattr(image, "n_frames", 1) - 1


def _orientation(image: Image.Image) -> int:
    try:
        orientation = Image.Image.getexif(image).get(ORIENTATION)  # PNG's own decodes the pixels, too
    except Exception:  # malformed EXIF data raises many kinds of errors
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _upright(rgb: np.ndarray, orientation: int) -> np.ndarray:
    return np.ascontiguousarray(_UPRIGHT[orientation](rgb) if orientation in _UPRIGHT else rgb)


def _shrink(image: Image.Image, min_side: int | None) -> Image.Image:
    if min_side is None:
        return image
    if image.format == "TIFF":
        image.load()  # which may turn it, and its size
    factor = max((f for f in (1, 2, 4, 8) if min(image.size) >= f * min_side), default=1)
    if factor > 1:
        size = (image.width // factor, image.height // factor)
        image.draft(None, size)  # only JPEG can: it decodes fewer coefficients
        rest = min(image.width // size[0], image.height // size[1])
        if rest > 1 and image.mode not in ("P", "1") and not image.mode.startswith("I"):
            image = image.reduce(rest)
    return image


def _pixels(picture: _Picture, path: PhotoFile, max_pixels: int, min_side: int | None = None) -> np.ndarray:
    """(H, W, 3), or (H, W, 4) if some pixels are transparent: upright sRGB, uint8 or uint16."""
    content = _content(picture)
    if isinstance(content, np.ndarray):
        pixels = _upright(content, picture.orientation)
        if min_side is not None:
            pixels = np.array(_shrink(Image.fromarray(to_8_bit(on_white(pixels))), min_side))
    else:
        image = _shrink(content, min_side)
        image.load()
        _check_size(
            _name(path), image.size, max_pixels
        )  # some files hold another size than their header says
        pixels = np.array(to_srgb(image))
        pixels = _upright(
            pixels, picture.orientation if picture.page is None else 1
        )  # Pillow has turned a TIFF
    opaque = pixels.shape[2] == 4 and (pixels[..., 3] == np.iinfo(pixels.dtype).max).all()
    return np.ascontiguousarray(pixels[..., :3]) if opaque else pixels


def _content(picture: _Picture) -> np.ndarray | ImageFile:
    """Pixels (H, W, 3 or 4), sRGB, not upright yet, where Pillow would cut them to 8 bits or get them wrong; else its image."""
    if picture.image is None or picture.page is not None and is_beyond_pillow(picture.page):
        return read_page(picture.page)
    image = picture.image
    if image.format == "PNG" and bits_of_png(picture.file) == 16:
        return read_png_16(picture.file, profile_of(image.info))
    if image.mode.startswith("I"):
        return samples_to_srgb(_grey_16(image)[..., None], profile_of(image.info))
    return image


def _grey_16(image: Image.Image) -> np.ndarray:
    grey = np.asarray(image)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(262) == 0:  # white is 0
        grey = 65535 - grey.astype(np.int64)
    if grey.size and (grey.min() < 0 or grey.max() > 65535):
        raise ValueError("its grey values do not fit 16 bits")
    return grey.astype(np.uint16)


# What is beside the pixels


def about_file(picture: _Picture, path: PhotoFile) -> About:
    turned = picture.orientation in (5, 6, 7, 8)
    about = About(turned=turned, dpi=_dpi(picture, turned))
    if isinstance(path, (str, os.PathLike)):
        about = about._replace(modified=os.stat(path).st_mtime_ns)
    with suppress(Exception):  # malformed metadata raises many kinds of errors
        about = about._replace(lossless=_is_lossless(picture), left_out=_left_out(picture))
        about = about._replace(**_captions(picture))
    return about


def _is_lossless(picture: _Picture) -> bool:
    """Whether this is a lossless WebP: the kind of its picture's chunk says so."""
    picture.file.seek(0)
    kind = re.search(rb"VP8[ L]", picture.file.read(1 << 16)) if picture.file.read(4) == b"RIFF" else None
    return kind is not None and kind[0] == b"VP8L"


def _left_out(picture: _Picture) -> str:
    """Which pages or frames are not read, such as "2 of 3 pages"; "" if there are no others."""
    rest, kind = (_other_frames(picture.image), "frame") if picture.page is None else (picture.others, "page")
    return f"{rest} of {rest + 1} {kind}s" if rest > 0 else ""


def _captions(picture: _Picture) -> dict[str, Any]:
    """The metadata, but for the resolution."""
    if picture.page is None:
        found = captions(picture.image, picture.file)
    else:
        tags = {"xmp": picture.page.tags.valueof(700), "iptc": picture.page.tags.valueof(33723)}
        found = {name: value for name, value in tags.items() if isinstance(value, bytes)}
        found["exif"] = _exif(picture)
    if isinstance(xmp := found.get("xmp"), bytes):
        found["xmp"] = _NOT_OF_A_COPY.sub(b"", xmp)
    return found


def _exif(picture: _Tiff) -> bytes:
    """The EXIF data of a TIFF, as they are."""
    if isinstance(picture.file, BytesIO):
        return from_tiff(picture.file.getvalue(), picture.page.offset)
    with mmap.mmap(picture.file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return from_tiff(data, picture.page.offset)


def _dpi(picture: _Picture, turned: bool) -> tuple[float, float] | None:
    """Pixels per inch, along the width and the height of the upright photo."""
    try:
        dpi = picture.image.info["dpi"] if picture.page is None else picture.page.get_resolution("INCH")
        x, y = (float(value) for value in dpi)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return ((y, x) if turned else (x, y)) if 1 < x < 65535 and 1 < y < 65535 else None
