"""Colour profiles (ICC) → sRGB.

A profile is judged by what it does, not by its name: "GIMP built-in Linear sRGB" is not sRGB.
"""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

_SRGB = ImageCms.createProfile("sRGB")
_ALIKE = 3  # of 255: makers round sRGB's curve and colorants differently


def image_to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An image without transparency → mode RGB, 8 bits, sRGB.

    Without a profile, or with one that is broken or belongs to another kind of
    picture, the numbers are taken as sRGB.
    """
    space = _space(profile)
    if space == "GRAY":
        image = _as_grey(image)
    elif space == "RGB":
        image = image.convert("RGB")
    if profile and space == {"L": "GRAY"}.get(image.mode, image.mode):
        try:
            converted = ImageCms.profileToProfile(image, _read(profile), _SRGB, outputMode="RGB")
            return converted  # pyright: ignore[reportReturnType]  # None only with inPlace
        except ImageCms.PyCMSError:
            pass
    return image.convert("RGB")


def samples_to_srgb(pixels: np.ndarray, profile: bytes | None) -> np.ndarray:
    """(H, W, 1: grey, 3: RGB or 4: CMYK) uint16 → (H, W, 3) uint16, sRGB; see `image_to_srgb`."""
    import imagecodecs  # takes a second to import

    height, width, channels = pixels.shape
    space = _space(profile)
    if space == "RGB" and channels == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    elif space == "GRAY" and channels == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    name = {1: "gray", 3: "rgb", 4: "cmyk"}[pixels.shape[2]]
    if profile and space == name.upper():
        grid = np.ascontiguousarray(pixels[..., 0] if name == "gray" else pixels)
        srgb = ImageCms.ImageCmsProfile(_SRGB).tobytes()
        try:
            rgb = imagecodecs.cms_transform(grid, profile, srgb, colorspace=name, outcolorspace="rgb")
            return rgb.reshape(height, width, 3)
        except (imagecodecs.CmsError, ValueError):
            pass
    if channels == 4:
        light = 65535 - pixels.astype(np.uint32)
        return ((light[..., :3] * light[..., 3:] + 32767) // 65535).astype(np.uint16)
    return np.broadcast_to(pixels, (height, width, 3)) if pixels.shape[2] == 1 else pixels


@lru_cache(maxsize=16)
def _space(profile: bytes | None) -> str:
    """The profile's colour space, such as "RGB"; "" if there is nothing to convert."""
    if not profile:
        return ""
    try:
        space = _read(profile).profile.xcolor_space.strip()  # pyright: ignore[reportAttributeAccessIssue]  # a CmsProfile
        return "" if space in ("RGB", "GRAY") and _is_srgb(profile, space) else space
    except (OSError, ImageCms.PyCMSError):
        return ""


def _is_srgb(profile: bytes, space: str) -> bool:
    """Whether it leaves a cube of colours, or the greys, as they are."""
    if space == "GRAY":
        before = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        steps = np.linspace(0, 255, 16).astype(np.uint8)
        before = Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(64, 64, 3))
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    after = ImageCms.profileToProfile(before, _read(profile), _SRGB, intent, outputMode="RGB")
    return np.abs(np.asarray(after).astype(int) - np.asarray(before.convert("RGB"))).max() <= _ALIKE


def _read(profile: bytes) -> ImageCms.ImageCmsProfile:
    """Read it again each time: sharing a profile between threads is not safe."""
    return ImageCms.ImageCmsProfile(BytesIO(profile))


def _as_grey(image: Image.Image) -> Image.Image:
    """Mode L, if the image has no colour; else as it is."""
    if image.mode in ("1", "L"):
        return image.convert("L")
    bands = image.convert("RGB").split()
    return bands[0] if bands[0].tobytes() == bands[1].tobytes() == bands[2].tobytes() else image


def to_8_bit(rgb: np.ndarray) -> np.ndarray:
    """uint8 stays as it is; uint16 is rounded to uint8."""
    return rgb if rgb.dtype == np.uint8 else ((rgb.astype(np.uint32) + 128) // 257).astype(np.uint8)
