"""How far predicted colours are from the true ones, and how colourful they are.

The formulas come first, one function or class each, then the table of all
metrics, then `measure` and `evaluate`, which run over whole data sets.
Generators are measured beside two baselines that know nothing of the photo: grey
(ab = 0), and the mean colour of the measured photos.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from .color import AB_SCALE, fit_to_gamut, lab_to_rgb, merge_lab, to_rgb
from .data import Batch, DataLoaders, validation_batches
from .folders import Photos
from .frechet import Frechet
from .models import predict_ab

Table = dict[str, dict[str, float]]  # {row: {column: value}}

BASELINES = ("grey", "mean colour", "true")  # the rows that every table has
AUC_LIMIT = 150.0  # largest distance in a*b* that `auc` looks at, in CIE units
BIN = 10.0  # side of a colour class in a*b*
BLOTCH_SIDE, BLOTCH_WINDOW = 64, 8  # pixels a side of the reduced photo, and of a window in it
ONE_HUE = 0.5  # a window has one hue if less than this share of its true chroma cancels
MOST_FACTOR = (
    16.0  # largest factor for a generator's colours: beyond it only the noise of near-grey output grows
)


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


class BalancedAuC:
    """`auc` averaged over colour classes, so that a rare colour counts as much as a common one, in per cent.

    A class is a square of 10 × 10 in a*b*.  This is the class-balanced variant of
    Zhang et al. with one difference: they weight classes by their frequency in
    ImageNet, this by their frequency in the measured photos.  The pixels of all
    photos are pooled; the mean is over the classes.
    """

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        """Forget all photos."""
        self._sums = torch.zeros(2, 32 * 32, dtype=torch.float64)

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Add photos: normalised ab, (B, 2, H, W)."""
        a, b = (true.float() * (AB_SCALE / BIN)).round().int().clamp(-16, 15).add(16).unbind(dim=1)
        classes = (a * 32 + b).flatten().cpu()
        accuracy = _accuracy(predicted, true).flatten().cpu().double()
        self._sums[0] += torch.bincount(classes, accuracy, minlength=32 * 32)
        self._sums[1] += torch.bincount(classes, minlength=32 * 32)

    def compute(self) -> float:
        """The value over all photos added so far."""
        accuracy, count = self._sums
        return 100 * (accuracy / count)[count > 0].mean().item()


class Blotches:
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

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        """Forget all photos."""
        self._cancelled = self._windows = self._chroma = self._photos = 0.0

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Add photos: a* and b* in CIE units, as they are shown (in the gamut), (B, 2, H, W)."""
        _check(predicted, true, 2)
        small, true = (F.adaptive_avg_pool2d(ab.float().cpu(), BLOTCH_SIDE) for ab in (predicted, true))
        one_hue = _cancelled(true) < ONE_HUE
        self._cancelled += _cancelled(small)[one_hue].sum().item()
        self._windows += one_hue.sum().item()
        self._chroma += small.norm(dim=1).mean(dim=(1, 2)).sum().item()
        self._photos += len(small)

    def compute(self) -> float:
        """0 where there is no colour at all; NaN where no window has one true hue."""
        if not self._windows:
            return math.nan
        return 100 * (self._cancelled / self._windows) / (self._chroma / self._photos or 1.0)


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


@dataclass(frozen=True)
class Comparison:
    """A batch of predictions beside the truth, as normalised ab, L*a*b* and RGB.

    L*a*b* and RGB are the colours as they are shown: brought into the sRGB gamut
    with their lightness kept.  They are computed when they are first used.

    Args:
        L: (B, 1, H, W), normalised.
        ab: the predictions, (B, 2, H, W), normalised.
        true_ab: the same shape.
    """

    L: Tensor
    ab: Tensor
    true_ab: Tensor

    @cached_property
    def lab(self) -> Tensor:
        return fit_to_gamut(merge_lab(self.L, self.ab))

    @cached_property
    def true_lab(self) -> Tensor:
        return fit_to_gamut(merge_lab(self.L, self.true_ab))

    @cached_property
    def shown_ab(self) -> Tensor:
        """(B, 2, H, W), in CIE units."""
        return self.lab[:, 1:]

    @cached_property
    def true_shown_ab(self) -> Tensor:
        return self.true_lab[:, 1:]

    @cached_property
    def rgb(self) -> Tensor:
        return lab_to_rgb(self.lab)

    @cached_property
    def true_rgb(self) -> Tensor:
        return lab_to_rgb(self.true_lab)


class Accumulator(Protocol):
    """Something that takes in predictions beside the truth, batch by batch, and computes one number."""

    def update(self, predicted: Tensor, true: Tensor) -> None: ...

    def compute(self) -> float: ...


class PerPhoto:
    """A formula that gives one value per photo, reduced over all photos.

    Args:
        formula: (predicted, true) → (B,).
        reduce: the values of all photos → one number, as a tensor.
    """

    def __init__(
        self, formula: Callable[[Tensor, Tensor], Tensor], reduce: Callable[[Tensor], Tensor] = torch.mean
    ):
        self.formula, self.reduce = formula, reduce
        self.reset()

    def reset(self) -> None:
        """Forget all photos."""
        self._values: list[Tensor] = []

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Add photos, in the form that the formula takes."""
        self._values.append(self.formula(predicted, true).cpu().double())

    def compute(self) -> float:
        """The value over all photos added so far; NaN without any."""
        return self.reduce(torch.cat(self._values)).item() if self._values else math.nan


