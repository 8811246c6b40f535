"""colorize …: photos in colour, training, evaluation, from the command line."""

import argparse
import difflib
import math
import os
import shutil
import sys
import warnings
from collections import Counter
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .console import make_printable, say
from .doctor import doctor, doctor_parser

if TYPE_CHECKING:
    import numpy as np

    from .colorizer import Colorizer
    from .encoding import About
    from .hints import Hint
    from .light import LightColorizer
    from .metrics import Table
    from .models import Generator
    from .runs import Method
    from .targets import Plan

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

WEIGHTS_HELP = (
    "l1 or adversarial, which come with the library; a generator.safetensors; a run's folder; "
    "or a Hugging Face Hub id, hf-hub:OWNER/NAME"
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 all well, 1 something was skipped, 2 nothing could be done."""
    make_printable()
    arguments = sys.argv[1:] if arguments is None else arguments
    commands = {
        "train": (train_parser, train),
        "evaluate": (evaluate_parser, evaluate),
        "doctor": (doctor_parser, doctor),
        "export": (export_parser, export),
        "serve": (serve_parser, serve),
    }
    make_parser, run = commands.get(arguments[0] if arguments else "", (photo_parser, colorize))
    parser = make_parser()
    options = parser.parse_args(_with_dashes(parser, arguments[1:] if run is not colorize else arguments))
    if run is colorize:
        _check_command(parser, str(options.photos[0]), list(commands))
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("default", category=DeprecationWarning, module="colorize_lib")
    warnings.showwarning = lambda message, *_, **__: say(f"colorize: {message}", sys.stderr)
    warnings.filterwarnings("ignore", module="PIL")  # our own sentence about the photo says what matters
    try:
        _check_working_directory()
        return run(options)
    except KeyboardInterrupt:
        say("\nstopped", sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        if isinstance(error, OSError) and error.errno and error.filename:  # the system's own words
            error = f"{error.filename} cannot be used ({error.strerror}): check the path, and the disk"
        without_torch = isinstance(error, ImportError) and error.name == "torch"
        remedy = ": pip install torch torchvision, or colour with --graphs, which needs neither"
        say(f"colorize: {error}{remedy if without_torch else ''}", sys.stderr)
        return 2


def _with_dashes(parser: argparse.ArgumentParser, arguments: list[str]) -> list[str]:
    """An argument that is an existing file is no option, whatever it begins with: -old.jpg is ./-old.jpg."""
    options = {name for action in parser._actions for name in action.option_strings}
    return [
        os.path.join(".", argument)
        if argument.startswith("-") and argument not in options and os.path.lexists(argument)
        else argument
        for argument in arguments
    ]


def _check_command(parser: argparse.ArgumentParser, first: str, commands: list[str]) -> None:
    """A mistyped command must not be taken for a photo, and what follows it for photos to be coloured."""
    if (
        first.isalpha()
        and not os.path.lexists(first)
        and (near := difflib.get_close_matches(first.lower(), commands, 1))
    ):
        parser.exit(
            2,
            f"colorize: {first} does not exist: did you mean 'colorize {near[0]}'? Commands stand first.\n",
        )


def _check_working_directory() -> None:
    """PyTorch's libraries end the program where it was deleted."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise FileNotFoundError(
            "the working directory does not exist any more: change to another one (cd)"
        ) from None


def _path(text: str) -> Path:
    """A path as a user types it; `--out=~/photos` reaches us with its ~, which the shell leaves there."""
    if text == "-":
        raise argparse.ArgumentTypeError("pipes are not taken: save the photo to a file, and give its name")
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text} is an address, and this takes files: download it first")
    return Path(_name(text))


def _name(text: str) -> str:
    if not text:  # for Python, the working directory
        raise argparse.ArgumentTypeError("an empty name: give a file or a folder, or . for this folder")
    return os.path.expanduser(text) if text.startswith("~/") and not os.path.lexists("~") else text


def photo_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "colorize", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"colorize_lib {__version__}")
    _add_photos(parser)
    _add_results(parser)
    weights = parser.add_mutually_exclusive_group()
    _add_weights(weights)
    weights.add_argument(
        "--graphs",
        type=_path,
        metavar="DIR",
        help="colour without PyTorch, by the graphs that "
        "'colorize export --steps DIR' wrote: starts faster; 8-bit photos only",
    )
    _add_device(parser)
    return parser


