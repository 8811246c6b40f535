"""The photos in a folder."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .photos import SUFFIXES


class Contents(NamedTuple):
    """What is in a folder and its subfolders, but for what is hidden."""

    photos: list[Path]
    others: Counter[str]  # {suffix: files that are no photos}
    unreadable: list[Path]  # folders
    left_out: list[Path]  # folders


def find_photos(folder: str | Path) -> list[Path]:
    """All image files in a folder and its subfolders, linked ones too, sorted; hidden ones are left out.

    Raises:
        FileNotFoundError: if there is no such folder, or no photo in it.
    """
    photos = look_through(folder).photos
    if not photos:
        raise FileNotFoundError(f"{folder} holds no photos ({', '.join(sorted(SUFFIXES))})")
    return photos


def look_through(folder: str | Path, leave_out: Callable[[Path], bool] | None = None) -> Contents:
    """What is in a folder and its subfolders, linked ones too, each once, under its own name if it has one.

    Args:
        folder: the folder.
        leave_out: says of a subfolder whether to leave it out.

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: check the path")
    photos, others, unreadable, left_out = [], Counter(), [], []
    seen, waiting, links = set(), [folder], []
    while waiting or links:
        here = waiting.pop() if waiting else links.pop(0)
        if (place := os.path.realpath(here)) in seen:
            continue
        seen.add(place)
        if leave_out and here != folder and leave_out(here):
            left_out.append(here)
            continue
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:
            unreadable.append(here)
            continue
        for entry in entries:
            path = here / entry.name
            if entry.name.startswith("."):
                continue
            if path.is_dir():
                (links if path.is_symlink() else waiting).append(path)
            elif path.suffix.lower() in SUFFIXES and path.is_file():
                photos.append(path)
            else:
                others[path.suffix.lower() or "no suffix"] += 1
    return Contents(sorted(photos), others, unreadable, left_out)
