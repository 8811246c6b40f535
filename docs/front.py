"""Draws docs/front.jpg: sample photos in columns grey, predicted, true, by the bundled weights.

python docs/front.py
"""

from pathlib import Path

import numpy as np
import torch

from colorize_lib import Colorizer, open_photo, rgb_to_lab, sample_photos, save_photo
from colorize_lib.color import lab_to_rgb
from colorize_lib.display import to_image
from colorize_lib.photos import resize_photo

PHOTOS = ("alpine_path", "red_panda", "chateau_drive", "koala")
WIDTH, HEIGHT, GAP = 240, 160, 6


def without_colour(rgb: np.ndarray) -> np.ndarray:
    lab = rgb_to_lab(torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None])
    lab[:, 1:] = 0
    return to_image(lab_to_rgb(lab)[0])


def middle(rgb: np.ndarray) -> np.ndarray:
    """The middle of a photo, in the panels' shape."""
    height, width, _ = rgb.shape
    h, w = min(height, width * HEIGHT // WIDTH), min(width, height * WIDTH // HEIGHT)
    top, left = (height - h) // 2, (width - w) // 2
    return rgb[top : top + h, left : left + w]


def main() -> None:
    paths = {path.stem: path for path in sample_photos()}
    colorizer = Colorizer.from_pretrained()
    columns = []
    for name in PHOTOS:
        true = middle(open_photo(paths[name]))
        panels = [without_colour(true), colorizer(true), true]
        white = np.full((GAP, WIDTH, 3), 255, np.uint8)
        column = [part for panel in panels for part in (resize_photo(panel, HEIGHT, WIDTH), white)][:-1]
        columns += [np.concatenate(column), np.full((3 * HEIGHT + 2 * GAP, GAP, 3), 255, np.uint8)]
    save_photo(
        Path(__file__).with_name("front.jpg"),
        np.concatenate(columns[:-1], axis=1),
        overwrite=True,
        quality=88,
    )


if __name__ == "__main__":
    main()
