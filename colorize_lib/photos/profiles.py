"""Colour profiles (ICC) → sRGB.

A profile is judged by what it does, not by its name: "GIMP built-in Linear sRGB" is not sRGB.
"""

import re
import struct
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

_SRGB, _LAB = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
_ALIKE = 3  # of 255: makers round sRGB's curve and colorants differently
_CURVES = re.compile(rb"para\0{5}\x03\0{2}.{4}", re.DOTALL)  # of sRGB: kind 3, and first the power


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


def profile_of(info: Mapping) -> bytes | None:
    """The colour profile of an opened image: its own, or sRGB's with the curve that a PNG names in its chunk gAMA.

    A gamma within 5 % of 1/2.2 is sRGB's curve, as in libpng and browsers.  The chunk cHRM counts for nothing: a
    grey photo is grey in any primaries.
    """
    profile, gamma = info.get("icc_profile"), info.get("gamma") or 0
    if profile or "srgb" in info or not 0.01 <= gamma <= 100 or abs(gamma * 2.2 - 1) < 0.05:
        return profile
    power = struct.pack(
        ">4s8xl", b"para", round(65536 / gamma)
    )  # kind 0: linear = value^power (ICC.1, 10.18)
    return _CURVES.sub(lambda _: power, ImageCms.ImageCmsProfile(_SRGB).tobytes())


def is_in_colour(rgb: np.ndarray) -> bool:
    """Whether a photo, (H, W, 3 or 4) sRGB, has colours of its own, and is neither grey nor toned, as sepia is.

    In a toned photo, one lightness has one colour.  So what counts is the mean distance, in CIE a*b*, from the mean
    colour of the same lightness, in 64 x 64 areas: 4 or more in each of the colour photos of `data/samples`, and less
    in 97 % of them made sepia.
    """
    small = Image.fromarray(to_8_bit(rgb[..., :3])).resize((64, 64), Image.Resampling.BOX)
    lab = ImageCms.profileToProfile(small, _SRGB, _LAB, outputMode="LAB")
    L, ab = np.split(np.asarray(lab).reshape(-1, 3).astype(float), [1], axis=1)
    shades = (L[:, 0] // 16).astype(int)
    for shade in np.unique(shades):
        ab[shades == shade] -= ab[shades == shade].mean(axis=0)
    return bool(np.hypot(*ab.T).mean() >= 4)


def on_white(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 4), uint8 or uint16, laid on white: (H, W, 3).  What has three channels stays as it is."""
    if pixels.shape[2] == 3:
        return pixels
    peak = np.iinfo(pixels.dtype).max
    alpha = pixels[..., 3:].astype(np.uint32)
    laid = pixels[..., :3] * alpha + peak * (peak - alpha) + peak // 2
    return (laid // peak).astype(pixels.dtype)


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
    """uint8 stays as it is; uint16 is rounded to uint8.

    Raises:
        TypeError: for another type.
    """
    if rgb.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"pixels are uint8 or uint16, these are {rgb.dtype}")
    return rgb if rgb.dtype == np.uint8 else ((rgb.astype(np.uint32) + 128) // 257).astype(np.uint8)
