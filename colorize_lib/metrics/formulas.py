"""The field's numbers for colours that were predicted, each from its paper."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..color import AB_SCALE

AUC_LIMIT = 150.0  # largest distance in a*b* that `auc` looks at, in CIE units
BIN = 10.0  # side of a colour class in a*b*
BLOTCH_SIDE, BLOTCH_WINDOW = 64, 8  # pixels a side of the reduced photo, and of a window in it
ONE_HUE = 0.5  # a window has one hue if less than this share of its true chroma cancels


def _check(predicted: Tensor, true: Tensor, channels: int) -> None:
    """Raise ValueError unless both are (B, channels, H, W): others would be stretched to fit, and measured."""
    if predicted.shape != true.shape or true.ndim != 4 or true.shape[1] != channels:
        raise ValueError(
            f"expected two of the same shape (B, {channels}, H, W), got {tuple(predicted.shape)} and {tuple(true.shape)}"
        )


def _check_rgb(rgb: Tensor) -> None:
    """Raise ValueError unless it is floating point, (B, 3, H, W): uint8 would be measured as if 255 were 255 times white."""
    if rgb.ndim != 4 or rgb.shape[1] != 3 or not rgb.is_floating_point():
        raise ValueError(f"expected RGB in [0, 1], (B, 3, H, W), got {tuple(rgb.shape)} {rgb.dtype}")


def ab_error(predicted: Tensor, true: Tensor) -> Tensor:
    """Mean absolute error of a* and b*, per photo, in CIE units (a* and b* run to about ±110).

    Args:
        predicted, true: normalised ab, (B, 2, H, W).

    Returns:
        (B,)
    """
    _check(predicted, true, 2)
    return (predicted.float() - true.float()).abs().mean(dim=(1, 2, 3)) * AB_SCALE


def auc(predicted: Tensor, true: Tensor) -> Tensor:
    """Area under the cumulative accuracy curve, per photo, in per cent (Zhang et al., 2016, section 3.1).

    The curve is the share of the pixels whose colour is at most t from the true
    one, as a distance in a*b*, for t from 0 to 150.  The area under the step that
    one pixel makes has a closed form, max(0, 1 - distance / 150), so that no
    thresholds need to be swept.

    Args:
        predicted, true: normalised ab, (B, 2, H, W).

    Returns:
        (B,)
    """
    return 100 * _accuracy(predicted, true).mean(dim=(1, 2))


class Rows:
    """Rows that are added batch by batch, kept in one block of memory.

    Small tensors that stay, made between large ones that go, would keep the heap from shrinking:
    gigabytes for a thousand photos.
    """

    def __init__(self):
        self._block, self._count = torch.empty(0), 0

    def add(self, rows: Tensor) -> None:
        count = self._count + len(rows)
        if count > len(self._block):
            block = rows.new_empty(max(2 * count, 1024), *rows.shape[1:])
            if self._count:
                block[: self._count] = self._block[: self._count]
            self._block = block
        self._block[self._count : count] = rows
        self._count = count

    def all(self) -> Tensor:
        return self._block[: self._count]


class Pooled(ABC):
    """A number computed from sums over photos.

    The summands of each photo are kept, so that the number of some of the photos, or of a
    resampled crowd, needs no second pass over them.
    """

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        """Forget all photos."""
        self._summands = Rows()

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Add photos, in the form that `summands` takes."""
        self._summands.add(self.summands(predicted, true).cpu().double())

    def compute(self, counts: Tensor | None = None) -> float:
        """The value over all photos added so far; NaN without any.

        Args:
            counts: how often each photo counts, (N,); None: once.
        """
        photos = self._summands.all()
        if not len(photos):
            return math.nan
        return self.value(photos.sum(dim=0) if counts is None else counts.double() @ photos)

    @abstractmethod
    def summands(self, predicted: Tensor, true: Tensor) -> Tensor:
        """What each photo adds to the sums, (B, K)."""

    @abstractmethod
    def value(self, sums: Tensor) -> float:
        """The number that these sums, (K,), give."""


