import os
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from colorize_lib.data import sample_photos
from colorize_lib.photos import open_photo

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test needs the network

# What --quick leaves out: whatever trains, runs a notebook or starts a server.
SLOW = [
    f"test_{name}.py"
    for name in (
        "bench",
        "browser",
        "cli",
        "examples",
        "faults",
        "lessons",
        "make",
        "page",
        "runs",
        "site",
        "training",
    )
]

# The kernels of the lessons are killed at the end, and leave their temporary folders: all go with this one.
TEMPORARY = tempfile.TemporaryDirectory(prefix="tests_", ignore_cleanup_errors=True)
os.environ["TMPDIR"] = TEMPORARY.name


def pytest_addoption(parser):
    parser.addoption(
        "--quick", action="store_true", help="leave out what trains, runs a notebook or starts a server"
    )


def pytest_ignore_collect(collection_path, config):
    return True if config.getoption("--quick") and collection_path.name in SLOW else None


def pytest_collection_modifyitems(items):
    """Notebooks and slow files first: shared out file by file, a long one at the end would keep one core alone."""
    items.sort(key=lambda item: item.path.suffix != ".ipynb" and item.path.name not in SLOW)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """One real photo, (H, W, 3) uint8."""
    return open_photo(ROOT / "data/samples/photos/lorikeet.jpg")


@pytest.fixture(scope="session")
def train_photos() -> list[Path]:
    return sample_photos("train")


@pytest.fixture(scope="session")
def valid_photos() -> list[Path]:
    return sample_photos("val")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    """The last line: how many tests were skipped because this machine lacks something, and how to get it."""
    yield
    reasons = [
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
    ]
    counts = Counter(reason for reason in reasons if reason.startswith("needs "))
    if counts:
        told = "; ".join(
            f"{count} that need {reason.removeprefix('needs ')}" for reason, count in counts.most_common()
        )
        terminalreporter.write_line(f"Tests that were skipped: {told}", yellow=True)
