"""Weights + any photo → the same photo in colour, full size."""

import math
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from tqdm.auto import tqdm

from colorize_lib import __version__

from .checkpoints import find_weights, load_pretrained
from .color import fit_to_gamut, lab_to_rgb, merge_lab, rgb_to_L
from .devices import default_device
from .photos import MAX_PIXELS, PhotoError, open_photo, to_srgb, turn_upright

MARK = f"colorize_lib {__version__}: the colours are a neural network's guess"  # what a coloured file says of itself
RESOLUTION = 256  # of weights that do not say what they were trained on
SMALLEST = 64  # where a machine without memory for this has none for anything
BAND = 1 << 17  # pixels converted at a time, so that what is between input and output stays small

Photo = str | Path | Image.Image | np.ndarray | Tensor


class Colorizer:
    """Colours photos with a generator.

    The generator sees the photo scaled to about `resolution`² pixels, its own
    aspect ratio kept.  Its ab is scaled up along the edges of the lightness (see
    `slope_of_colour`) and joined to the photo's own lightness, which stays as it
    was: a colour that sRGB cannot show loses chroma.

    Args:
        generator: L (B, 1, H, W) → ab (B, 2, H, W).
        resolution: what the generator sees; about what it was trained on.
        device: None: CUDA, else MPS, else the CPU.
        chroma: factor for the generator's colours that suits it, applied to every photo.

    Example:
        >>> colorizer = Colorizer.from_pretrained()
        >>> save_photo("in_colour.jpg", colorizer("old.jpg"), like="old.jpg")
    """

    def __init__(
        self,
        generator: nn.Module,
        resolution: int = RESOLUTION,
        device: torch.device | str | None = None,
        chroma: float = 1.0,
    ):
        if resolution < 1:
            raise ValueError(f"a resolution of {resolution} leaves nothing to see: take 64 or more")
        self.device = torch.device(device) if device is not None else default_device()
        self.generator = generator.to(self.device).eval()
        self.resolution = resolution
        self.chroma = chroma

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path = "best",
        *,
        resolution: int | None = None,
        device: torch.device | str | None = None,
    ) -> "Colorizer":
        """Build a colorizer from a checkpoint.

        Args:
            weights: what `find_weights` takes: a bundled name, a path, a Hugging Face Hub id.
            resolution: None: the one that suits the weights, by their header.  The factor for
                their colours comes from there, too.
            device: that of the class.

        Raises:
            CheckpointError: if there are no such weights, or they cannot be used.
        """
        generator, header = load_pretrained(find_weights(weights))
        return cls(generator, resolution or header["resolution"] or RESOLUTION, device, header["chroma"])

    def __call__(self, photo: Photo, *, saturation: float = 1.0, resolution: int | None = None) -> Any:
        """Colour a photo, by its lightness alone: grey, sepia and colour photos are all read so.

        Args:
            photo: the path of an image file, a PIL image, an array (H, W), (H, W, 1),
                (H, W, 3) or (H, W, 4), or a tensor (3, H, W), (1, H, W) or a batch of
                such.  Arrays and tensors: uint8, uint16 or floats in [0, 1].
            saturation: a factor for the chroma: 0 is grey, 1 what suits the weights.
            resolution: another than the colorizer's: more is finer, and less sure.

        Returns:
            The same kind, size and type, in colour; an array (H, W, 3) for a path.
            Transparency is kept, but for a path's, which is laid on white.  A PIL image
            is turned upright, as its EXIF data says, and comes back as sRGB.

        Raises:
            PhotoError: if the file cannot be read.
            ValueError: for another shape or type, or a saturation below 0.
        """
        if isinstance(photo, (str, Path)):
            photo = open_photo(photo)
        if isinstance(photo, Image.Image):
            return self._colour_image(photo, saturation, resolution)
        if isinstance(photo, Tensor):
            return self._colour_tensor(photo, saturation, resolution)
        if isinstance(photo, np.ndarray):
            return self._colour_array(photo, saturation, resolution)
        raise ValueError(f"expected a path, an image, an array or a tensor, got {type(photo).__name__}")

    def many(
        self,
        photos: Iterable[Photo],
        *,
        failures: list[str] | None = None,
        progress: bool = False,
        max_pixels: int = MAX_PIXELS,
        **options: Any,
    ) -> Iterator[tuple[Photo, Any]]:
        """Colour photos one after the other; the next is read while one is coloured.

        Args:
            photos: what a call takes; all of one kind or not.
            failures: a list that gets a sentence for each photo that cannot be read or
                coloured, which is then left out; None raises the error instead.
            progress: show a progress bar, on stderr.
            max_pixels: a larger file is not read.
            options: those of a call.

        Yields:
            (photo, coloured), in the order of `photos`.
        """

        def read(photo: Photo) -> Photo | PhotoError:
            try:
                return open_photo(photo, max_pixels=max_pixels) if isinstance(photo, (str, Path)) else photo
            except PhotoError as error:
                return error

        photos = list(photos)
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(read, photos[0]) if photos else None
            for i, photo in enumerate(tqdm(photos, unit="photo", disable=not progress)):
                opened = ahead.result()
                ahead = pool.submit(read, photos[i + 1]) if i + 1 < len(photos) else None
                try:
                    if isinstance(opened, PhotoError):
                        raise opened
                    coloured = self(opened, **options)
                except Exception as error:  # one photo must not stop the others
                    if failures is None:
                        raise
                    named = isinstance(error, PhotoError)
                    failures.append(str(error) if named else f"{photo} cannot be coloured ({error})")
                else:
                    yield photo, coloured

    def predict(self, L: Tensor, resolution: int | None = None) -> tuple[Tensor, Tensor]:
        """Predict ab at the generator's resolution; out of memory, at half of it, with a warning.

        Args:
            L: (B, 1, H, W) in [-1, 1], of any size.

        Returns:
            What the generator saw, (B, 1, h, w) with h · w about `resolution`², and
            the normalised ab that it gave, (B, 2, h, w).
        """
        resolution = resolution or self.resolution
        height, width = L.shape[-2:]
        scale = resolution / math.sqrt(height * width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        small = F.interpolate(L, size=size, mode="bilinear", antialias=True, align_corners=False)
        try:
            return small, self.generator(small).float()
        except RuntimeError as error:
            if not _out_of_memory(error) or resolution // 2 < SMALLEST:
                raise
        warnings.warn(
            f"out of memory at a resolution of {resolution}: going on with {resolution // 2}", stacklevel=2
        )
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return self.predict(L, resolution // 2)

    @torch.inference_mode()
    def _colour(self, rgb: Tensor, out: Tensor, saturation: float, resolution: int | None) -> None:
        """Colour (B, 1 or 3, H, W) into `out`, (B, 3, H, W), band by band."""
        if saturation < 0:
            raise ValueError(f"a saturation of {saturation} is below 0, which is grey already")
        height, width = rgb.shape[-2:]
        rows = max(1, BAND // (width * len(rgb)))
        bands = [slice(top, top + rows) for top in range(0, height, rows)]
        L = torch.cat([rgb_to_L(self._unit(rgb[..., band, :])) for band in bands], dim=2)
        small, ab = self.predict(L, resolution)
        ab *= saturation * self.chroma
        planes = torch.cat([ab, slope_of_colour(small, ab), small], dim=1)
        down = scaling_matrix(planes.shape[-2], height)
        planes = planes @ scaling_matrix(planes.shape[-1], width).to(planes).T  # (B, 5, h, W)
        for band in bands:
            near = down[band].any(dim=0).nonzero()  # the few rows of `planes` that matter to this band
            near = slice(near[0].item(), near[-1].item() + 1)
            scaled = down[band, near].to(planes) @ planes[..., near, :]
            ab, slope, blurred = scaled.split([2, 2, 1], dim=1)
            lab = merge_lab(L[..., band, :], ab + slope * (L[..., band, :] - blurred))
            _put(lab_to_rgb(fit_to_gamut(lab)), out[..., band, :])

    def _colour_tensor(self, rgb: Tensor, saturation: float, resolution: int | None) -> Tensor:
        if rgb.ndim not in (3, 4) or rgb.shape[-3] not in (1, 3) or not rgb.numel() or not _known(rgb.dtype):
            raise ValueError(
                "expected (3, H, W), (1, H, W) or a batch of such, uint8, uint16 or floats in [0, 1], "
                f"got {tuple(rgb.shape)} {rgb.dtype}"
            )
        out = rgb.new_empty(*rgb.shape[:-3], 3, *rgb.shape[-2:])
        self._colour(rgb.reshape(-1, *rgb.shape[-3:]), out.view(-1, *out.shape[-3:]), saturation, resolution)
        return out

    def _colour_array(self, rgb: np.ndarray, saturation: float, resolution: int | None) -> np.ndarray:
        grey = rgb.ndim == 2
        if grey:
            rgb = rgb[..., None]
        known = rgb.dtype.kind == "f" or rgb.dtype in (np.uint8, np.uint16)
        if rgb.ndim != 3 or rgb.shape[2] not in (1, 3, 4) or not rgb.size or not known:
            raise ValueError(
                "expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8, uint16 or floats in [0, 1], "
                f"got {rgb.shape[:2] if grey else rgb.shape} {rgb.dtype}"
            )
        out = np.empty((*rgb.shape[:2], max(rgb.shape[2], 3)), rgb.dtype)
        out[..., 3:] = rgb[..., 3:]
        arrays = np.require(rgb, requirements="CW"), out
        tensors = [torch.from_numpy(array)[..., :3].permute(2, 0, 1)[None] for array in arrays]
        self._colour(*tensors, saturation, resolution)
        return out

    def _colour_image(self, image: Image.Image, saturation: float, resolution: int | None) -> Image.Image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(
                f"Pillow has no 16-bit colour for this image of mode {image.mode}: pass its path, or an array"
            )
        srgb = to_srgb(turn_upright(image))
        colours = np.array(srgb.convert("RGB"))
        out = Image.fromarray(self._colour_array(colours, saturation, resolution))
        if srgb.mode == "RGBA":
            out.putalpha(srgb.getchannel("A"))
        return out

    def _unit(self, rgb: Tensor) -> Tensor:
        """uint8 or float32 (B, 3, H, W), on our device."""
        if rgb.dtype == torch.uint16:
            rgb = rgb.float() / 65535
        elif rgb.dtype != torch.uint8:
            rgb = rgb.float()
            if rgb.min() < 0 or rgb.max() > 1:
                raise ValueError(f"floats are in [0, 1], these in [{rgb.min():g}, {rgb.max():g}]: scale them")
        return rgb.to(self.device).expand(-1, 3, -1, -1)


def slope_of_colour(L: Tensor, ab: Tensor, eps: float = 0.02) -> Tensor:
    """How ab changes with L around each pixel: the linear model of the guided filter.

    In a window of 3 × 3, the least-squares slope cov(L, ab) / (var(L) + eps): He,
    Sun, Tang, Guided Image Filtering, 2013.  Where colour and lightness have an
    edge in common, it says how much colour goes with a finer detail of the
    lightness; where they have none, it is near 0.

    Args:
        L: (B, 1, H, W).
        ab: (B, 2, H, W).
        eps: the variance of L below which an edge is taken for noise.

    Returns:
        (B, 2, H, W)
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


def _known(dtype: torch.dtype) -> bool:
    return dtype.is_floating_point or dtype in (torch.uint8, torch.uint16)


def _put(rgb: Tensor, out: Tensor) -> None:
    """Write floats in [0, 1] to `out`, in its type and on its device."""
    if out.dtype == torch.uint8:
        out.copy_((rgb * 255).round().byte())
    elif out.dtype == torch.uint16:  # which not every device has
        out.copy_((rgb.to(out.device) * 65535).round().int().to(torch.uint16))
    else:
        out.copy_(rgb.to(out.device))


def _out_of_memory(error: RuntimeError) -> bool:
    """CUDA has an error of its own for it; MPS and the CPU only say so."""
    said = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "out of memory" in said
        or "can't allocate memory" in said
    )
