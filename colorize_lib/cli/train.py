"""colorize train: a generator, trained on a folder of photos."""

import argparse
import os
import warnings
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from .console import say

if TYPE_CHECKING:
    from ..models import Generator
    from ..training.runs import Method
from .options import WEIGHTS_HELP, add_device, as_name, as_path, report


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
    group.add_argument("folder", type=as_path, metavar="FOLDER", help="colour photos, subfolders included")
    group.add_argument(
        "--stage",
        metavar="NAME",
        help="l1: pretraining on the colour error; adversarial: against a discriminator (default: l1)",
    )
    group.add_argument("--out", type=as_path, required=True, metavar="DIR", help="the run's folder")
    group.add_argument(
        "--from", dest="start", type=as_name, metavar="NAME", help=f"weights to start from: {WEIGHTS_HELP}"
    )
    group.add_argument("--resume", action="store_true", help="resume the run in DIR")
    group.add_argument(
        "--valid",
        type=as_path,
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
        "--cache", type=as_path, metavar="DIR", help="folder for the decoded photos (default: in memory)"
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
    add_device(group)


def train(options: argparse.Namespace) -> int:
    from accelerate import PartialState

    from ..data import make_dataloaders, split_photos
    from ..devices import default_device, seeded
    from ..photos.folders import find_photos
    from ..training import RECIPES, check_size, fit, options_of, without

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
    return report(sum(photos), skipped, "used", {"near-grey left out (--keep-grey keeps them)": grey})


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
    from ..checkpoints import load_generator
    from ..models import ChromaUnet, build_generator
    from ..models.imagenet import RandomEncoder

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
    from ..models import FeatureDiscriminator, PatchDiscriminator
    from ..training import METHODS, options_of

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
