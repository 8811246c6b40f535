"""Printing that cannot fail: not by an old encoding, a name that is no text, or a closed pipe."""

import codecs
import os
import sys
import unicodedata
from contextlib import suppress
from typing import TextIO

from tqdm import tqdm

# A name may hold what moves the cursor, or colours the terminal; line ends and tabs are our own.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)}
_PLAIN = {"Δ": "d", "×": "x", "·": "*", "−": "-", "–": "-", "±": "+-", "→": "->", "’": "'"}


def make_printable() -> None:
    """Let stdout and stderr take any text: characters that their encoding lacks become the nearest ASCII letters.

    Bytes of a file name that are no text become their numbers: \\xdf.
    """
    codecs.register_error("nearest", _nearest)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # None, a notebook's, or closed
            stream.reconfigure(errors="nearest")  # pyright: ignore[reportAttributeAccessIssue]  # a TextIOWrapper's


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter, after = error.object[error.start], error.start + 1
    if "\udc80" <= letter <= "\udcff":  # how Python keeps a byte of a name that is no text
        return f"\\x{ord(letter) - 0xDC00:02x}", after
    plain = _PLAIN.get(letter) or unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return plain or "?", after


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line, above a progress bar if there is one; a stream that cannot be written raises nothing."""
    file = stream or sys.stdout
    try:
        tqdm.write(text.translate(_CONTROLS), file=file)
        file.flush()
    except OSError:  # no reader any more (`colorize … | head -1`), or a full disk: write nothing more
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
    except (ValueError, AttributeError):  # a closed or a missing stream
        pass