def _colourfulness_difference(predicted: Tensor, true: Tensor) -> Tensor:
    return colourfulness(predicted, absolute=True) - colourfulness(true, absolute=True)


@dataclass(frozen=True)
class Metric:
    """One column of the table.

    Args:
        heading: the column's heading in a printed table.
        decimals: number of decimals in a printed table.
        inputs: function that picks the two tensors of a `Comparison` to compare.
        start: makes a new, empty `Accumulator`.
    """

    heading: str
    decimals: int
    inputs: Callable[[Comparison], tuple[Tensor, Tensor]]
    start: Callable[[], Accumulator]


_AB = attrgetter("ab", "true_ab")
_SHOWN_AB = attrgetter("shown_ab", "true_shown_ab")
_LAB = attrgetter("lab", "true_lab")
_RGB = attrgetter("rgb", "true_rgb")

# A new metric is one row here.
METRICS = {
    "ab_error": Metric("ab error", 2, _AB, lambda: PerPhoto(ab_error)),
    "auc": Metric("AuC %", 2, _AB, lambda: PerPhoto(auc)),
    "auc_balanced": Metric("balanced %", 2, _AB, BalancedAuC),
    "psnr": Metric("PSNR dB", 2, _RGB, lambda: PerPhoto(psnr)),  # a mean of decibels
    "ssim": Metric("SSIM", 3, _RGB, lambda: PerPhoto(ssim)),
    "delta_e": Metric("ΔE2000", 2, _LAB, lambda: PerPhoto(delta_e)),
    "colourfulness": Metric("colourful.", 1, _RGB, lambda: PerPhoto(lambda rgb, _: colourfulness(rgb))),
    "blotches": Metric("blotches %", 2, _SHOWN_AB, Blotches),
    "colourfulness_abs": Metric(
        "CF absolute", 1, _RGB, lambda: PerPhoto(lambda rgb, _: colourfulness(rgb, absolute=True))
    ),
    # How far the colourfulness is from the true one: the difference of the two means, as papers report it …
    "delta_cf": Metric(
        "ΔCF", 1, _RGB, lambda: PerPhoto(_colourfulness_difference, lambda values: values.mean().abs())
    ),
    # … and photo by photo, so that a dull photo cannot make up for a gaudy one.
    "delta_cf_each": Metric(
        "ΔCF each", 1, _RGB, lambda: PerPhoto(_colourfulness_difference, lambda values: values.abs().mean())
    ),
}
QUICK = ("ab_error", "psnr", "colourfulness")
ALL = tuple(METRICS)


def mean_colour(batches: Iterable[Batch]) -> Tensor:
    """The mean normalised ab over all pixels of all photos, (1, 2, 1, 1)."""
    total, count = torch.zeros(2, dtype=torch.float64), 0
    for batch in batches:
        total = total + batch["ab"].mean(dim=(2, 3)).cpu().double().sum(dim=0)
        count += len(batch["ab"])
    return (total / count).float()[None, :, None, None]


