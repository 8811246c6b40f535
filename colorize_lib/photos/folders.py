"""The photos in a folder."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .reading import SUFFIXES

Photos = str | Path | Iterable[str | Path]  # a folder, or photos

# Folders in which a system keeps thumbnails, deleted files and other copies, beside those that are hidden.
_SYSTEM = {
    "@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot",  # Synology, QNAP
    "$recycle.bin", "recycler", "system volume information", "__macosx", "lost+found",
}  # fmt: skip
HINTS = ".hints.json"  # what a file of hints has in place of its photo's suffix
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")  # of a JPEG, a PNG, a TIFF
RUN_FILE = "colorize-run.json"  # every training run has one in its folder


class Contents(NamedTuple):
    """What is in a folder and its subfolders, but for what is hidden, and for folders of the system."""

    photos: list[Path]
    others: Counter[str]  # {suffix: files that are not looked at}
    unreadable: list[Path]  # folders
    left_out: list[Path]  # folders


def find_photos(folder: str | Path, *more: str | Path) -> list[Path]:
    """All image files in folders and their subfolders, linked ones too, sorted.

    What is hidden is left out, and so are folders of the system, such as a NAS's thumbnails (`@eaDir`), and the
    sample pictures of training runs, which must not learn from them.
    A file without a suffix is an image file if it begins like a JPEG, PNG or TIFF.

    Args:
        folder, more: one folder or several.

    Returns:
        Each photo once, the photos of the first folder first.

    Raises:
        FileNotFoundError: if there is no such folder, or no photo in one of them.
    """
    found: dict[Path, None] = {}
    for each in (folder, *more):
        inside = look_through(each, leave_out=_are_samples)
        if not inside.photos:
            but = " but the sample pictures of training runs" if inside.left_out else ""
            raise FileNotFoundError(f"{each} holds no photos{but} ({', '.join(sorted(SUFFIXES))})")
        found |= dict.fromkeys(inside.photos)
    return list(found)


def list_photos(photos: Photos) -> list[Path]:
    """What is given where photos are meant: a folder's photos, one photo, or a list of photos and of folders.

    Raises:
        FileNotFoundError: if there is no such folder or file, or no photo in a folder.
        TypeError: for what is no path.
    """
    if isinstance(photos, (str, os.PathLike)):
        path = Path(photos)
        return [path] if path.is_file() else find_photos(path)
    paths = []
    for photo in photos:
        if not isinstance(photo, (str, os.PathLike)):
            raise TypeError(f"photos are given by their paths, or as a folder, not as {type(photo).__name__}")
        paths += find_photos(photo) if os.path.isdir(photo) else [Path(photo)]
    return paths


def _are_samples(folder: Path) -> bool:
    """Whether a folder holds the sample pictures of a training run."""
    real = Path(os.path.realpath(folder))
    run = real.parent
    older = (run / "history.csv").is_file() and (run / "state").is_dir()  # than version 0.2
    return real.name == "samples" and (older or (run / RUN_FILE).is_file())


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
    found = Contents([], Counter(), [], [])
    for path in _files(folder, leave_out, found):
        suffix = path.suffix.lower()
        if path.is_file() and (suffix in SUFFIXES or not suffix and _begins_like_a_photo(path)):
            found.photos.append(path)
        elif not path.name.endswith(HINTS):
            found.others[suffix or "no suffix"] += 1
    found.photos.sort()
    return found


def is_passed_over(name: str) -> bool:
    """Whether a name is that of a hidden file or folder, or of a folder of the system."""
    return name.startswith(".") or name.lower() in _SYSTEM


def _files(folder: Path, leave_out: Callable[[Path], bool] | None, found: Contents) -> Iterator[Path]:
    """The files below a folder; folders that are not looked into are noted in `found`."""
    seen, waiting, links = set(), [folder], []
    while waiting or links:
        here = waiting.pop() if waiting else links.pop(0)
        if (place := os.path.realpath(here)) in seen:
            continue
        seen.add(place)
        if leave_out and here != folder and leave_out(here):
            found.left_out.append(here)
            continue
        try:
            entries = sorted(entry.name for entry in os.scandir(here) if not is_passed_over(entry.name))
        except OSError:
            found.unreadable.append(here)
            continue
        for path in (here / name for name in entries):
            if path.is_dir():
                (links if path.is_symlink() else waiting).append(path)
            else:
                yield path


def _begins_like_a_photo(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(8).startswith(_STARTS)
    except OSError:
        return False
