"""The sample photos, coloured and compared with the truth."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch

from colorize_lib.color import lab_to_rgb, rgb_to_lab
from colorize_lib.colorizer import Colorizer
from colorize_lib.data import sample_photos
from colorize_lib.photos import open_photo, resize_photo

from .display import ACCENT, show, to_image


@dataclass
class Coloured:
    """A photo and a network's guess.

    Attributes:
        name, kind: of the photo, as in `"koala"` and `"animals"`.
        true, guess: (H, W, 3) uint8.
        error: mean |a* or b* of the guess − that of the photo|.
        of_grey: the same for grey.
    """

    name: str
    kind: str
    true: np.ndarray
    guess: np.ndarray
    error: float
    of_grey: float

    @property
    def grey(self) -> np.ndarray:
        """The photo's lightness, (H, W, 3) uint8: what the network is given."""
        lab = rgb_to_lab(torch.from_numpy(self.true.copy()).permute(2, 0, 1)[None])
        grey = lab_to_rgb(torch.cat([lab[:, :1], torch.zeros_like(lab[:, 1:])], dim=1))
        return to_image(grey[0])


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 → L* in [0, 100], a*, b*, as (H, W, 3) float32; a* = b* = 0 is grey."""
    return rgb_to_lab(torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()


def colour_samples(colorizer: Colorizer, side: int = 256) -> dict[str, Coloured]:
    """All sample photos, their shorter side scaled to `side`, coloured: {name: `Coloured`}."""
    photos = sample_photos()
    with (photos[0].parents[1] / "ATTRIBUTION.csv").open(newline="", encoding="utf-8") as file:
        kinds = {row["file"]: row["subject"] for row in csv.DictReader(file)}
    album = {}
    for path in photos:
        true = open_photo(path)
        height, width, _ = true.shape
        scale = side / min(height, width)
        true = resize_photo(true, round(height * scale), round(width * scale))
        guess = colorizer(true)
        right, guessed = to_lab(true)[..., 1:], to_lab(guess)[..., 1:]
        error, of_grey = float(np.abs(guessed - right).mean()), float(np.abs(right).mean())
        album[path.stem] = Coloured(path.stem, kinds[f"photos/{path.name}"], true, guess, error, of_grey)
    return album


def _colourful(album: dict[str, Coloured]) -> list[Coloured]:
    """The half of the photos that has more colour, the best guesses first: smallest error as a share of grey's.

    Where there is hardly any colour, there is little to guess.
    """
    middle = np.median([one.of_grey for one in album.values()])
    colourful = [one for one in album.values() if one.of_grey >= middle]
    return sorted(colourful, key=lambda one: one.error / one.of_grey)


def one_of_each_kind(album: dict[str, Coloured], count: int) -> list[Coloured]:
    """The best guess of each kind of photo, the best ones first; of the more colourful half."""
    chosen: dict[str, Coloured] = {}
    for one in _colourful(album):
        chosen.setdefault(one.kind, one)
    return list(chosen.values())[:count]


def worst(album: dict[str, Coloured], count: int) -> list[Coloured]:
    """The worst guesses, of whatever kind, the worst first; of the more colourful half."""
    return _colourful(album)[::-1][:count]


def crop(rgb: np.ndarray, aspect: float = 4 / 3) -> np.ndarray:
    """The middle of a picture, cut to width / height = `aspect`."""
    height, width, _ = rgb.shape
    high, wide = min(height, round(width / aspect)), min(width, round(height * aspect))
    top, left = (height - high) // 2, (width - wide) // 2
    return rgb[top : top + high, left : left + wide]


def half_and_half(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The left half of one picture and the right half of the other, a white line between."""
    middle = before.shape[1] // 2
    both = np.concatenate([before[:, :middle], after[:, middle:]], axis=1)
    both[:, middle - 1 : middle + 1] = 255
    return both


def show_halves(chosen: Sequence[Coloured], columns: int = 3) -> None:
    """Each photo half as the network is given it, half as it is guessed."""
    pictures = [half_and_half(crop(one.grey), crop(one.guess)) for one in chosen]
    show(pictures, [f"{one.kind}: {one.name.replace('_', ' ')}" for one in chosen], columns=columns, width=12)


def show_beside_truth(chosen: Sequence[Coloured]) -> None:
    """Rows of grey, predicted, true; two photos in a row."""
    pictures = [crop(rgb) for one in chosen for rgb in (one.grey, one.guess, one.true)]
    titles = [
        title for one in chosen for title in ("grey", f"predicted: {one.error / one.of_grey:.2f}", "true")
    ]
    show(pictures, titles, columns=6, width=13)


def show_shares(shares: Sequence[float]) -> None:
    """How the errors lie, as shares of grey's: a histogram."""
    _, ax = plt.subplots(figsize=(7, 2.6))
    ax.hist(np.clip(shares, 0, 2.05), bins=np.arange(0, 2.11, 0.1).tolist())
    ax.axvline(1, color=ACCENT)
    ax.text(1.02, ax.get_ylim()[1] * 0.9, "grey", color=ACCENT)
    ax.set(xlabel="error of the guess / error of grey", ylabel="photos")
    ax.set_xticks([0, 0.5, 1, 1.5, 2.05], ["0", "0.5", "1", "1.5", "2 or more"])
    plt.show()
