"""The panels, plots and sliders of the lessons.  The only modules that need matplotlib and IPython."""

from colorize_lib.color import to_rgb

from .blind_test import BlindTest, blind_test, blind_test_score
from .html import before_after, slider
from .lesson import PROFILES, Lesson
from .plots import draw_unet, show, to_image
from .style import ACCENT, INK, SOFT, STYLE
from .widgets import colour_uploads, hint_box

__all__ = [
    "ACCENT",
    "INK",
    "PROFILES",
    "SOFT",
    "STYLE",
    "BlindTest",
    "Lesson",
    "before_after",
    "blind_test",
    "blind_test_score",
    "colour_uploads",
    "draw_unet",
    "hint_box",
    "show",
    "slider",
    "to_image",
    "to_rgb",
]
