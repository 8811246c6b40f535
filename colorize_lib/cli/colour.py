"""colorize PHOTO …: photos in colour."""

import argparse
import math
import os
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from .console import say

if TYPE_CHECKING:
    import numpy as np

    from ..hints import Hint
    from ..photos.encoding import About
    from .targets import Plan
from .options import add_device, add_weights, as_path, report

DESCRIPTION = """\
Colour black-and-white photos.

  colorize PHOTO… -o DIR               colour photos, or whole folders of them
  colorize train FOLDER --out DIR      train a generator on your own photos
  colorize evaluate FOLDER             measure a generator on colour photos
  colorize serve --open                a page in your browser, which colours photos on this computer
  colorize export --onnx FILE          a generator for other programs and languages, as ONNX
  colorize doctor                      check this machine: what is missing, and what helps

'colorize train --help', and so on, say more.
"""


def photo_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "colorize", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"colorize_lib {__version__}")
    _add_photos(parser)
    _add_results(parser)
    add_weights(parser)
    add_device(parser, "cpu for the bundled network, without PyTorch; else the fastest that is there")
    return parser


def _add_photos(parser: argparse.ArgumentParser) -> None:
    """What is coloured, and how strongly."""
    from ..photos import MAX_PIXELS

    parser.add_argument(
        "photos",
        nargs="+",
        type=as_path,
        metavar="PHOTO",
        help="image files, folders of them, or patterns such as '*.jpg'",
    )
    parser.add_argument(
        "--only-grey",
        action="store_true",
        help="leave out photos that are in colour already; grey and sepia ones are coloured",
    )
    parser.add_argument(
        "--saturation",
        type=float,
        default=1.0,
        metavar="X",
        help="a factor for the chroma: below 1 is paler, above 1 more vivid (default: 1)",
    )
    parser.add_argument(
        "--hints",
        type=as_path,
        metavar="FILE",
        help="colours that you know at some places of one photo, as JSON; without it, hints are looked for beside each "
        "photo: of old.jpg in old.hints.json",
    )
    parser.add_argument(
        "--resolution",
        type=int,
        metavar="N",
        help="the network sees about N² pixels: "
        "more gives finer, but less reliable colour (default: the resolution named in the weights)",
    )
    parser.add_argument(
        "--max-megapixels",
        type=float,
        default=MAX_PIXELS / 1e6,
        metavar="N",
        help=f"size above which a photo is skipped, so that none fills the memory (default: {MAX_PIXELS / 1e6:.0f})",
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    """Where the results go, and as what."""
    parser.add_argument(
        "-o",
        "--out",
        type=as_path,
        default=Path("colorized"),
        metavar="DIR",
        help="where the coloured photos go, under their own names (default: colorized)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that are in DIR already; "
        "by default they are skipped, so that an interrupted run can be continued",
    )
    parser.add_argument(
        "--format",
        choices=("jpg", "png", "tif", "webp", "bmp"),
        help="file format of the results (default: the photo's own where it can be written, else png)",
    )
    parser.add_argument(
        "--quality",
        type=int,
        default=95,
        metavar="N",
        help="quality of JPEG and WebP, up to 100 (default: 95); PNG and TIFF are lossless, and so is a WebP if the photo is a lossless one",
    )
    parser.add_argument(
        "--no-mark",
        dest="mark",
        action="store_false",
        help="results without the note that they were coloured; the note is the EXIF field Software (or, where "
        "that is taken, ProcessingSoftware), and in a PNG also the text Software",
    )


def colorize(options: argparse.Namespace) -> int:
    from .targets import plan

    if not 0 <= options.saturation < math.inf:
        raise ValueError(
            f"--saturation {options.saturation}: 0 is grey, 1 the colours as predicted; take 0 or more"
        )
    if options.hints and (len(options.photos) > 1 or options.photos[0].is_dir()):
        raise ValueError(
            f"--hints {options.hints}: hints are for one photo; beside each of several, put its own old.hints.json"
        )
    if not 1 <= options.quality <= 100:
        raise ValueError(f"--quality {options.quality}: take 1 to 100")
    if not 0 < options.max_megapixels < math.inf:
        raise ValueError(f"--max-megapixels {options.max_megapixels}: take more than 0, such as 500")
    suffix = f".{options.format}" if options.format else None
    work = plan(options.photos, options.out, options.overwrite, suffix)
    seen = _colour(work, options) if work.targets else Counter()
    anew = "of them in colour already (--only-grey leaves such photos out)"
    notes = {
        "of them only in part (above: how many pages or frames were left out)": seen["in part"],
        "left out, in colour already" if options.only_grey else anew: seen["in colour"],
        "there already (--overwrite replaces them)": work.existing,
    }
    return report(seen["done"], work.failures, "coloured", notes, work.passed_over, work.existing)


def _colour(work: "Plan", options: argparse.Namespace) -> Counter[str]:
    """Colour the photos of a plan; returns how many were done, of these only in part, and in colour already."""
    from ..colorizer import Colorizer
    from ..inference import MARK, colour_many
    from ..photos import save_photo
    from ..photos.profiles import is_in_colour
    from .targets import identity

    colorizer = Colorizer.from_pretrained(
        options.weights, resolution=options.resolution, device=options.device
    )
    seen, made = Counter(), set()

    def colour(photo: "tuple[np.ndarray, About, list[Hint]]") -> "tuple[np.ndarray, About, str] | None":
        pixels, about, hints = photo
        in_colour = is_in_colour(pixels)
        seen["in colour"] += in_colour
        if in_colour and options.only_grey:
            return None
        note = f"{about.left_out} left out" if about.left_out else ""
        told = f"with {len(hints)} hint{'s' * (len(hints) > 1)}" if hints else ""
        coloured = colorizer(pixels, saturation=options.saturation, hints=hints)
        return coloured, about, ", ".join(filter(None, [note, told]))

    coloured = colour_many(
        colour,
        work.targets,
        failures=work.failures,
        progress=len(work.targets) > 1 and sys.stderr is not None and sys.stderr.isatty(),
        max_pixels=round(options.max_megapixels * 1e6),
        read=partial(_read, hints=options.hints),
    )
    for photo, result in coloured:
        if result is None:
            continue
        target, (pixels, about, note) = work.targets[photo], result
        if identity(target) in made:  # a.jpg and A.jpg, on a disk that does not tell them apart
            work.failures.append(f"{photo} would overwrite {target}, the coloured version of another photo")
            continue
        try:
            mark = MARK if options.mark else ""
            save_photo(
                target, pixels, like=about, overwrite=options.overwrite, quality=options.quality, mark=mark
            )
        except FileExistsError:  # another run has made it meanwhile
            work.existing += 1
            continue
        except (ValueError, OSError) as error:
            work.failures.append(str(error))
            continue
        made.add(identity(target))
        seen.update({"done": 1, "in part": bool(about.left_out)})
        say(f"{target} ({note})" if note else f"{target}")
    return seen


def _read(photo: Path, max_pixels: int, hints: Path | None) -> "tuple[np.ndarray, About, list[Hint]]":
    """A photo, what its file holds beside the pixels, and the hints of `hints`, or of the file beside it."""
    from ..photos import PhotoError, read_photo
    from ..photos.folders import HINTS

    pixels, about = read_photo(photo, max_pixels=max_pixels)
    file = hints or photo.with_suffix(HINTS)
    if hints is None and not os.path.isfile(file):  # which takes a name of any length
        return pixels, about, []
    from ..hints import HintError, load_hints

    try:
        return pixels, about, load_hints(file, (pixels.shape[1], pixels.shape[0]))
    except HintError as error:
        raise PhotoError(f"{photo} was left out: {error}") from error
