"""Which photo is coloured, and where the result goes."""

import glob
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ..photos import FORMATS, writable_path
from ..photos.folders import is_passed_over, look_through


@dataclass
class Plan:
    """Which photos are coloured, and what becomes of the other files."""

    targets: dict[Path, Path] = field(default_factory=dict)  # {photo: its result}
    existing: int = 0  # results that are not replaced
    failures: list[str] = field(default_factory=list)  # a sentence for each photo that cannot be coloured
    passed_over: Counter[str] = field(default_factory=Counter)  # {suffix: files that are not looked at}


def plan(given: Iterable[Path], out: Path, overwrite: bool = False, suffix: str | None = None) -> Plan:
    """Find the photos, and a place for each in colour.

    Args:
        given: photos, folders of them, or patterns such as `*.jpg`, which some shells do not expand.
        out: the folder for the results.  If it lies in one of the folders, or is reached from
            there by a link, what is in it is our own work, and no photo.
        overwrite: replace existing results; photos are never replaced.
        suffix: suffix of the results, such as ".png"; None: the photo's own, if it can be written.
    """
    made = Plan()
    found = _found(given, out, suffix, made)
    photos, taken = {identity(photo) for photo in found} - {None}, set()
    for photo, target in sorted(found.items(), key=lambda pair: pair[0].name != pair[1].name):
        if target in taken and target.suffix != photo.suffix:  # old.gif beside old.png
            target = target.with_name(photo.name + target.suffix)
        if target in taken:
            made.failures.append(
                f"{photo} would overwrite the coloured version of another photo of that name"
            )
        elif identity(target) in photos:
            made.failures.append(
                f"{photo} would be overwritten by its own coloured version: choose another DIR"
                if target.samefile(photo)
                else f"the coloured {photo} would overwrite the photo {target}: choose another DIR"
            )
        elif os.path.lexists(target) and not overwrite:
            made.existing += 1
        else:
            made.targets[photo] = target
        taken.add(target)
    made.targets = {photo: made.targets[photo] for photo in found if photo in made.targets}
    return made


def _found(given: Iterable[Path], out: Path, suffix: str | None, made: Plan) -> dict[Path, Path]:
    """{photo: its result}, each photo once; what cannot be looked through is noted in `made`."""
    found, seen = {}, set()
    for path in (path for pattern in given for path in _expand(pattern)):
        try:
            for photo in _photos(path, out, made):
                key = os.path.join(os.path.realpath(photo.parent), photo.name)
                if key not in seen:  # not given twice
                    seen.add(key)
                    found[photo] = _target(photo, path, out, suffix)
        except OSError as error:
            made.failures.append(str(error) if error.errno is None else f"{path}: {error.strerror}")
    return found


def _expand(given: Path) -> list[Path]:
    if os.path.lexists(given) or not glob.has_magic(str(given)):
        return [given]
    folder = next((parent for parent in given.parents if os.path.lexists(parent)), Path())
    # Only what does not exist is a pattern: a folder may be called [2020].
    pattern = os.path.join(glob.escape(str(folder)), given.relative_to(folder))
    found = map(Path, glob.glob(pattern, recursive=True))
    return sorted(path for path in found if not any(map(is_passed_over, {*path.parts} - {*given.parts}))) or [
        given
    ]


def _photos(given: Path, out: Path, made: Plan) -> list[Path]:
    if not given.is_dir():
        return [given]
    ours = lru_cache(maxsize=None)(lambda folder: _lies_in(folder, out))
    if identity(given) == identity(out):
        raise FileExistsError(f"{given} is the folder of the photos, and results in it would be taken for photos: "
                              "choose another DIR")  # fmt: skip
    around = ours(given)  # then the results go above the photos, and are not among them
    inside = look_through(given, leave_out=None if around else ours)
    made.passed_over += inside.others
    made.failures += [f"{folder} may not be read: check its permissions" for folder in inside.unreadable]
    if not inside.photos:
        raise FileNotFoundError(
            f"{given} holds no photos" + (" but its own results" if inside.left_out else "")
        )
    return inside.photos


def _lies_in(folder: Path, out: Path) -> bool:
    """Whether a folder is `out` or lies in it, whatever the spelling of both, and by whatever links."""
    place = identity(out)
    real = Path(os.path.realpath(folder))
    return place is not None and any(identity(parent) == place for parent in (real, *real.parents))


def _target(photo: Path, given: Path, out: Path, suffix: str | None) -> Path:
    target = out / (photo.relative_to(given) if photo != given else photo.name)
    if suffix is None:
        return writable_path(target)
    return target if FORMATS.get(target.suffix.lower()) == FORMATS[suffix] else target.with_suffix(suffix)


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file or folder from all others, whatever it is called; None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
