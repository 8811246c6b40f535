"""Draws what generators make of the same sample photos, one column a checkpoint: a training watched.

python docs/training/filmstrip.py OUT.jpg TITLE=CHECKPOINT …

The photos are the first by name of each subject among the sample photos for validation.
Columns: grey, each checkpoint in the order given, true.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from colorize_lib import load_checkpoint, sample_photos, save_photo
from colorize_lib.color import to_rgb
from colorize_lib.data import PhotoDataset, lab_batch

SEEN, SHOWN, TITLE = 256, 112, 20  # pixels a side: what the generators see, and of a panel; of the titles


def one_of_each_subject() -> list[Path]:
    photos = sample_photos("val")
    with (photos[0].parents[1] / "ATTRIBUTION.csv").open(newline="", encoding="utf-8") as file:
        subjects = {Path(row["file"]).name: row["subject"] for row in csv.DictReader(file)}
    first = {subjects[path.name]: path for path in reversed(photos)}
    return sorted(first.values())


def draw(L: Tensor, columns: dict[str, Tensor]) -> Image.Image:
    """L (B, 1, H, W), {title: ab (B, 2, H, W)} → a photo in each row, a title above each column."""
    panels = [
        torch.nn.functional.interpolate(to_rgb(L, ab), (SHOWN, SHOWN), mode="area") for ab in columns.values()
    ]
    photos = torch.cat(panels, dim=3).permute(0, 2, 3, 1).flatten(0, 1).mul(255).round().byte()
    picture = Image.new("RGB", (photos.shape[1], TITLE + photos.shape[0]), "white")
    picture.paste(Image.fromarray(photos.numpy()), (0, TITLE))
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for column, title in enumerate(columns):
        pen.text(((column + 0.5) * SHOWN, TITLE / 2), title, "black", font, anchor="mm")
    return picture


@torch.inference_mode()
def main(out: str, *checkpoints: str) -> None:
    dataset = PhotoDataset(one_of_each_subject(), SEEN)
    batch = lab_batch(torch.stack([dataset[i] for i in range(len(dataset))]))
    columns = {"grey": torch.zeros_like(batch["ab"])}
    for title, path in (checkpoint.split("=", 1) for checkpoint in checkpoints):
        columns[title] = load_checkpoint(path)(batch["L"])
    picture = draw(batch["L"], columns | {"true": batch["ab"]})
    save_photo(out, np.asarray(picture), overwrite=True, quality=88)


if __name__ == "__main__":
    main(*sys.argv[1:])
