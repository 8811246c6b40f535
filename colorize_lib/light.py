"""Photos in colour without PyTorch: numpy and onnxruntime run the graphs of `export`.

There is no colour mathematics here: the graphs were traced from the library's own.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .inference import NO_NUMBERS, STEPS, check_resolution, check_saturation, colour_many, size_seen
from .photos import MAX_PIXELS, open_photo

if TYPE_CHECKING:
    import onnxruntime

BAND = 1 << 18  # pixels at a time

Photo = TypeVar("Photo", str, Path, np.ndarray)


class LightColorizer:
    """Colours 8-bit photos with the three graphs that `colorize export --steps DIR` writes.

    Args:
        folder: folder with the graphs.
        resolution: square root of the number of pixels that the network sees; None: the one that the graphs name.

    Raises:
        FileNotFoundError: if one of them is missing.
        ImportError: without onnxruntime.
        ValueError: if one of them is damaged, or is another graph.

    Example:
        >>> colorizer = LightColorizer("graphs")
        >>> save_photo("in_colour.jpg", colorizer("old.jpg"), like="old.jpg")
    """

    def __init__(self, folder: str | Path, resolution: int | None = None):
        if resolution is not None:
            check_resolution(resolution)
        sessions = [_session(Path(folder) / f"{name}.onnx") for name in STEPS]
        self.lightness, self.colours, self.paint = map(_runner, sessions)
        self.resolution = resolution or _resolution(sessions[1], folder)

    def __call__(
        self, photo: str | Path | np.ndarray, *, saturation: float = 1.0, resolution: int | None = None
    ) -> np.ndarray:
        """Colour a photo, by its lightness alone.

        Args:
            photo: path of an image file, or (H, W, 3) or (H, W, 4) uint8, sRGB.
            saturation: factor for the chroma.
            resolution: overrides the colorizer's resolution.

        Returns:
            The same shape and type, in colour; (H, W, 3) for a path.

        Raises:
            PhotoError: if the file cannot be read.
            ValueError: for another shape or type, a saturation below 0, or a resolution below 1.
        """
        if isinstance(photo, (str, Path)):
            photo = open_photo(photo)
        if photo.dtype == np.uint16:
            raise ValueError(
                "it has 16 bits per channel, and the graphs paint 8: colour it with PyTorch "
                "(--weights instead of --graphs), or save it with 8"
            )
        if photo.ndim != 3 or photo.shape[2] not in (3, 4) or photo.dtype != np.uint8 or not photo.size:
            raise ValueError(f"expected (H, W, 3) or (H, W, 4) uint8, got {photo.shape} {photo.dtype}")
        resolution = self.resolution if resolution is None else resolution
        check_resolution(resolution)
        check_saturation(saturation)
        height, width, channels = photo.shape
        size = size_seen(height, width, resolution)
        step = max(1, BAND // width)
        bands = [slice(top, top + step) for top in range(0, height, step)]

        L = np.concatenate(
            [self.lightness(photo=_rgba(photo[band]), width=np.array(size[1]))[0] for band in bands]
        )
        planes, rows = self.colours(L=L, size=np.array(size), width=np.array(width))
        if not np.isfinite(planes).all():
            raise ValueError(NO_NUMBERS)
        coloured = np.empty_like(photo)
        for band in bands:
            feeds = {"planes": planes, "rows": rows[band], "saturation": np.array(saturation, np.float32)}
            coloured[band] = self.paint(photo=_rgba(photo[band]), **feeds)[0][..., :channels]
        return coloured

    def many(
        self,
        photos: Iterable[Photo],
        *,
        failures: list[str] | None = None,
        progress: bool = False,
        max_pixels: int = MAX_PIXELS,
        **options: Any,
    ) -> Iterator[tuple[Photo, np.ndarray]]:
        """Colour photos one after the other, as `Colorizer.many` does."""
        return colour_many(
            partial(self, **options), photos, failures=failures, progress=progress, max_pixels=max_pixels
        )


def _session(path: Path) -> "onnxruntime.InferenceSession":
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f"colouring with graphs needs onnxruntime ({error}): pip install onnxruntime"
        ) from error
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: colorize export --steps {path.parent} writes it")
    try:
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, of many classes
        if "IR version" in str(error) or "opset version" in str(error):
            raise ImportError(
                f"{path} needs a newer onnxruntime than {onnxruntime.__version__} (our graphs: 1.18 or newer): "
                "pip install --upgrade onnxruntime"
            ) from error
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path} cannot be loaded ({reason}): colorize export --steps {path.parent} --overwrite writes it anew"
        ) from error


def _resolution(colours: "onnxruntime.InferenceSession", folder: str | Path) -> int:
    about = colours.get_modelmeta().custom_metadata_map
    if "resolution" not in about:
        raise ValueError(f"{folder} holds other graphs: take those that colorize export --steps DIR writes")
    return json.loads(about["resolution"])


def _runner(session: "onnxruntime.InferenceSession") -> Callable[..., Sequence[np.ndarray]]:
    return lambda **feeds: session.run(None, feeds)  # pyright: ignore[reportReturnType]  # here all are arrays


def _rgba(photo: np.ndarray) -> np.ndarray:
    if photo.shape[2] == 4:
        return np.ascontiguousarray(photo)
    return np.pad(photo, ((0, 0), (0, 0), (0, 1)), constant_values=255)
