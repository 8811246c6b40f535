"""A third way to train: colours as classes, after Zhang, Isola, Efros, Colorful Image Colorization, ECCV 2016.

    python examples/classes.py PHOTOS --out runs/classes --minutes 5

L1 answers a doubt with a median of all colours that might be right, which is dull.
Here the network gives each pixel a probability for every colour, and the answer is
made of those afterwards.  From the paper: cells of the ab plane 10 units wide;
a target shared by the five nearest cells (section 2.1); more weight for rare colours
(section 2.2); the answer is the annealed mean of the cells' centres at a temperature
of 0.38, between the mean of all (1) and the most probable one (0) (section 2.3).

What a new method needs is in this file: a `Generator` that says how its output
becomes ab, a `Method` with one step, and a row in each of three tables.
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize_lib import (
    GENERATORS,
    METHODS,
    RECIPES,
    ChromaUnet,
    fit,
    make_dataloaders,
    parameter_groups,
    rgb_to_lab,
    split_lab,
)
from colorize_lib.color import AB_SCALE

EVERY_FOURTH = slice(2, None, 4)
PLACES = ..., EVERY_FOURTH, EVERY_FOURTH  # the network predicts at a quarter of the resolution


def ab_cells(width: float = 10.0) -> Tensor:
    """The centres of the cells of the ab plane that hold a colour of sRGB, normalised, (Q, 2).

    The colours are 64 levels each of R, G and B.  Q is 261 for cells 10 units wide (the paper's count
    of 313 includes cells at the rim), and 76 for 20.
    """
    levels = torch.linspace(0, 1, 64)
    rgb = torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij"))  # (3, 64, 64, 64)
    lab = rgb_to_lab(rgb.reshape(1, 3, 64, -1))
    lab[:, 1:] = (lab[:, 1:] / width).round() * width
    ab = split_lab(lab)[1][0].flatten(1).T
    return ab.unique(dim=0)


class ColourClasses(ChromaUnet):
    """A `ChromaUnet` whose output is the logits of Q colours instead of ab.

    Args:
        width: side of a cell of the ab plane, in CIE units.
        temperature: temperature of the annealed mean, above 0.
        options: options of `ChromaUnet`.

    Shapes: L (B, 1, H, W) → logits (B, Q, H, W); `to_ab` makes ab (B, 2, H, W) of them.
    """

    def __init__(self, width: float = 10.0, temperature: float = 0.38, **options):
        super().__init__(**options)
        self.config |= {"name": "colour_classes", "width": width, "temperature": temperature}
        self.temperature = temperature
        self.register_buffer("cells", ab_cells(width), persistent=False)
        self.head = nn.Conv2d(self.head.in_channels, len(self.cells), 1)

    def to_ab(self, output: Tensor) -> Tensor:
        """The annealed mean: the mean of the colours, with their probabilities sharpened."""
        shares = (output.float() / self.temperature).softmax(dim=1)
        return torch.einsum("bqhw,qc->bchw", shares, self.cells)

    def soft_targets(self, ab: Tensor, neighbours: int = 5, sigma: float = 5.0) -> Tensor:
        """What the logits are to learn from ab (B, 2, H, W): shares of the nearest cells, (B, Q, H, W), 1 in sum.

        The nearer a cell, the greater its share: a Gaussian of `sigma` CIE units (section 2.1).
        """
        distances, cells = torch.cdist(ab.movedim(1, -1).flatten(0, 2), self.cells).topk(
            neighbours, largest=False
        )
        shares = (-((AB_SCALE * distances / sigma) ** 2) / 2).softmax(dim=1)
        targets = torch.zeros(len(shares), len(self.cells), device=ab.device).scatter(1, cells, shares)
        return targets.view(len(ab), *ab.shape[2:], -1).movedim(-1, 1)


def rarity(
    generator: ColourClasses,
    batches: Iterable[Mapping[str, Tensor]],
    uniform: float = 0.5,
    sigma: float = 5.0,
) -> Tensor:
    """A weight for each cell, (Q,): greater where its colours are rare in the photos (section 2.2, equation 4).

    The cells' shares of all pixels are smoothed by a Gaussian and mixed with a uniform share; the weights are one
    over that, 1 in the mean over the pixels.
    """
    targets = (generator.soft_targets(batch["ab"][PLACES]) for batch in batches)
    shares = torch.stack([target.mean((0, 2, 3)) for target in targets]).mean(dim=0)
    near = (-((AB_SCALE * torch.cdist(generator.cells, generator.cells) / sigma) ** 2) / 2).softmax(dim=1)
    weights = 1 / ((1 - uniform) * shares @ near + uniform / len(shares))
    return weights / (shares @ weights)


class Classification:
    """Cross-entropy between the predicted and the true shares of the cells.

    Args:
        generator: gives logits and soft targets: a `ColourClasses`.
        weights: a weight for each cell, as `rarity` gives them; None for 1.
        lr, encoder_lr: learning rates of AdamW.
    """

    def __init__(
        self,
        generator: ColourClasses,
        *,
        weights: Tensor | None = None,
        lr: float = 1e-3,
        encoder_lr: float | None = None,
    ):
        self.generator, self.weights, self.renew_norms = generator, weights, False
        self.networks = {"generator": generator}
        self.optimizers = {"generator": torch.optim.AdamW(parameter_groups(generator, lr, encoder_lr), lr=lr)}

    def step(self, batch: dict[str, Tensor], accelerator) -> dict[str, Tensor]:
        optimizer = self.optimizers["generator"]
        with accelerator.autocast():
            logits = self.networks["generator"](batch["L"])
        places = (
            ...,
            slice(2, None, 4),
            slice(2, None, 4),
        )  # the network predicts at a quarter of the resolution
        targets = self.generator.soft_targets(batch["ab"][places])
        loss = F.cross_entropy(logits[places].float(), targets, reduction="none")
        if self.weights is not None:
            loss = loss * self.weights[targets.argmax(dim=1)]
        loss = loss.mean()
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
        return {"cross_entropy": loss}


GENERATORS["colour_classes"] = ColourClasses  # so that checkpoints can name it
METHODS["classes"] = Classification
RECIPES["colour_classes", "classes"] = {"lr": 1e-3, "encoder_lr": 3e-4, "schedule": "one_cycle"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="folder of colour photos")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run's folder")
    parser.add_argument("--minutes", type=float, default=5.0, metavar="N", help="time (default: 5)")
    options = parser.parse_args()
    loaders = make_dataloaders(options.photos, size=64)
    recipe = dict(RECIPES["colour_classes", "classes"])
    schedule = recipe.pop("schedule")
    generator = ColourClasses().to(loaders.train.device)
    method = Classification(generator, weights=rarity(generator, loaders.train), **recipe)
    fit(method, loaders, minutes=options.minutes, schedule=schedule, out=options.out)


if __name__ == "__main__":
    main()
