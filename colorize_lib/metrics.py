"""How far the colours are from the true ones, and how colourful they are.

Everything is measured beside the two baselines that know nothing: grey
(ab = 0), and the mean colour of the very photos that are judged.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from .color import AB_SCALE, fit_to_gamut, lab_to_rgb, merge_lab
from .data import Batch

COLUMNS = ("ab_error", "psnr", "colourfulness")


def ab_error(predicted: Tensor, true: Tensor) -> Tensor:
    """Mean absolute error of a* and b*, per photo, in CIE units (a* and b* run to about ±110).

    Args:
        predicted, true: normalised ab, (B, 2, H, W).

    Returns:
        (B,)
    """
    return (predicted.float() - true.float()).abs().mean(dim=(1, 2, 3)) * AB_SCALE


def psnr(predicted: Tensor, true: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of RGB, per photo, in dB: 10 log10(1 / mean squared error).

    It rewards grey: a wrong guess costs more than no guess.

    Args:
        predicted, true: RGB in [0, 1], (B, 3, H, W).

    Returns:
        (B,); infinite where the two are equal.
    """
    return -10 * (predicted - true).square().mean(dim=(1, 2, 3)).log10()


def colourfulness(rgb: Tensor) -> Tensor:
    """Colourfulness M3 of Hasler & Süsstrunk (Measuring colourfulness in natural images, 2003), per photo.

    sqrt(σ²_rg + σ²_yb) + 0.3 sqrt(μ²_rg + μ²_yb), with rg = R - G and
    yb = (R + G) / 2 - B on the 0…255 scale.  Grey has 0; the authors call about
    15 slightly colourful, 33 moderately, 59 quite and 82 highly colourful.

    Args:
        rgb: RGB in [0, 1], (B, 3, H, W).

    Returns:
        (B,)
    """
    r, g, b = (rgb.float() * 255).unbind(dim=1)
    opponent = torch.stack([r - g, (r + g) / 2 - b], dim=1).flatten(2)
    spread = opponent.var(dim=2, unbiased=False).sum(dim=1).sqrt()
    return spread + 0.3 * opponent.mean(dim=2).square().sum(dim=1).sqrt()


def mean_colour(batches: Iterable[Batch]) -> Tensor:
    """The mean normalised ab over all pixels of all photos, (1, 2, 1, 1)."""
    total, count = 0.0, 0
    for batch in batches:
        total = total + batch["ab"].mean(dim=(2, 3)).cpu().double().sum(dim=0)
        count += len(batch["ab"])
    return (total / count).float()[None, :, None, None]


def measure(predict: Callable[[Batch], Tensor], batches: Iterable[Batch]) -> dict[str, float]:
    """Mean ab error, PSNR and colourfulness over photos, of what `predict` makes of each batch.

    Predictions are shown as `Colorizer` shows them: brought into the sRGB gamut
    with their lightness kept.  PSNR is a mean of decibels.
    """
    rows = []
    for batch in batches:
        L, ab = batch["L"], batch["ab"]
        guess = predict(batch).float().expand_as(ab)
        shown, true = (lab_to_rgb(fit_to_gamut(merge_lab(L, x))) for x in (guess, ab))
        values = ab_error(guess, ab), psnr(shown, true), colourfulness(shown)
        rows.append(torch.stack(values, dim=1).cpu().double())
    means = torch.cat(rows).mean(dim=0).tolist()
    return dict(zip(COLUMNS, means, strict=True))


@torch.no_grad()
def evaluate(generator: nn.Module | None, batches: Iterable[Batch]) -> dict[str, dict[str, float]]:
    """A generator beside the baselines and the truth.

    Args:
        generator: L → ab, run in eval mode; None for the baselines alone.
        batches: anything that yields {"L", "ab"} and can be read several times.

    Returns:
        {"grey": …, "mean colour": …, "model": …, "true": …}, each with
        `ab_error`, `psnr` (dB; infinite for the truth) and `colourfulness`.
        The mean colour is that of these very photos: no constant guess has a
        smaller squared error.
    """
    mean = mean_colour(batches)
    table = {
        "grey": measure(lambda batch: torch.zeros_like(batch["ab"]), batches),
        "mean colour": measure(lambda batch: mean.to(batch["ab"].device), batches),
    }
    if generator is not None:
        table["model"] = measure_generator(generator, batches)
    table["true"] = measure(lambda batch: batch["ab"], batches)
    return table


@torch.no_grad()
def measure_generator(generator: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
    """`measure` for a generator, in eval mode; its mode is restored."""
    was_training = generator.training
    generator.eval()
    try:
        return measure(lambda batch: generator(batch["L"]), batches)
    finally:
        generator.train(was_training)


def format_table(table: dict[str, dict[str, float]]) -> str:
    """`evaluate`'s table as text."""
    lines = [f"{'':<12}{'ab error':>10}{'PSNR dB':>10}{'colourful.':>12}"]
    lines += [
        f"{name:<12}{row['ab_error']:>10.2f}{row['psnr']:>10.2f}{row['colourfulness']:>12.1f}"
        for name, row in table.items()
    ]
    return "\n".join(lines)