def _add_photos(parser: argparse.ArgumentParser) -> None:
    """What is coloured, and how strongly."""
    from .photos import MAX_PIXELS

    parser.add_argument(
        "photos",
        nargs="+",
        type=_path,
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
        type=_path,
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
        type=_path,
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
    return _report(seen["done"], work.failures, "coloured", notes, work.passed_over, work.existing)


def _colour(work: "Plan", options: argparse.Namespace) -> Counter[str]:
    """Colour the photos of a plan; returns how many were done, of these only in part, and in colour already."""
    from .inference import MARK, colour_many
    from .photos import save_photo
    from .profiles import is_in_colour
    from .targets import identity

    colorizer, seen, made = _colorizer(options), Counter(), set()

    def colour(photo: "tuple[np.ndarray, About, list[Hint]]") -> "tuple[np.ndarray, About, str] | None":
        pixels, about, hints = photo
        in_colour = is_in_colour(pixels)
        seen["in colour"] += in_colour
        if in_colour and options.only_grey:
            return None
        note = f"{about.left_out} left out" if about.left_out else ""
        if not hints:
            return colorizer(pixels, saturation=options.saturation), about, note
        from .colorizer import Colorizer

        if not isinstance(colorizer, Colorizer):
            raise ValueError("it has hints, and the graphs take none: leave out --graphs")
        told = f"with {len(hints)} hint{'s' * (len(hints) > 1)}"
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
    from .folders import HINTS
    from .photos import PhotoError, read_photo

    pixels, about = read_photo(photo, max_pixels=max_pixels)
    file = hints or photo.with_suffix(HINTS)
    if hints is None and not file.is_file():
        return pixels, about, []
    from .hints import HintError, load_hints

    try:
        return pixels, about, load_hints(file, (pixels.shape[1], pixels.shape[0]))
    except HintError as error:
        raise PhotoError(f"{photo} was left out: {error}") from error


def _colorizer(options: argparse.Namespace) -> "Colorizer | LightColorizer":
    """What colours: weights, or graphs, which need no PyTorch."""
    if options.graphs is not None:
        if options.device is not None:
            raise ValueError("--graphs run on the CPU: leave out --device")
        from .light import LightColorizer

        return LightColorizer(options.graphs, options.resolution)
    from .colorizer import Colorizer
    from .devices import default_device

    device = default_device(options.device)
    return Colorizer.from_pretrained(options.weights, resolution=options.resolution, device=device)


def train_parser() -> argparse.ArgumentParser:
    """A parser whose result holds only the options that were given."""
    parser = argparse.ArgumentParser(
        "colorize train",
        description="Train a generator on a folder of colour photos. The run's folder gets the weights, the history, "
        "sample pictures, and the state from which --resume resumes it.",
        argument_default=argparse.SUPPRESS,
    )
    _add_start(parser)
    _add_budget(parser.add_argument_group("budget: whichever ends first (default: 20 epochs)"))
    _add_data(parser.add_argument_group("data"))
    _add_recipe(parser.add_argument_group("recipe (the defaults depend on the generator and the stage)"))
    _add_run(parser.add_argument_group("run"))
    return parser


def _add_start(group: argparse.ArgumentParser) -> None:
    """What is trained, on what, and where the run is kept."""
    group.add_argument("folder", type=_path, metavar="FOLDER", help="colour photos, subfolders included")
    group.add_argument(
        "--stage",
        metavar="NAME",
        help="l1: pretraining on the colour error; adversarial: against a discriminator (default: l1)",
    )
    group.add_argument("--out", type=_path, required=True, metavar="DIR", help="the run's folder")
    group.add_argument(
        "--from", dest="start", type=_name, metavar="NAME", help=f"weights to start from: {WEIGHTS_HELP}"
    )
    group.add_argument("--resume", action="store_true", help="resume the run in DIR")
    group.add_argument(
        "--valid",
        type=_path,
        metavar="FOLDER",
        help="validation photos (default: a fifth of the photos, chosen by name)",
    )
    group.add_argument(
        "--generator",
        metavar="NAME",
        help="a new one to train, instead of --from: chroma_unet, dynamic_unet or unet (default: chroma_unet)",
    )
    group.add_argument(
        "--encoder",
        metavar="NAME",
        help="a new chroma_unet's encoder: a convolutional one of timm's (default: tf_efficientnet_lite0; the discriminator "
        "looks through tf_efficientnet_lite1, the Fréchet distance through tf_efficientnet_lite2)",
    )
    group.add_argument(
        "--queries",
        type=int,
        metavar="N",
        help="chroma_unet's colour queries: how many a new generator has, or how many are added to weights that have "
        "none (default: 24 for a new one; --from: as the weights are)",
    )


def _add_budget(group: argparse._ArgumentGroup) -> None:
    """How long."""
    group.add_argument("--epochs", type=float, metavar="N", help="passes over the training photos")
    group.add_argument("--minutes", type=float, metavar="N", help="time, validation included")


def _add_data(group: argparse._ArgumentGroup) -> None:
    """How photos become batches."""
    group.add_argument(
        "--size", type=int, metavar="N", help="pixels a side (default: 256 on a GPU, 128 on a CPU)"
    )
    group.add_argument("--batch-size", type=int, metavar="N", help="photos in a step (default: 16)")
    group.add_argument(
        "--min-scale",
        type=float,
        metavar="X",
        help="smallest random crop, as a share of the photo (default: 0.4)",
    )
    group.add_argument(
        "--keep-grey",
        action="store_true",
        help="train on near-grey photos, too; without this, photos to train on whose mean chroma is below 5 (in "
        "CIE units) are left out and counted. Validation photos are all kept",
    )
    group.add_argument(
        "--cache", type=_path, metavar="DIR", help="folder for the decoded photos (default: in memory)"
    )
    group.add_argument(
        "--workers",
        dest="num_workers",
        type=int,
        metavar="N",
        help="processes that cut crops (default: 8 on CUDA, else 0)",
    )


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    """Options of the methods; `METHODS` says which takes which."""
    group.add_argument("--lr", type=float, metavar="X", help="learning rate of the generator")
    group.add_argument("--encoder-lr", type=float, metavar="X", help="learning rate of its encoder")
    group.add_argument(
        "--schedule", choices=("constant", "one_cycle", "linear_decay"), help="course of the learning rates"
    )
    group.add_argument("--weight-decay", type=float, metavar="X", help="weight decay of AdamW (l1)")
    group.add_argument(
        "--discriminator-lr", type=float, metavar="X", help="learning rate of the discriminator (adversarial)"
    )
    group.add_argument(
        "--lambda-l1", type=float, metavar="X", help="weight of L1 beside the GAN loss (adversarial)"
    )
    group.add_argument(
        "--vivid",
        type=float,
        metavar="X",
        help="how much more L1 minds an error where the true colour is strong (adversarial; default: 0)",
    )
    group.add_argument(
        "--chroma",
        type=float,
        metavar="X",
        help="factor for the chroma of the true photos that the discriminator is shown: above 1 asks for more colour "
        "(adversarial)",
    )
    group.add_argument("--gan-mode", choices=("vanilla", "lsgan", "hinge"), help="GAN loss (adversarial)")
    group.add_argument(
        "--discriminator",
        choices=("patches", "features"),
        help="patches: a PatchGAN; features: heads on a frozen EfficientNet-Lite1 (adversarial; default: patches)",
    )
    group.add_argument(
        "--discriminator-norm",
        choices=("batch", "spectral"),
        help="normalization of a PatchGAN (adversarial; default: spectral for the hinge loss, else batch)",
    )


def _add_run(group: argparse._ArgumentGroup) -> None:
    """Options of the run.  Only the seed has an effect on what is learned."""
    group.add_argument("--seed", type=int, metavar="N", help="seed of all that is random (default: 0)")
    group.add_argument(
        "--save-minutes", type=float, metavar="N", help="minutes between savings of the state (default: 5)"
    )
    group.add_argument(
        "--validate-every", type=int, metavar="N", help="epochs between validations (default: 1)"
    )
    group.add_argument("--mixed-precision", choices=("no", "fp16", "bf16"), help="type of the calculations")
    _add_device(group)


def train(options: argparse.Namespace) -> int:
    from accelerate import PartialState

    from .data import make_dataloaders, split_photos
    from .devices import default_device, seeded
    from .folders import find_photos
    from .training import RECIPES, check_size, fit, options_of, without

    given = dict(vars(options))
    out, seed, stage = given["out"], given.get("seed", 0), given.pop("stage", "l1")
    if given.get("resume") and not out.is_dir():
        raise FileNotFoundError(f"{out} holds no run to resume: leave out --resume")
    if not 0 <= seed < 1 << 32:
        raise ValueError(f"--seed {seed}: take 0 to {(1 << 32) - 1}")
    device = str(default_device(given.pop("device", None)))
    photos, valid = given.pop("folder"), given.pop("valid", None)
    sides = (find_photos(photos), find_photos(valid)) if valid else split_photos(photos)
    if "min_scale" in given:
        given["scale"] = (given.pop("min_scale"), 1.0)

    # Generator and method before the photos are decoded, which may take long.
    with seeded(seed):
        generator = _first_generator(given)
        given = RECIPES.get((generator.config["name"], stage), {}) | given
        run, data = options_of(fit, given), options_of(make_dataloaders, given)
        recipe = without(given, run | data)
        size = data.pop("size", 128 if device == "cpu" else 256)
        method = _method(stage, generator, recipe)
    check_size(method, size)
    loaders = make_dataloaders(*sides, size, **data, device=device, progress=True)

    if "schedule" in run:
        recipe["schedule"] = run["schedule"]
    datasets = [loader.dataset for loader in (loaders.train, loaders.valid) if loader]
    photos, grey = [len(dataset) for dataset in datasets], len(loaders.train.dataset.grey)
    made_by = {**_notes(options), "device": device, "recipe": recipe, "photos": photos, "grey": grey}
    fit(method, loaders, made_by=made_by, **run)

    skipped = [line for dataset in datasets for line in dataset.skipped]
    if not PartialState().is_main_process:
        return 1 if skipped else 0
    say(f"weights: {out / 'generator.safetensors'}")
    return _report(sum(photos), skipped, "used", {"near-grey left out (--keep-grey keeps them)": grey})


def _notes(options: argparse.Namespace) -> dict:
    """What was run, when, and by which PyTorch.  Files by their names alone: weights are shared, paths are private."""
    from torch import __version__

    def public(value: object) -> object:
        is_file = isinstance(value, Path) or isinstance(value, str) and os.path.lexists(value)
        return Path(os.path.abspath(value)).name if is_file else value  # pyright: ignore[reportCallIssue, reportArgumentType]  # a path

    given = {name: public(value) for name, value in vars(options).items()}
    return {"options": given, "date": date.today().isoformat(), "torch": __version__}


def _first_generator(given: dict) -> "Generator":
    """The generator to train: that of --from, or a new one.  Its options are removed from `given`."""
    from .checkpoints import load_generator
    from .models import ChromaUnet, build_generator
    from .models.imagenet import RandomEncoder

    options = {name: given.pop(name) for name in ("generator", "encoder", "queries") if name in given}
    if "start" in given:
        for name in ("generator", "encoder"):
            if name in options:
                raise ValueError(f"--from brings a generator of its own: leave out --{name}, or --from")
        generator = load_generator(given.pop("start"))
        queries = options.get("queries")
        if queries is not None and queries != generator.config.get("queries", 0):
            if not isinstance(generator, ChromaUnet):
                raise ValueError(f"--queries goes with chroma_unet, not with {generator.config['name']}")
            generator.add_queries(queries)
        return generator
    name = options.pop("generator", "chroma_unet")
    if name != "chroma_unet" and options:
        raise ValueError("--encoder and --queries go with --generator chroma_unet")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RandomEncoder)
        try:
            return build_generator(name, **options)
        except RandomEncoder as warning:
            raise ImportError(
                f"{warning}. So nothing is trained: install them, or take --from l1, or --generator unet, which needs none"
            ) from None


