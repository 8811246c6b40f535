"""A photo to point at in a notebook: each point is a hint.  See point_at.js."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets
from PIL import Image, ImageColor

from colorize_lib.color import fit_to_gamut, lab_to_rgb
from colorize_lib.colorizer import Colorizer
from colorize_lib.hints import Hint, HintError
from colorize_lib.photos import resize_photo

MOST = 640  # pixels of the longer side, as it is shown


class HintBox(anywidget.AnyWidget):
    """A photo that is coloured anew whenever its hints change.

    Args:
        colorizer: the colorizer to use.
        photo: photo, (H, W, 3) uint8.
        hints: hints to begin with.

    Attributes:
        points: the hints as the page has them: {"x", "y": shares of the photo, "colour": "#rrggbb"}.
        picture: the coloured photo, a PNG file's bytes.
        said: what is wrong, in a sentence, or nothing.
    """

    _esm = Path(__file__).with_name("point_at.js")
    points = traitlets.List().tag(sync=True)
    picture = traitlets.Bytes().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)

    def __init__(self, colorizer: Colorizer, photo: np.ndarray, hints: Sequence[Hint] = (), **options: Any):
        height, width = photo.shape[:2]
        scale = min(1, MOST / max(height, width))
        small = resize_photo(photo, max(1, round(height * scale)), max(1, round(width * scale)))
        self._colorizer, self._small = colorizer, small
        points = []
        for hint in hints:
            x, y = hint.pixel(width, height)
            points.append({"x": (x + 0.5) / width, "y": (y + 0.5) / height, "colour": _hex(hint)})
        super().__init__(points=points, **options)
        self.observe(self._colour, "points")
        self._colour()

    def __repr__(self) -> str:
        return "A photo to point at.  It needs a notebook with widgets, such as JupyterLab, and a running kernel."

    @property
    def hints(self) -> list[Hint]:
        """The hints that are set now."""
        return [Hint(float(point["x"]), float(point["y"]), point["colour"]) for point in self.points]

    def _colour(self, _: object = None) -> None:
        try:
            coloured = self._colorizer(self._small, hints=self.hints)
        except HintError as error:
            self.said = str(error)
            return
        buffer = BytesIO()
        Image.fromarray(coloured).save(buffer, "PNG")
        with self.hold_sync():
            self.said, self.picture = "", buffer.getvalue()


def _hex(hint: Hint) -> str:
    """A hint's colour as #rrggbb; that of an (a*, b*) at a middle lightness."""
    if isinstance(hint.colour, str):
        rgb = ImageColor.getrgb(hint.colour)[:3]
    else:
        lab = torch.tensor([60.0, *hint.ab()])[None, :, None, None]
        rgb = lab_to_rgb(fit_to_gamut(lab)).mul(255).round().int().flatten().tolist()
    return "#{:02x}{:02x}{:02x}".format(*rgb)
