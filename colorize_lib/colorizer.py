"""Weights + any photo → the same photo in colour, full size."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, Unpack, overload

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from .checkpoints import add_hints, load_pretrained
from .color import rgb_to_L, to_rgb
from .devices import default_device
from .hints import Hint, HintError, hint_planes
from .inference import (
    NO_NUMBERS,
    ManyOptions,
    check_resolution,
    check_saturation,
    colour_image,
    colour_many,
    size_seen,
)
from .models import ChromaUnet, HintUnet, predict_ab, unwrapped
from .photos import MAX_PIXELS, PhotoFile, is_file, open_photo

RESOLUTION = 256  # default for weights whose header names no resolution
SMALLEST = 64  # smallest resolution to fall back to when memory runs out
BAND = 1 << 17  # number of pixels converted at a time, which keeps intermediate tensors small

Picture = TypeVar("Picture", Image.Image, np.ndarray, Tensor)
File = TypeVar("File", str, Path, bytes, BinaryIO)

# PyTorch's threads do not survive a fork: with more than one, the child would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


class Colorizer:
    """Colours photos with a generator.

    Colouring has two steps.  `predict`: the generator sees the photo scaled to about
    `resolution`² pixels, in its own aspect ratio.  `apply`: the predicted ab is scaled
    up along the edges of the lightness (see `slope_of_colour`) and joined to the
    photo's own lightness, which does not change: a colour that sRGB cannot show
    loses chroma.

    Args:
        generator: weights: a bundled name, a path or a Hugging Face Hub id, see `find_weights`; or a network,
            L (B, 1, H, W) → ab (B, 2, H, W), which is moved to `device` and put into eval mode, in place.
        resolution: square root of the number of pixels that the generator sees; best
            about that of its training.  None: what the weights' header names, else 256.
        device: device to compute on; None: CUDA, else MPS, else the CPU.

    Raises:
        CheckpointError: if there are no such weights, or they cannot be used.
        ValueError: for a resolution below 1, or a device that this machine lacks.
        TypeError: for a generator that is neither.

    Example:
        >>> colorizer = Colorizer()
        >>> save_photo("in_colour.jpg", colorizer("old.jpg"), like="old.jpg")
    """

    def __init__(
        self,
        generator: nn.Module | str | Path = "best",
        resolution: int | None = None,
        device: torch.device | str | None = None,
    ):
        check_resolution(resolution)
        self.device = default_device(device)
        if not isinstance(generator, (nn.Module, str, Path)):
            raise TypeError(
                f"expected a network, or the name or path of weights, got {type(generator).__name__}"
            )
        if not isinstance(generator, nn.Module):
            generator, header = load_pretrained(generator)
            resolution = header["resolution"] if resolution is None else resolution
        self.generator = generator.to(self.device).eval()
        self.resolution = RESOLUTION if resolution is None else resolution
        self._hinted = generator if isinstance(generator, HintUnet) else None

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path = "best",
        *,
        resolution: int | None = None,
        device: torch.device | str | None = None,
    ) -> "Colorizer":
        """The same as `Colorizer(weights, …)`."""
        return cls(weights, resolution, device)

    @overload
    def __call__(
        self,
        photo: PhotoFile,
        *,
        saturation: float = 1.0,
        resolution: int | None = None,
        hints: Sequence[Hint] = (),
    ) -> np.ndarray: ...

    @overload
    def __call__(
        self,
        photo: Picture,
        *,
        saturation: float = 1.0,
        resolution: int | None = None,
        hints: Sequence[Hint] = (),
    ) -> Picture: ...

    def __call__(
        self,
        photo: Any,
        *,
        saturation: float = 1.0,
        resolution: int | None = None,
        hints: Sequence[Hint] = (),
    ) -> np.ndarray | Image.Image | Tensor:
        """Colour a photo.  Only its lightness is used, whether it is grey, sepia or in colour.

        Args:
            photo: an image file (its path, its bytes, or the open file), a PIL image, an array (H, W),
                (H, W, 1), (H, W, 3) or (H, W, 4), or a tensor (3, H, W), (1, H, W) or a batch of
                these.  Arrays and tensors: uint8, uint16 or floats in [0, 1].
            saturation: factor for the chroma; 0 gives grey, 1 the colours as predicted.
            resolution: overrides the colorizer's resolution.  Higher values give finer,
                but less reliable colour.
            hints: colours that somebody knows, at some places of the photo; for one photo, not for a batch.

        Returns:
            The same kind, size and type, in colour; an array (H, W, 3) for a file.
            Transparency is kept; only that of a file is laid on white.
            A PIL image is turned upright, as its EXIF data says, and comes back as sRGB.

        Raises:
            PhotoError: if the file cannot be read.
            ValueError: for another shape or type, floats that are not in [0, 1], a saturation below 0, a
                resolution below 1, or a generator that gives no numbers.
            HintError: for a hint outside of the photo, or for weights that take none.
        """
        if is_file(photo):
            photo = open_photo(photo)
        if isinstance(photo, Image.Image):
            colour = partial(self, saturation=saturation, resolution=resolution, hints=hints)
            return colour_image(colour, photo)
        colour = partial(self._colour, saturation=saturation, resolution=resolution, hints=hints)
        if isinstance(photo, Tensor):
            return self._colour_tensor(photo, colour)
        if isinstance(photo, np.ndarray):
            return self._colour_array(photo, colour)
        raise ValueError(
            f"expected an image file, a PIL image, an array or a tensor, got {type(photo).__name__}"
        )

    @overload
    def many(
        self, photos: str | Path, **options: Unpack[ManyOptions]
    ) -> Iterator[tuple[Path, np.ndarray]]: ...

    @overload
    def many(
        self, photos: Iterable[File], **options: Unpack[ManyOptions]
    ) -> Iterator[tuple[File, np.ndarray]]: ...

    @overload
    def many(
        self, photos: Iterable[Picture], **options: Unpack[ManyOptions]
    ) -> Iterator[tuple[Picture, Picture]]: ...

    def many(
        self,
        photos: Any,
        *,
        failures: list[str] | None = None,
        progress: bool = True,
        max_pixels: int = MAX_PIXELS,
        saturation: float = 1.0,
        resolution: int | None = None,
    ) -> Iterator[tuple[Any, Any]]:
        """Colour photos one after the other; while one is coloured, the next one is read.

        Args:
            photos: photos of any kind that a call takes, or a folder of them.  An iterator is read one photo ahead.
            failures: a list that gets a sentence for each photo that cannot be read or
                coloured; the photo is then left out.  None raises the error instead.
            progress: show a progress bar, where stderr is a terminal.
            max_pixels: the largest file, in pixels, that is read.
            saturation, resolution: as in a call.

        Yields:
            (photo, coloured), in the order of `photos`.

        Raises:
            FileNotFoundError: for a folder that is none, or that holds no photos.
            ValueError: for a saturation below 0, or a resolution below 1.
        """
        check_saturation(saturation)
        check_resolution(resolution)
        colour = partial(self, saturation=saturation, resolution=resolution)
        return colour_many(colour, photos, failures=failures, progress=progress, max_pixels=max_pixels)

    def predict(
        self, L: Tensor, resolution: int | None = None, hints: Sequence[Hint] = ()
    ) -> tuple[Tensor, Tensor]:
        """Predict ab at the generator's resolution, or at half of it if memory runs out, with a warning.

        Args:
            L: lightness, (B, 1, H, W) in [-1, 1], of any size.
            resolution: overrides the colorizer's resolution.
            hints: as in a call.

        Returns:
            small: L as the generator saw it, (B, 1, h, w) with h · w about `resolution`²;
            ab: the predicted normalised ab, (B, 2, h, w).
        """
        resolution = self.resolution if resolution is None else resolution
        check_resolution(resolution)
        height, width = L.shape[-2:]
        size = size_seen(height, width, resolution)
        small = F.interpolate(L, size=size, mode="bilinear", antialias=True, align_corners=False)
        try:
            batch, generator = {"L": small}, self.generator
            if hints:
                batch["hints"], generator = hint_planes(hints, small, width, height), self._told()
            ab = predict_ab(generator, batch).float()
            if not ab.isfinite().all():
                raise ValueError(NO_NUMBERS)
            return small, ab
        except RuntimeError as error:
            if not _out_of_memory(error) or resolution // 2 < SMALLEST:
                raise
        warnings.warn(
            f"out of memory at a resolution of {resolution}: using {resolution // 2} instead", stacklevel=2
        )
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return self.predict(L, resolution // 2, hints)

    def apply(self, L: Tensor, small: Tensor, ab: Tensor, out: Tensor) -> None:
        """Join predicted ab to the full-size lightness, and write the photo into `out`.

        Args:
            L: lightness of the photo, (B, 1, H, W) in [-1, 1].
            small: L as the generator saw it, (B, 1, h, w).
            ab: predicted normalised ab, (B, 2, h, w).
            out: tensor for sRGB, (B, 3, H, W): uint8, uint16 or floating point.
        """
        height, width = L.shape[-2:]
        planes = torch.cat([ab, slope_of_colour(small, ab), small], dim=1)
        down = scaling_matrix(planes.shape[-2], height)
        planes = planes @ scaling_matrix(planes.shape[-1], width).to(planes).T  # (B, 5, h, W)
        for band in _bands(L):
            rows = down[band].any(dim=0).nonzero()  # the few rows of `planes` that this band is made from
            rows = slice(rows[0].item(), rows[-1].item() + 1)
            scaled = down[band, rows].to(planes) @ planes[..., rows, :]
            _write_rgb(paint(L[..., band, :], *scaled.split([2, 2, 1], dim=1)), out[..., band, :])

    @torch.inference_mode()
    def _colour(
        self, rgb: Tensor, out: Tensor, saturation: float, resolution: int | None, hints: Sequence[Hint]
    ) -> None:
        """Colour (B, 1 or 3, H, W) into `out`, (B, 3, H, W)."""
        check_saturation(saturation)
        if hints and len(rgb) > 1:
            raise HintError(
                f"hints are for one photo, and this is a batch of {len(rgb)}: colour them one by one"
            )
        L = torch.cat([rgb_to_L(self._prepare(rgb[..., band, :])) for band in _bands(rgb)], dim=2)
        small, ab = self.predict(L, resolution, hints)
        self.apply(L, small, ab * saturation, out)

    def _colour_tensor(self, rgb: Tensor, colour: Callable[[Tensor, Tensor], None]) -> Tensor:
        if (
            rgb.ndim not in (3, 4)
            or rgb.shape[-3] not in (1, 3)
            or not rgb.numel()
            or not _is_supported(rgb.dtype)
        ):
            raise ValueError(
                "expected (3, H, W), (1, H, W) or a batch of these, uint8, uint16 or floats in [0, 1], "
                f"got {tuple(rgb.shape)} {rgb.dtype}"
            )
        out = rgb.new_empty(*rgb.shape[:-3], 3, *rgb.shape[-2:])
        colour(rgb.reshape(-1, *rgb.shape[-3:]), out.view(-1, *out.shape[-3:]))
        return out

    def _colour_array(self, rgb: np.ndarray, colour: Callable[[Tensor, Tensor], None]) -> np.ndarray:
        grey = rgb.ndim == 2
        if grey:
            rgb = rgb[..., None]
        rgb = rgb.astype(rgb.dtype.newbyteorder("="), copy=False)  # PyTorch takes no other
        known = rgb.dtype in (np.uint8, np.uint16, np.float16, np.float32, np.float64)
        if rgb.ndim != 3 or rgb.shape[2] not in (1, 3, 4) or not rgb.size or not known:
            raise ValueError(
                "expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8, uint16 or floats in [0, 1], "
                f"got {rgb.shape[:2] if grey else rgb.shape} {rgb.dtype}"
            )
        out = np.empty((*rgb.shape[:2], max(rgb.shape[2], 3)), rgb.dtype)
        out[..., 3:] = rgb[..., 3:]
        source, target = (
            torch.from_numpy(array)[..., :3].permute(2, 0, 1)[None]
            for array in (np.require(rgb, requirements=["C", "W"]), out)
        )
        colour(source, target)
        return out

    def _told(self) -> HintUnet:
        """The generator that takes hints: this one, or this one with the branch that comes with the library."""
        if self._hinted is None:
            plain = unwrapped(self.generator)
            if not isinstance(plain, ChromaUnet):
                raise HintError("these weights take no hints: take those that come with the library")
            self._hinted = add_hints(plain).to(self.device).eval()
        return self._hinted

    def _prepare(self, rgb: Tensor) -> Tensor:
        """Convert to uint8, or float32 in [0, 1], (B, 3, H, W), on the colorizer's device."""
        if rgb.dtype == torch.uint16:
            rgb = rgb.float() / 65535
        elif rgb.dtype != torch.uint8:
            rgb = rgb.float()
            if not (rgb.min() >= 0 and rgb.max() <= 1):  # nor is NaN
                raise ValueError(f"floats are in [0, 1], these in [{rgb.min():g}, {rgb.max():g}]: scale them")
        return rgb.to(self.device).expand(-1, 3, -1, -1)


