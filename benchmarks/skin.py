"""How much skin is painted green, blue or lilac.

    python benchmarks/skin.py FOLDER --weights l1 l1=1.58 adversarial

Faces are looked for in the true photos, with scikit-image's cascade of local binary patterns.  Skin is what, in the
middle of a face, has the colour of skin there: a hue of 20° to 80° on the a*b* plane and a chroma of 8 to 45.  Where
less than half of the middle has, the find is taken for no face, as is a face in a grey photo.

Of the skin, "wrong" is the share that is painted with a chroma of 5 and more and with a hue that no skin has, from
100° (green) over blue to 350° (lilac); "grey" is the share with a chroma below 5.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from skimage.data import lbp_frontal_face_cascade_filename
from skimage.feature import Cascade

from colorize_lib import Colorizer, find_photos, open_photo, rgb_to_lab

SIDE = 28  # pixels: the smallest face that is looked for
NEIGHBOURS = (
    8  # how many windows must agree on a face: with the cascade's own 4, a quarter of the finds were none
)
SKIN = (20, 80), (8, 45)  # degrees and chroma
NO_SKIN = (100, 350)
COLOURED = 5


def faces(photo: np.ndarray, cascade: Cascade) -> Iterator[tuple[slice, slice]]:
    """The middle 60 % of each face that is found in a photo, (H, W, 3) uint8."""
    height, width, _ = photo.shape
    found = cascade.detect_multi_scale(
        photo,
        scale_factor=1.15,
        step_ratio=1,
        min_size=(SIDE, SIDE),
        max_size=(height, width),
        min_neighbor_number=NEIGHBOURS,
    )
    for face in found:
        top, left, height, width = (face[key] for key in ("r", "c", "height", "width"))
        yield (
            slice(top + height // 5, top + 4 * height // 5),
            slice(left + width // 5, left + 4 * width // 5),
        )


def hue_and_chroma(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 → hue in degrees, 0 to 360, and chroma, (H, W) each."""
    _, a, b = rgb_to_lab(torch.from_numpy(photo).permute(2, 0, 1)[None])[0].numpy()
    return np.degrees(np.arctan2(b, a)) % 360, np.hypot(a, b)


def inside(values: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    return (values >= bounds[0]) & (values <= bounds[1])


def skin_of(photo: np.ndarray, cascade: Cascade) -> list[tuple[tuple[slice, slice], np.ndarray]]:
    """Each face's place, and which of its pixels are skin."""
    hue, chroma = hue_and_chroma(photo)
    skin = inside(hue, SKIN[0]) & inside(chroma, SKIN[1])
    return [(place, skin[place]) for place in faces(photo, cascade) if skin[place].mean() > 0.5]


def wrong_and_grey(painted: np.ndarray, place: tuple[slice, slice], skin: np.ndarray) -> tuple[float, float]:
    """The shares of a face's skin that a photo, (H, W, 3) uint8, shows in a wrong colour, and in none."""
    hue, chroma = hue_and_chroma(painted)
    coloured = chroma[place][skin] >= COLOURED
    wrong = inside(hue[place][skin], NO_SKIN) & coloured
    return wrong.mean(), 1 - coloured.mean()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="colour photos")
    parser.add_argument("--weights", nargs="+", default=["best"], help="NAME, or NAME=FACTOR for its colours")
    options = parser.parse_args()
    cascade = Cascade(lbp_frontal_face_cascade_filename())
    painters = {}
    for name in options.weights:
        weights, _, factor = name.partition("=")
        painters[name] = Colorizer.from_pretrained(weights), float(factor or 1)
    shares: dict[str, list[tuple[float, float]]] = {name: [] for name in painters}
    for file in find_photos(options.folder):
        photo = open_photo(file)
        skins = skin_of(photo, cascade)
        for name, (colorizer, factor) in painters.items() if skins else ():
            painted = colorizer(photo, saturation=factor)
            shares[name] += [wrong_and_grey(painted, place, skin) for place, skin in skins]
    if not all(shares.values()):
        sys.exit(f"no face was found in {options.folder}")
    for name, each in shares.items():
        wrong, grey = np.array(each).T
        print(
            f"{name:24s} {len(each)} faces   wrong {wrong.mean():.2%}   grey {grey.mean():.1%}   "
            f"faces with more than a tenth wrong: {(wrong > 0.1).sum()}"
        )


if __name__ == "__main__":
    main()
