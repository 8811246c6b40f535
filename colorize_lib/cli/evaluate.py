"""colorize evaluate: a table of numbers for weights."""

import argparse
import math
import shutil
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import say

if TYPE_CHECKING:
    from ..data import PhotoDataset
    from ..metrics import Row, Table
    from ..models import Generator
from .options import add_device, add_weights, as_path, report


def evaluate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "colorize evaluate",
        description="Colour a folder of colour photos from their lightness alone, and measure how far the colours "
        "are from the true ones, beside grey and beside the photos' mean colour. Measured are the colours that "
        "`colorize` paints, the factor that some weights bring for them included.",
    )
    parser.add_argument("folder", type=as_path, metavar="FOLDER", help="colour photos, subfolders included")
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
        "those of Inception, as in published FIDs, downloaded once (needs the extra fid); or none, which is "
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
        "--sources",
        action="store_true",
        help="print a table for each source of photos, too: a photo's source is its subfolder of FOLDER or, in FOLDER "
        "itself, what its name has before the first _; with --match, also how far NAME with its factor is ahead of "
        "OTHER, with 95 %% intervals from photos drawn anew (minutes, with a Fréchet distance of many photos)",
    )
    parser.add_argument(
        "-o", "--out", type=as_path, metavar="NAME", help="write the table to NAME.json and NAME.csv, too"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace NAME.json and NAME.csv if they exist"
    )
    add_weights(parser, nargs="+", default=["best"])
    add_device(parser)
    return parser


def evaluate(options: argparse.Namespace) -> int:
    from torch.utils.data import DataLoader

    from ..data import LabLoader, PhotoDataset
    from ..devices import default_device
    from ..metrics import ALL, evaluate
    from ..metrics.frechet import Frechet
    from ..metrics.tables import format_table, with_shares
    from ..photos.folders import find_photos

    files = _table_files(options.out, options.overwrite)
    device = default_device(options.device)
    generators = {name: network.to(device) for name, network in _generators(options.weights).items()}
    frechet = None if options.frechet == "none" else Frechet(device, options.frechet)
    dataset = PhotoDataset(find_photos(options.folder), options.size, progress=True)
    if len(dataset) == 1 and options.frechet != "none":
        raise ValueError(f"{options.folder} has one photo, and a Fréchet distance needs two: --frechet none")
    batches = LabLoader(DataLoader(dataset, batch_size=options.batch_size), device)
    rows = evaluate(generators, batches, frechet=frechet, metrics=ALL, match=options.match, progress=True)
    table = with_shares(rows)
    about = {"photos": len(dataset), "size": options.size, "date": date.today().isoformat()}
    about["frechet_features"] = frechet.features if frechet else "none"
    parts = _parts(rows, dataset, options) if options.sources else {}
    _write_table(table, files, about | parts)  # before it is printed, which can fail on some terminals
    say(f"{len(dataset)} photos at {options.size} × {options.size}")
    say(format_table(table, width=shutil.get_terminal_size().columns))
    _print_parts(**parts)
    if math.isnan(table["grey"]["of_grey"]):
        say("These photos are grey: there is no colour to compare with, and the numbers mean little.")
    for file in files:
        say(f"written: {file}")
    return report(len(dataset), dataset.skipped, "measured")


def _parts(rows: "dict[str, Row]", dataset: "PhotoDataset", options: argparse.Namespace) -> dict[str, Any]:
    """What --sources adds to the table's file, and prints."""
    from ..metrics.sources import by_source, leads, source_of
    from ..metrics.tables import with_shares

    sources = [source_of(photo, options.folder) for photo in dataset.photos]
    tables = {source: with_shares(table) for source, table in by_source(rows, sources).items()}
    parts = {"sources": {name: {"photos": sources.count(name), "table": tables[name]} for name in tables}}
    if not options.match:
        return parts
    one, other = list(rows)[-2], options.match[1]  # the row of --match stands before the truth
    return parts | {"leads": {"of": one, "over": other, "by source": leads(rows[one], rows[other], sources)}}


def _print_parts(sources: dict[str, Any] | None = None, leads: dict[str, Any] | None = None) -> None:
    from ..metrics.sources import LEAD_COLUMNS
    from ..metrics.tables import format_leads, format_table

    for name, part in (sources or {}).items():
        say(f"\n{name} ({part['photos']})")
        say(format_table(part["table"], columns=(*LEAD_COLUMNS, "of_grey", "of_true")))
    if leads:
        say(f"\n{leads['of']} − {leads['over']} ± 1.96 standard errors: a lead within ± may be chance")
        say(format_leads(leads["by source"]))


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
    from ..files import write_whole
    from ..metrics.tables import table_csv, table_json

    for file, text in zip(files, (table_json(table, **about), table_csv(table)), strict=False):
        write_whole(file, text.encode())


def _generators(weights: list[str]) -> dict[str, "Generator"]:
    """The generators of --weights, under the names of their rows.

    A row is named after the bundled weights, the run's folder or the file; if that
    name is taken, after the full argument.
    """
    from ..checkpoints import load_generator
    from ..metrics import BASELINES
    from ..weights import HUB_FILE, find_weights

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
