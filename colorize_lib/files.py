"""Files written whole or not at all."""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, data: bytes, modified: int | None = None) -> None:
    """Write a file under a temporary name beside it, then rename: a reader never sees half of it.

    The data are on the disk before the name is, so that a power cut leaves the old file or the new one.

    Args:
        path: file to write, or to replace.
        data: its content.
        modified: its modification date, in nanoseconds since 1970; None: now.
    """
    # The temporary name is short: the file's own may be as long as a name can be.
    temporary = path.with_name(f".colorize-{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if modified is not None:
            os.utime(temporary, ns=(modified, modified))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; Windows has no such call, and needs none."""
    if os.name != "nt":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