def _method(stage: str, generator: "Generator", recipe: dict) -> "Method":
    """The method of a stage, which refuses the options of another stage."""
    from .models import FeatureDiscriminator, PatchDiscriminator
    from .training import METHODS, options_of

    if stage not in METHODS:
        raise ValueError(f"no stage is called '{stage}': choose from {', '.join(METHODS)}")
    for name in recipe:
        parameter = "discriminator" if name == "discriminator_norm" else name
        stages = [other for other, method in METHODS.items() if options_of(method, {parameter: None})]
        if stage not in stages:
            option = "--" + name.replace("_", "-")
            raise ValueError(
                f"{option} goes with --stage {' or '.join(stages)}, not with {stage}: leave it out"
            )
    if "encoder_lr" in recipe and not hasattr(generator, "encoder"):
        raise ValueError(
            f"--encoder-lr needs an encoder, which {generator.config['name']} lacks: leave it out"
        )

    options = dict(recipe)
    features, norm = options.pop("discriminator", None) == "features", options.pop("discriminator_norm", None)
    if features and norm:
        raise ValueError("--discriminator-norm goes with --discriminator patches: leave it out")
    if features:
        options["discriminator"] = FeatureDiscriminator()
    elif norm:
        options["discriminator"] = PatchDiscriminator(norm=norm)
    return METHODS[stage](generator, **options)