def paint(L: Tensor, ab: Tensor, slope: Tensor, blurred: Tensor) -> Tensor:
    """Join a photo's lightness and the colour that was predicted for it.

    Args:
        L: lightness of the photo, sharp, (B, 1, H, W).
        ab: predicted colour, scaled up, (B, 2, H, W).
        slope: `slope_of_colour`, scaled up in the same way, (B, 2, H, W).
        blurred: L as the generator saw it, scaled up in the same way, (B, 1, H, W).

    Returns:
        sRGB in [0, 1] with the lightness of L, (B, 3, H, W).
    """
    return to_rgb(L, ab + slope * (L - blurred))


def slope_of_colour(L: Tensor, ab: Tensor, eps: float = 0.02) -> Tensor:
    """How much ab changes with L around each pixel: the linear model of the guided filter.

    In a window of 3 × 3, the least-squares slope cov(L, ab) / (var(L) + eps): He,
    Sun, Tang, Guided Image Filtering, 2013.  Where colour and lightness have an
    edge in common, it says how much colour goes with a finer detail of the
    lightness; where they have none, it is near 0.

    Args:
        L: lightness, (B, 1, H, W).
        ab: colour, (B, 2, H, W).
        eps: variance of L below which an edge is treated as noise.

    Returns:
        The slope, (B, 2, H, W).
    """

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)

    covariance = mean(L * ab) - mean(L) * mean(ab)
    variance = mean(L * L) - mean(L) ** 2
    return covariance / (variance + eps)


