"""Weights + any photo → the same photo in colour, full size."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict, TypeVar, Unpack, overload

import numpy as np
from PIL import Image

from .engines.graphs import GraphEngine
from .inference import (
    ManyOptions,
    check_floats,
    check_resolution,
    check_saturation,
    colour_image,
    colour_many,
)
from .photos import MAX_PIXELS, PhotoFile, is_file, open_photo
from .weights import find_weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .engines.pytorch import PyTorchEngine
    from .hints import Hint

Picture = TypeVar("Picture", Image.Image, np.ndarray, "Tensor")
File = TypeVar("File", str, Path, bytes, BinaryIO)


class CallOptions(TypedDict, total=False):
    """The options of a call, for its overloads."""

    saturation: float
    resolution: int | None
    hints: "Sequence[Hint]"


class Colorizer:
    """Colours photos with a generator.

    Colouring has two steps.  The generator sees the photo scaled to about `resolution`² pixels, in its
    own aspect ratio, and predicts ab.  This is scaled up along the edges of the lightness (see
    `slope_of_colour`) and joined to the photo's own lightness, which does not change: a colour that
    sRGB cannot show loses chroma.

    Weights of the bundled network run by onnxruntime on the CPU, which starts without PyTorch; other networks,
    devices, tensors and hints need PyTorch, which is then loaded.  The colours are the same: on 8-bit photos
    the engines differ by at most 1 level.

    Args:
        generator: weights: a bundled name, a path or a Hugging Face Hub id, see `find_weights`; or a network,
            L (B, 1, H, W) → ab (B, 2, H, W), which is moved to `device` and put into eval mode, in place.
        resolution: square root of the number of pixels that the generator sees; best
            about that of its training.  None: what the weights' header names, else 256.
        device: device to compute on, such as `cuda`, `mps` or `cpu`.  None: the CPU for weights of the
            bundled network; for others CUDA, else MPS, else the CPU.

    Raises:
        CheckpointError: if there are no such weights, or they cannot be used.
        ValueError: for a resolution below 1, or a device that this machine lacks.
        TypeError: for a generator that is neither.
        ImportError: where PyTorch is needed, and missing.

    Example:
        >>> colorizer = Colorizer()
        >>> save_photo("in_colour.jpg", colorizer("old.jpg"), like="old.jpg")
    """

    def __init__(
        self,
        generator: "nn.Module | str | Path" = "best",
        resolution: int | None = None,
        device: "torch.device | str | None" = None,
    ):
        check_resolution(resolution)
        self._source = find_weights(generator) if isinstance(generator, (str, Path)) else generator
        self._device = device
        graphs = None
        if isinstance(self._source, Path) and str(device or "cpu") == "cpu":
            graphs = GraphEngine.of(self._source)
        self.engine = graphs or self.pytorch
        self.resolution = self.engine.resolution if resolution is None else resolution

    @cached_property
    def pytorch(self) -> "PyTorchEngine":
        """The engine for what only PyTorch can do; made when it is first needed."""
        from .engines.pytorch import PyTorchEngine

        return PyTorchEngine(self._source, self._device)

    @property
    def generator(self) -> "nn.Module":
        """The network, of PyTorch."""
        return self.pytorch.generator

    @classmethod
    def from_pretrained(
        cls,
        weights: str | Path = "best",
        *,
        resolution: int | None = None,
        device: "torch.device | str | None" = None,
    ) -> "Colorizer":
        """The same as `Colorizer(weights, …)`."""
        return cls(weights, resolution, device)

    @overload
    def __call__(self, photo: PhotoFile, **options: Unpack[CallOptions]) -> np.ndarray: ...

    @overload
    def __call__(self, photo: Picture, **options: Unpack[CallOptions]) -> Picture: ...

    def __call__(
        self,
        photo: Any,
        *,
        saturation: float = 1.0,
        resolution: int | None = None,
        hints: "Sequence[Hint]" = (),
    ) -> "np.ndarray | Image.Image | Tensor":
        """Colour a photo.  Only its lightness is used, whether it is grey, sepia or in colour.

        Args:
            photo: an image file (its path, its bytes, or the open file), a PIL image, an array (H, W),
                (H, W, 1), (H, W, 3) or (H, W, 4), or a tensor (3, H, W), (1, H, W) or a batch of
                these.  Arrays and tensors: uint8, uint16 or floats in [0, 1].
            saturation: factor for the chroma; 0 gives grey, 1 the colours as predicted.
            resolution: overrides the colorizer's resolution.  Higher values give finer,
                but less reliable colour.
            hints: colours that somebody knows, at some places of the photo; for one photo, not for a batch.

        Returns:
            The same kind, size and type, in colour; an array (H, W, 3) for a file.
            Transparency is kept; only that of a file is laid on white.
            A PIL image is turned upright, as its EXIF data says, and comes back as sRGB.

        Raises:
            PhotoError: if the file cannot be read.
            ValueError: for another shape or type, floats that are not in [0, 1], a saturation below 0, a
                resolution below 1, or a generator that gives no numbers.
            HintError: for a hint outside of the photo, or for weights that take none.
        """
        if is_file(photo):
            photo = open_photo(photo)
        colour = partial(self, saturation=saturation, resolution=resolution, hints=hints)
        if isinstance(photo, Image.Image):
            return colour_image(colour, photo)
        resolution = self.resolution if resolution is None else resolution
        check_saturation(saturation)
        check_resolution(resolution)
        if isinstance(photo, np.ndarray):
            engine = self.pytorch if hints else self.engine
            told = {"hints": hints} if hints else {}
            return engine.colour(_checked(photo), saturation, resolution, **told)
        if "torch" in sys.modules and isinstance(photo, sys.modules["torch"].Tensor):
            return self.pytorch.colour_tensor(photo, saturation, resolution, hints)
        raise ValueError(
            f"expected an image file, a PIL image, an array or a tensor, got {type(photo).__name__}"
        )

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
        """Colour photos one after the other; while one is coloured, the next one is read.

        Args:
            photos: photos of any kind that a call takes, or a folder of them.  An iterator is read one photo ahead.
            failures: a list that gets a sentence for each photo that cannot be read or
                coloured; the photo is then left out.  None raises the error instead.
            progress: show a progress bar, where stderr is a terminal.
            max_pixels: the largest file, in pixels, that is read.
            saturation, resolution: as in a call.

        Yields:
            (photo, coloured), in the order of `photos`.

        Raises:
            FileNotFoundError: for a folder that is none, or that holds no photos.
            ValueError: for a saturation below 0, or a resolution below 1.
        """
        check_saturation(saturation)
        check_resolution(resolution)
        colour = partial(self, saturation=saturation, resolution=resolution)
        return colour_many(colour, photos, failures=failures, progress=progress, max_pixels=max_pixels)


def _checked(photo: np.ndarray) -> np.ndarray:
    """An array of a shape and a type that the engines take: (H, W, 1, 3 or 4)."""
    pixels = photo[..., None] if photo.ndim == 2 else photo
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)  # PyTorch takes no other
    known = pixels.dtype in (np.uint8, np.uint16, np.float16, np.float32, np.float64)
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or not pixels.size or not known:
        raise ValueError(
            "expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8, uint16 or floats in [0, 1], "
            f"got {photo.shape} {photo.dtype}"
        )
    if pixels.dtype.kind == "f":
        check_floats(pixels[..., :3].min(), pixels[..., :3].max())
    return pixels
