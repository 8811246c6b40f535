"""Hints: colours that somebody knows, at some places of a photo."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import ImageColor
from torch import Tensor

from .color import AB_SCALE, fit_to_gamut, merge_lab, rgb_to_lab
from .files import write_whole

SIDE = 3  # pixels a side that a hint covers, where the generator sees the photo
FORMAT = "colorize_lib hints 1"
MOST_CHROMA = 200.0  # in CIE units; sRGB's strongest colour has 134


class HintError(ValueError):
    """A hint, or a file of hints, that cannot be used; its text is one sentence with the remedy."""


@dataclass(frozen=True)
class Hint:
    """A colour that somebody knows, at one place of a photo.

    Args:
        x, y: place, from the left and from the top: whole numbers are pixels, and numbers with
            a point are shares of the photo's width and height, from 0.0 to 1.0.
        colour: CSS colour ("darkred", "#8b0000", "hsl(0, 100%, 27%)"), or (a*, b*) in CIE units.  Only its
            hue and chroma count: the lightness is the photo's.

    Raises:
        HintError: for a place or a colour that cannot be one.

    Example:
        >>> Colorizer.from_pretrained()("old.jpg", hints=[Hint(0.4, 0.7, "darkred")])
    """

    x: float
    y: float
    colour: str | Sequence[float]

    def __post_init__(self):
        for name, place in (("x", self.x), ("y", self.y)):
            if isinstance(place, bool) or not isinstance(place, (int, float)):
                raise HintError(f"the place {name}={place!r} of a hint is no number")
            if isinstance(place, float) and not 0 <= place <= 1:
                raise HintError(
                    f"the place {name}={place} of a hint is no share from 0.0 to 1.0: pixels are whole numbers"
                )
        object.__setattr__(
            self, "colour", self.colour if isinstance(self.colour, str) else tuple(self.colour)
        )
        self.ab()

    def ab(self) -> tuple[float, float]:
        """The colour as (a*, b*)."""
        if isinstance(self.colour, str):
            try:
                rgb = ImageColor.getrgb(self.colour)[:3]
            except ValueError:
                raise HintError(
                    f"'{self.colour}' is no colour: take a CSS name (darkred), #8b0000, or [a, b]"
                ) from None
            a, b = rgb_to_lab(torch.tensor(rgb, dtype=torch.uint8).view(1, 3, 1, 1))[0, 1:].flatten().tolist()
            return a, b
        try:
            a, b = map(float, self.colour)
        except (TypeError, ValueError):
            raise HintError(
                f"{self.colour!r} is no colour: take a CSS name (darkred), #8b0000, or [a, b]"
            ) from None
        if not math.hypot(a, b) <= MOST_CHROMA:
            raise HintError(
                f"the colour [{a:g}, {b:g}] of a hint is far outside of what can be shown: a* and b* are in CIE units"
            )
        return a, b

    def pixel(self, width: int, height: int) -> tuple[int, int]:
        """The place as a pixel (x, y) of a photo.

        Raises:
            HintError: if it is not in the photo.
        """
        places = []
        for place, size in ((self.x, width), (self.y, height)):
            pixel = min(int(place * size), size - 1) if isinstance(place, float) else place
            if not 0 <= pixel < size:
                raise HintError(
                    f"the hint at ({self.x}, {self.y}) is outside of the photo, which has {width} × {height} pixels"
                )
            places.append(pixel)
        return places[0], places[1]


def hint_planes(hints: Iterable[Hint], L: Tensor, width: int, height: int) -> Tensor:
    """Hints as a generator takes them.

    A colour that the lightness does not allow loses chroma and keeps its hue.  Of two hints at
    one place, the later one counts.

    Args:
        hints: hints for one photo.
        L: lightness as the generator sees it, (1, 1, h, w) in [-1, 1].
        width, height: size of the photo itself, in pixels.

    Returns:
        (1, 3, h, w): normalised ab where there is a hint, and 0 elsewhere; 1 where there is one, else 0.

    Raises:
        HintError: for a hint outside of the photo.
    """
    rows, columns = L.shape[-2:]
    planes = L.new_zeros(1, 3, rows, columns)
    for hint in hints:
        x, y = hint.pixel(width, height)
        # A hint at the edge moves inwards, so that it is as large as any other.
        left, top = (
            max(0, min(place * seen // size - SIDE // 2, seen - SIDE))
            for place, seen, size in ((x, columns, width), (y, rows, height))
        )
        where = (..., slice(top, top + SIDE), slice(left, left + SIDE))
        lightness = L[where].mean().view(1, 1, 1, 1)
        asked = (torch.tensor(hint.ab(), device=L.device) / AB_SCALE).view(1, 2, 1, 1)
        shown = fit_to_gamut(merge_lab(lightness, asked))[:, 1:] / AB_SCALE
        planes[:, :2][where], planes[:, 2:][where] = shown, 1
    return planes


def save_hints(path: str | Path, hints: Sequence[Hint], photo: str, size: tuple[int, int]) -> Path:
    """Write hints for a photo to a JSON file.

    Args:
        path: file to write, such as `photo.hints.json`; an existing file is replaced.
        hints: hints for one photo.
        photo: the photo's name.
        size: its width and height in pixels, by which `load_hints` knows it again.
    """
    about = {"format": FORMAT, "photo": photo, "size": list(size), "hints": [asdict(hint) for hint in hints]}
    path = Path(path)
    write_whole(path, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())
    return path


def load_hints(path: str | Path, size: tuple[int, int] | None = None) -> list[Hint]:
    """Read hints from a JSON file: as `save_hints` writes it, or a plain list of {"x", "y", "colour"}.

    Args:
        path: file of hints.
        size: width and height of the photo that they are to be used for; None: any.

    Raises:
        HintError: if the file cannot be read, is damaged, or belongs to a photo of another size.
    """
    try:
        about = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise HintError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise HintError(f"{path} is no JSON file ({error}): mend it, or give the hints anew") from error
    about = {"hints": about} if isinstance(about, list) else about
    entries = about.get("hints") if isinstance(about, dict) else None
    if not isinstance(entries, list):
        raise HintError(
            f'{path} holds no hints: it should say {{"hints": [{{"x": …, "y": …, "colour": …}}]}}'
        )
    if size and about.get("size") not in (None, list(size)):
        raise HintError(
            f"the hints in {path} belong to a photo of {about['size']} pixels, and this one has {list(size)}: "
            "take the photo that they were made for"
        )
    try:
        return [Hint(entry["x"], entry["y"], entry["colour"]) for entry in entries]
    except HintError as error:
        raise HintError(f"{path}: {error}") from error
    except (KeyError, TypeError) as error:
        raise HintError(
            f"{path} has a hint without x, y and colour: mend it, or give the hints anew"
        ) from error


def simulate_hints(
    ab: Tensor, most: int = 100, none: float = 0.1, generator: torch.Generator | None = None
) -> Tensor:
    """Draw hints from true colours, as a user might give them.

    The logarithm of their number is uniform, so that few are as common as many.  In half of
    the photos they lie anywhere, and in the others where the colour is strong, since nobody
    points at what is grey anyway.  Each is a square of 1 to 9 pixels a side with the mean of the true
    colours in it (Zhang et al., Real-Time User-Guided Image Colorization, 2017, draw theirs in
    a similar way).

    Args:
        ab: true normalised ab, (B, 2, H, W).
        most: the largest number of hints in a photo.
        none: share of the photos without hints.
        generator: random generator, on the CPU; None: torch's global one.

    Returns:
        Planes of hints, (B, 3, H, W), as those of `hint_planes`.
    """
    planes = ab.new_zeros(len(ab), 3, *ab.shape[-2:])
    for i in range(len(ab)):
        chance = torch.rand(3, generator=generator).tolist()
        if chance[0] < none:
            continue
        count = int(math.exp(chance[1] * math.log(most + 1)))
        where = ab[i].norm(dim=0) if chance[2] < 0.5 else torch.ones_like(ab[i, 0])
        places = torch.multinomial(where.flatten().cpu() + 1e-6, count, replacement=True, generator=generator)
        sides = torch.randint(1, 10, (count,), generator=generator)
        for place, side in zip(places.tolist(), sides.tolist(), strict=True):
            put_hint(planes[i], ab[i], place // ab.shape[-1], place % ab.shape[-1], side)
    return planes


def with_hints(batch: dict[str, Tensor], repainted: float = 0.3) -> dict[str, Tensor]:
    """A batch {"L", "ab"} with simulated "hints": pass it to `make_dataloaders(…, extend=with_hints)`.

    Args:
        batch: L (B, 1, H, W) and ab (B, 2, H, W), normalised.
        repainted: share of the photos in which one thing gets another paint, in ab and so in the hints, of which one
            is in it: so a network learns to believe a hint, and how far it reaches.

    Returns:
        The batch with "hints", (B, 3, H, W), and with the ab that they were drawn from.
    """
    planes, ab = simulate_hints(batch["ab"]), batch["ab"].clone()
    for i in range(len(ab)):
        if torch.rand(()) < repainted and planes[i, 2].any():
            y, x = (int(torch.randint(side, ())) for side in ab.shape[-2:])
            ab[i] = repaint(ab[i], y, x)
            hinted = planes[i, 2:] > 0
            planes[i, :2] = torch.where(hinted, ab[i], planes[i, :2])
            put_hint(planes[i], ab[i], y, x, int(torch.randint(1, 6, ())))
    return batch | {"ab": ab, "hints": planes}


def repaint(ab: Tensor, y: int, x: int, alike: float = 12.0) -> Tensor:
    """Give all that has the colour of one place another colour, drawn at random.

    Args:
        ab: normalised ab of a photo, (2, H, W).
        y, x: the place.
        alike: distance in a*b*, in CIE units, at which a colour is moved by 0.6 of the way.
    """
    chroma, hue = 15 + 45 * torch.rand(()), 2 * math.pi * torch.rand(())
    old = ab[:, y, x, None, None]
    new = torch.stack([hue.cos(), hue.sin()]).to(ab)[:, None, None] * chroma / AB_SCALE
    weight = torch.exp(-0.5 * ((ab - old).norm(dim=0) * AB_SCALE / alike) ** 2)
    return ab + weight * (new - old)


def put_hint(planes: Tensor, ab: Tensor, y: int, x: int, side: int = 1) -> None:
    """Write the mean of true colours in a square around (y, x) into planes (3, H, W), in place."""
    rows = slice(max(y - side // 2, 0), y + (side + 1) // 2)
    columns = slice(max(x - side // 2, 0), x + (side + 1) // 2)
    planes[:2, rows, columns] = ab[:, rows, columns].mean(dim=(1, 2), keepdim=True)
    planes[2, rows, columns] = 1


def spread_hints(L: Tensor, planes: Tensor, guess: Tensor | None = None, doubt: float = 0.0) -> Tensor:
    """Spread hints along equal lightness, without a network.

    Levin, Lischinski, Weiss, Colorization using Optimization, SIGGRAPH 2004: each pixel takes
    the weighted mean of its eight neighbours' colours, with more weight for those of its own lightness, and
    the hinted pixels keep theirs: a sparse system of linear equations.

    Args:
        L: lightness, (1, 1, H, W) in [-1, 1].
        planes: hints, (1, 3, H, W), as those of `hint_planes`; at least one.
        guess: normalised ab (1, 2, H, W) on top of which the hints are spread: what spreads is their
            difference from it; None: grey.
        doubt: share of the colour that is lost at each step from pixel to pixel, so that a hint does not reach far.

    Returns:
        Normalised ab, (1, 2, H, W).
    """
    from scipy.sparse import coo_array, diags_array
    from scipy.sparse.linalg import spsolve

    height, width = L.shape[-2:]
    lightness = L[0, 0].double().cpu().numpy()
    index = np.arange(height * width).reshape(height, width)
    around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    padded = np.pad(lightness, 1, constant_values=np.nan)
    seen = np.stack([padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy, dx in around])
    variance = np.nanvar(seen, axis=0)
    there = ~np.isnan(seen)
    there[4] = False  # the pixel itself
    weight = np.where(there, np.exp(-((seen - lightness) ** 2) / (0.6 * variance + 1e-5)), 0) + 1e-6 * there
    weight *= (1 - doubt) / weight.sum(axis=0)
    hinted = planes[0, 2].cpu().numpy() > 0
    weight[:, hinted] = 0
    places = np.pad(index, 1)
    columns = np.stack([places[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy, dx in around])
    rows = np.broadcast_to(index, columns.shape)
    some = weight > 0
    size = height * width
    means = coo_array((weight[some], (rows[some], columns[some])), shape=(size, size)).tocsc()
    base = torch.zeros_like(planes[:, :2]) if guess is None else guess
    given = ((planes[:, :2] - base) * planes[:, 2:])[0].double().cpu().flatten(1).numpy()
    solved = spsolve((diags_array(np.ones(size)) - means).tocsc(), given.T)
    return base + torch.from_numpy(solved.T.reshape(1, 2, height, width)).to(base)
