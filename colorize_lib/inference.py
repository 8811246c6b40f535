"""What every colorizer does around its network: photos one after the other, the size seen, the checks.

Needs no PyTorch.
"""

import math
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np
from PIL import Image

from colorize_lib import __version__

from .photos import MAX_PIXELS, PhotoError, is_file, open_photo, to_srgb, turn_upright
from .photos.folders import list_photos

MARK = f"colorize_lib {__version__}: the colours are a neural network's guess"  # the note in a coloured file
MOST_RESOLUTION = 1 << 16  # pixels a side: far more than any memory allows
RESOLUTION = 256  # default for weights whose header names no resolution
SMALLEST = 64  # smallest resolution to fall back to when memory runs out
NO_NUMBERS = "the generator gave no numbers for this photo: its weights are damaged, or not trained well"

Photo = TypeVar("Photo")


Result = TypeVar("Result")


class ManyOptions(TypedDict, total=False):
    """The options of a colorizer's `many`, for its overloads."""

    failures: list[str] | None
    progress: bool
    max_pixels: int
    saturation: float
    resolution: int | None


Opened = TypeVar("Opened")


def colour_many(
    colour: Callable[[Any], Any],
    photos: Iterable[Photo],
    *,
    failures: list[str] | None = None,
    progress: bool = True,
    max_pixels: int = MAX_PIXELS,
    read: Callable[..., Any] = open_photo,
) -> Iterator[tuple[Photo, Any]]:
    """Colour photos one after the other; while one is coloured, the next one is read.

    Args:
        colour: function for one photo; of a photo given as a file it gets what `read` returns.
        photos: photos of any kind that `colour` takes, or files; or a folder.  An iterator is read one photo ahead.
        failures: a list that gets a sentence for each photo that cannot be read or
            coloured; the photo is then left out.  None raises the error instead.
        progress: show a progress bar, where stderr is a terminal.
        max_pixels: the largest file, in pixels, that is read.
        read: function of a path and `max_pixels`.

    Yields:
        (photo, coloured), in the order of `photos`.

    Raises:
        FileNotFoundError: for a folder that is none, or that holds no photos.
        ValueError: for one photo, whose rows would be coloured.
    """
    if isinstance(photos, (str, Path)):
        photos = list_photos(photos)  # pyright: ignore[reportAssignmentType]  # the overloads of `many` know
    elif is_file(photos) or isinstance(photos, Image.Image) or 0 < len(getattr(photos, "shape", ())) < 4:
        raise ValueError("one photo, where several are meant: give a list of photos, or call the colorizer")
    opened = _one_ahead(lambda photo: _open(photo, partial(read, max_pixels=max_pixels)), photos)
    if progress and sys.stderr is not None and sys.stderr.isatty():
        from tqdm.auto import tqdm  # a tenth of a second to import, for one photo

        opened = tqdm(opened, total=len(photos) if isinstance(photos, Sized) else None, unit="photo")
    return _coloured(colour, opened, failures)


def _coloured(
    colour: Callable[[Any], Any], opened: Iterable[tuple[Photo, Any]], failures: list[str] | None
) -> Iterator[tuple[Photo, Any]]:
    for photo, picture in opened:
        try:
            if isinstance(picture, PhotoError):
                raise picture
            coloured = colour(picture)
        except Exception as error:  # one photo must not stop the others
            if failures is None:
                raise
            failures.append(
                str(error)
                if isinstance(error, PhotoError)
                else f"{photo} cannot be coloured ({reason(error)})"
            )
        else:
            yield photo, coloured


def reason(error: Exception) -> str:
    """What an error says, in one line: some of PyTorch's have a hundred."""
    return textwrap.shorten((str(error).strip() or type(error).__name__).splitlines()[0], 200)


def colour_image(colour: Callable[[np.ndarray], np.ndarray], image: Image.Image) -> Image.Image:
    """Colour a PIL image, upright, as sRGB; its transparency is kept.

    Args:
        colour: (H, W, 3) uint8 → the same in colour.
        image: any but the 16-bit and floating-point ones, which raise ValueError.
    """
    if image.mode.startswith(("I", "F")):
        raise ValueError(
            f"Pillow has no 16-bit colour for this image of mode {image.mode}: pass its path, or an array"
        )
    srgb = to_srgb(turn_upright(image))
    out = Image.fromarray(colour(np.array(srgb.convert("RGB"))))
    if srgb.mode == "RGBA":
        out.putalpha(srgb.getchannel("A"))
    return out


def size_seen(height: int, width: int, resolution: int) -> tuple[int, int]:
    """The size at which a generator sees a photo: about `resolution`² pixels, in the photo's aspect ratio."""
    scale = resolution / math.sqrt(height * width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def check_resolution(resolution: int | None) -> None:
    if resolution is not None and not 1 <= resolution <= MOST_RESOLUTION:
        raise ValueError(
            f"a resolution of {resolution} cannot be used: take 64 or more, up to {MOST_RESOLUTION}"
        )


def check_saturation(saturation: float) -> None:
    if not 0 <= saturation < math.inf:
        raise ValueError(
            f"a saturation of {saturation} is below 0, which is grey already, or no number: take 0 or more"
        )


def check_floats(lowest: float, highest: float) -> None:
    if not (lowest >= 0 and highest <= 1):  # nor is NaN
        raise ValueError(f"floats are in [0, 1], these in [{lowest:g}, {highest:g}]: scale them")


def with_less_memory(
    function: Callable[[int], Result], resolution: int, free: Callable[[], None] | None = None
) -> Result:
    """Call a function of the resolution; if memory runs out, with half of it, and a warning.

    Args:
        function: function to call.
        resolution: the wished one.
        free: function that frees memory before the next try.
    """
    try:
        return function(resolution)
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error) or resolution // 2 < SMALLEST:
            raise
    warnings.warn(
        f"out of memory at a resolution of {resolution}: using {resolution // 2} instead", stacklevel=2
    )
    if free:
        free()
    return with_less_memory(function, resolution // 2, free)


def _out_of_memory(error: Exception) -> bool:
    """Only CUDA has an error class for it; for the others the message must be read."""
    words = ("out of memory", "allocate memory")
    return isinstance(error, MemoryError) or any(some in str(error).lower() for some in words)


def _one_ahead(
    function: Callable[[Photo], Opened], photos: Iterable[Photo]
) -> Iterator[tuple[Photo, Opened]]:
    """Yield (photo, function(photo)); the next result is computed in a thread meanwhile."""
    waiting = None
    with ThreadPoolExecutor(1) as pool:
        for photo in photos:
            following = photo, pool.submit(function, photo)
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = following
        if waiting is not None:
            yield waiting[0], waiting[1].result()


def _open(photo: Any, read: Callable[[Any], Any]) -> Any:
    """A photo given by its path is read; an error is returned, to be raised in the caller's thread."""
    try:
        return read(photo) if is_file(photo) else photo
    except PhotoError as error:
        return error
