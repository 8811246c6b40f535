"""Photos in colour without PyTorch: numpy and onnxruntime run the graphs of `export`.

There is no colour mathematics here: the graphs were traced from the library's own.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, Unpack, overload

import numpy as np
from PIL import Image

from ..inference import (
    NO_NUMBERS,
    STEPS,
    ManyOptions,
    check_resolution,
    check_saturation,
    colour_image,
    colour_many,
    size_seen,
)
from ..photos import MAX_PIXELS, PhotoFile, is_file, open_photo

if TYPE_CHECKING:
    import onnxruntime

BAND = 1 << 18  # pixels at a time

File = TypeVar("File", str, Path, bytes, BinaryIO)
Picture = TypeVar("Picture", Image.Image, np.ndarray)


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
        check_resolution(resolution)
        self.folder = Path(folder)
        sessions = [_session(self.folder / f"{name}.onnx") for name in STEPS]
        self.lightness, self.colours, self.paint = map(_runner, sessions)
        self.resolution = resolution or _resolution(sessions[1], folder)

    def __reduce__(self):  # for processes that are spawned: a session of onnxruntime cannot be pickled
        return type(self), (self.folder.absolute(), self.resolution)

    @overload
    def __call__(
        self, photo: PhotoFile, *, saturation: float = 1.0, resolution: int | None = None
    ) -> np.ndarray: ...

    @overload
    def __call__(
        self, photo: Picture, *, saturation: float = 1.0, resolution: int | None = None
    ) -> Picture: ...

    def __call__(
        self,
        photo: PhotoFile | Image.Image | np.ndarray,
        *,
        saturation: float = 1.0,
        resolution: int | None = None,
    ) -> Image.Image | np.ndarray:
        """Colour a photo, by its lightness alone.

        Args:
            photo: an image file (its path, its bytes, or the open file), a PIL image, or an array (H, W),
                (H, W, 1), (H, W, 3) or (H, W, 4), uint8, sRGB.
            saturation: factor for the chroma.
            resolution: overrides the colorizer's resolution.

        Returns:
            The same kind, size and type, in colour, as `Colorizer` gives it.

        Raises:
            PhotoError: if the file cannot be read.
            ValueError: for another shape or type, a saturation below 0, or a resolution below 1.
        """
        if is_file(photo):
            photo = open_photo(photo)
        if isinstance(photo, Image.Image):
            return colour_image(partial(self._colour, saturation=saturation, resolution=resolution), photo)
        if isinstance(photo, np.ndarray):
            return self._colour(photo, saturation, resolution)
        raise ValueError(
            f"expected an image file, a PIL image or an array of uint8, got {type(photo).__name__}"
        )

    def _colour(self, photo: np.ndarray, saturation: float, resolution: int | None) -> np.ndarray:
        if photo.dtype == np.uint16:
            raise ValueError(
                "it has 16 bits per channel, and the graphs paint 8: colour it with PyTorch "
                "(--weights instead of --graphs), or save it with 8"
            )
        shape = photo.shape
        if photo.ndim == 2:
            photo = photo[..., None]
        if photo.ndim != 3 or photo.shape[2] not in (1, 3, 4) or photo.dtype != np.uint8 or not photo.size:
            raise ValueError(
                f"expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8, got {shape} {photo.dtype}"
            )
        if photo.shape[2] == 1:
            photo = photo.repeat(3, axis=2)
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

    @overload
    def many(
        self, photos: str | Path, **options: Unpack[ManyOptions]
    ) -> Iterator[tuple[Path, np.ndarray]]: ...

    @overload
    def many(
        self, photos: Iterable[File], **options: Unpack[ManyOptions]
    ) -> Iterator[tuple[File, np.ndarray]]: ...

    @overload
    def many(
        self, photos: Iterable[Picture], **options: Unpack[ManyOptions]
    ) -> Iterator[tuple[Picture, Picture]]: ...

    def many(
        self,
        photos: Any,
        *,
        failures: list[str] | None = None,
        progress: bool = True,
        max_pixels: int = MAX_PIXELS,
        saturation: float = 1.0,
        resolution: int | None = None,
    ) -> Iterator[tuple[Any, Any]]:
        """Colour photos one after the other, as `Colorizer.many` does."""
        check_saturation(saturation)
        check_resolution(resolution)
        colour = partial(self, saturation=saturation, resolution=resolution)
        return colour_many(colour, photos, failures=failures, progress=progress, max_pixels=max_pixels)


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