def measure(
    predict: Callable[[Batch], Tensor],
    batches: Iterable[Batch],
    frechet: Frechet | None = None,
    *,
    metrics: str | Sequence[str] = QUICK,
) -> dict[str, float]:
    """Measure predictions on a data set.

    Args:
        predict: a batch {"L", "ab"} → normalised ab, (B, 2, H, W) or a shape that broadcasts to it.
        batches: batches of validation photos.
        frechet: the Fréchet distance, with the true photos added; it is measured, too.
        metrics: names in `METRICS`; `QUICK` or `ALL` of them, or some, or one.

    Returns:
        {name: value}, in the order of `METRICS`; with `frechet`, also its `name`.

    Raises:
        ValueError: for an unknown metric.
    """
    metrics = (metrics,) if isinstance(metrics, str) else metrics
    if unknown := set(metrics) - METRICS.keys():
        raise ValueError(f"no metric is called '{min(unknown)}': choose from {', '.join(METRICS)}")
    columns = {name: metric.start() for name, metric in METRICS.items() if name in metrics}
    if frechet is not None:
        frechet.reset(keep_true=True)
    for batch in batches:
        predicted = predict(batch).float().expand_as(batch["ab"])
        comparison = Comparison(batch["L"], predicted, batch["ab"])
        for name, column in columns.items():
            column.update(*METRICS[name].inputs(comparison))
        if frechet is not None:
            frechet.update(comparison.rgb, real=False)
    values = {name: column.compute() for name, column in columns.items()}
    return values if frechet is None else values | {frechet.name: frechet.compute()}


@torch.no_grad()
def measure_generator(
    generator: nn.Module,
    batches: Iterable[Batch],
    frechet: Frechet | None = None,
    *,
    metrics: str | Sequence[str] = QUICK,
) -> dict[str, float]:
    """`measure` for a generator, in eval mode; its mode is restored."""
    with eval_mode(generator):
        return measure(lambda batch: predict_ab(generator, batch), batches, frechet, metrics=metrics)


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into eval mode inside the block; afterwards each module is in its own mode again.

    `network.train()` would also set to training what its owner holds in eval mode, such as frozen batch norms.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@torch.no_grad()
def evaluate(
    generator: nn.Module | Mapping[str, nn.Module] | None,
    batches: DataLoaders | Iterable[Batch] | Photos,
    *,
    frechet: Frechet | None = None,
    metrics: str | Sequence[str] = QUICK,
    match: tuple[str, str] | None = None,
    progress: bool = True,
) -> Table:
    """Measure generators beside the baselines and the truth.

    What is measured is what `Colorizer` paints with them: the factor that weights
    bring for their colours (`Generator.chroma`) is included.

    Args:
        generator: L → ab, run in eval mode, its row called "model"; or {name: generator};
            or None for the baselines alone.
        batches: `DataLoaders`, whose validation photos are measured; batches {"L", "ab"} that can be read several
            times; or photos: a folder, or image files, which are stretched to 256 × 256.
        frechet: a Fréchet distance to be measured, too; slower.  It forgets what it was given before.
        metrics: names in `METRICS`; `QUICK` or `ALL` of them, or some, or one.
        match: (name, other): add a row such as "l1 × 1.42": the generator `name` with its colours
            multiplied by the factor that makes it as colourful as the row `other`.
        progress: show a progress bar, where stdout is a terminal.

    Returns:
        {"grey": …, "mean colour": …, a row for each generator, "true": …}, each with
        the values of `measure` (PSNR is infinite for the truth).  The mean colour is that
        of these very photos: no constant guess has a smaller squared error.

    Raises:
        ValueError: for an unknown metric, if `match` names an unknown row, if no factor reaches it, or for
            `batches` that can be read only once.
        TypeError: for a generator that is no network.
    """
    generators = _named(generator)
    device = next((p.device for network in generators.values() for p in network.parameters()), None)
    batches = validation_batches(batches, device)
    if iter(batches) is batches:
        raise ValueError(
            "these batches can be read only once, and each row reads them: give a list, or a LabLoader"
        )
    if match is not None:
        _check_match(match, generators)

    def with_bar(name: str) -> Iterable[Batch]:
        return tqdm(batches, name, leave=False, file=sys.stdout, disable=None if progress else True)

    def row(name: str, predict: Callable[[Batch], Tensor]) -> dict[str, float]:
        return measure(predict, with_bar(name), frechet, metrics=metrics)

    def generator_row(name: str, network: nn.Module, factor: float = 1.0) -> dict[str, float]:
        with eval_mode(network):
            return row(name, lambda batch: predict_ab(network, batch) * factor)

    if frechet is not None:
        frechet.reset()
        for batch in with_bar("the true photos"):
            frechet.update(to_rgb(batch["L"], batch["ab"]), real=True)
    mean = mean_colour(with_bar("their mean colour"))
    table = {
        "grey": row("grey", lambda batch: torch.zeros_like(batch["ab"])),
        "mean colour": row("mean colour", lambda batch: mean.to(batch["ab"].device)),
    }
    table |= {name: generator_row(name, network) for name, network in generators.items()}
    true = row("true", lambda batch: batch["ab"])
    if match is not None:
        name, other = match
        target = (table | {"true": true})[other]["colourfulness"]
        try:
            factor = matching_factor(generators[name], with_bar(f"{name} × ?"), target)
        except ValueError as error:
            raise ValueError(f"'{name}' cannot be made as colourful as '{other}': {error}") from error
        scaled = f"{name} × {factor:.2f}"
        table[scaled] = generator_row(scaled, generators[name], factor)
    return table | {"true": true}


