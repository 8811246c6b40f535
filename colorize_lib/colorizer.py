"""Weights + any photo → the same photo in colour, full size."""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoints import CheckpointError, load_checkpoint
from .color import fit_to_gamut, lab_to_rgb, merge_lab, rgb_to_lab, split_lab
from .data import default_device

WEIGHTS = Path(__file__).parent / "weights"
BAND = 1 << 20  # pixels converted at a time, so that memory stays flat however large the photo


class Colorizer:
    """Colours photos with a generator.

    The generator sees the photo scaled to about `resolution`² pixels, its own
    aspect ratio kept.  Its ab is scaled up and joined to the photo's own
    lightness, which stays as it was: a colour that sRGB cannot show loses chroma.

    Args:
        generator: L (B, 1, H, W) → ab (B, 2, H, W).
        resolution: what the generator sees; about what it was trained on.
        device: None: CUDA, else MPS, else the CPU.

    Example:
        >>> colorizer = Colorizer.from_pretrained("runs/mine/generator.safetensors")
        >>> save_photo("in_colour.jpg", colorizer(open_photo("old.jpg")))
    """

    def __init__(self, generator: nn.Module, resolution: int = 256, device: torch.device | str | None = None):
        self.device = torch.device(device) if device is not None else default_device()
        self.generator = generator.to(self.device).eval()
        self.resolution = resolution

    @classmethod
    def from_pretrained(cls, weights: str | Path = "best", **options) -> "Colorizer":
        """Build a colorizer from a checkpoint.

        Args:
            weights: the path of a checkpoint, or the name of bundled weights:
                `l1`, `adversarial`, or `best`: the best of those that are there.
            options: those of the class.

        Raises:
            CheckpointError: if there are no such weights, or they cannot be used.
        """
        return cls(load_checkpoint(find_weights(weights)), **options)

    @torch.inference_mode()
    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Colour one photo.

        Args:
            rgb: (H, W, 3), uint8 or uint16, grey or colour: only its lightness is used.

        Returns:
            (H, W, 3) of the same type, in colour.

        Raises:
            ValueError: if `rgb` is of another shape or type.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"expected (H, W, 3) uint8 or uint16, got {rgb.shape} {rgb.dtype}")
        height, width, _ = rgb.shape
        rows = max(1, BAND // width)
        bands = [slice(top, top + rows) for top in range(0, height, rows)]
        L = torch.cat([split_lab(rgb_to_lab(self._tensor(rgb[band])))[0] for band in bands], dim=2)
        ab = F.interpolate(self.predict(L), size=(height, width), mode="bilinear", align_corners=False)
        out = np.empty_like(rgb)
        for band in bands:
            lab = fit_to_gamut(merge_lab(L[:, :, band], ab[:, :, band]))
            out[band] = _array(lab_to_rgb(lab), rgb.dtype)
        return out

    def predict(self, L: Tensor) -> Tensor:
        """Predict ab at the generator's resolution.

        Args:
            L: (1, 1, H, W) in [-1, 1], of any size.

        Returns:
            (1, 2, h, w) with h · w about `resolution`².
        """
        height, width = L.shape[-2:]
        scale = self.resolution / math.sqrt(height * width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        small = F.interpolate(L, size=size, mode="bilinear", antialias=True, align_corners=False)
        return self.generator(small).float()

    def _tensor(self, rgb: np.ndarray) -> Tensor:
        if rgb.dtype == np.uint16:
            rgb = rgb.astype(np.float32) / 65535
        return torch.from_numpy(np.require(rgb, requirements="CW")).to(self.device).permute(2, 0, 1)[None]


def _array(rgb: Tensor, dtype: np.dtype) -> np.ndarray:
    top = np.iinfo(dtype).max
    return (rgb[0].permute(1, 2, 0) * top).round().cpu().numpy().astype(dtype)


def find_weights(weights: str | Path = "best") -> Path:
    """The path of weights: of a file, or of bundled ones by their name.

    Raises:
        CheckpointError: if there are none.
    """
    names = ("adversarial", "l1") if weights == "best" else (str(weights),)
    for name in names:
        if (path := WEIGHTS / f"{name}.safetensors").exists():
            return path
    if weights == "best":
        raise CheckpointError(
            "no weights are bundled with this version: train some (colorize train), and pass their path"
        )
    return Path(weights)
