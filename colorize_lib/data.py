"""Folders of photos → DataLoaders of {"L", "ab"}.

Every photo is decoded once, to a small square of uint8 RGB, and kept.  An epoch
then cuts its crops out of memory, and the colour conversion runs per batch, on
the device.
"""

import csv
import hashlib
import json
import math
import multiprocessing
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms.v2.functional import resized_crop
from tqdm import tqdm

from .color import rgb_to_lab, split_lab
from .devices import default_device
from .files import publish, temporary, write_whole
from .photos import PhotoError, open_photo, resize_photo
from .photos.folders import Photos, find_photos, list_photos

Batch = dict[str, Tensor]
NEAR_GREY = 5.0  # mean chroma in CIE units: the bound for the photos that the bundled weights were trained on


def split_photos(
    photos: Photos, valid: float = 0.2, seed: int = 0, folder: str | Path | None = None
) -> tuple[list[Path], list[Path]]:
    """Split photos into training and validation photos, for good.

    A hash of the seed and of the photo's path inside the folder decides on which
    side the photo goes, independently of all other photos.  So a photo stays on
    its side when others are added or removed, or when the folder moves.  The share
    of validation photos is therefore only about `valid`; of two or more photos,
    each side gets at least one.

    Args:
        photos: a folder, or image files.
        valid: share of the validation photos, from 0 to 1.
        seed: random seed for the split.
        folder: folder to which the paths are relative; None: `photos`, if it is a folder, else
            the innermost folder that holds all photos.

    Returns:
        (training photos, validation photos), each sorted.

    Raises:
        ValueError: for another share.
        FileNotFoundError: for a folder that is none, or that holds no photos.
    """
    if not 0 <= valid <= 1:
        raise ValueError(f"valid is {valid}: the share of the photos to validate with is from 0 to 1")
    if folder is None and isinstance(photos, (str, os.PathLike)):
        folder = photos
    photos = list_photos(photos)
    root = _common_folder(photos) if folder is None else os.path.abspath(folder)

    def rank(photo: Path) -> float:
        name = Path(os.path.relpath(os.path.abspath(photo), root)).as_posix() if root else photo.as_posix()
        digest = hashlib.sha256(os.fsencode(f"{seed}/{name}")).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    ranks = {photo: rank(photo) for photo in photos}
    ranked = sorted(photos, key=ranks.__getitem__)
    count = sum(ranks[photo] < valid for photo in ranked)
    if len(ranked) > 1 and 0 < valid < 1:
        count = min(max(count, 1), len(ranked) - 1)
    return sorted(ranked[count:]), sorted(ranked[:count])


def _common_folder(photos: Sequence[Path]) -> str | None:
    """The innermost folder that holds all photos; None if they are on several drives."""
    try:
        return os.path.commonpath([os.path.abspath(photo.parent) for photo in photos])
    except ValueError:  # no photos, or several drives of Windows
        return None


def sample_photos(split: str | None = None) -> list[Path]:
    """The colour photographs in the project's `data/samples`.

    Args:
        split: `train` or `val`, as data/samples/ATTRIBUTION.csv has it; None for all.

    Raises:
        ValueError: for another split.
        FileNotFoundError: if the package was installed without the project's folder.
    """
    if split not in (None, "train", "val"):
        raise ValueError(f"the samples have no split '{split}': choose train or val")
    folder = Path(__file__).resolve().parents[1] / "data" / "samples"
    table = folder / "ATTRIBUTION.csv"
    if not table.exists():
        raise FileNotFoundError(
            f"{table} does not exist: the sample photos come with the project's repository"
        )
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["file"].startswith("photos/")]
    return sorted(folder / row["file"] for row in rows if split in (None, row["split"]))