def _named(generator: nn.Module | Mapping[str, nn.Module] | None) -> dict[str, nn.Module]:
    """{row: generator}."""
    if isinstance(generator, nn.Module):
        return {"model": generator}
    if generator is not None and not isinstance(generator, Mapping):
        raise TypeError(
            f"expected a generator, or several as {{name: generator}}, got {type(generator).__name__}: "
            "load_checkpoint loads one, and a Colorizer has its `generator`"
        )
    return dict(generator or {})


def _check_match(match: tuple[str, str], generators: Mapping[str, nn.Module]) -> None:
    if isinstance(match, str) or len(match) != 2:
        raise ValueError(f"match is {match!r}: give two rows' names, such as ('model', 'true')")
    name, other = match
    if name not in generators:
        raise ValueError(
            f"no weights are called '{name}' in the table: choose from {', '.join(generators) or 'none'}"
        )
    if other not in (rows := [*BASELINES, *generators]):
        raise ValueError(f"no row of the table is called '{other}': choose from {', '.join(rows)}")


@torch.no_grad()
def matching_factor(generator: nn.Module, batches: Iterable[Batch], target: float) -> float:
    """Find the factor that makes a generator's colours as colourful as wanted.

    More colour is cheap: a generator that is more colourful than another should
    be compared with the other one times this factor.  The photos are measured as
    they are shown, in the gamut, where large factors add less and less.  The
    network runs once; its output is kept, 8 bytes per pixel (L in float32, ab in
    float16).

    Args:
        generator: L → ab; run in eval mode, its mode is restored.
        batches: batches of photos; only "L" is read.
        target: the mean `colourfulness` to reach.

    Returns:
        The factor, to about 0.001.

    Raises:
        ValueError: if no factor up to 16 is enough, for example for a generator that predicts grey.
    """
    from scipy.optimize import brentq

    with eval_mode(generator):
        outputs = [(batch["L"], predict_ab(generator, batch).half()) for batch in batches]

    def excess(factor: float) -> float:
        values = [colourfulness(to_rgb(L, ab.float() * factor)) for L, ab in outputs]
        return torch.cat(values).mean().item() - target

    low, high = 0.0, 1.0
    while excess(high) < 0:
        low, high = high, 2 * high
        if high > MOST_FACTOR:
            raise ValueError(
                f"no factor up to {MOST_FACTOR:.0f} gives these colours a colourfulness of {target:.1f}"
            )
    if excess(low) >= 0:
        return low
    return brentq(excess, low, high, xtol=1e-3)  # pyright: ignore[reportReturnType]  # a float by default
