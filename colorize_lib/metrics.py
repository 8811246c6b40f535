"""How far the colours are from the true ones, and how colourful they are.

Everything is measured beside the two baselines that know nothing: grey
(ab = 0), and the mean colour of the very photos that are judged.
"""

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from .color import AB_SCALE, fit_to_gamut, lab_to_rgb, merge_lab, to_rgb
from .data import Batch
from .models.generator import Generator, ab_of, inputs_of, predict_ab
from .models.imagenet import imagenet_network

FORMATS = {  # heading, width, decimals
    "ab_error": ("ab error", 10, 2), "of_grey": ("of grey's", 11, 3),
    "auc": ("AuC %", 8, 2), "auc_balanced": ("balanced %", 12, 2),
    "psnr": ("PSNR dB", 10, 2), "ssim": ("SSIM", 8, 3), "delta_e": ("ΔE2000", 8, 2),
    "colourfulness": ("colourful.", 12, 1), "of_true": ("of true", 10, 3),
    "blotches": ("blotches %", 12, 2),
    "colourfulness_abs": ("CF absolute", 13, 1), "delta_cf": ("ΔCF", 7, 1), "delta_cf_each": ("ΔCF each", 10, 1),
    "frechet": ("Fréchet", 10, 2), "fid": ("FID", 8, 2),
}  # fmt: skip
BASELINES = ("grey", "mean colour", "true")  # the rows that every table has
AUC_LIMIT = 150.0  # of the distance in a*b*, in CIE units
BIN = 10.0  # the side of a colour class in a*b*
FRECHET_NETWORK = "tf_efficientnet_lite2"  # neither the encoder nor what the discriminator looks through
BLOTCH_SIDE, BLOTCH_WINDOW = 64, 8  # pixels a side of the reduced photo, and of a window in it
MOST_FACTOR = 16.0  # for a generator's colours: more only makes noise of what is nearly grey
ONE_HUE = 0.5  # of the true chroma, in CIE units, cancels at most in a window of one hue


def ab_error(predicted: Tensor, true: Tensor) -> Tensor:
    """Mean absolute error of a* and b*, per photo, in CIE units (a* and b* run to about ±110).

    Args:
        predicted, true: normalised ab, (B, 2, H, W).

    Returns:
        (B,)
    """
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
    """`auc` with every colour class counting the same, however rare it is, in per cent.

    A class is a square of 10 × 10 in a*b*, as in Zhang et al., whose class-balanced
    variant this is, but for one thing: how rare a class is, they take from
    ImageNet, and this from the very photos that are judged.  The pixels of all
    photos are pooled; the mean is over the classes.
    """

    def __init__(self):
        self._sums = torch.zeros(2, 32 * 32, dtype=torch.float64)

    def see(self, predicted: Tensor, true: Tensor) -> None:
        """Take in normalised ab, (B, 2, H, W)."""
        a, b = (true.float() * (AB_SCALE / BIN)).round().int().clamp(-16, 15).add(16).unbind(dim=1)
        classes = (a * 32 + b).flatten().cpu()
        accuracy = _accuracy(predicted, true).flatten().cpu().double()
        self._sums[0] += torch.bincount(classes, accuracy, minlength=32 * 32)
        self._sums[1] += torch.bincount(classes, minlength=32 * 32)

    def value(self) -> float:
        accuracy, count = self._sums
        return 100 * (accuracy / count)[count > 0].mean().item()