def evaluate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "colorize evaluate",
        description="Colour a folder of colour photos from their lightness alone, and measure how far the colours "
        "are from the true ones, beside grey and beside the photos' mean colour. Measured are the colours that "
        "`colorize` paints, the factor that some weights bring for them included.",
    )
    parser.add_argument("folder", type=_path, metavar="FOLDER", help="colour photos, subfolders included")
    parser.add_argument(
        "--size",
        type=int,
        default=256,
        metavar="N",
        help="side in pixels of the squares that photos are stretched to (default: 256)",
    )
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="(default: 16)")
    parser.add_argument(
        "--frechet",
        choices=("efficientnet", "inception", "none"),
        default="efficientnet",
        help="features for the Fréchet distance: those of EfficientNet-Lite2, which come with the extra `train`; "
        "those of Inception, as in published FIDs, downloaded once (needs torch-fidelity); or none, which is "
        "faster (default: efficientnet)",
    )
    parser.add_argument(
        "--match",
        nargs=2,
        metavar=("NAME", "OTHER"),
        help="add a row: the weights NAME with their colours multiplied by the factor that makes them as colourful "
        "as the row OTHER, for example --match l1 adversarial, or --match l1 true",
    )
    parser.add_argument(
        "-o", "--out", type=_path, metavar="NAME", help="write the table to NAME.json and NAME.csv, too"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace NAME.json and NAME.csv if they exist"
    )
    _add_weights(parser, nargs="+", default=["best"])
    _add_device(parser)
    return parser