def scaling_matrix(size: int, new_size: int) -> Tensor:
    """(new_size, size): the matrix that scales a row of pixels, bicubic and antialiased."""
    rows = torch.eye(size)[None, None]
    return F.interpolate(rows, (size, new_size), mode="bicubic", antialias=True, align_corners=False)[0, 0].T


def _bands(planes: Tensor) -> list[slice]:
    """Slices of rows of (B, C, H, W), of about `BAND` pixels each."""
    count, _, height, width = planes.shape
    rows = max(1, BAND // (width * count))
    return [slice(top, top + rows) for top in range(0, height, rows)]


def _is_supported(dtype: torch.dtype) -> bool:
    return dtype.is_floating_point or dtype in (torch.uint8, torch.uint16)


def _write_rgb(rgb: Tensor, out: Tensor) -> None:
    """Convert floats in [0, 1] to the type and device of `out`, and copy them there."""
    if out.dtype == torch.uint8:
        out.copy_((rgb * 255).round().byte())
    elif out.dtype == torch.uint16:  # some devices do not have this type
        out.copy_((rgb.to(out.device) * 65535).round().int().to(torch.uint16))
    else:
        out.copy_(rgb.to(out.device))


def _out_of_memory(error: RuntimeError) -> bool:
    """Only CUDA has an error class for it; for MPS and the CPU the message must be read."""
    message = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in message for words in ("out of memory", "can't allocate memory")
    )
