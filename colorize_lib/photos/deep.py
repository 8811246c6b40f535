"""Pixels that Pillow cuts to 8 bits, or gets wrong: TIFF through tifffile, PNG through imagecodecs."""

import logging
from typing import BinaryIO, NamedTuple

import numpy as np
import tifffile

from .profiles import samples_to_srgb, to_8_bit

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what matters becomes a sentence of ours


class Choice(NamedTuple):
    """The page of a TIFF that is the photo, and where it stands."""

    page: tifffile.TiffPage
    index: int | None  # in the file's chain of pages; None: it lies below another page
    others: int  # how many pages are left, but for thumbnails


def choose_page(file: BinaryIO) -> Choice:
    """The largest page that is no thumbnail; a photo that lies below its thumbnail is a page, too."""
    chain = _all_of(tifffile.TiffFile(file).pages)
    below = [page.pages for page in chain if page.subifds and page.pages is not None]
    pages = chain + [page for some in below for page in _all_of(some)]
    page = max(pages, key=lambda page: (not _is_thumbnail(page), page.imagewidth * page.imagelength))
    others = sum(not _is_thumbnail(other) for other in pages if other is not page)
    return Choice(page, next((i for i, one in enumerate(chain) if one is page), None), others)


def _all_of(pages: tifffile.TiffPages) -> list[tifffile.TiffPage]:
    """The pages of a chain, each once: to count them first is what notices a chain that is a circle."""
    return [pages[i].aspage() for i in range(len(pages))]


def _is_thumbnail(page: tifffile.TiffPage) -> bool:
    """A reduced version of another page, or a mask."""
    return bool(page.subfiletype & 5)


def is_raw(page: tifffile.TiffPage) -> bool:
    """Whether the pixels are as a camera's sensor saw them."""
    return page.photometric in (32803, 34892)


def is_beyond_pillow(page: tifffile.TiffPage) -> bool:
    """Whether Pillow cuts the pixels to 8 bits, or gets them wrong.

    It does with grey and with palettes that have their channels in planes, or an alpha channel that was multiplied
    into them, and with RGB that has both.  It knows no WebP inside a TIFF.
    """
    if page.sampleformat == 1 and 8 < page.bitspersample <= 16 or page.compression == 50001:
        return True
    if page.bitspersample != 8 or page.samplesperpixel == 1:
        return False
    planes, multiplied = page.planarconfig == 2, 1 in map(int, page.extrasamples)
    if page.photometric in (0, 1, 3):
        return planes or multiplied
    return page.photometric == 2 and planes and multiplied


def page_profile(page: tifffile.TiffPage) -> bytes | None:
    profile = page.tags.valueof(34675)
    return profile if isinstance(profile, bytes) else None


def read_page(page: tifffile.TiffPage) -> np.ndarray:
    """(H, W, 3 or, with transparency, 4) sRGB, as the page lies: uint16 for 9 to 16 bits, uint8 for 1 to 8.

    Raises:
        ValueError: for other pixels, or if they are cut off.
    """
    photometric = page.photometric
    channels = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}.get(photometric)
    if page.sampleformat == 3:
        raise ValueError("floating-point pixels have no fixed white")
    if page.sampleformat != 1 or page.bitspersample not in range(1, 17) or channels is None:
        raise ValueError(f"{page.bitspersample}-bit {getattr(photometric, 'name', photometric)} pixels")
    if not channels <= page.samplesperpixel <= channels + 4:
        raise ValueError(f"{page.samplesperpixel} samples per pixel")
    samples = _samples(page)
    pixels = _full_scale(samples, page)
    colour = pixels[..., :channels]
    if photometric == 3:
        if page.colormap is None:
            raise ValueError("its palette is missing")
        colour = np.moveaxis(page.colormap[:, samples[..., 0]], 0, -1)
    if photometric == 0:
        colour = 65535 - colour
    alpha = None
    for kind, extra in zip(map(int, page.extrasamples), range(channels, pixels.shape[2]), strict=False):
        if alpha is None and kind in (1, 2):
            alpha = pixels[..., extra : extra + 1]
            colour = _unmultiplied(colour, alpha) if kind == 1 else colour
    rgb = _with_alpha(samples_to_srgb(colour, page_profile(page)), alpha)
    return to_8_bit(rgb) if page.bitspersample <= 8 else rgb


def _samples(page: tifffile.TiffPage) -> np.ndarray:
    """(H, W, samples), as they are stored."""
    size = page.parent.filehandle.size
    parts = zip(page.dataoffsets, page.databytecounts, strict=True)
    if not page.dataoffsets or any(not count or offset + count > size for offset, count in parts):
        raise ValueError("its pixels are cut off")
    pixels = page.asarray(maxworkers=1)
    if pixels.dtype == bool:  # 1 bit
        pixels = pixels.view(np.uint8)
    if page.axes == "SYX":
        pixels = np.moveaxis(pixels, 0, -1)
    elif page.axes == "YX":
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[:2] != (page.imagelength, page.imagewidth):
        raise ValueError(f"axes {page.axes}")
    return pixels


def _full_scale(pixels: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    """Samples of 1 to 16 bits → 16 bits."""
    peak = (1 << page.bitspersample) - 1
    largest = page.tags.valueof(281)  # statistics only, but the full scale of fewer bits says more
    largest = largest[0] if isinstance(largest, tuple) and largest else largest
    if peak == 65535 and largest in (1023, 4095, 16383) and pixels.max() <= largest:
        peak = largest
    if peak == 65535:
        return pixels
    if pixels.max() > peak:
        raise ValueError(f"its values do not fit {page.bitspersample} bits")
    return ((pixels.astype(np.uint32) * 65535 + peak // 2) // peak).astype(np.uint16)


def _unmultiplied(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    whole = (colour.astype(np.uint32) * 65535 + alpha // 2) // np.maximum(alpha, 1)
    return np.minimum(whole, 65535).astype(np.uint16)


def read_png_16(file: BinaryIO, profile: bytes | None) -> np.ndarray:
    """A 16-bit PNG, which Pillow would cut to 8 bits."""
    import imagecodecs  # takes a second to import

    file.seek(0)
    pixels = imagecodecs.png_decode(file.read())
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    colours = 1 if pixels.shape[2] < 3 else 3
    alpha = pixels[..., colours:] if pixels.shape[2] > colours else None
    return _with_alpha(samples_to_srgb(pixels[..., :colours], profile), alpha)


def bits_of_png(file: BinaryIO) -> int:
    file.seek(24)  # in its header
    return file.read(1)[0]


def _with_alpha(rgb: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    return rgb if alpha is None else np.dstack([rgb, alpha])