def evaluate(options: argparse.Namespace) -> int:
    from torch.utils.data import DataLoader

    from .data import LabLoader, PhotoDataset
    from .devices import default_device
    from .folders import find_photos
    from .frechet import Frechet
    from .metrics import ALL, evaluate
    from .tables import format_table, with_shares

    files = _table_files(options.out, options.overwrite)
    device = default_device(options.device)
    generators = {name: network.to(device) for name, network in _generators(options.weights).items()}
    frechet = None if options.frechet == "none" else Frechet(device, options.frechet)
    dataset = PhotoDataset(find_photos(options.folder), options.size, progress=True)
    if len(dataset) == 1 and options.frechet != "none":
        raise ValueError(f"{options.folder} has one photo, and a Fréchet distance needs two: --frechet none")
    batches = LabLoader(DataLoader(dataset, batch_size=options.batch_size), device)
    table = evaluate(generators, batches, frechet=frechet, metrics=ALL, match=options.match, progress=True)
    table = with_shares(table)
    about = {"photos": len(dataset), "size": options.size, "date": date.today().isoformat()}
    about["frechet_features"] = frechet.features if frechet else "none"
    _write_table(table, files, about)  # before it is printed, which can fail on some terminals
    say(f"{len(dataset)} photos at {options.size} × {options.size}")
    say(format_table(table, width=shutil.get_terminal_size().columns))
    if math.isnan(table["grey"]["of_grey"]):
        say("These photos are grey: there is no colour to compare with, and the numbers mean little.")
    for file in files:
        say(f"written: {file}")
    return _report(len(dataset), dataset.skipped, "measured")


def _table_files(name: Path | None, overwrite: bool) -> list[Path]:
    """The JSON and the CSV file of a table; none without a name."""
    if name is None:
        return []
    if not name.name:
        raise ValueError(f"-o {name} is a folder: give a name in it, such as {name / 'table'}")
    name.parent.mkdir(
        parents=True, exist_ok=True
    )  # what cannot be written stops here, and not after the measuring
    files = [name.with_name(name.name + suffix) for suffix in (".json", ".csv")]
    for file in files:
        if file.exists() and not overwrite:
            raise FileExistsError(f"{file} exists already: choose another name, or --overwrite")
    return files


def _write_table(table: "Table", files: list[Path], about: dict[str, object]) -> None:
    from .files import write_whole
    from .tables import table_csv, table_json

    for file, text in zip(files, (table_json(table, **about), table_csv(table)), strict=False):
        write_whole(file, text.encode())


