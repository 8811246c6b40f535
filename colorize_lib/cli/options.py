"""What several commands share: paths, weights, devices, and the last line."""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from .console import say

WEIGHTS_HELP = (
    "l1 or adversarial, which come with the library; a generator.safetensors; a run's folder; "
    "or a Hugging Face Hub id, hf-hub:OWNER/NAME"
)


def as_path(text: str) -> Path:
    """A path as a user types it; `--out=~/photos` reaches us with its ~, which the shell leaves there."""
    if text == "-":
        raise argparse.ArgumentTypeError("pipes are not taken: save the photo to a file, and give its name")
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text} is an address, and this takes files: download it first")
    return Path(as_name(text))


def as_name(text: str) -> str:
    if not text:  # for Python, the working directory
        raise argparse.ArgumentTypeError("an empty name: give a file or a folder, or . for this folder")
    return os.path.expanduser(text) if text.startswith("~/") and not os.path.lexists("~") else text


def add_weights(parser: argparse._ActionsContainer, default: str | list[str] = "best", **options) -> None:
    parser.add_argument(
        "--weights",
        type=as_name,
        default=default,
        metavar="NAME",
        **options,
        help=f"{WEIGHTS_HELP} (default: the best that come with the library)",
    )


def add_device(parser, default: str = "the fastest that is there") -> None:
    parser.add_argument("--device", metavar="NAME", help=f"cpu, cuda, mps (default: {default})")


def report(
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
    parts = [f"{count(done, 'photo')} {verb}"]
    parts += [f"{count} {note}" for note, count in counts.items() if count]
    if passed_over:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(passed_over.items()))
        parts += [f"{count(passed_over.total(), 'file')} passed over for their suffix ({kinds})"]
    say(", ".join(parts))
    return 0 if not failures else 1 if done or existing else 2


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