class Blotches:
    """How much of the colour contradicts itself where the true colour has one hue, in per cent.

    A blotch is a patch of another hue on one and the same thing: green in brown
    hair, blue and brown on a bare wall.  Colours of opposite hue cancel in a mean.
    So in a window, with its mean of (a*, b*) and its mean of the chroma
    C = |(a*, b*)|,

        cancelled = mean(C) - |mean(a*, b*)|

    is 0 where all pixels have one hue, whatever their chroma, and mean(C) where
    they cancel wholly.  The value is 100 times the mean of `cancelled` over the
    windows where less than 0.5 of the *true* chroma cancels, over all photos,
    divided by the mean chroma of all pixels of all photos.  That division takes
    the amount of colour out: a factor leaves the value as it is, but for what
    the gamut takes away.

    0 is best.  True photos have some tenths, by the threshold.  There is no fixed
    scale above: compare rows on the same photos only.

    A photo is averaged to 64 × 64 first, which takes away noise and JPEG's
    blocks; a window is an eighth of a side, and the next one begins half a window
    further.  The eighth was chosen on validation photos: smaller windows single
    out photos of fine texture, and larger ones tell less.  The standard deviation
    of a*b* in such windows tells hardly anything: it counts changes of chroma, too.

    It says nothing about wrong colours that are even (a blue face on a blue
    photo), nor about a blotch on what has several true hues.
    """

    def __init__(self):
        self._cancelled = self._windows = self._chroma = self._photos = 0.0

    def see(self, predicted: Tensor, true: Tensor) -> None:
        """Take in a* and b* in CIE units, as shown, (B, 2, H, W)."""
        small, true = (F.adaptive_avg_pool2d(ab.float().cpu(), BLOTCH_SIDE) for ab in (predicted, true))
        one_hue = _cancelled(true) < ONE_HUE
        self._cancelled += _cancelled(small)[one_hue].sum().item()
        self._windows += one_hue.sum().item()
        self._chroma += small.norm(dim=1).mean(dim=(1, 2)).sum().item()
        self._photos += len(small)

    def value(self) -> float:
        """0 where there is no colour at all; NaN where no window has one true hue."""
        if not self._windows:
            return math.nan
        return 100 * (self._cancelled / self._windows) / (self._chroma / self._photos or 1.0)


