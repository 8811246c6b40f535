"""Draws docs/front.jpg: eight sample photos in columns grey, predicted, true, by the bundled weights.

The rule that chooses them: order the sample photos of people by the ab error of the
prediction, as a share of the error of grey, and take the four in the middle; then the
same for all other photos.  So half of the photos come out better than these, and
half worse.  None of them was in the training.

python docs/front.py
"""

import csv
from pathlib import Path

import numpy as np
import torch

from colorize_course.display import to_image
from colorize_lib import Colorizer, ab_error, open_photo, rgb_to_lab, sample_photos, save_photo
from colorize_lib.color import lab_to_rgb, split_lab
from colorize_lib.photos import resize_photo

SIDE, GAP = 160, 6


def to_tensor(rgb: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None]


def without_colour(rgb: np.ndarray) -> np.ndarray:
    lab = rgb_to_lab(to_tensor(rgb))
    lab[:, 1:] = 0
    return to_image(lab_to_rgb(lab)[0])


def square(rgb: np.ndarray) -> np.ndarray:
    """The middle of a photo."""
    height, width, _ = rgb.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb[top : top + side, left : left + side]


def share_of_grey(predicted: np.ndarray, true: np.ndarray) -> float:
    ab, true_ab = (split_lab(rgb_to_lab(to_tensor(rgb)))[1] for rgb in (predicted, true))
    return (ab_error(ab, true_ab) / ab_error(torch.zeros_like(true_ab), true_ab)).item()


def middle_four(columns: list[tuple[float, list[np.ndarray]]]) -> list[list[np.ndarray]]:
    ordered = sorted(columns, key=lambda column: column[0])
    start = (len(ordered) - 4) // 2
    return [panels for _, panels in ordered[start : start + 4]]


def main() -> None:
    with (sample_photos()[0].parents[1] / "ATTRIBUTION.csv").open(newline="", encoding="utf-8") as file:
        subjects = {Path(row["file"]).name: row["subject"] for row in csv.DictReader(file)}
    colorizer = Colorizer.from_pretrained()
    groups = {True: [], False: []}
    for path in sample_photos():
        true = square(open_photo(path))
        predicted = colorizer(true)
        panels = [resize_photo(panel, SIDE, SIDE) for panel in (without_colour(true), predicted, true)]
        groups[subjects[path.name] == "people"].append((share_of_grey(predicted, true), panels))
    chosen = middle_four(groups[True]) + middle_four(groups[False])
    picture = np.full((3 * (SIDE + GAP) - GAP, 8 * (SIDE + GAP) - GAP, 3), 255, np.uint8)
    for x, panels in enumerate(chosen):
        for y, panel in enumerate(panels):
            top, left = y * (SIDE + GAP), x * (SIDE + GAP)
            picture[top : top + SIDE, left : left + SIDE] = panel
    save_photo(Path(__file__).with_name("front.jpg"), picture, overwrite=True, quality=88)


if __name__ == "__main__":
    main()
