"""RGB ↔ CIE Lab in PyTorch: batched, differentiable, on any device.

The only file that knows the D65 white, the 50 and the 110.  The constants are
those of `skimage.color`: sRGB (IEC 61966-2-1) and the CIE 1976 formulas for
the 2° observer under D65.

Shapes: images are (B, 3, H, W).  Ranges: R, G, B in [0, 1]; L* in [0, 100];
a* and b* about [-110, 110].  What a network sees is the normalised pair
`L = L* / 50 - 1` and `ab = (a*, b*) / 110`.

Everything is computed in float32 (float64 stays float64), also inside an
autocast region, and every gradient is finite, black included.
"""

from collections.abc import Callable

import torch
from torch import Tensor

RGB_TO_XYZ = torch.tensor(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ],
    dtype=torch.float64,
)
WHITE_D65 = torch.tensor([0.95047, 1.0, 1.08883], dtype=torch.float64)

# XYZ is only ever used relative to white, so white is folded into the matrix.
_RGB_TO_XYZ = RGB_TO_XYZ / WHITE_D65[:, None]
_XYZ_TO_RGB = torch.linalg.inv(_RGB_TO_XYZ)

# With f = cube root of XYZ / white:  L* = 116 fy - 16,  a* = 500 (fx - fy),  b* = 200 (fy - fz).
_F_TO_LAB = torch.tensor([[0, 116, 0], [500, -500, 0], [0, 200, -200]], dtype=torch.float64)
_LAB_TO_F = torch.linalg.inv(_F_TO_LAB)
_LAB_OFFSET = torch.tensor([16, 0, 0], dtype=torch.float64)

L_SCALE = 50.0  # L  = L* / 50 - 1
AB_SCALE = 110.0  # ab = (a*, b*) / 110

_OUT_OF_GAMUT = 1e-4  # in linear RGB: L* moves by less than 0.1, even in the shadows


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert sRGB to CIE L*a*b*.

    Args:
        rgb: (B, 3, H, W), floating point in [0, 1], or uint8 in [0, 255].

    Returns:
        (B, 3, H, W): L* in [0, 100], a* and b*, float32 (float64 for float64).

    Raises:
        ValueError: if `rgb` is not (B, 3, H, W).
        TypeError: if `rgb` is of another integer type.
    """
    _check(rgb, "rgb")

    def convert(rgb: Tensor) -> Tensor:
        xyz = _matmul(_RGB_TO_XYZ, _linear_from_srgb(rgb))
        return _matmul(_F_TO_LAB, _cube_root(xyz)) - _column(_LAB_OFFSET, xyz)

    return _photo_by_photo(convert, rgb)


def rgb_to_L(rgb: Tensor) -> Tensor:
    """Compute the generator's input L from sRGB.  Same as `split_lab(rgb_to_lab(rgb))[0]`, but faster.

    Args:
        rgb: (B, 3, H, W), floating point in [0, 1], or uint8 in [0, 255].

    Returns:
        L: (B, 1, H, W), L* / 50 - 1, in [-1, 1].

    Raises:
        ValueError, TypeError: as `rgb_to_lab`.
    """
    _check(rgb, "rgb")

    def convert(rgb: Tensor) -> Tensor:
        fy = _cube_root(_matmul(_RGB_TO_XYZ[1:2], _linear_from_srgb(rgb)))
        return (116 * fy - 16) / L_SCALE - 1

    return _photo_by_photo(convert, rgb)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Convert CIE L*a*b* to sRGB.

    Colours that sRGB cannot show are clipped per channel, as in `skimage`.
    Clipping shifts the lightness (by up to 13): call `fit_to_gamut` first
    where the lightness must stay.

    Args:
        lab: (B, 3, H, W): L* in [0, 100], a*, b*.

    Returns:
        (B, 3, H, W) in [0, 1], float32 (float64 for float64).

    Raises:
        ValueError: if `lab` is not (B, 3, H, W).
    """
    _check(lab, "lab")
    return _photo_by_photo(lambda lab: _srgb_from_linear(_linear_from_lab(lab)).clamp(0, 1), lab)


