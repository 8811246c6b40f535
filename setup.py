"""The package's page shows README, whose links must be whole there; pyproject.toml says everything else."""

import sys
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import address  # noqa: E402

from colorize_lib import __version__  # noqa: E402

readme = (ROOT / "README.md").read_text(encoding="utf-8")
setup(
    long_description=address.absolute(readme, f"v{__version__}"),
    long_description_content_type="text/markdown",
)
