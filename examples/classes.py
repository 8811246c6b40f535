"""A third way to train: colours as classes, after Zhang, Isola, Efros, Colorful Image Colorization, ECCV 2016.

    python examples/classes.py PHOTOS --out runs/classes --minutes 5

L1 answers a doubt with the mean of all colours that might be right, which is grey.
Here the network gives each pixel a probability for every colour, and the answer is
made of those afterwards.  The paper's numbers: cells of the ab plane 10 units wide,
313 of which hold a colour that can be shown (section 2.1); the answer is the
annealed mean of their centres at a temperature of 0.38, between the mean of all
(1) and the most probable one (0) (section 2.3).  Left out here: the paper's soft
targets, over the five nearest cells, and the greater weight of rare colours.

What a new method needs is in this file: a `Generator` that says how its output
becomes ab, a `Method` with one step, and a row in each of three tables.
"""

import argparse
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

    def classes(self, ab: Tensor) -> Tensor:
        """The numbers of the cells nearest to ab (B, 2, H, W): (B, H, W)."""
        return torch.cdist(ab.movedim(1, -1).flatten(0, 2), self.cells).argmin(dim=1).view_as(ab[:, 0])


class Classification:
    """Cross-entropy between the predicted and the true cells.

    Args:
        generator: gives logits, and the classes of ab: a `ColourClasses`.
        lr, encoder_lr: learning rates of AdamW.
    """

    def __init__(self, generator: nn.Module, *, lr: float = 1e-3, encoder_lr: float | None = None):
        self.generator, self.renew_norms = generator, False
        self.networks = {"generator": generator}
        self.optimizers = {"generator": torch.optim.AdamW(parameter_groups(generator, lr, encoder_lr), lr=lr)}

    def step(self, batch: dict[str, Tensor], accelerator) -> dict[str, Tensor]:
        optimizer = self.optimizers["generator"]
        with accelerator.autocast():
            logits = self.networks["generator"](batch["L"])
        loss = F.cross_entropy(logits.float(), self.generator.classes(batch["ab"]))
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
    method = Classification(ColourClasses(), **recipe)
    fit(method, loaders, minutes=options.minutes, schedule=schedule, out=options.out)


if __name__ == "__main__":
    main()
