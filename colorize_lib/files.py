"""Files written whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, which keeps what a killed process left
    fcntl = None

_PREFIX, _SUFFIX = ".colorize-", ".part"  # short: the file's own name may be as long as a name can be


def write_whole(path: Path, data: bytes, modified: int | None = None) -> None:
    """Write a file under a temporary name beside it, then rename: a reader never sees half of it.

    The data are on the disk before the name is, so that a power cut leaves the old file or the new one.

    Args:
        path: file to write, or to replace.
        data: its content.
        modified: its modification date, in nanoseconds since 1970; None: now.
    """
    with temporary(path.parent) as (file, part):
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        if modified is not None:
            os.utime(part, ns=(modified, modified))
        publish(file, part, path)


@contextmanager
def temporary(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file and its name, for this block alone: it is deleted at the end if `publish` did not rename it.

    Those that killed processes left in the folder are deleted; a process that lives holds a lock on its own.
    """
    _sweep(folder)
    while True:
        part = folder / f"{_PREFIX}{secrets.token_hex(6)}{_SUFFIX}"
        file = part.open("xb")
        with suppress(OSError):  # a disk without locks; no process sweeps it, either
            _lock(file)
        if part.exists():  # not swept before it was locked
            break
        file.close()
    try:
        with file:
            yield file, part
    finally:
        part.unlink(missing_ok=True)


def publish(file: BinaryIO, part: Path, path: Path) -> None:
    """Give a temporary file its final name."""
    if fcntl is None:
        file.close()  # Windows renames no open file
    os.replace(part, path)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; Windows has no such call, and needs none."""
    if os.name != "nt":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@lru_cache  # once is enough for a process that fills a folder
def _sweep(folder: Path) -> None:
    for part in folder.glob(f"{_PREFIX}*{_SUFFIX}") if fcntl else ():
        with suppress(OSError), part.open("r+b") as file:
            _lock(file)
            part.unlink()


def _lock(file: BinaryIO) -> None:
    """Lock a file until it is closed, or raise OSError if another holds it."""
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
