"""Generators measured on photos, beside the baselines and the truth: a table."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from operator import attrgetter

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..color import fit_to_gamut, lab_to_rgb, merge_lab, to_rgb
from ..data import Batch, DataLoaders, validation_batches
from ..models import predict_ab
from ..photos.folders import Photos
from .formulas import (
    BalancedAuC,
    Blotches,
    PerPhoto,
    Pooled,
    ab_error,
    auc,
    colourfulness,
    delta_e,
    psnr,
    ssim,
)
from .frechet import Frechet, frechet_distance


class Row(dict[str, float]):
    """{column: value} of one guess, which can be computed anew for some of the photos.

    Args:
        columns: {column: counts → value}; `counts`, (N,), says how often each photo counts, None: once.
    """

    def __init__(self, columns: Mapping[str, Callable[[Tensor | None], float]]):
        super().__init__({name: compute(None) for name, compute in columns.items()})
        self._columns = columns

    def counted(self, counts: Tensor, columns: Iterable[str] | None = None) -> dict[str, float]:
        """These columns, or all, with each photo counted as often as `counts`, (N,), says."""
        return {name: self._columns[name](counts) for name in columns or self}

    def __reduce__(self):  # a copy, or one from another process, has the values alone
        return dict, (dict(self),)


Table = Mapping[str, Mapping[str, float]]  # {row: {column: value}}

BASELINES = ("grey", "mean colour", "true")  # the rows that every table has
MOST_FACTOR = (
    16.0  # largest factor for a generator's colours: beyond it only the noise of near-grey output grows
)


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


def _colourfulness_difference(predicted: Tensor, true: Tensor) -> Tensor:
    return colourfulness(predicted, absolute=True) - colourfulness(true, absolute=True)


class _MeanDifference(PerPhoto):
    """The absolute value of a mean difference."""

    def value(self, sums: Tensor) -> float:
        return abs(super().value(sums))


@dataclass(frozen=True)
class Metric:
    """One column of the table.

    Args:
        heading: the column's heading in a printed table.
        decimals: number of decimals in a printed table.
        inputs: function that picks the two tensors of a `Comparison` to compare.
        start: makes a new, empty `Pooled`.
    """

    heading: str
    decimals: int
    inputs: Callable[[Comparison], tuple[Tensor, Tensor]]
    start: Callable[[], Pooled]


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
    "delta_cf": Metric("ΔCF", 1, _RGB, lambda: _MeanDifference(_colourfulness_difference)),
    # … and photo by photo, so that a dull photo cannot make up for a gaudy one.
    "delta_cf_each": Metric(
        "ΔCF each", 1, _RGB, lambda: PerPhoto(lambda rgb, true: _colourfulness_difference(rgb, true).abs())
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
) -> Row:
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
    compute = {name: column.compute for name, column in columns.items()}
    return Row(
        compute if frechet is None else compute | {frechet.name: partial(frechet_distance, *frechet.seen())}
    )


@torch.no_grad()
def measure_generator(
    generator: nn.Module,
    batches: Iterable[Batch],
    frechet: Frechet | None = None,
    *,
    metrics: str | Sequence[str] = QUICK,
) -> Row:
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
) -> dict[str, Row]:
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

    def row(name: str, predict: Callable[[Batch], Tensor]) -> Row:
        return measure(predict, with_bar(name), frechet, metrics=metrics)

    def generator_row(name: str, network: nn.Module, factor: float = 1.0) -> Row:
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
