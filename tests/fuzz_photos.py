"""A coverage-guided fuzz of open_photo: python tests/fuzz_photos.py CORPUS -max_total_time=480 -rss_limit_mb=2000

Needs atheris.  Whatever the bytes, the photo is read, or one `PhotoError` says why not.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["colorize_lib", "PIL", "tifffile"]):
    from colorize_lib.photos import PhotoError, open_photo, read_photo, save_photo

FOLDER = TemporaryDirectory()
FILE, COPY = Path(FOLDER.name) / "photo", Path(FOLDER.name) / "copy.png"


def read(data: bytes) -> None:
    FILE.write_bytes(data)
    try:
        rgb = open_photo(FILE, max_pixels=1_000_000)
    except PhotoError as error:
        assert str(FILE) in str(error)
        assert "\n" not in str(error)
        return
    assert rgb.ndim == 3
    assert rgb.shape[2] == 3
    assert rgb.dtype.kind == "u"
    assert rgb.size <= 3_000_000
    pixels, about = read_photo(FILE, max_pixels=1_000_000)
    save_photo(COPY, pixels[:8, :8], like=about, overwrite=True)


atheris.Setup(sys.argv, read)
atheris.Fuzz()
