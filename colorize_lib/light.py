"""Photos in colour without PyTorch: numpy and onnxruntime run the graphs of `export`.

There is no colour mathematics here: the graphs were traced from the library's own.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnxruntime

BAND = 1 << 18  # pixels at a time


class LightColorizer:
    """Colours 8-bit photos with the three graphs that `colorize export --steps DIR` writes.

    Args:
        folder: folder with the graphs.

    Raises:
        FileNotFoundError: if one of them is missing.
        ImportError: without onnxruntime.

    Example:
        >>> coloured = LightColorizer("graphs")(np.asarray(Image.open("old.jpg").convert("RGB")))
    """

    def __init__(self, folder: str | Path):
        import onnxruntime

        paths = {name: Path(folder) / f"{name}.onnx" for name in ("lightness", "colours", "paint")}
        for path in paths.values():
            if not path.is_file():
                raise FileNotFoundError(f"{path} is missing: colorize export --steps {folder} writes it")
        sessions = {name: onnxruntime.InferenceSession(path) for name, path in paths.items()}
        self.lightness, self.colours, self.paint = (_runner(session) for session in sessions.values())
        self.resolution = json.loads(sessions["colours"].get_modelmeta().custom_metadata_map["resolution"])

    def __call__(
        self, photo: np.ndarray, *, saturation: float = 1.0, resolution: int | None = None
    ) -> np.ndarray:
        """Colour a photo, by its lightness alone.

        Args:
            photo: (H, W, 3) or (H, W, 4) uint8, sRGB.
            saturation: factor for the chroma.
            resolution: overrides the resolution that the graphs name.

        Returns:
            The same shape and type, in colour.
        """
        if photo.ndim != 3 or photo.shape[2] not in (3, 4) or photo.dtype != np.uint8 or not photo.size:
            raise ValueError(f"expected (H, W, 3) or (H, W, 4) uint8, got {photo.shape} {photo.dtype}")
        height, width, channels = photo.shape
        scale = (resolution or self.resolution) / math.sqrt(height * width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        step = max(1, BAND // width)
        bands = [slice(top, top + step) for top in range(0, height, step)]

        L = np.concatenate(
            [self.lightness(photo=_rgba(photo[band]), width=np.array(size[1]))[0] for band in bands]
        )
        planes, rows = self.colours(L=L, size=np.array(size), width=np.array(width))
        coloured = np.empty_like(photo)
        for band in bands:
            feeds = {"planes": planes, "rows": rows[band], "saturation": np.array(saturation, np.float32)}
            coloured[band] = self.paint(photo=_rgba(photo[band]), **feeds)[0][..., :channels]
        return coloured


def _runner(session: "onnxruntime.InferenceSession") -> Callable[..., Sequence[np.ndarray]]:
    return lambda **feeds: session.run(None, feeds)  # pyright: ignore[reportReturnType]  # here all are arrays


def _rgba(photo: np.ndarray) -> np.ndarray:
    if photo.shape[2] == 4:
        return np.ascontiguousarray(photo)
    return np.pad(photo, ((0, 0), (0, 0), (0, 1)), constant_values=255)