def draw_crop(
    rng: random.Random,
    aspect: float,
    scale: tuple[float, float] = (0.4, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> tuple[float, float, float, float]:
    """Draw a random crop of a photo.

    Args:
        rng: random number generator.
        aspect: width / height of the photo.
        scale: smallest and largest area of a crop, as a share of the photo's.
        ratio: smallest and largest width / height of a crop.

    Returns:
        (top, left, height, width), as fractions of the photo's height and width.
    """
    for _ in range(10):
        area = rng.uniform(*scale)
        shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1]))) / aspect
        height, width = math.sqrt(area / shape), math.sqrt(area * shape)
        if height <= 1 and width <= 1:
            return rng.uniform(0, 1 - height), rng.uniform(0, 1 - width), height, width
    return 0.0, 0.0, 1.0, 1.0


def mean_chroma(square: Tensor) -> float:
    """Mean chroma of about 32 × 32 pixels of a photo: the distance of (a*, b*) from 0, in CIE units.

    Grey is 0; a sepia print has one hue, and chroma.

    Args:
        square: (H, W, 3), uint8 RGB.
    """
    rows, columns = (max(1, side // 32) for side in square.shape[:2])
    some = square[::rows, ::columns].permute(2, 0, 1)[None]
    return torch.hypot(*rgb_to_lab(some)[0, 1:]).mean().item()  # `norm` takes as long as the rest together


@dataclass
class Squares:
    """Photos decoded to squares, one for each file, whether it can be read or not."""

    pixels: Tensor  # (N, side, side, 3) uint8
    aspects: list[float]  # width / height of the photo
    chroma: list[float]  # see `mean_chroma`
    readable: list[int]  # indices of the photos that can be read
    skipped: list[str]  # a sentence for each of the others


def decode_squares(
    photos: Sequence[Path], side: int, pixels: Tensor | None = None, progress: bool = False
) -> Squares:
    """Decode photos to squares, on all cores.

    Args:
        photos: image files.
        side: side of the squares, in pixels.
        pixels: tensor to write the squares to, (N, side, side, 3) uint8; None makes a new one.
        progress: show a progress bar, on stdout.
    """

    def decode(photo: Path) -> tuple[Tensor, float, float] | PhotoError:
        try:
            rgb = open_photo(photo, min_side=side)
        except PhotoError as error:
            return error
        square = torch.from_numpy(resize_photo(rgb, side, side))
        return square, rgb.shape[1] / rgb.shape[0], mean_chroma(square)

    count = len(photos)
    if pixels is None:
        pixels = torch.empty((count, side, side, 3), dtype=torch.uint8)
    squares = Squares(pixels, [1.0] * count, [0.0] * count, [], [])
    with one_torch_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
        decoded = pool.map(decode, photos)
        disable = None if progress else True
        for i, result in enumerate(
            tqdm(decoded, "decoding", count, disable=disable, file=sys.stdout, leave=False)
        ):
            if isinstance(result, PhotoError):
                squares.skipped.append(str(result))
            else:
                pixels[i], squares.aspects[i], squares.chroma[i] = result
                squares.readable.append(i)
    return squares


def cached_squares(photos: Sequence[Path], side: int, folder: Path, progress: bool = False) -> Squares:
    """`decode_squares`, or what an earlier call has left in a folder; the pixels stay on the disk.

    If one photo has changed since, all photos are decoded again.
    """
    file, shape = _cache_file(folder, photos, side), (len(photos), side, side, 3)
    table = file.with_suffix(".json")

    def pixels(path: Path, shared: bool) -> Tensor:
        return torch.from_file(str(path), shared, math.prod(shape), dtype=torch.uint8).view(shape)

    if file.exists() and table.exists():
        return Squares(pixels(file, False), **json.loads(table.read_text()))
    with temporary(folder) as (opened, part):
        squares = decode_squares(photos, side, pixels(part, True), progress)
        about = {name: value for name, value in vars(squares).items() if name != "pixels"}
        write_whole(table, json.dumps(about).encode())
        publish(opened, part, file)
    return squares


class PhotoDataset(Dataset):
    """Photos, decoded once and kept as squares of uint8 RGB.

    A photo is stretched to a square when it is stored; its aspect ratio is kept
    beside it, so that crops come out undistorted.  Photos that cannot be read
    are left out and listed in `skipped`.  With a `min_chroma`, so are photos below
    it, listed in `grey`: from black-and-white photos a generator learns that the
    world is grey.

    Args:
        photos: a folder, or image files.
        size: side of the squares that come out, in pixels.
        augment: cut random crops and flip them; without it, the whole photo comes out, stretched.
        scale: smallest and largest crop, as a share of the photo's area.
        store: side of the squares that are kept; None: `size`, or a quarter more with `augment`.
        cache: folder for a file with the decoded photos, which later runs find again; None keeps
            them in memory.
        seed: random seed for the crops.  A crop depends only on seed, epoch and photo.
        progress: show a progress bar while decoding, where stdout is a terminal.
        min_chroma: smallest mean chroma (see `mean_chroma`) of a photo, as stored, in CIE units.

    Items: `dataset[i]` or `dataset[epoch, i]`: uint8 (3, size, size).

    Raises:
        PhotoError: if no photo can be read, or none has the `min_chroma`.
        FileNotFoundError: for a folder that is none, or that holds no photos.
    """

    def __init__(
        self,
        photos: Photos,
        size: int = 256,
        *,
        augment: bool = False,
        scale: tuple[float, float] = (0.4, 1.0),
        store: int | None = None,
        cache: str | Path | None = None,
        seed: int = 0,
        progress: bool = True,
        min_chroma: float = 0.0,
    ):
        if size < 1:
            raise ValueError(f"a size of {size} pixels shows nothing: take 64 or more")
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f"crops of {scale[0]} to {scale[1]} of a photo: take shares above 0, up to 1")
        self.size, self.augment, self.scale, self.seed = size, augment, scale, seed
        store = store or (size * 5 // 4 if augment else size)
        photos = list_photos(photos)
        if cache is None:
            squares = decode_squares(photos, store, progress=progress)
        else:
            squares = cached_squares(photos, store, Path(cache), progress)
        self.skipped = squares.skipped
        self.kept = squares.readable
        # Not left out of the cache, so that it serves for every `min_chroma`.
        self.grey = [photos[i] for i in self.kept if squares.chroma[i] < min_chroma]
        self.kept = [i for i in self.kept if squares.chroma[i] >= min_chroma]
        self._check_photos(len(photos))
        self.photos = [photos[i] for i in self.kept]
        self.aspects = squares.aspects
        self.squares = squares.pixels.permute(0, 3, 1, 2)  # torchvision crops faster from this view

    def _check_photos(self, count: int) -> None:
        if self.kept:
            return
        if self.grey:
            raise PhotoError(
                f"none of the {len(self.grey)} photos that can be read is in colour (the first: {self.grey[0]}): "
                "take photos in colour, or keep these (--keep-grey, in Python keep_grey=True)"
            )
        if not count:
            raise PhotoError(
                "there are no photos: all are on the other side of the split, or none were given"
            )
        first = f"; the first: {self.skipped[0]}" if self.skipped else ""
        raise PhotoError(f"none of the {count} photos can be read{first}")

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, key: int | tuple[int, int]) -> Tensor:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        square, aspect = self.squares[self.kept[index]], self.aspects[self.kept[index]]
        if not self.augment:
            side = square.shape[-1]
            return square if side == self.size else _resize(square, 0, 0, side, side, self.size)
        rng = random.Random(f"{self.seed}/{epoch}/{index}")
        side = square.shape[-1]
        top, left, height, width = (round(side * part) for part in draw_crop(rng, aspect, self.scale))
        crop = _resize(square, top, left, max(height, 1), max(width, 1), self.size)
        return crop.flip(-1) if rng.random() < 0.5 else crop


def _resize(square: Tensor, top: int, left: int, height: int, width: int, size: int) -> Tensor:
    return resized_crop(square, top, left, height, width, [size, size], antialias=True)


def photos_digest(dataset: Dataset) -> dict:
    """What tells a data set's photos from others: their number, names and sizes, and a few bytes from their middle.

    Folders are left out, so that a run can be resumed where the photos have moved.
    """
    digest = hashlib.sha256()
    for photo in map(Path, getattr(dataset, "photos", ())):
        size, middle = None, b""
        with suppress(OSError), open(photo, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(size // 2)
            middle = file.read(1024)
        digest.update(f"{photo.name}/{size}/".encode(errors="surrogateescape") + middle)
    count = len(dataset) if isinstance(dataset, Sized) else None
    return {"count": count, "sha256": digest.hexdigest()}


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Limit torch to one thread inside the block, so that worker threads do not compete for the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cache_file(folder: Path, photos: Sequence[Path], store: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(f"{store} RGB, chroma".encode())
    for photo in photos:
        stat = photo.stat() if photo.exists() else None
        digest.update(f"{photo.resolve()}/{stat and (stat.st_size, stat.st_mtime_ns)}\n".encode())
    return folder / f"photos-{store}-{digest.hexdigest()[:16]}.u8"


@runtime_checkable
class ResumableSampler(Protocol):
    """A sampler that can start in the middle of an epoch, as `EpochSampler` does.

    Attributes:
        skip: number of indices that the next pass leaves out.
    """

    skip: int

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, which decides on the order."""
        ...


class EpochSampler(Sampler):
    """Yields (epoch, index) in an order that depends on the seed and the epoch alone.

    So nothing needs to be saved to resume in the middle of an epoch: set `epoch`
    and `skip`, the number of indices to leave out.  `skip` holds for one pass.

    Args:
        length: number of photos.
        seed: random seed for the order.
    """

    def __init__(self, length: int, seed: int = 0):
        self.length, self.seed, self.epoch, self.skip = length, seed, 0, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = list(range(self.length))
        random.Random(f"{self.seed}/{self.epoch}").shuffle(order)
        skip, self.skip = self.skip, 0
        return iter([(self.epoch, index) for index in order[skip:]])


class LabLoader:
    """A DataLoader of uint8 RGB (B, 3, H, W), read as batches {"L", "ab"} on a device.

    Args:
        loader: the DataLoader.
        device: device of the batches; None: CUDA, else MPS, else the CPU.
        extend: function that is given each batch and returns it with more in it, for a generator that is given
            more than L, such as `with_hints`; None adds nothing.

    Raises:
        ValueError: if this machine has no such device.
        RuntimeError: while it is read, if the worker processes cannot start.
        OSError: while it is read, if they run out of shared memory.
    """

    def __init__(
        self,
        loader: DataLoader,
        device: torch.device | str | None = None,
        extend: Callable[[Batch], Batch] | None = None,
    ):
        self.loader, self.extend = loader, extend
        self.device = default_device(device)

    @property
    def dataset(self) -> Any:
        """The loader's data set; that of `make_dataloaders` is a `PhotoDataset`."""
        return self.loader.dataset

    @property
    def batch_size(self) -> int | None:
        return self.loader.batch_size

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        # From pinned memory, which is CUDA's.  On a Mac the source may be freed before it is read: PyTorch issue 189690.
        non_blocking = self.device.type == "cuda"
        try:
            for rgb in self.loader:
                batch = lab_batch(rgb.to(self.device, non_blocking=non_blocking))
                yield self.extend(batch) if self.extend else batch
        except RuntimeError as error:
            workers = getattr(self.loader, "num_workers", 0)
            if workers and start_method() != "fork" and _is_missing_guard(error):
                raise RuntimeError(
                    "the worker processes could not start, since they import the script that starts them: put its "
                    "code under `if __name__ == '__main__':`, or pass num_workers=0"
                ) from error
            if workers and "shared memory" in str(error):
                raise OSError(
                    "the worker processes ran out of shared memory (/dev/shm): take none (--workers 0, in Python "
                    "num_workers=0), or give the container more (docker run --shm-size=2g)"
                ) from error
            raise


def _is_missing_guard(error: RuntimeError) -> bool:
    """What a script without `if __name__ == "__main__":` meets: the first in a worker, the second in the script."""
    return any(words in str(error) for words in ("bootstrapping phase", "exited unexpectedly"))


@dataclass
class DataLoaders:
    """Training and validation batches."""

    train: LabLoader
    valid: LabLoader | None = None


def make_dataloaders(
    train: Photos,
    valid: Photos | float | None = None,
    size: int = 256,
    batch_size: int = 16,
    *,
    augment: bool = True,
    scale: tuple[float, float] = (0.4, 1.0),
    cache: str | Path | None = None,
    seed: int = 0,
    num_workers: int | None = None,
    device: torch.device | str | None = None,
    progress: bool = True,
    keep_grey: bool = False,
    extend: Callable[[Batch], Batch] | None = None,
) -> DataLoaders:
    """Photos → shuffled, augmented training batches and plain validation batches.

    Near-grey photos are left out of the training, and listed in `train.dataset.grey`;
    validation takes all.

    Args:
        train: photos to train on: a folder, or image files.
        valid: photos to validate with: a folder, or image files; or the share of `train` that is set aside for it,
            see `split_photos`.  None: a fifth of `train` if that is a folder, else none.
        size: side of the pictures, in pixels.
        batch_size: number of photos per batch.
        augment: cut random resized crops of the training photos, and flip them.
        scale: smallest and largest crop, as a share of a photo's area.
        cache: folder for the decoded photos; None keeps them in memory (size² × 4.7 bytes per
            training photo).
        seed: random seed for the order and the crops.
        num_workers: number of processes that cut crops; None: see `default_workers`.
        device: device on which batches are converted and yielded; None: CUDA, else MPS, else CPU.
        progress: show a progress bar while decoding, where stdout is a terminal.
        keep_grey: keep photos for training whose mean chroma is below 5, see `PhotoDataset`.
        extend: function that adds something to each batch, see `LabLoader`; what it draws at random is the same for
            validation every time.

    Returns:
        `DataLoaders`; each batch is {"L": (B, 1, size, size), "ab": (B, 2, size, size)}, float32.

    Raises:
        PhotoError: if no training photo can be read and is in colour, or no validation photo can be read.
        FileNotFoundError: for a folder that is none, or that holds no photos.
        ValueError: for a device that this machine lacks.
    """
    device = default_device(device)
    if valid is None:
        valid = 0.2 if isinstance(train, (str, os.PathLike)) else 0.0
    if isinstance(valid, (int, float)):
        train, valid = split_photos(train, valid) if valid else (train, ())
    if num_workers is None:
        num_workers = default_workers(device)
    common: dict[str, Any] = {
        "batch_size": batch_size,
        "num_workers": num_workers,
        "persistent_workers": num_workers > 0,
        "pin_memory": device.type == "cuda",
        "multiprocessing_context": start_method() if num_workers else None,
    }
    crops: dict[str, Any] = {"augment": augment, "scale": scale, "seed": seed}
    crops["min_chroma"] = 0.0 if keep_grey else NEAR_GREY
    data = PhotoDataset(train, size, cache=cache, progress=progress, **crops)
    sampler = EpochSampler(len(data), seed)
    # A separate random generator, so that iterating does not advance torch's global one.
    loader = DataLoader(
        data, sampler=sampler, drop_last=len(data) >= batch_size, generator=torch.Generator(), **common
    )
    loaders = DataLoaders(LabLoader(loader, device, extend))
    if valid := list_photos(valid):
        data = PhotoDataset(valid, size, cache=cache, progress=progress)
        loader = DataLoader(data, generator=torch.Generator(), **common)
        loaders.valid = LabLoader(loader, device, extend and _the_same_each_time(extend))
    return loaders


def _the_same_each_time(extend: Callable[[Batch], Batch]) -> Callable[[Batch], Batch]:
    def extended(batch: Batch) -> Batch:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return extend(batch)

    return extended


def validation_batches(
    photos: "DataLoaders | Iterable[Batch] | Photos", device: torch.device | str | None = None
) -> Iterable[Batch]:
    """What is to be measured, as batches: those of DataLoaders, or photos, whole, stretched to 256 × 256.

    Args:
        photos: `DataLoaders`; batches, as they are; or photos: a folder, or image files.
        device: device of a folder's batches; None: CUDA, else MPS, else the CPU.

    Raises:
        ValueError: for DataLoaders without validation photos.
        FileNotFoundError: for a folder that is none, or that holds no photos.
    """
    if isinstance(photos, DataLoaders):
        if photos.valid is None:
            raise ValueError("these DataLoaders have no photos to validate with: make them with `valid`")
        return photos.valid
    paths = isinstance(photos, (str, os.PathLike)) or (
        isinstance(photos, Sequence) and photos and isinstance(photos[0], (str, os.PathLike))
    )
    if not paths:
        return photos  # pyright: ignore[reportReturnType]  # batches are left
    return LabLoader(DataLoader(PhotoDataset(photos), batch_size=16), device)  # pyright: ignore[reportArgumentType]


def start_method() -> str:
    """How worker processes are started: as the program has set it, else by fork on Linux.

    Forked workers do not import the main script again, so that a script needs no
    `if __name__ == "__main__":`.
    """
    chosen = multiprocessing.get_start_method(allow_none=True)
    if chosen is None and sys.platform == "linux":
        return "fork"
    return chosen or multiprocessing.get_start_method()


def default_workers(device: torch.device) -> int:
    """The default number of worker processes for `make_dataloaders`: 8 on CUDA, else 0.

    On a CPU they would only take the cores from the training.  Where they cannot be
    forked (Windows), they would import the user's script again, so there are none, either.
    """
    if device.type != "cuda" or start_method() != "fork":
        return 0
    return min(8, os.cpu_count() or 1)


def lab_batch(rgb: Tensor) -> Batch:
    """RGB (B, 3, H, W), uint8 or in [0, 1] → {"L": (B, 1, H, W), "ab": (B, 2, H, W)}."""
    # On a CPU photo by photo, as in rgb_to_lab, so that it is scaled while it is in the cache.
    parts = rgb.split(1 if rgb.device.type == "cpu" else len(rgb))
    L, ab = (torch.cat(part) for part in zip(*(split_lab(rgb_to_lab(part)) for part in parts), strict=True))
    return {"L": L, "ab": ab}


def fetch_photos(name: str = "imagenette", folder: str | Path | None = None) -> list[Path]:
    """Download a named set of photos, once, and list them.

    `imagenette`: 13,394 photos of ten ImageNet classes, short side 320, 340 MB.  torchvision downloads the archive,
    checks its MD5 and unpacks it.

    Args:
        name: name of the set.
        folder: folder for it; None: `colorize` in the folder that torch keeps downloads in (~/.cache/torch/hub).

    Raises:
        ValueError: for an unknown name.
        ConnectionError: if the download fails, or the archive is damaged.
    """
    from torchvision.datasets import Imagenette

    if name != "imagenette":
        raise ValueError(f"no data set is called '{name}': the one that can be fetched is imagenette")
    folder = Path(torch.hub.get_dir()) / "colorize" if folder is None else Path(folder)
    photos = folder / "imagenette2-320"
    if not photos.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Under its name only when it is whole: what was interrupted would be taken for all of it.
        with TemporaryDirectory(prefix=".imagenette-", dir=folder) as part:
            try:
                Imagenette(part, size="320px", download=True)
            except (OSError, RuntimeError, EOFError) as error:
                raise ConnectionError(
                    f"Imagenette could not be downloaded ({error}): call again, or take a folder of your own"
                ) from error
            (Path(part) / photos.name).rename(photos)
    return find_photos(photos)
