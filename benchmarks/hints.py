"""What hints are worth: the error over their number, beside spreading without a network.

    python benchmarks/hints.py FOLDER … [--photos 40] [--spread 10] [--out FILE.json]

Each photo is stretched to 256 × 256 pixels.  Its hints are true colours of single pixels:
at random places, or one after the other where the network's error, averaged over 9 × 9 pixels, is
largest, as a user would mend the worst first.  All ways are given the same hints.

    network          the generator and its branch
    spread           Levin et al. 2004, without a network (`spread_hints`)
    guess + spread   what the guess got wrong at the hints, spread in that way, and losing 0.1 % of it a pixel

Two more numbers for the network, at one hint that asks for another hue than the guess's (turned by 90°, in the gamut):

    asked    CIEDE2000 between the colour asked for and the colour shown there
    leak     how much the hint changes what lies next to its thing, as a share of what it changes in it; things are
             segments of the true photo (Felzenszwalb & Huttenlocher 2004)
"""

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import binary_dilation
from skimage.segmentation import felzenszwalb
from torch import Tensor
from tqdm.auto import tqdm

from colorize_lib import PhotoDataset, ab_error, colourfulness, delta_e, find_photos, psnr
from colorize_lib.checkpoints import add_hints, find_weights, load_generator
from colorize_lib.color import AB_SCALE, fit_to_gamut, merge_lab, to_rgb
from colorize_lib.data import lab_batch
from colorize_lib.hints import put_hint, spread_hints
from colorize_lib.models import HintUnet

COUNTS = (0, 1, 2, 5, 10, 20, 50, 100)
SIZE = 256
DOUBT = 0.001

Way = Callable[[Tensor, Tensor], Tensor]  # L and the planes of the hints → ab


def random_places(rng: np.random.Generator, count: int) -> list[tuple[int, int]]:
    return [(int(y), int(x)) for y, x in rng.integers(SIZE, size=(count, 2))]


def worst_places(network: Way, L: Tensor, ab: Tensor, count: int) -> list[tuple[int, int]]:
    """Places for hints, each where the error that the earlier ones leave is largest."""
    planes, places = torch.zeros(1, 3, SIZE, SIZE), []
    for _ in range(count):
        error = F.avg_pool2d((network(L, planes) - ab).square().sum(dim=1), 9, stride=1, padding=4)
        told = F.max_pool2d(planes[:, 2], 9, stride=1, padding=4)  # nobody points at one place twice
        y, x = divmod(int((error * (1 - told)).flatten().argmax()), SIZE)
        places.append((y, x))
        put_hint(planes[0], ab[0], y, x)
    return places


def curve(ways: dict[str, Way], L: Tensor, ab: Tensor, places: list[tuple[int, int]]) -> dict[str, dict]:
    """{way: {number of hints: {metric: value}}} for one photo."""
    planes, rows = torch.zeros(1, 3, SIZE, SIZE), defaultdict(dict)
    given = 0
    for count in COUNTS:
        for y, x in places[given:count]:
            put_hint(planes[0], ab[0], y, x)
        given = count
        for name, way in ways.items():
            rows[name][count] = measured(way(L, planes), L, ab)
    return rows


def measured(predicted: Tensor, L: Tensor, ab: Tensor) -> dict[str, float]:
    shown, true = to_rgb(L, predicted), to_rgb(L, ab)
    return {
        "ab_error": ab_error(predicted, ab).item(),
        "psnr": psnr(shown, true).item(),
        "colourfulness": (colourfulness(shown) / colourfulness(true)).item(),
    }


def another_colour(L: Tensor, guess: Tensor, y: int, x: int) -> Tensor:
    """The guess at a place with its hue turned by 90° and a chroma of at least 30, in the gamut: (2,)."""
    a, b = guess[0, :, y, x].tolist()
    chroma = max(math.hypot(a, b), 30 / AB_SCALE)
    hue = math.atan2(b, a) + math.pi / 2
    asked = torch.tensor([math.cos(hue), math.sin(hue)]).view(1, 2, 1, 1) * chroma
    return fit_to_gamut(merge_lab(L[..., y : y + 1, x : x + 1], asked))[0, 1:, 0, 0] / AB_SCALE


def one_wish(network: Way, L: Tensor, ab: Tensor, y: int, x: int) -> tuple[float, float]:
    """(asked, leak) for one hint of another colour."""
    nothing = torch.zeros(1, 3, SIZE, SIZE)
    guess = network(L, nothing)
    planes, rows, columns = nothing.clone(), slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2)
    asked = another_colour(L, guess, y, x)
    planes[0, :2, rows, columns], planes[0, 2, rows, columns] = asked[:, None, None], 1
    told = network(L, planes)
    there = (..., slice(y, y + 1), slice(x, x + 1))
    wish = merge_lab(L[there], asked.view(1, 2, 1, 1))
    away = delta_e(fit_to_gamut(merge_lab(L[there], told[there])), wish).item()
    things = felzenszwalb(to_rgb(L, ab)[0].permute(1, 2, 0).numpy(), scale=200, sigma=0.8, min_size=200)
    thing = things == things[y, x]
    beside = binary_dilation(thing, iterations=16) & ~binary_dilation(thing, iterations=4)
    change = (told - guess)[0].norm(dim=0).numpy()
    leak = change[beside].mean() / max(change[thing].mean(), 1e-6) if beside.any() else math.nan
    return away, float(leak)


