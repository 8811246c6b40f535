"""Predict and paint with PyTorch: any generator, any device, hints, tensors."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints import add_hints, load_pretrained
from ..color import rgb_to_L, to_rgb
from ..devices import default_device
from ..hints import Hint, HintError, hint_planes
from ..inference import NO_NUMBERS, RESOLUTION, check_floats, size_seen, with_less_memory
from ..models import ChromaUnet, HintUnet, predict_ab, unwrapped

BAND = 1 << 17  # number of pixels converted at a time, which keeps intermediate tensors small

# PyTorch's threads do not survive a fork: with more than one, the child would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


class PyTorchEngine:
    """Colours arrays and tensors with a generator.

    Args:
        generator: network, L (B, 1, H, W) → ab (B, 2, H, W), which is moved to `device` and put into eval mode,
            in place; or weights, as `find_weights` takes them.
        device: device to compute on; None: CUDA, else MPS, else the CPU.

    Attributes:
        resolution: the one that the weights' header names, else 256.

    Raises:
        CheckpointError: if there are no such weights, or they cannot be used.
        ValueError: for a device that this machine lacks.
        TypeError: for a generator that is neither.
    """

    def __init__(self, generator: nn.Module | str | Path, device: torch.device | str | None = None):
        self.device = default_device(device)
        self.resolution = RESOLUTION
        if isinstance(generator, (str, Path)):
            generator, header = load_pretrained(generator)
            self.resolution = header["resolution"] or RESOLUTION
        if not isinstance(generator, nn.Module):
            raise TypeError(
                f"expected a network, or the name or path of weights, got {type(generator).__name__}"
            )
        self.generator = generator.to(self.device).eval()
        self._hinted = generator if isinstance(generator, HintUnet) else None

    def colour(
        self, photo: np.ndarray, saturation: float, resolution: int, hints: Sequence[Hint] = ()
    ) -> np.ndarray:
        """(H, W, 1, 3 or 4), uint8, uint16 or floats in [0, 1] → the same type in colour, (H, W, 3 or 4)."""
        out = np.empty((*photo.shape[:2], max(photo.shape[2], 3)), photo.dtype)
        out[..., 3:] = photo[..., 3:]
        source, target = (
            torch.from_numpy(array)[..., :3].permute(2, 0, 1)[None]
            for array in (np.require(photo, requirements=["C", "W"]), out)
        )
        self._colour(source, target, saturation, resolution, hints)
        return out

    def colour_tensor(
        self, rgb: Tensor, saturation: float, resolution: int, hints: Sequence[Hint] = ()
    ) -> Tensor:
        """(3, H, W), (1, H, W) or a batch of these → the same type in colour, (3, H, W) or a batch.

        Raises:
            ValueError: for another shape or type.
            HintError: for hints for a batch.
        """
        if (
            rgb.ndim not in (3, 4)
            or rgb.shape[-3] not in (1, 3)
            or not rgb.numel()
            or not (rgb.dtype.is_floating_point or rgb.dtype in (torch.uint8, torch.uint16))
        ):
            raise ValueError(
                "expected (3, H, W), (1, H, W) or a batch of these, uint8, uint16 or floats in [0, 1], "
                f"got {tuple(rgb.shape)} {rgb.dtype}"
            )
        out = rgb.new_empty(*rgb.shape[:-3], 3, *rgb.shape[-2:])
        batch, target = rgb.reshape(-1, *rgb.shape[-3:]), out.view(-1, *out.shape[-3:])
        self._colour(batch, target, saturation, resolution, hints)
        return out

    def predict(self, L: Tensor, resolution: int, hints: Sequence[Hint] = ()) -> tuple[Tensor, Tensor]:
        """Predict ab at the generator's resolution, or at half of it if memory runs out, with a warning.

        Args:
            L: lightness, (B, 1, H, W) in [-1, 1], of any size.
            resolution: square root of the number of pixels that the generator sees.
            hints: colours that somebody knows.

        Returns:
            small: L as the generator saw it, (B, 1, h, w) with h · w about `resolution`²;
            ab: the predicted normalised ab, (B, 2, h, w).
        """
        height, width = L.shape[-2:]

        def at(resolution: int) -> tuple[Tensor, Tensor]:
            size = size_seen(height, width, resolution)
            small = F.interpolate(L, size=size, mode="bilinear", antialias=True, align_corners=False)
            batch, generator = {"L": small}, self.generator
            if hints:
                batch["hints"], generator = hint_planes(hints, small, width, height), self._told()
            ab = predict_ab(generator, batch).float()
            if not ab.isfinite().all():
                raise ValueError(NO_NUMBERS)
            return small, ab

        free = torch.cuda.empty_cache if self.device.type == "cuda" else None
        return with_less_memory(at, resolution, free)

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
        self, rgb: Tensor, out: Tensor, saturation: float, resolution: int, hints: Sequence[Hint]
    ) -> None:
        """Colour (B, 1 or 3, H, W) into `out`, (B, 3, H, W)."""
        if hints and len(rgb) > 1:
            raise HintError(
                f"hints are for one photo, and this is a batch of {len(rgb)}: colour them one by one"
            )
        L = torch.cat([rgb_to_L(self._prepare(rgb[..., band, :])) for band in _bands(rgb)], dim=2)
        small, ab = self.predict(L, resolution, hints)
        self.apply(L, small, ab * saturation, out)

    def _told(self) -> HintUnet:
        """The generator that takes hints: this one, or this one with the branch that comes with the library."""
        if self._hinted is None:
            plain = unwrapped(self.generator)
            if not isinstance(plain, ChromaUnet):
                raise HintError("these weights take no hints: take those that come with the library")
            self._hinted = add_hints(plain).to(self.device).eval()
        return self._hinted

    def _prepare(self, rgb: Tensor) -> Tensor:
        """Convert to uint8, or float32 in [0, 1], (B, 3, H, W), on the engine's device."""
        if rgb.dtype == torch.uint16:
            rgb = rgb.float() / 65535
        elif rgb.dtype != torch.uint8:
            rgb = rgb.float()
            check_floats(rgb.min().item(), rgb.max().item())
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


def _write_rgb(rgb: Tensor, out: Tensor) -> None:
    """Convert floats in [0, 1] to the type and device of `out`, and copy them there."""
    if out.dtype == torch.uint8:
        out.copy_((rgb * 255).round().byte())
    elif out.dtype == torch.uint16:  # some devices do not have this type
        out.copy_((rgb.to(out.device) * 65535).round().int().to(torch.uint16))
    else:
        out.copy_(rgb.to(out.device))
