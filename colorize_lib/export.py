"""A generator, or the whole way from grey photo to colour photo, as ONNX graphs of any size.

The graphs are traced from the very functions that colour a photo in Python, so
there is no second copy of the colour mathematics.  Needs the extra `onnx`.

Three small graphs, `STEPS`, colour a photo of any size in little memory, some rows at
a time; `light.LightColorizer` and the web page call them in this order:

| graph | in | out |
| --- | --- | --- |
| `lightness` | photo (n, W, 4) uint8, width () int64 | L (n, w): the rows' lightness, scaled to that width |
| `colours` | L (H, w), size (2,) int64 = (h, w), width () int64 = W | planes (5, h, W), rows (H, h) |
| `paint` | photo (n, W, 4) uint8, planes (5, h, W), rows (n, h), saturation () | coloured (n, W, 4) uint8 |

A photo is RGBA, as a browser has it; the transparency is passed on.  `planes` are ab, its slope
and the blurred L, scaled up in width; `rows` says how they are scaled up in height.
"""

import copy
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.export import Dim

from . import __version__
from .checkpoints import find_weights, load_generator, read_header
from .color import rgb_to_L
from .colorizer import RESOLUTION, paint, scaling_matrix, slope_of_colour
from .models.precision import InFloat32
from .photos import write_whole

OPSET = 20
STEPS = ("lightness", "colours", "paint")
LARGEST = 1 << 16  # pixels a side


class Lightness(nn.Module):
    """(n, W, 4) uint8, () int64 → L (n, w)."""

    def forward(self, photo: Tensor, width: Tensor) -> Tensor:
        L = rgb_to_L(_rgb(photo))
        return F.interpolate(L, (L.shape[2], _size(width)), mode="bilinear", antialias=True)[0, 0]


class Colours(nn.Module):
    """L (H, w), (h, w), W → planes (5, h, W), rows (H, h)."""

    def __init__(self, generator: nn.Module, chroma: float):
        super().__init__()
        self.generator = generator
        self.chroma = chroma

    def forward(self, L: Tensor, size: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        height = _size(size[0])
        small = F.interpolate(L[None, None], (height, L.shape[1]), mode="bilinear", antialias=True)
        ab = self.generator(small) * self.chroma
        planes = torch.cat([ab, slope_of_colour(small, ab), small], dim=1)
        planes = F.interpolate(planes, (height, _size(width)), mode="bicubic", antialias=True)
        return planes[0], scaling_matrix(height, L.shape[0])


class Paint(nn.Module):
    """(n, W, 4) uint8, planes (5, h, W), rows (n, h), () → (n, W, 4) uint8."""

    def forward(self, photo: Tensor, planes: Tensor, rows: Tensor, saturation: Tensor) -> Tensor:
        L = rgb_to_L(_rgb(photo))
        near = (rows != 0).any(dim=0).nonzero().flatten()  # the few rows of `planes` that matter to these
        scaled = (rows[:, near] @ planes[:, near])[None]
        ab, slope, blurred = scaled.split([2, 2, 1], dim=1)
        rgb = paint(L, ab * saturation, slope * saturation, blurred)
        painted = (rgb * 255).round().to(torch.uint8)[0].permute(1, 2, 0)
        return torch.cat([painted, photo[..., 3:]], dim=-1)


def _rgb(photo: Tensor) -> Tensor:
    """(n, W, 4) → (1, 3, n, W), of RGBA."""
    return photo.index_select(-1, torch.arange(3)).permute(2, 0, 1)[None]


class SameConv2d(nn.Conv2d):
    """TensorFlow's `same` padding where the input's sides are multiples of the stride: it does not depend on them."""

    def forward(self, x: Tensor) -> Tensor:
        (across, down) = (size - stride for size, stride in zip(self.kernel_size, self.stride, strict=True))
        before = (down // 2, down - down // 2, across // 2, across - across // 2)
        return self._conv_forward(F.pad(x, before), self.weight, self.bias)


def exportable(generator: nn.Module) -> nn.Module:
    """A copy that computes the same, of layers that can be traced for every size in little time."""
    generator = copy.deepcopy(generator).cpu().eval().to(memory_format=torch.contiguous_format)
    for module in generator.modules():
        if isinstance(module, Conv2dSame):  # run_padded makes all sides multiples of all strides
            module.__class__ = SameConv2d
        elif isinstance(module, InFloat32):
            module.__class__ = nn.Conv2d
    return generator


def _size(size: Tensor) -> int:
    size = size.item()
    torch._check(size >= 1)
    torch._check(size <= LARGEST)
    return size
