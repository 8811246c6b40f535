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
    parser.add_argument(
        "--steps",
        type=as_path,
        metavar="DIR",
        help="the whole way in three graphs that take some rows at "
        "a time, and so need little memory: the web page runs them",
    )
    parser.add_argument(
        "--half", action="store_true", help="weights stored as float16: half the size, at a small loss"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    add_weights(parser)
    return parser


def export(options: argparse.Namespace) -> int:
    from ..graphs.export import STEPS, export_network, export_photo, export_steps

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