def _generators(weights: list[str]) -> dict[str, "Generator"]:
    """The generators of --weights, under the names of their rows.

    A row is named after the bundled weights, the run's folder or the file; if that
    name is taken, after the full argument.
    """
    from .checkpoints import HUB_FILE, find_weights, load_generator
    from .metrics import BASELINES

    generators = {}
    for argument in weights:
        path = find_weights(argument)
        name = path.stem if path.name != HUB_FILE else Path(argument.removesuffix(HUB_FILE)).name or "model"
        if name in (*BASELINES, *generators):
            name = argument
        if name in (*BASELINES, *generators):
            raise ValueError(
                f"two rows of the table would be called '{name}': give the weights by another path"
            )
        generators[name] = load_generator(path)
    return generators


def export_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "colorize export", description="Write a generator as ONNX graphs, which take photos of any size."
    )
    parser.add_argument(
        "--onnx",
        type=_path,
        metavar="FILE",
        help="the generator alone: L → ab, scaled as in colorize_lib.color",
    )
    parser.add_argument(
        "--photo",
        type=_path,
        metavar="FILE",
        help="the whole way in one graph: RGBA in, RGBA in colour out, 8 bits",
    )
    parser.add_argument(
        "--steps",
        type=_path,
        metavar="DIR",
        help="the whole way in three graphs that take some rows at "
        "a time, and so need little memory: the web page runs them",
    )
    parser.add_argument(
        "--half", action="store_true", help="weights stored as float16: half the size, at a small loss"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    _add_weights(parser)
    return parser


def export(options: argparse.Namespace) -> int:
    from .export import STEPS, export_network, export_photo, export_steps

    jobs = {options.onnx: export_network, options.photo: export_photo, options.steps: export_steps}
    jobs.pop(None, None)
    if not jobs:
        raise ValueError("nothing to write: give --onnx FILE, --photo FILE or --steps DIR")
    for path, job in jobs.items():
        for file in [path / f"{name}.onnx" for name in STEPS] if job is export_steps else [path]:
            if file.exists() and not options.overwrite:
                raise FileExistsError(f"{file} exists already: choose another name, or --overwrite")
    for path, job in jobs.items():
        job(path, options.weights, half=options.half)
        print(f"written: {path}")
    return 0


def serve_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "colorize serve",
        description="A page in your browser, which colours photos on this computer. Nothing leaves it.",
    )
    parser.add_argument("--open", action="store_true", help="open the browser, too")
    parser.add_argument(
        "--port",
        type=_port,
        default=8765,
        metavar="N",
        help="1 to 65535, or 0 for any that is free (default: 8765)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address to listen on: other than "
        "the default, other computers can send photos, too (default: 127.0.0.1)",
    )
    _add_weights(parser)
    _add_device(parser)
    return parser


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 1 << 16:
        return int(text)
    raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")


def serve(options: argparse.Namespace) -> int:
    from .colorizer import Colorizer
    from .devices import default_device
    from .serve import listen, serve

    with listen(options.host, options.port) as listener:  # first: a taken port is known at once
        colorizer = Colorizer.from_pretrained(options.weights, device=default_device(options.device))
        serve(colorizer, listener, options.open)
    return 0


def _add_weights(parser: argparse._ActionsContainer, default: str | list[str] = "best", **options) -> None:
    parser.add_argument(
        "--weights",
        type=_name,
        default=default,
        metavar="NAME",
        **options,
        help=f"{WEIGHTS_HELP} (default: the best that come with the library)",
    )


def _add_device(parser) -> None:
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, mps (default: the fastest that is there)"
    )


def _report(
    done: int,
    failures: list[str],
    verb: str,
    notes: dict[str, int] | None = None,
    passed_over: Counter[str] | None = None,
    existing: int = 0,
) -> int:
    """Print the summary; returns the exit code."""
    for failure in failures:
        say(f"skipped: {failure}", sys.stderr)
    counts = {**(notes or {}), "skipped": len(failures)}
    parts = [f"{_count(done, 'photo')} {verb}"]
    parts += [f"{count} {note}" for note, count in counts.items() if count]
    if passed_over:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(passed_over.items()))
        parts += [f"{_count(passed_over.total(), 'file')} passed over for their suffix ({kinds})"]
    say(", ".join(parts))
    return 0 if not failures else 1 if done or existing else 2


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


if __name__ == "__main__":
    sys.exit(main())
