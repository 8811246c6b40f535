"""A lesson's size, device and stopwatch."""

import os
import time
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib_inline.backend_inline import set_matplotlib_formats

from colorize_lib.data import fetch_photos, sample_photos
from colorize_lib.devices import default_device
from colorize_lib.photos.folders import find_photos

from ..figures import sharp_figures
from .style import STYLE

PROFILES = ("quick", "long", "full")


class Lesson:
    """A lesson's size and its stopwatch.

    Reads COLORIZE_PROFILE and sets the figure style.  Prints how the outputs of
    the lesson were made: profile, device, versions, date.

    - `quick`, the default without a GPU: at most a minute and a half on two cores.
    - `long`: the same photos, longer training, for patient readers without a GPU.
    - `full`, the default with a GPU: thousands of photos, and the article's schedule.

    Args:
        title: name of the lesson, for the printed lines.
        seed: random seed for the lesson.

    Attributes:
        profile: `quick`, `long` or `full`.
        device: device on which the lesson computes.

    Raises:
        ValueError: for an unknown profile.
    """

    def __init__(self, title: str, seed: int = 0):
        self.title, self.device, self._start = title, default_device(), time.monotonic()
        profile = os.environ.get("COLORIZE_PROFILE") or ("quick" if self.device.type == "cpu" else "full")
        if profile not in PROFILES:
            raise ValueError(f"COLORIZE_PROFILE is one of {', '.join(PROFILES)}, not '{profile}'")
        self.profile = profile
        plt.rcParams.update(STYLE)  # pyright: ignore[reportCallIssue, reportArgumentType]  # wants literal keys
        set_matplotlib_formats("jpeg")
        sharp_figures(STYLE["figure.dpi"])
        torch.manual_seed(seed)
        print(f"{title}: profile {profile}, device {self.device}, torch {torch.__version__}, {date.today()}")

    def pick(self, quick: Any, long: Any, full: Any) -> Any:
        """The value for this profile."""
        return {"quick": quick, "long": long, "full": full}[self.profile]

    def photos(self) -> tuple[list[Path], list[Path]]:
        """Photos to train on, and photos to validate with.

        Validation photos are always sample photos.  Training photos are sample
        photos, too, or those in the folder that COLORIZE_PHOTOS names; in the full
        profile they are Imagenette's, which is downloaded once.  If that fails, a
        sentence says so, and the sample photos are used.
        """
        train, valid = sample_photos("train"), sample_photos("val")
        try:
            if folder := os.environ.get("COLORIZE_PHOTOS"):
                train = find_photos(folder)
            elif self.profile == "full":
                train = fetch_photos("imagenette")
        except OSError as error:
            print(f"Training uses the sample photos alone, because {error}")
        return train, valid

    def end(self) -> None:
        """Print how long the lesson took, from its first cell to here."""
        print(f"{self.title}: {(time.monotonic() - self._start) / 60:.1f} minutes")
