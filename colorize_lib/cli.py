"""colorize …: photos in colour, training, evaluation, from the command line."""

import argparse
import shlex
import shutil
import sys
import warnings
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from .doctor import doctor, doctor_parser

if TYPE_CHECKING:
    from torch import nn

DESCRIPTION = """\
Colour black-and-white photos.

  colorize PHOTO… -o DIR               colour photos, or whole folders of them
  colorize train FOLDER --out DIR      train a generator on your own photos
  colorize evaluate FOLDER             measure a generator on colour photos
  colorize doctor                      check this machine: what is missing, and what helps

'colorize train --help' and 'colorize evaluate --help' say more.
"""

QUERIES = 24  # colour queries of a new chroma_unet

WEIGHTS_HELP = (
    "l1 or adversarial, which come with the library; a generator.safetensors; a run's folder; "
    "or a Hugging Face Hub id, OWNER/NAME"
)

# What each generator is trained with unless the options say otherwise.  `unet` and
# `dynamic_unet` follow the tutorial's article; chroma_unet, what a laptop's minutes do best with.
RECIPES = {
    ("unet", "l1"): {"lr": 2e-4},
    ("dynamic_unet", "l1"): {"lr": 1e-4},
    ("chroma_unet", "l1"): {"lr": 3e-3, "encoder_lr": 1e-3, "schedule": "one_cycle", "weight_decay": 1e-2},
    ("unet", "adversarial"): {"lr": 2e-4, "lambda_l1": 100.0, "gan_mode": "vanilla"},
    ("dynamic_unet", "adversarial"): {"lr": 2e-4, "lambda_l1": 100.0, "gan_mode": "vanilla"},
    ("chroma_unet", "adversarial"): {
        "lr": 2e-4, "discriminator_lr": 4e-4, "betas": (0.0, 0.999), "lambda_l1": 10.0,
        "gan_mode": "hinge", "schedule": "linear_decay", "hold_norms": True,
    },
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 all well, 1 something was skipped, 2 nothing could be done."""
    arguments = sys.argv[1:] if arguments is None else arguments
    commands = {
        "train": (train_parser, train),
        "evaluate": (evaluate_parser, evaluate),
        "doctor": (doctor_parser, doctor),
    }
    make_parser, run = commands.get(arguments[0] if arguments else "", (photo_parser, colorize))
    options = make_parser().parse_args(arguments[1:] if run is not colorize else arguments)
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        return run(options)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        print(f"colorize: {error}", file=sys.stderr)
        return 2


def photo_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "colorize", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "photos", nargs="+", type=Path, metavar="PHOTO", help="image files, or folders of them"
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("colorized"), metavar="DIR",
                        help="where the coloured photos go, under their own names (default: colorized)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace files that are in DIR already; "
                        "else they are left as they are, so that a half-done folder is gone on with")  # fmt: skip
    parser.add_argument("--saturation", type=float, default=1.0, metavar="X",
                        help="a factor for the chroma: below 1 is paler, above 1 more vivid (default: 1)")  # fmt: skip
    parser.add_argument("--resolution", type=int, metavar="N", help="the network sees about N² pixels: "
                        "more is finer, and less sure (default: what suits the weights)")  # fmt: skip
    parser.add_argument(
        "--quality",
        type=int,
        default=95,
        metavar="N",
        help="of JPEG and WebP, up to 100 (default: 95); PNG and TIFF lose nothing",
    )
    _add_weights(parser)
    _add_device(parser)
    return parser


def colorize(options: argparse.Namespace) -> int:
    from .colorizer import Colorizer
    from .devices import default_device
    from .photos import save_photo

    targets, there, failures = plan(options.photos, options.out, options.overwrite)
    done = 0
    if targets:
        colorizer = Colorizer.from_pretrained(
            options.weights, resolution=options.resolution, device=default_device(options.device)
        )
        bar = sys.stderr.isatty() and len(targets) > 1
        for photo, rgb in colorizer.many(
            targets, failures=failures, progress=bar, saturation=options.saturation
        ):
            try:
                save_photo(
                    targets[photo], rgb, like=photo, overwrite=options.overwrite, quality=options.quality
                )
                tqdm.write(str(targets[photo]))
                done += 1
            except (ValueError, OSError) as error:
                failures.append(str(error))
    return _report(done, failures, "coloured", there)


def plan(photos: list[Path], out: Path, overwrite: bool) -> tuple[dict[Path, Path], int, list[str]]:
    """Where the coloured photos go: {photo: target}, how many are there already, and what cannot be done."""
    from .folders import find_photos
    from .photos import writable_path

    targets, there, failures = {}, 0, []
    for given in photos:
        try:
            found = find_photos(given) if given.is_dir() else [given]
        except OSError as error:
            failures.append(str(error))
            continue
        root = given if given.is_dir() else given.parent
        for photo in found:
            if photo != given and out in photo.parents or photo in targets:
                continue  # our own work, or given twice
            target = writable_path(out / photo.relative_to(root))
            if target in targets.values():
                failures.append(f"{photo} would overwrite the coloured version of another photo of that name")
            elif target.exists() and photo.exists() and target.samefile(photo):
                failures.append(
                    f"{photo} would be overwritten by its own coloured version: choose another DIR"
                )
            elif target.exists() and not overwrite:
                there += 1
            else:
                targets[photo] = target
    return targets, there, failures


def train_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "colorize train",
        description="Train a generator on a folder of colour photos. The run's folder gets the weights, the history, "
        "sample pictures, and the state from which --resume goes on.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="colour photos, subfolders included")
    parser.add_argument(
        "--stage",
        choices=("l1", "adversarial"),
        default="l1",
        help="l1: pretraining on the colour error; adversarial: against a discriminator (default: l1)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run's folder")
    parser.add_argument("--from", dest="start", metavar="NAME", help=f"weights to start from: {WEIGHTS_HELP}")
    parser.add_argument("--resume", action="store_true", help="go on with the run in DIR")
    parser.add_argument(
        "--valid",
        type=Path,
        metavar="FOLDER",
        help="validation photos (default: a fifth of the photos, chosen by name)",
    )
    parser.add_argument(
        "--generator",
        choices=("chroma_unet", "dynamic_unet", "unet"),
        help="a new one to train, instead of --from (default: chroma_unet)",
    )
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="a new chroma_unet's encoder: a convolutional one of timm's (default: tf_efficientnet_lite0; the discriminator "
        "looks through tf_efficientnet_lite1, the Fréchet distance through tf_efficientnet_lite2)",
    )

    parser.add_argument(
        "--queries", type=int, metavar="N",
        help="chroma_unet's colour queries: how many a new generator has, or how many are added to weights that have "
        "none (default: 24 for a new one; --from: as the weights are)",
    )  # fmt: skip

    budget = parser.add_argument_group("budget: whichever ends first (default: 20 epochs)")
    budget.add_argument("--epochs", type=float, metavar="N")
    budget.add_argument("--minutes", type=float, metavar="N")

    data = parser.add_argument_group("data")
    data.add_argument(
        "--size", type=int, metavar="N", help="pixels a side (default: 256 on a GPU, 128 on a CPU)"
    )
    data.add_argument("--batch-size", type=int, default=16, metavar="N", help="(default: 16)")
    data.add_argument(
        "--min-scale",
        type=float,
        default=0.4,
        metavar="X",
        help="smallest random crop, as a share of the photo (default: 0.4)",
    )
    data.add_argument(
        "--keep-grey", action="store_true",
        help="train on near-grey photos, too; without this, photos to train on whose mean chroma is below 5 (in "
        "CIE units) are left out and counted. Validation photos are all kept",
    )  # fmt: skip
    data.add_argument(
        "--cache", default="memory", metavar="DIR", help="keep decoded photos here (default: in memory)"
    )
    data.add_argument(
        "--workers", type=int, metavar="N", help="processes that cut crops (default: 8 on CUDA, else 0)"
    )

    recipe = parser.add_argument_group("recipe (the defaults depend on the generator and the stage)")
    recipe.add_argument("--lr", type=float, metavar="X", help="learning rate of the generator")
    recipe.add_argument("--encoder-lr", type=float, metavar="X", help="learning rate of its encoder")
    recipe.add_argument("--weight-decay", type=float, metavar="X", help="l1 stage only")
    recipe.add_argument("--schedule", choices=("constant", "one_cycle", "linear_decay"))
    recipe.add_argument("--discriminator-lr", type=float, metavar="X")
    recipe.add_argument("--lambda-l1", type=float, metavar="X", help="weight of L1 beside the GAN loss")
    recipe.add_argument(
        "--chroma", type=float, metavar="X",
        help="factor for the chroma of the true photos that the discriminator is shown: above 1 asks for more colour",
    )  # fmt: skip
    recipe.add_argument("--gan-mode", choices=("vanilla", "lsgan", "hinge"))
    recipe.add_argument(
        "--discriminator", choices=("patches", "features"),
        help="patches: a PatchGAN; features: heads on a frozen EfficientNet-Lite1 (default: patches)",
    )  # fmt: skip
    recipe.add_argument("--discriminator-norm", choices=("batch", "spectral"), help="of a PatchGAN")

    run = parser.add_argument_group("run")
    run.add_argument("--seed", type=int, default=0, metavar="N")
    run.add_argument(
        "--save-minutes", type=float, default=5.0, metavar="N", help="save the state so often (default: 5)"
    )
    run.add_argument(
        "--validate-every", type=int, default=1, metavar="N", help="epochs between validations (default: 1)"
    )
    run.add_argument("--mixed-precision", choices=("no", "fp16", "bf16"))
    _add_device(run)
    return parser


def train(options: argparse.Namespace) -> int:
    import torch
    from accelerate import PartialState

    from .data import make_dataloaders, split_photos
    from .devices import default_device
    from .folders import find_photos
    from .models import FeatureDiscriminator, PatchDiscriminator
    from .training import pretrain, train_adversarial

    if options.resume and not options.out.is_dir():
        raise FileNotFoundError(f"{options.out} holds no run to go on with: leave out --resume")
    device = str(default_device(options.device))
    if options.valid:
        train_photos, valid_photos = find_photos(options.folder), find_photos(options.valid)
    else:
        train_photos, valid_photos = split_photos(find_photos(options.folder))
    torch.manual_seed(options.seed)
    generator = _first_generator(options)  # before the photos are decoded, which may take long
    loaders = make_dataloaders(
        train_photos, valid_photos,
        size=options.size or (128 if device == "cpu" else 256),
        batch_size=options.batch_size, scale=(options.min_scale, 1.0), cache=options.cache,
        seed=options.seed, num_workers=options.workers, device=device, progress=True,
        keep_grey=options.keep_grey,
    )  # fmt: skip

    recipe = dict(RECIPES[generator.config["name"], options.stage])
    names = ("lr", "encoder_lr", "schedule")
    names += (
        ("weight_decay",)
        if options.stage == "l1"
        else ("discriminator_lr", "lambda_l1", "chroma", "gan_mode")
    )
    recipe |= {name: value for name in names if (value := getattr(options, name)) is not None}
    datasets = [loader.dataset for loader in (loaders.train, loaders.valid) if loader]
    run = {
        "epochs": options.epochs,
        "minutes": options.minutes,
        "out": options.out,
        "resume": options.resume,
        "save_minutes": options.save_minutes,
        "validate_every": options.validate_every,
        "seed": options.seed,
        "mixed_precision": options.mixed_precision,
        "made_by": {"command": f"colorize {shlex.join(sys.argv[1:])}", "date": date.today().isoformat(),
                    "torch": torch.__version__, "device": device, "recipe": recipe,
                    "photos": [len(dataset) for dataset in datasets], "grey": len(loaders.train.dataset.grey)},
    }  # fmt: skip
    if options.stage == "l1":
        pretrain(generator, loaders, **recipe, **run)
    else:
        norm = options.discriminator_norm or ("spectral" if recipe["gan_mode"] == "hinge" else "batch")
        features = options.discriminator == "features"
        discriminator = FeatureDiscriminator() if features else PatchDiscriminator(norm=norm)
        train_adversarial(generator, discriminator, loaders, **recipe, **run)

    skipped = [line for dataset in datasets for line in dataset.skipped]
    if not PartialState().is_main_process:
        return 1 if skipped else 0
    print(f"weights: {options.out / 'generator.safetensors'}")
    return _report(sum(map(len, datasets)), skipped, "used", grey=len(loaders.train.dataset.grey))


def _first_generator(options: argparse.Namespace) -> "nn.Module":
    """The generator that training starts from: that of --from, or a new one."""
    from .checkpoints import find_weights, load_generator
    from .models import build_generator

    if options.start:
        for name in ("generator", "encoder"):
            if getattr(options, name):
                raise ValueError(f"--from brings a generator of its own: leave out --{name}, or --from")
        generator = load_generator(find_weights(options.start))
        if options.queries and options.queries != generator.config.get("queries"):
            if not hasattr(generator, "add_queries"):
                raise ValueError(f"--queries goes with chroma_unet, not with {generator.config['name']}")
            generator.add_queries(options.queries)
        return generator
    name = options.generator or "chroma_unet"
    given = {"encoder": options.encoder, "queries": options.queries}
    given = {name: value for name, value in given.items() if value is not None}
    if name == "chroma_unet":
        given = {"queries": QUERIES} | given
    elif given:
        raise ValueError("--encoder and --queries go with --generator chroma_unet")
    return build_generator(name, **given)


def evaluate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "colorize evaluate",
        description="Colour a folder of colour photos from their lightness alone, and measure how far the colours "
        "are from the true ones, beside grey and beside the photos' mean colour.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="colour photos, subfolders included")
    parser.add_argument("--size", type=int, default=256, metavar="N",
                        help="photos are stretched to N × N pixels (default: 256)")  # fmt: skip
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="(default: 16)")
    parser.add_argument(
        "--frechet", choices=("efficientnet", "inception", "none"), default="efficientnet",
        help="features of the Fréchet distance: EfficientNet-Lite2's, which come with the extra `lessons`; Inception's, "
        "those of published FIDs, downloaded once (needs torch-fidelity); or none, which is faster (default: efficientnet)",
    )  # fmt: skip
    parser.add_argument(
        "--match", nargs=2, metavar=("NAME", "OTHER"),
        help="one row more: the weights NAME with their colours multiplied by the factor that makes them as colourful "
        "as the row OTHER, such as --match l1 adversarial, or --match l1 true",
    )  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, metavar="NAME",
                        help="write the table to NAME.json and NAME.csv, too")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace them if they are there already")
    _add_weights(parser, nargs="+", default=["best"])
    _add_device(parser)
    return parser


def evaluate(options: argparse.Namespace) -> int:
    from torch.utils.data import DataLoader

    from .checkpoints import HUB_FILE, find_weights, load_generator
    from .data import LabLoader, PhotoDataset
    from .devices import default_device
    from .files import write_whole
    from .folders import find_photos
    from .metrics import BASELINES, Frechet, evaluate, format_table, table_csv, table_json, with_shares

    files = (
        [options.out.with_name(options.out.name + end) for end in (".json", ".csv")] if options.out else []
    )
    for file in files:
        if file.exists() and not options.overwrite:
            raise FileExistsError(f"{file} exists already: choose another name, or --overwrite")
    device = default_device(options.device)
    generators = {}
    for given in options.weights:
        path = find_weights(given)
        # A bundled name, the run's folder, or the file's own name; where that is taken, all that was given.
        name = path.stem if path.name != HUB_FILE else Path(given.removesuffix(HUB_FILE)).name or "model"
        if name in (*BASELINES, *generators):
            name = given
        if name in (*BASELINES, *generators):
            raise ValueError(
                f"two rows of the table would be called '{name}': give the weights by another path"
            )
        generators[name] = load_generator(path).to(device)
    dataset = PhotoDataset(find_photos(options.folder), options.size, progress=True)
    if len(dataset) == 1 and options.frechet != "none":
        raise ValueError(f"{options.folder} has one photo, and a Fréchet distance needs two: --frechet none")
    batches = LabLoader(DataLoader(dataset, batch_size=options.batch_size), device)
    frechet = None if options.frechet == "none" else Frechet(device, options.frechet)
    table = with_shares(
        evaluate(generators, batches, frechet=frechet, complete=True, match=options.match, progress=True)
    )
    # Files first: what cannot be printed on some terminal is not lost.
    about = {"photos": len(dataset), "size": options.size, "date": date.today().isoformat(),
             "frechet_features": frechet.features if frechet else "none"}  # fmt: skip
    for file, text in zip(files, (table_json(table, **about), table_csv(table)), strict=False):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text.encode())
    print(f"{len(dataset)} photos at {options.size} × {options.size}")
    print(format_table(table, width=shutil.get_terminal_size().columns))
    for file in files:
        print(f"written: {file}")
    return _report(len(dataset), dataset.skipped, "measured")


def _add_weights(parser: argparse.ArgumentParser, default: str | list[str] = "best", **options) -> None:
    parser.add_argument("--weights", default=default, metavar="NAME", **options,
                        help=f"{WEIGHTS_HELP} (default: the best that come with the library)")  # fmt: skip


def _add_device(parser) -> None:
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, mps (default: the fastest that is there)"
    )


def _report(done: int, failures: list[str], verb: str, there: int = 0, grey: int = 0) -> int:
    """Print the summary; returns the exit code."""
    for failure in failures:
        print(f"skipped: {failure}", file=sys.stderr)
    parts = [f"{done} {'photo' if done == 1 else 'photos'} {verb}"]
    parts += [f"{there} there already (--overwrite makes them anew)"] if there else []
    parts += [f"{grey} near-grey left out (--keep-grey keeps them)"] if grey else []
    parts += [f"{len(failures)} skipped"] if failures else []
    print(", ".join(parts))
    return 0 if not failures else 1 if done or there else 2


if __name__ == "__main__":
    sys.exit(main())
