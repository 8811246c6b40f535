"""colorize …: which command is meant, and what becomes of an error."""

import argparse
import difflib
import os
import sys
import warnings
from pathlib import Path

from .colour import colorize, photo_parser
from .console import make_printable, say
from .doctor import doctor, doctor_parser
from .evaluate import evaluate, evaluate_parser
from .export import export, export_parser
from .serve import serve, serve_parser
from .train import train, train_parser


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
        remedy = ": this needs PyTorch: pip install torch torchvision"
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
