"""Files from the network: resumed, checked, whole or not there; archives that stay inside their folder.

No server is trusted: whatever it sends becomes the file that was asked for, or one sentence.
"""

import hashlib
import shutil
import sys
import tarfile
import tempfile
import urllib.request
import zlib
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import HTTPError

from filelock import FileLock, Timeout
from tqdm.auto import tqdm

MOST_BYTES = 16 << 30  # of a file whose size nobody tells: an endless answer must not fill the disk
_FIRST = 1 << 20  # bytes whose MD5 fastai notes down of its archives


class DownloadError(ConnectionError):
    """A download that failed; its text is one sentence that names the address."""


Known = tuple[int, str]  # a file's size, and the MD5 of its first 2²⁰ bytes


def download(url: str, path: Path, known: Known | None = None) -> Path:
    """Download to `path`, resuming from `path.part` if an earlier try left one.

    Args:
        url: address of the file.
        path: file to write; one that is there is returned as it is.
        known: size in bytes, and MD5 of the first 2²⁰ bytes, of the right file; None: not known.

    Raises:
        DownloadError: if it fails.  What has arrived is kept for the next try, unless it is wrong.
    """
    part = path.with_name(path.name + ".part")
    try:
        with FileLock(path.with_name(path.name + ".lock"), timeout=0):
            if not path.exists():
                _fetch(url, part, known)
                part.replace(path)
    except Timeout:
        raise DownloadError(
            f"{url} is being downloaded by another program: wait until it has finished"
        ) from None
    return path


def _fetch(url: str, part: Path, known: Known | None) -> None:
    """Fill `part` with the whole file, and check it."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            total = _receive(answer, url, part, have, known[0] if known else 0)
    except HTTPError as error:
        if error.code != 416:  # 416: there is nothing left to fetch
            raise DownloadError(f"{url} could not be downloaded ({_line(error)}): try again later") from error
        total = _whole_size(error.headers) or (known[0] if known else have)
    except DownloadError:
        raise
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a number that is none
        raise DownloadError(
            f"{url} could not be downloaded ({_line(error)}): call again to resume the download"
        ) from error
    have = part.stat().st_size
    if total and have < total:
        raise DownloadError(
            f"{url} broke off at {have:,} of {total:,} bytes: call again to resume the download"
        )
    if total and have > total or known and known != fingerprint(part):
        part.unlink()
        raise DownloadError(
            f"{url} sent another file than the one that is wanted (its size or its checksum differs); it was "
            "deleted: call again later, or from another network"
        )


def _receive(answer: Any, url: str, part: Path, have: int, size: int) -> int:
    """Write an answer of a server to `part`, or append it if it is the rest of the file.

    Args:
        size: size of the whole file in bytes; 0: not known.

    Returns:
        The size of the whole file, in bytes; 0 if nobody tells it.
    """
    if answer.headers.get_content_type() == "text/html":
        raise DownloadError(
            f"{url} sent a web page instead of the file: if your network asks for a login, log in first"
        )
    start = have if answer.status == 206 else 0
    if start and not answer.headers.get("Content-Range", f"bytes {start}-").startswith(f"bytes {start}-"):
        raise DownloadError(f"{url} sent another part than the one that was asked for: try again later")
    length = int(answer.headers.get("Content-Length", 0))
    if length < 0:
        raise ValueError(f"a length of {length}")
    total = length + start if length else size
    if size and total != size:
        raise DownloadError(f"{url} has {total:,} bytes, and the right file {size:,}: try again later")
    if (room := shutil.disk_usage(part.parent).free) < total - start:
        raise DownloadError(
            f"{url} has {(total - start) / 1e9:.1f} GB to go, and the disk room for {room / 1e9:.1f}: make room in {part.parent}"
        )
    left = (total or MOST_BYTES) - start
    bar = tqdm(total=total or None, initial=start, unit="B", unit_scale=True, desc=part.stem, file=sys.stdout)
    with part.open("ab" if start else "wb") as file, bar:
        while block := answer.read(1 << 20):
            left -= len(block)
            if left < 0:
                break
            file.write(block)
            bar.update(len(block))
    if left < 0:
        part.unlink()
        raise DownloadError(f"{url} does not end where it should; what arrived was deleted: try again later")
    return total


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _whole_size(headers: Any) -> int:
    """The size that stands behind the slash of Content-Range; 0 without one."""
    size = headers.get("Content-Range", "").rpartition("/")[2]
    return int(size) if size.isdecimal() else 0


def fingerprint(path: Path) -> Known:
    """A file's size in bytes, and the MD5 of its first 2²⁰ bytes."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.md5(file.read(_FIRST), usedforsecurity=False).hexdigest()


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the files of a tar archive into a new folder, whole or not at all.

    Links and devices are left out.  A folder in which all else lies is left out of the paths.

    Raises:
        OSError: if the archive is damaged or empty, or a file would lie outside the folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".colorize-") as place:
        inside = Path(place, "inside")
        inside.mkdir()
        try:
            with tarfile.open(archive) as tar:
                for member in filter(tarfile.TarInfo.isfile, tar):
                    _write_member(tar, member, inside)
            only = list(inside.iterdir())
            if not only:
                raise ValueError("there is no file in it")
        except (tarfile.TarError, EOFError, zlib.error, ValueError, OSError) as error:
            raise OSError(
                f"{archive} cannot be unpacked ({error}): delete it, and download it again"
            ) from error
        (only[0] if len(only) == 1 and only[0].is_dir() else inside).rename(folder)
    return folder


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    name = PurePosixPath(member.name.replace("\\", "/"))
    if not name.parts or name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
        raise ValueError(f"{member.name} would lie outside its folder")
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    assert content is not None  # it is a file
    with target.open("wb") as file:
        shutil.copyfileobj(content, file)
