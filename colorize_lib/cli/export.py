"""colorize export: weights as ONNX graphs."""

import argparse

from .options import add_weights, as_path


def export_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "colorize export", description="Write a generator as ONNX graphs, which take photos of any size."
    )
    parser.add_argument(
        "--onnx",
        type=as_path,
        metavar="FILE",
        help="the generator alone: L → ab, scaled as in colorize_lib.color",
    )
    parser.add_argument(
        "--photo",
        type=as_path,
        metavar="FILE",
        help="the whole way in one graph: RGBA in, RGBA in colour out, 8 bits",
    )
    parser.add_argument("--half", action="store_true", help="weights stored as float16: half the size")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    add_weights(parser)
    return parser


def export(options: argparse.Namespace) -> int:
    from ..engines.export import export_network, export_photo

    jobs = {options.onnx: export_network, options.photo: export_photo}
    jobs.pop(None, None)
    if not jobs:
        raise ValueError("nothing to write: give --onnx FILE or --photo FILE")
    for path in jobs:
        if path.exists() and not options.overwrite:
            raise FileExistsError(f"{path} exists already: choose another name, or --overwrite")
    for path, job in jobs.items():
        job(path, options.weights, half=options.half)
        print(f"written: {path}")
    return 0
