"""Draws what generators make of the same sample photos, one column a checkpoint: a training watched.

python docs/training/filmstrip.py OUT.jpg CHECKPOINT …

The photos are the first by name of each subject among the sample photos for validation.
Columns: grey, each checkpoint in the order given, true.
"""

import csv
import sys
from pathlib import Path

import torch

from colorize_lib import load_checkpoint, sample_photos, save_photo
from colorize_lib.color import to_rgb
from colorize_lib.data import PhotoDataset, lab_batch

SEEN, SHOWN = 256, 112  # pixels a side: what the generators see, and of a panel


def one_of_each_subject() -> list[Path]:
    photos = sample_photos("val")
    with (photos[0].parents[1] / "ATTRIBUTION.csv").open(newline="", encoding="utf-8") as file:
        subjects = {Path(row["file"]).name: row["subject"] for row in csv.DictReader(file)}
    first = {subjects[path.name]: path for path in reversed(photos)}
    return sorted(first.values())


@torch.inference_mode()
def main(out: str, *checkpoints: str) -> None:
    dataset = PhotoDataset(one_of_each_subject(), SEEN)
    batch = lab_batch(torch.stack([dataset[i] for i in range(len(dataset))]))
    L, ab = batch["L"], batch["ab"]
    columns = [torch.zeros_like(ab), *(load_checkpoint(path)(L) for path in checkpoints), ab]
    panels = [torch.nn.functional.interpolate(to_rgb(L, x), (SHOWN, SHOWN), mode="area") for x in columns]
    picture = torch.cat(panels, dim=3).permute(0, 2, 3, 1).flatten(0, 1)
    save_photo(out, picture.mul(255).round().byte().numpy(), overwrite=True, quality=88)


if __name__ == "__main__":
    main(*sys.argv[1:])