def _cancelled(ab: Tensor) -> Tensor:
    """(B, 2, H, W) → per window, (B, h, w): how much of its chroma cancels; not below 0."""
    window = {"kernel_size": BLOTCH_WINDOW, "stride": BLOTCH_WINDOW // 2}
    chroma = F.avg_pool2d(ab.norm(dim=1, keepdim=True), **window)[:, 0]
    return (chroma - F.avg_pool2d(ab, **window).norm(dim=1)).clamp(min=0)


def _accuracy(predicted: Tensor, true: Tensor) -> Tensor:
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
    return -10 * (predicted - true).square().mean(dim=(1, 2, 3)).log10()


def ssim(predicted: Tensor, true: Tensor) -> Tensor:
    """Structural similarity of RGB, per photo (Wang et al., 2004: 11 × 11 Gaussian, σ = 1.5).

    The lightness, which is given, makes most of the structure: even grey is near 1.

    Args:
        predicted, true: RGB in [0, 1], (B, 3, H, W), at least 11 × 11.

    Returns:
        (B,), at most 1.
    """
    from skimage.metrics import structural_similarity

    pairs = zip(*(rgb.movedim(1, -1).cpu().double().numpy() for rgb in (predicted, true)), strict=True)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    values = [structural_similarity(*pair, channel_axis=2, data_range=1.0, **gaussian) for pair in pairs]
    return torch.tensor(values)


def delta_e(predicted: Tensor, true: Tensor) -> Tensor:
    """Mean CIEDE2000 colour difference, per photo: about 1 is what a trained eye can just see.

    Args:
        predicted, true: L*a*b*, (B, 3, H, W).

    Returns:
        (B,)
    """
    from skimage.color import deltaE_ciede2000

    labs = (lab.movedim(1, -1).cpu().double().numpy() for lab in (true, predicted))
    return torch.from_numpy(deltaE_ciede2000(*labs)).mean(dim=(1, 2)).float()


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
    r, g, b = (rgb.float() * 255).unbind(dim=1)
    opponent = torch.stack([r - g, (r + g) / 2 - b], dim=1).flatten(2)
    if absolute:
        opponent = opponent.abs()
    spread = opponent.var(dim=2, unbiased=False).sum(dim=1).sqrt()
    return spread + 0.3 * opponent.mean(dim=2).square().sum(dim=1).sqrt()


def mean_colour(batches: Iterable[Batch]) -> Tensor:
    """The mean normalised ab over all pixels of all photos, (1, 2, 1, 1)."""
    total, count = 0.0, 0
    for batch in batches:
        total = total + batch["ab"].mean(dim=(2, 3)).cpu().double().sum(dim=0)
        count += len(batch["ab"])
    return (total / count).float()[None, :, None, None]


def measure(
    predict: Callable[[Batch], Tensor],
    batches: Iterable[Batch],
    frechet: "Frechet | None" = None,
    *,
    complete: bool = False,
) -> dict[str, float]:
    """Mean ab error, PSNR and colourfulness over photos, of what `predict` makes of each batch.

    Predictions are shown as `Colorizer` shows them: brought into the sRGB gamut
    with their lightness kept.  PSNR is a mean of decibels.

    Args:
        predict: a batch {"L", "ab"} → normalised ab, (B, 2, H, W) or what broadcasts to it.
        batches: of validation photos.
        frechet: has seen the true photos; the distance to them is measured too.
        complete: measure also `auc`, `auc_balanced`, `ssim`, `delta_e`,
            `blotches`, `colourfulness_abs` and, in that convention, how far the colourfulness
            is from the true photos': `delta_cf`, the difference of the two means,
            as papers report it, and `delta_cf_each`, the mean difference, photo by
            photo, in which a dull photo cannot make up for a gaudy one.

    Returns:
        {name: value}; with `frechet`, also its `name`.
    """
    balanced, blotches, rows = BalancedAuC(), Blotches(), []
    for batch in batches:
        guess = predict(batch).float().expand_as(batch["ab"])
        lab, true_lab = (fit_to_gamut(merge_lab(batch["L"], ab)) for ab in (guess, batch["ab"]))
        shown, true = lab_to_rgb(lab), lab_to_rgb(true_lab)
        values = {
            "ab_error": ab_error(guess, batch["ab"]), "psnr": psnr(shown, true),
            "colourfulness": colourfulness(shown),
        }  # fmt: skip
        if complete:
            balanced.see(guess, batch["ab"])
            blotches.see(lab[:, 1:], true_lab[:, 1:])
            values |= {
                "auc": auc(guess, batch["ab"]), "ssim": ssim(shown, true), "delta_e": delta_e(lab, true_lab),
                "colourfulness_abs": colourfulness(shown, absolute=True),
                "true_cf": colourfulness(true, absolute=True),
            }  # fmt: skip
        rows.append({name: value.cpu().double() for name, value in values.items()})
        if frechet is not None:
            frechet.see(shown, real=False)
    means = _means({name: torch.cat([row[name] for row in rows]) for name in rows[0]})
    if complete:
        means |= {"auc_balanced": balanced.value(), "blotches": blotches.value()}
    return means | ({frechet.name: frechet.distance()} if frechet is not None else {})


def _means(photos: dict[str, Tensor]) -> dict[str, float]:
    """Means over the photos; two colourfulnesses to compare become their differences."""
    extra = {}
    if "true_cf" in photos:
        difference = photos["colourfulness_abs"] - photos.pop("true_cf")
        extra = {"delta_cf_each": difference.abs().mean().item(), "delta_cf": difference.mean().abs().item()}
    return {name: values.mean().item() for name, values in photos.items()} | extra


class Frechet:
    """Fréchet distance between coloured photos and the true ones.

    Each photo becomes the averages of a network's last feature maps; the distance
    is that of the two Gaussians with these features' means and covariances
    (Heusel et al., GANs Trained by a Two Time-Scale Update Rule, 2017).  It is
    computed by torchmetrics.  Distances from different features or different
    numbers of photos cannot be compared.

    Args:
        device: where the features are computed.
        features: `efficientnet`, the 1280 of `EfficientNetFeatures`, which need no network; or
            `inception`, the 2048 of published FIDs, whose weights are downloaded once.

    Raises:
        ImportError: without the package that the features need.
        OSError: if Inception's weights cannot be downloaded or read.
    """

    def __init__(self, device: torch.device | str = "cpu", features: str = "efficientnet"):
        from torchmetrics.image.fid import FrechetInceptionDistance

        self.name = {"efficientnet": "frechet", "inception": "fid"}[features]
        self.features = {"efficientnet": FRECHET_NETWORK, "inception": "inception"}[features]
        if features == "inception":
            _fetch_inception()
        if torch.device(device).type == "mps":  # it has no float64, which torchmetrics' sums are in
            device = "cpu"
        self._fid = FrechetInceptionDistance(
            feature=EfficientNetFeatures() if features == "efficientnet" else 2048,
            reset_real_features=False,
            normalize=True,
        ).to(device)

    def see(self, rgb: Tensor, real: bool) -> None:
        """Take in photos, (B, 3, H, W) in [0, 1]: true ones, or coloured ones."""
        self._fid.update(rgb.to(self._fid.device), real=real)

    def distance(self) -> float:
        """Of what was seen; the coloured photos are then forgotten, the true ones are not."""
        value = max(0.0, self._fid.compute().item())  # of photos to themselves it may come out as -1e-4
        self._fid.reset()
        return value


def _fetch_inception() -> None:
    """Have Inception's weights in torch's hub folder, where torchmetrics looks for them."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    except ImportError as error:
        raise ImportError("the FID needs: pip install torch-fidelity") from error
    try:
        # The checksum is in the file's name; weights_only lets nothing but tensors in.
        torch.hub.load_state_dict_from_url(
            URL_INCEPTION_V3, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, UnpicklingError) as error:  # no network; a wrong checksum; a file cut off
        raise OSError(
            f"Inception's weights cannot be had ({error}): delete what is there of them in "
            f"{torch.hub.get_dir()}/checkpoints and put {URL_INCEPTION_V3} there, or take the EfficientNet features"
        ) from error


class EfficientNetFeatures(nn.Module):
    """RGB in [0, 1], (B, 3, H, W) → (B, 1280): EfficientNet-Lite2 with ImageNet weights, before its classifier.

    It is another network than the generator's encoder and the discriminator's eyes,
    so that the distance does not flatter what was trained with those.  It sees
    256 × 256 pixels: photos of that size, as `colorize evaluate` takes them, are not
    resampled once more.  (It was made for 260 × 260; its pooling takes any size.)

    Raises:
        ImportError: without the package of its weights.
    """

    num_features = 1280

    def __init__(self):
        super().__init__()
        try:
            self.network = imagenet_network(FRECHET_NETWORK, num_classes=0)
        except ImportError as error:
            raise ImportError(f"{error} (colorize evaluate does without: --frechet none)") from error
        self.eval()

    def forward(self, rgb: Tensor) -> Tensor:
        rgb = F.interpolate(rgb, (256, 256), mode="bicubic", antialias=True, align_corners=False)
        return self.network(rgb * 2 - 1)


@torch.no_grad()
def evaluate(
    generator: nn.Module | Mapping[str, nn.Module] | None,
    batches: Iterable[Batch],
    *,
    frechet: Frechet | None = None,
    complete: bool = False,
    match: tuple[str, str] | None = None,
    progress: bool = False,
) -> dict[str, dict[str, float]]:
    """Generators beside the baselines and the truth.

    Args:
        generator: L → ab, run in eval mode, its row called "model"; or {name: generator};
            or None for the baselines alone.
        batches: anything that yields {"L", "ab"} and can be read several times.
        frechet: measure this distance to the true photos too; slower.
        complete: everything that `measure` can; slower.
        match: (name, other): one row more, such as "l1 × 1.42", of the generator `name` with its
            colours multiplied by the factor that makes it as colourful as the row `other`.
        progress: show a progress bar, on stdout.

    Returns:
        {"grey": …, "mean colour": …, a row for each generator, "true": …}, each with
        `measure`'s values (PSNR is infinite for the truth).  The mean colour is that
        of these very photos: no constant guess has a smaller squared error.

    Raises:
        ValueError: if `match` names no such row, or no factor does it.
    """
    generators = {"model": generator} if isinstance(generator, nn.Module) else dict(generator or {})
    if match is not None:
        _check_match(match, generators)

    def watched(name: str) -> Iterable[Batch]:
        return tqdm(batches, name, leave=False, file=sys.stdout, disable=None if progress else True)

    if frechet is not None:
        for batch in watched("the true photos"):
            frechet.see(to_rgb(batch["L"], batch["ab"]), real=True)
    mean = mean_colour(watched("their mean colour"))
    options = {"frechet": frechet, "complete": complete}
    table = {
        "grey": measure(lambda batch: torch.zeros_like(batch["ab"]), watched("grey"), **options),
        "mean colour": measure(lambda batch: mean.to(batch["ab"].device), watched("mean colour"), **options),
    }
    for name, network in generators.items():
        table[name] = measure_generator(network, watched(name), **options)
    true = measure(lambda batch: batch["ab"], watched("true"), **options)
    if match is not None:
        name, other = match
        target = (table | {"true": true})[other]["colourfulness"]
        try:
            factor = matching_factor(generators[name], watched(f"{name} × ?"), target)
        except ValueError as error:
            raise ValueError(f"'{name}' cannot be made as colourful as '{other}': {error}") from error
        scaled = f"{name} × {factor:.2f}"
        table[scaled] = measure_generator(ScaledColours(generators[name], factor), watched(scaled), **options)
    return table | {"true": true}


def _check_match(match: tuple[str, str], generators: Mapping[str, nn.Module]) -> None:
    name, other = match
    if name not in generators:
        raise ValueError(
            f"no weights are called '{name}' in the table: choose from {', '.join(generators) or 'none'}"
        )
    if other not in (rows := [*BASELINES, *generators]):
        raise ValueError(f"no row of the table is called '{other}': choose from {', '.join(rows)}")


@torch.no_grad()
def measure_generator(
    generator: nn.Module, batches: Iterable[Batch], frechet: Frechet | None = None, *, complete: bool = False
) -> dict[str, float]:
    """`measure` for a generator, in eval mode; its mode is restored."""
    was_training = generator.training
    generator.eval()
    try:
        return measure(lambda batch: predict_ab(generator, batch), batches, frechet, complete=complete)
    finally:
        generator.train(was_training)


class ScaledColours(Generator):
    """A generator whose colours are multiplied by a factor: more colour, or less, of the same hues.

    Args:
        generator: L → ab.
        factor: for the ab.
    """

    def __init__(self, generator: nn.Module, factor: float):
        super().__init__()
        self.generator, self.factor = generator, factor

    def inputs(self, batch: Batch) -> Tensor:
        return inputs_of(self.generator, batch)

    def forward(self, given: Tensor) -> Tensor:
        return ab_of(self.generator, self.generator(given)) * self.factor


@torch.no_grad()
def matching_factor(generator: nn.Module, batches: Iterable[Batch], target: float) -> float:
    """The factor for a generator's colours that gives the photos a mean colourfulness.

    More colour is cheap: what is more colourful than a generator should be better
    than that generator times this factor.  The photos are measured as they are
    shown, in the gamut, in which large factors add ever less.  The network runs
    once; L is kept as it is and ab as float16, 8 bytes a pixel.

    Args:
        generator: L → ab; run in eval mode, its mode is restored.
        batches: of photos; only "L" is read.
        target: the mean `colourfulness` to be had.

    Returns:
        The factor, to about 0.001.

    Raises:
        ValueError: if no factor up to 16 does it, as of a grey generator.
    """
    from scipy.optimize import brentq

    was_training = generator.training
    generator.eval()
    try:
        kept = [(batch["L"], predict_ab(generator, batch).half()) for batch in batches]
    finally:
        generator.train(was_training)

    def excess(factor: float) -> float:
        values = [colourfulness(to_rgb(L, ab.float() * factor)) for L, ab in kept]
        return torch.cat(values).mean().item() - target

    low, high = 0.0, 1.0
    while excess(high) < 0:
        low, high = high, 2 * high
        if high > MOST_FACTOR:
            raise ValueError(
                f"no factor up to {MOST_FACTOR:.0f} gives these colours a colourfulness of {target:.1f}"
            )
    return low if excess(low) >= 0 else brentq(excess, low, high, xtol=1e-3)


def with_shares(table: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """`evaluate`'s table with `of_grey`, the ab error as a share of grey's, and `of_true`, so for colourfulness."""
    grey, true = table["grey"]["ab_error"], table["true"]["colourfulness"]
    return {
        name: row | {"of_grey": row["ab_error"] / grey, "of_true": row["colourfulness"] / true}
        for name, row in table.items()
    }


def format_table(table: dict[str, dict[str, float]], width: int | None = None) -> str:
    """`evaluate`'s table as text, one line a row.

    Args:
        table: {name: row}; the columns that every row has are shown, in the order of `FORMATS`.
        width: break the columns into blocks that are no wider than this, in characters.
    """
    stub = max(12, *(len(name) + 1 for name in table))
    blocks, room = [], 0
    for column in (name for name in FORMATS if all(name in row for row in table.values())):
        room -= FORMATS[column][1]
        if not blocks or (width is not None and room < 0):
            blocks.append([])
            room = (width or 0) - stub - FORMATS[column][1]
        blocks[-1].append(column)

    def lines(columns: list[str]) -> Iterable[str]:
        yield " " * stub + "".join(f"{FORMATS[name][0]:>{FORMATS[name][1]}}" for name in columns)
        for name, row in table.items():
            yield f"{name:<{stub}}" + "".join(_cell(row[column], *FORMATS[column][1:]) for column in columns)

    return "\n\n".join("\n".join(lines(columns)) for columns in blocks)


def _cell(value: float, width: int, decimals: int) -> str:
    return f"{'–' if math.isnan(value) else f'{value:.{decimals}f}':>{width}}"


def table_csv(table: dict[str, dict[str, float]]) -> str:
    """`evaluate`'s table as CSV, one line a row; what is not defined (NaN) is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["name", *next(iter(table.values()))], lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {"name": name} | {column: "" if math.isnan(value) else value for column, value in row.items()}
        for name, row in table.items()
    )
    return text.getvalue()


def table_json(table: dict[str, dict[str, float]], **about: object) -> str:
    """`evaluate`'s table as JSON, under "table", beside what `about` says of it; infinity and NaN become null."""
    rows = {
        name: {column: value if math.isfinite(value) else None for column, value in row.items()}
        for name, row in table.items()
    }
    return json.dumps({**about, "table": rows}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