def _photo_by_photo(convert: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Convert, outside of autocast; on a CPU one photo at a time: its planes stay in the cache, which is faster."""
    with torch.autocast(images.device.type, enabled=False):
        if images.device.type == "cpu" and len(images) > 1 and not images.requires_grad:
            return torch.cat([convert(image) for image in images.split(1)])
        return convert(images)


def split_lab(lab: Tensor) -> tuple[Tensor, Tensor]:
    """Split L*a*b* into the generator's input and the target that it predicts.

    Args:
        lab: (B, 3, H, W): L* in [0, 100], a*, b*.

    Returns:
        L: (B, 1, H, W), L* / 50 - 1, in [-1, 1];
        ab: (B, 2, H, W), (a*, b*) / 110.

    Raises:
        ValueError: if `lab` is not (B, 3, H, W).
    """
    _check(lab, "lab")
    return lab[:, :1] / L_SCALE - 1, lab[:, 1:] / AB_SCALE


def merge_lab(L: Tensor, ab: Tensor) -> Tensor:
    """Join a normalised pair again: the inverse of `split_lab`.

    Args:
        L: (B, 1, H, W) in [-1, 1].
        ab: (B, 2, H, W), (a*, b*) / 110; may be of lower precision than `L`.

    Returns:
        (B, 3, H, W): L* in [0, 100], a*, b*.

    Raises:
        ValueError: if the shapes do not belong together.
    """
    if L.ndim != 4 or L.shape[1] != 1 or ab.shape != (L.shape[0], 2, *L.shape[2:]):
        raise ValueError(
            f"expected L (B, 1, H, W) and ab (B, 2, H, W), got {tuple(L.shape)} and {tuple(ab.shape)}"
        )
    return torch.cat([(_as_float(L) + 1) * L_SCALE, _as_float(ab) * AB_SCALE], dim=1)


def to_rgb(L: Tensor, ab: Tensor) -> Tensor:
    """Convert a normalised pair to sRGB, as it is shown: in the gamut, with its lightness kept.

    Args:
        L: (B, 1, H, W) in [-1, 1].
        ab: (B, 2, H, W), (a*, b*) / 110.

    Returns:
        (B, 3, H, W) in [0, 1].

    Raises:
        ValueError: if the shapes do not belong together.
    """
    return lab_to_rgb(fit_to_gamut(merge_lab(L, ab)))


def fit_to_gamut(lab: Tensor, steps: int = 15) -> Tensor:
    """Bring colours into the sRGB gamut by reducing chroma, never lightness.

    A colour that sRGB cannot show moves straight towards the grey of its own
    lightness, keeping its hue angle, until it can be shown.  How far is found
    by bisection, for the pixels that need it only.  Gradients flow through the
    scaled a* and b*; the scale itself counts as a constant.

    Args:
        lab: (B, 3, H, W): L* in [0, 100], a*, b*.
        steps: number of bisection steps; 15 find the scale to 1/32768, which is exact in 8 bits.

    Returns:
        (B, 3, H, W) with the same L*.

    Raises:
        ValueError: if `lab` is not (B, 3, H, W).
    """
    _check(lab, "lab")
    lab = _as_float(lab)
    with torch.no_grad(), torch.autocast(lab.device.type, enabled=False):
        outside = ~_in_gamut(_f_from_lab(lab))  # (B, H, W)
        pixels = lab.movedim(1, -1)[outside].T[None, :, None]  # (1, 3, 1, N)
        f = _f_from_lab(pixels)
        grey, chroma = f[:, 1:2], f - f[:, 1:2]  # f moves on a straight line, as a* and b* do
        kept = torch.zeros_like(grey)
        for step in range(1, steps + 1):
            more = kept + 0.5**step
            kept += _in_gamut(torch.addcmul(grey, chroma, more))[:, None] * 0.5**step
        scale = torch.ones_like(lab[:, :1])
        scale[outside[:, None]] = kept.flatten()
    return torch.cat([lab[:, :1], lab[:, 1:] * scale], dim=1)


def _in_gamut(f: Tensor) -> Tensor:
    """(B, H, W) bool: can sRGB show the colour with these cube roots?"""
    return (_linear_from_f(f) - 0.5).abs_().amax(dim=1) <= 0.5 + _OUT_OF_GAMUT


# Each curve below has a straight piece and a bent one that meet at an edge.  The sum of the two
# clamped pieces is the curve, without a `where`, which is slow on a CPU and gives NaN gradients from
# the piece that it does not take.


def _linear_from_srgb(rgb: Tensor) -> Tensor:
    if rgb.dtype == torch.uint8:  # one of 256 values
        table = _linear_from_srgb(torch.arange(256, device=rgb.device) / 255)
        return table.index_select(0, rgb.flatten().int()).view(rgb.shape)
    rgb = _as_float(rgb)
    edge = 0.04045
    bent = _power((rgb.clamp(min=edge) + 0.055) / 1.055, 2.4)
    return bent + (rgb - edge).clamp(max=0) / 12.92


def _srgb_from_linear(linear: Tensor) -> Tensor:
    edge = 0.0031308
    bent = 1.055 * _power(linear.clamp(min=edge), 1 / 2.4) - 0.055
    return bent + (linear - edge).clamp(max=0) * 12.92


def _linear_from_lab(lab: Tensor) -> Tensor:
    return _linear_from_f(_f_from_lab(_as_float(lab)))


def _f_from_lab(lab: Tensor) -> Tensor:
    """(B, 3, H, W): fx, fy and fz, the cube roots of X, Y and Z relative to white."""
    return _matmul(_LAB_TO_F, lab + _column(_LAB_OFFSET, lab))


def _linear_from_f(f: Tensor) -> Tensor:
    edge = 0.2068966
    straight = (f - edge).clamp(max=0)
    straight[:, 2:].clamp_(min=-edge)  # as skimage: fz is not below 0
    return _matmul(_XYZ_TO_RGB, f.clamp(min=edge) ** 3 + straight / 7.787)


def _cube_root(xyz: Tensor) -> Tensor:
    """CIE's cube root, continued as a straight line so that its slope stays finite."""
    edge = 0.008856
    return _power(xyz.clamp(min=edge), 1 / 3) + (xyz - edge).clamp(max=0) * 7.787


def _power(x: Tensor, exponent: float) -> Tensor:
    """x > 0 to a power: on a CPU more than twice as fast as `pow`, and exact enough here."""
    return x.log().mul_(exponent).exp_()


def _matmul(matrix: Tensor, planes: Tensor) -> Tensor:
    """Multiply the three planes of (B, 3, H, W) by a (N, 3) matrix: (B, N, H, W)."""
    matrix = matrix.to(planes.dtype).to(planes.device)  # in this order: MPS has no float64
    if planes.is_cuda:  # a matrix product may run in TF32, which would change a* by 0.1
        return (matrix[:, :, None, None] * planes[:, None]).sum(dim=2)
    return (matrix @ planes.flatten(2)).unflatten(2, planes.shape[2:])


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype).to(like.device)[:, None, None]


def _as_float(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _check(image: Tensor, name: str) -> None:
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"expected {name} of shape (B, 3, H, W), got {tuple(image.shape)}")
    if not image.is_floating_point() and image.dtype != torch.uint8:
        raise TypeError(f"expected {name} as floating point or uint8, got {image.dtype}")