class PerPhoto(Pooled):
    """The mean of a formula that gives one value per photo.

    Args:
        formula: (predicted, true) → (B,).
    """

    def __init__(self, formula: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.formula = formula

    def summands(self, predicted: Tensor, true: Tensor) -> Tensor:
        values = self.formula(predicted, true)
        return torch.stack([values, torch.ones_like(values)], dim=1)

    def value(self, sums: Tensor) -> float:
        return (sums[0] / sums[1]).item()


class BalancedAuC(Pooled):
    """`auc` averaged over colour classes, so that a rare colour counts as much as a common one, in per cent.

    A class is a square of 10 × 10 in a*b*.  This is the class-balanced variant of
    Zhang et al. with one difference: they weight classes by their frequency in
    ImageNet, this by their frequency in the measured photos.  The pixels of all
    photos are pooled; the mean is over the classes.
    """

    def summands(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Of normalised ab, (B, 2, H, W): the accuracy and the number of the pixels of each class."""
        photo = torch.arange(len(true), device=true.device).view(-1, 1, 1)
        a, b = (true.float() * (AB_SCALE / BIN)).round().int().clamp(-16, 15).add(16).unbind(dim=1)
        classes = ((photo * 32 + a) * 32 + b).flatten().cpu()
        accuracy = _accuracy(predicted, true).flatten().cpu().double()
        sums = [
            torch.bincount(classes, each, 1024 * len(true)) for each in (accuracy, torch.ones_like(accuracy))
        ]
        return torch.stack([each.view(-1, 1024) for each in sums], dim=1).flatten(1)

    def value(self, sums: Tensor) -> float:
        accuracy, count = sums.view(2, -1)
        return 100 * (accuracy / count)[count > 0].mean().item()


class Blotches(Pooled):
    """Share of the colour that cancels out in places where the true colour has a single hue, in per cent.

    A blotch is a patch of another hue on one and the same thing: green in brown
    hair, blue and brown on a bare wall.  Colours of opposite hue cancel in a mean.
    So in a window, with its mean of (a*, b*) and its mean of the chroma
    C = |(a*, b*)|,

        cancelled = mean(C) - |mean(a*, b*)|

    is 0 if all pixels have the same hue, whatever their chroma, and mean(C) if
    they cancel completely.  The value is 100 times the mean of `cancelled` over all
    windows of all photos in which less than 0.5 of the *true* chroma cancels,
    divided by the mean chroma of all pixels of all photos.  Because of this
    division the amount of colour does not matter: multiplying all colours by a
    factor changes the value only as far as the gamut limits them.

    0 is best.  True photos have a few tenths, because of the threshold.  There is no
    fixed upper end: compare only rows that were measured on the same photos.

    A photo is first averaged to 64 × 64 pixels, which removes noise and JPEG
    blocks; a window is an eighth of a side, and windows overlap by half.  The
    eighth was chosen on validation photos: smaller windows react to fine texture,
    and larger ones separate good from bad less clearly.  The standard deviation of
    a*b* in the same windows hardly separates them at all, because it also counts
    changes of chroma.

    The measure does not see wrong colours that are even (a blue face on a blue
    photo), nor blotches on things that truly have several hues.
    """

    def summands(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Of a* and b* in CIE units, as they are shown (in the gamut), (B, 2, H, W): cancelled, windows, chroma, 1."""
        _check(predicted, true, 2)
        small, true = (F.adaptive_avg_pool2d(ab.float().cpu(), BLOTCH_SIDE) for ab in (predicted, true))
        one_hue = _cancelled(true) < ONE_HUE
        cancelled = (_cancelled(small) * one_hue).sum(dim=(1, 2))
        chroma = small.norm(dim=1).mean(dim=(1, 2))
        return torch.stack([cancelled, one_hue.sum(dim=(1, 2)), chroma, torch.ones_like(chroma)], dim=1)

    def value(self, sums: Tensor) -> float:
        """0 where there is no colour at all; NaN where no window has one true hue."""
        cancelled, windows, chroma, photos = sums.tolist()
        return 100 * (cancelled / windows) / (chroma / photos or 1.0) if windows else math.nan


def _cancelled(ab: Tensor) -> Tensor:
    """(B, 2, H, W) → per window, (B, h, w): how much of its chroma cancels; not below 0."""
    window: dict[str, Any] = {"kernel_size": BLOTCH_WINDOW, "stride": BLOTCH_WINDOW // 2}
    chroma = F.avg_pool2d(ab.norm(dim=1, keepdim=True), **window)[:, 0]
    return (chroma - F.avg_pool2d(ab, **window).norm(dim=1)).clamp(min=0)


def _accuracy(predicted: Tensor, true: Tensor) -> Tensor:
    _check(predicted, true, 2)
    distance = (predicted.float() - true.float()).norm(dim=1) * AB_SCALE
    return (1 - distance / AUC_LIMIT).clamp(min=0)  # (B, H, W)


def psnr(predicted: Tensor, true: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of RGB, per photo, in dB: 10 log10(1 / mean squared error).

    It rewards grey: a wrong guess costs more than no guess.

    Args:
        predicted, true: RGB in [0, 1], (B, 3, H, W).

    Returns:
        (B,); infinite where the two are equal.
    """
    _check(predicted, true, 3)
    _check_rgb(predicted)
    _check_rgb(true)
    return -10 * (predicted.float() - true.float()).square().mean(dim=(1, 2, 3)).log10()


def ssim(predicted: Tensor, true: Tensor) -> Tensor:
    """Structural similarity of RGB, per photo (Wang et al., 2004: 11 × 11 Gaussian, σ = 1.5).

    The lightness, which is given, makes most of the structure: even grey is near 1.

    Args:
        predicted, true: RGB in [0, 1], (B, 3, H, W), at least 11 × 11.

    Returns:
        (B,), at most 1.
    """
    from skimage.metrics import structural_similarity

    _check(predicted, true, 3)
    _check_rgb(predicted)
    _check_rgb(true)
    if min(predicted.shape[2:]) < 11:
        raise ValueError(f"SSIM needs 11 × 11 pixels, got {tuple(predicted.shape[2:])}")
    pairs = zip(*(rgb.movedim(1, -1).cpu().double().numpy() for rgb in (predicted, true)), strict=True)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    values = [structural_similarity(*pair, channel_axis=2, data_range=1.0, **gaussian) for pair in pairs]
    return torch.tensor(values, dtype=torch.float32)


def delta_e(predicted: Tensor, true: Tensor) -> Tensor:
    """Mean CIEDE2000 colour difference, per photo: about 1 is what a trained eye can just see.

    Args:
        predicted, true: L*a*b*, (B, 3, H, W).

    Returns:
        (B,)
    """
    from skimage.color import deltaE_ciede2000

    _check(predicted, true, 3)
    first, second = (lab.movedim(1, -1).cpu().double().numpy() for lab in (true, predicted))
    return torch.from_numpy(deltaE_ciede2000(first, second)).mean(dim=(1, 2)).float()


def colourfulness(rgb: Tensor, absolute: bool = False) -> Tensor:
    """Colourfulness M3 of Hasler & Süsstrunk (Measuring colourfulness in natural images, 2003), per photo.

    sqrt(σ²_rg + σ²_yb) + 0.3 sqrt(μ²_rg + μ²_yb), with rg = R - G and
    yb = (R + G) / 2 - B on the 0…255 scale.  Grey has 0; the authors call about
    15 slightly colourful, 33 moderately, 59 quite and 82 highly colourful.

    Args:
        rgb: RGB in [0, 1], (B, 3, H, W).
        absolute: take |R - G| and |(R + G) / 2 - B| instead, as DDColor (Kang et
            al., 2023) and the papers do that compare with it.  Then red beside
            green is no spread any more: the value is lower.

    Returns:
        (B,)
    """
    _check_rgb(rgb)
    r, g, b = (rgb.float() * 255).unbind(dim=1)
    opponent = torch.stack([r - g, (r + g) / 2 - b], dim=1).flatten(2)
    if absolute:
        opponent = opponent.abs()
    spread = opponent.var(dim=2, unbiased=False).sum(dim=1).sqrt()
    return spread + 0.3 * opponent.mean(dim=2).square().sum(dim=1).sqrt()
