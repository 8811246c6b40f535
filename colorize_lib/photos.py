"""Any image file → an upright 8- or 16-bit RGB array, and back; or one clear error.

The only file that opens or writes images.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
import png
import tifffile
import torch
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from .files import write_whole

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif"}

_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a),
}
_DESCRIPTIVE = {
    270: "description", 271: "maker", 272: "model", 305: "software", 306: "date", 315: "author", 33432: "rights",
}  # fmt: skip
_SRGB = ImageCms.createProfile("sRGB")


class PhotoError(ValueError):
    """A photo that cannot be read or written; its text is one sentence that names the file."""


def open_photo(path: str | Path, min_side: int | None = None) -> np.ndarray:
    """Read an image file as upright sRGB.

    Reads JPEG, PNG, TIFF, WebP, BMP and the first frame of a GIF: palette, grey,
    RGB, CMYK, with or without transparency (laid on white).  The EXIF
    orientation is applied, an embedded colour profile is converted to sRGB.

    Args:
        path: the file.
        min_side: if given, a photo whose shorter side is at least twice this is
            decoded at a half, a quarter or an eighth of its size: the smallest
            that keeps the shorter side at `min_side` or more.  For a large JPEG
            this is several times faster.  The result is then 8-bit.

    Returns:
        (H, W, 3), uint8; or uint16 for a 16-bit PNG or TIFF (without `min_side`,
        and without a colour profile other than sRGB, which is converted in 8 bits).

    Raises:
        PhotoError: if the file is missing, empty, damaged, or not a photo.
    """
    path = Path(path)
    try:
        if path.stat().st_size == 0:
            raise PhotoError(f"{path} is empty (0 bytes): copy it again from where it came")
        with Image.open(path) as image:
            if getattr(image, "is_animated", False):
                image.seek(0)
            rgb = _read_16_bit(path, image) if min_side is None else None
            if rgb is None:
                rgb = np.array(to_srgb(_shrink(image, min_side)))
            upright = _UPRIGHT.get(image.getexif().get(_ORIENTATION), lambda a: a)
            return np.ascontiguousarray(upright(rgb))
    except PhotoError:
        raise
    except FileNotFoundError:
        raise PhotoError(f"{path} does not exist: check the path") from None
    except IsADirectoryError:
        raise PhotoError(f"{path} is a folder, not a photo") from None
    except PermissionError:
        raise PhotoError(f"{path} may not be read: check its permissions") from None
    except UnidentifiedImageError:
        raise PhotoError(
            f"{path} is not an image that can be read here: save it as JPEG, PNG, TIFF or WebP"
        ) from None
    except Image.DecompressionBombError:
        raise PhotoError(f"{path} has more than 178 megapixels: scale it down first") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error …
        raise PhotoError(f"{path} is damaged or unsupported ({error}): save it anew") from error


def save_photo(
    path: str | Path,
    rgb: np.ndarray,
    *,
    like: str | Path | None = None,
    overwrite: bool = False,
    quality: int = 95,
) -> Path:
    """Write an image file, whole or not at all.

    The file is written under a temporary name and then renamed.

    Args:
        path: where to; the suffix says the format.  Missing folders are made.
        rgb: (H, W, 3), uint8 or uint16.  PNG and TIFF keep 16 bits, others get 8.
        like: a photo whose EXIF data (camera, date, place) is copied, but for the
            orientation: `rgb` is upright already.  A TIFF gets the main tags alone
            (description, maker, date, author, rights), a BMP none.
        overwrite: replace an existing file.
        quality: of JPEG and WebP, up to 100.

    Raises:
        FileExistsError: if the file exists and `overwrite` is false.
        PhotoError: if the suffix is not that of a known format.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already: choose another name, or allow overwriting")
    if path.suffix.lower() not in SUFFIXES - {".gif"}:
        raise PhotoError(f"{path}: cannot write '{path.suffix}': use .jpg, .png, .tif, .webp or .bmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    data = _encode(path.suffix.lower(), rgb, _exif(like), quality)
    write_whole(path, data)
    return path


def writable_path(path: str | Path) -> Path:
    """The path under which a coloured photo is written: a GIF, which has only 256 colours, becomes a PNG."""
    path = Path(path)
    return path.with_suffix(".png") if path.suffix.lower() == ".gif" else path


def resize_photo(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize (H, W, 3) uint8 or uint16 to (height, width, 3) uint8: bicubic, antialiased.

    As Pillow does it, to a rounding, and several times faster.
    """
    planes = torch.from_numpy(np.require(to_8_bit(rgb), requirements="CW")).permute(2, 0, 1)
    planes = resize(planes, [height, width], InterpolationMode.BICUBIC, antialias=True)
    return planes.permute(1, 2, 0).numpy()


def to_8_bit(rgb: np.ndarray) -> np.ndarray:
    """uint8 stays as it is; uint16 is rounded to uint8."""
    return rgb if rgb.dtype == np.uint8 else ((rgb.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _shrink(image: Image.Image, min_side: int | None) -> Image.Image:
    if min_side is None:
        return image
    factor = max((f for f in (1, 2, 4, 8) if min(image.size) >= f * min_side), default=1)
    if factor > 1:
        size = (image.width // factor, image.height // factor)
        image.draft(None, size)  # only JPEG can: it decodes fewer coefficients
        rest = min(image.width // size[0], image.height // size[1])
        if rest > 1 and image.mode not in ("P", "1") and not image.mode.startswith("I"):
            image = image.reduce(rest)
    return image


def to_srgb(image: Image.Image) -> Image.Image:
    """A PIL image of any mode → mode RGB, 8-bit sRGB, without transparency."""
    profile = _other_profile(image)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed white")
    if image.mode.startswith("I"):
        grey = to_8_bit(_grey_16(image))
        image = Image.fromarray(grey)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    if profile is not None:
        try:
            return ImageCms.profileToProfile(image, profile, _SRGB, outputMode="RGB")
        except ImageCms.PyCMSError:
            pass  # a broken or unfitting profile says nothing: take the numbers as sRGB
    return image.convert("RGB")


def _other_profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """The embedded colour profile, unless it is sRGB or cannot be read."""
    data = image.info.get("icc_profile")
    if not data:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        return None if "srgb" in ImageCms.getProfileDescription(profile).lower() else profile
    except (OSError, ImageCms.PyCMSError):
        return None


def _read_16_bit(path: Path, image: Image.Image) -> np.ndarray | None:
    """The photo with all its 16 bits, or None if it has 8 (or a profile to convert)."""
    if _other_profile(image) is not None:
        return None
    if image.mode.startswith("I"):
        return np.repeat(_grey_16(image)[..., None], 3, axis=2)
    if image.format == "PNG" and image.tile and "16" in str(image.tile[0][3]):
        return _read_png_16(path)
    if image.format == "TIFF" and image.mode == "RGB" and image.tag_v2.get(258, (8,))[0] == 16:
        try:
            pixels = tifffile.imread(path, key=0)
        except ValueError:  # a compression that only Pillow can read, in 8 bits
            return None
        return np.ascontiguousarray(
            pixels[..., :3] if pixels.shape[-1] in (3, 4) else np.moveaxis(pixels, 0, -1)
        )
    return None


def _read_png_16(path: Path) -> np.ndarray:
    """A 16-bit PNG, which Pillow would cut to 8 bits; transparency is laid on white."""
    width, height, rows, about = png.Reader(str(path)).read()
    pixels = np.vstack([np.asarray(row, dtype=np.uint16) for row in rows]).reshape(
        height, width, about["planes"]
    )
    if about["greyscale"]:
        pixels = pixels[..., [0, 0, 0, *range(1, about["planes"])]]
    if not about["alpha"]:
        return pixels
    alpha = pixels[..., -1:] / 65535
    return np.rint(pixels[..., :-1] * alpha + 65535 * (1 - alpha)).astype(np.uint16)


def _grey_16(image: Image.Image) -> np.ndarray:
    grey = np.asarray(image)
    if image.format == "TIFF" and image.tag_v2.get(262) == 0:  # white is 0
        grey = 65535 - grey.astype(np.int64)
    if grey.size and (grey.min() < 0 or grey.max() > 65535):
        raise ValueError("its grey values do not fit 16 bits")
    return grey.astype(np.uint16)


def _exif(like: str | Path | None) -> Image.Exif:
    """What a photo says of its making; nothing of its size, its pixels or how they lie."""
    kept = Image.Exif()
    if like is None:
        return kept
    try:
        with Image.open(like) as image:
            found = image.getexif()
            for tag in _DESCRIPTIVE.keys() & found.keys():
                kept[tag] = found[tag]
            for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
                if values := found.get_ifd(part):
                    kept.get_ifd(part).update(values)
        kept.tobytes()  # raises now, rather than when the photo is saved
        return kept
    except Exception:  # malformed EXIF data raises many kinds; the photo is worth more than they are
        return Image.Exif()


def _encode(suffix: str, rgb: np.ndarray, exif: Image.Exif, quality: int) -> bytes:
    if rgb.dtype == np.uint16 and suffix == ".png":
        return _encode_png_16(rgb, exif)
    if suffix in (".tif", ".tiff"):
        return _encode_tiff(rgb, exif)
    options = {
        ".jpg": {"format": "JPEG", "quality": quality, "subsampling": 0},
        ".png": {"format": "PNG"},
        ".webp": {"format": "WEBP", "quality": quality},
        ".bmp": {"format": "BMP"},
    }
    options[".jpeg"] = options[".jpg"]
    chosen = options[suffix] | ({"exif": exif} if len(exif) and suffix != ".bmp" else {})
    buffer = BytesIO()
    Image.fromarray(to_8_bit(rgb)).save(buffer, **chosen)
    return buffer.getvalue()


def _encode_png_16(rgb: np.ndarray, exif: Image.Exif) -> bytes:
    buffer = BytesIO()
    height, width, _ = rgb.shape
    png.Writer(width, height, greyscale=False, bitdepth=16).write(buffer, rgb.reshape(height, -1))
    if not len(exif):
        return buffer.getvalue()
    header, *rest = png.Reader(bytes=buffer.getvalue()).chunks()
    buffer = BytesIO()
    png.write_chunks(buffer, [header, (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")), *rest])
    return buffer.getvalue()


def _encode_tiff(rgb: np.ndarray, exif: Image.Exif) -> bytes:
    """Pillow cannot compress a TIFF that has EXIF data; tifffile writes texts alone."""
    texts = [(tag, value) for tag, value in exif.items() if isinstance(value, str) and value.isascii()]
    tags = [(tag, "s", 0, value, True) for tag, value in texts]
    buffer = BytesIO()
    tifffile.imwrite(
        buffer, rgb, photometric="rgb", compression="zlib", software=False, metadata=None, extratags=tags
    )
    return buffer.getvalue()