def measure(network: HintUnet, photos: list[Path], spread: int, seed: int = 0) -> dict:
    """All curves of some photos; the spreading ways for every so many of them, as it takes seconds a photo."""
    rng, data = np.random.default_rng(seed), PhotoDataset(photos, SIZE)

    seen: dict[str, Any] = {"L": None}

    @torch.inference_mode()
    def by_network(L: Tensor, planes: Tensor) -> Tensor:
        """`HintUnet.forward_padded`; of each photo, the trunk looks once."""
        if seen["L"] is not L:
            maps = network.trunk.maps(L)
            seen.update(L=L, maps=maps, guess=network.trunk.head(maps[-1]) * network.trunk.chroma)
        ab = seen["guess"] + network.branch(seen["maps"], seen["guess"], planes)
        return F.interpolate(ab, size=L.shape[-2:], mode="bilinear", align_corners=False)

    def by_spreading(L: Tensor, planes: Tensor) -> Tensor:
        return spread_hints(L, planes) if planes.any() else torch.zeros_like(planes[:, :2])

    def on_the_guess(L: Tensor, planes: Tensor) -> Tensor:
        guess = by_network(L, torch.zeros_like(planes))
        return spread_hints(L, planes, guess, DOUBT) if planes.any() else guess

    tables, wishes = defaultdict(list), []
    for i in tqdm(range(len(data)), leave=False):
        batch = lab_batch(data[i][None])
        L, ab = batch["L"], batch["ab"]
        ways: dict[str, Way] = {"network": by_network}
        if i % spread == 0:
            ways |= {"spread": by_spreading, "guess + spread": on_the_guess}
        places = random_places(rng, max(COUNTS))
        tables["random"].append(curve(ways, L, ab, places))
        tables["worst"].append(curve(ways, L, ab, worst_places(by_network, L, ab, max(COUNTS))))
        wishes += [one_wish(by_network, L, ab, y, x) for y, x in places[:3]]
    away, leak = np.array(wishes).T
    return {
        "photos": len(data),
        **{where: means(curves) for where, curves in tables.items()},
        "asked": {"median": float(np.median(away)), "share within 5": float((away < 5).mean())},
        "leak": {"median": float(np.nanmedian(leak))},
    }


def means(curves: list[dict]) -> dict:
    """The mean of each number over the photos that have it; "of them": the network on the photos of the others alone."""
    table = {}
    some = [one for one in curves if "spread" in one]
    for name, chosen in {
        "network": curves,
        "network, of them": some,
        "spread": some,
        "guess + spread": some,
    }.items():
        key = name.removesuffix(", of them")
        table[name] = {
            count: {metric: float(np.mean([one[key][count][metric] for one in chosen])) for metric in ("ab_error", "psnr", "colourfulness")}
            for count in COUNTS
        }  # fmt: skip
    return table


def show(name: str, table: dict) -> None:
    print(
        f"\n{name}: {table['photos']} photos; ab error (of that without hints), PSNR, colourfulness of the true"
    )
    for where in ("random", "worst"):
        print(f"{where} places".ljust(20) + "".join(f"{count:>22}" for count in COUNTS))
        for way, row in table[where].items():
            first = row[0]["ab_error"]
            cells = (
                f"{v['ab_error']:6.2f} ({v['ab_error'] / first:.2f}) {v['psnr']:5.1f} {v['colourfulness']:4.2f}"
                for v in row.values()
            )
            print(way.ljust(20) + "".join(f"{cell:>22}" for cell in cells))
    print(f"asked: {table['asked']}, leak: {table['leak']}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--weights", default="best", help="the generator that guesses")
    parser.add_argument("--branch", help="a file of a hint branch instead of the bundled one")
    parser.add_argument(
        "--photos", type=int, default=40, help="how many photos of each folder, evenly chosen"
    )
    parser.add_argument(
        "--spread", type=int, default=10, metavar="N", help="spread hints on every N-th of them"
    )
    parser.add_argument("--out", type=Path, help="a JSON file for the numbers")
    options = parser.parse_args()
    network = add_hints(load_generator(find_weights(options.weights)), options.branch)
    tables = {}
    for folder in options.folders:
        photos = find_photos(folder)
        photos = photos[:: max(1, len(photos) // options.photos)][: options.photos]
        tables[folder.name] = measure(network, photos, options.spread)
        show(folder.name, tables[folder.name])
        if options.out:
            options.out.write_text(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
