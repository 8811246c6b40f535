"""Folders of photos → DataLoaders of {"L", "ab"}.

Every photo is decoded once, to a small square of uint8 RGB, and kept.  An epoch
then cuts its crops out of memory, and the colour conversion runs per batch, on
the device.
"""

import csv
import hashlib
import math
import os
import random
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms.v2.functional import resized_crop
from tqdm.auto import tqdm

from .color import rgb_to_lab, split_lab
from .devices import default_device
from .files import write_whole
from .folders import find_photos
from .photos import PhotoError, open_photo, resize_photo

Batch = dict[str, Tensor]
NEAR_GREY = 5.0  # mean chroma in CIE units: the bound for the photos that the bundled weights were trained on


def split_photos(photos: Iterable[Path], valid: float = 0.2, seed: int = 0) -> tuple[list[Path], list[Path]]:
    """Split photos into training and validation photos, for good.

    The seed and the file's name decide alone, through a hash, on which side a
    photo goes.  So a photo stays on its side when others are added or removed,
    or when the folder moves.  The share of validation photos is therefore only
    about `valid`; of two or more photos, each side gets at least one.

    Returns:
        (training photos, validation photos), each sorted.
    """

    def rank(photo: Path) -> float:
        digest = hashlib.sha256(f"{seed}/{Path(photo).name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    ranked = sorted((Path(photo) for photo in photos), key=rank)
    count = sum(rank(photo) < valid for photo in ranked)
    if len(ranked) > 1 and 0 < valid < 1:
        count = min(max(count, 1), len(ranked) - 1)
    return sorted(ranked[count:]), sorted(ranked[:count])


def sample_photos(split: str | None = None) -> list[Path]:
    """The colour photographs in the project's `data/samples`.

    Args:
        split: `train` or `val`, as data/samples/ATTRIBUTION.csv has it; None for all.

    Raises:
        FileNotFoundError: if the package was installed without the project's folder.
    """
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
        rng: where the randomness comes from.
        aspect: the photo's width / height.
        scale: the crop's share of the photo's area.
        ratio: the crop's width / height.

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
    """Mean chroma, the distance of (a*, b*) from 0 in CIE units, of some 32 × 32 pixels of a photo.

    Grey is 0; a sepia print has one hue, and chroma.

    Args:
        square: (H, W, 3), uint8 RGB.
    """
    rows, columns = (max(1, side // 32) for side in square.shape[:2])
    some = square[::rows, ::columns].permute(2, 0, 1)[None]
    return torch.hypot(*rgb_to_lab(some)[0, 1:]).mean().item()  # `norm` takes as long as the rest together


class PhotoDataset(Dataset):
    """Photos, decoded once and kept as squares of uint8 RGB.

    A photo is stretched to a square when it is stored; its aspect ratio is kept
    beside it, so that crops come out undistorted.  Photos that cannot be read
    are left out and listed in `skipped`.  With `keep_grey=False`, so are near-grey
    photos, listed in `grey`: from black-and-white photos a generator learns that
    the world is grey.

    Args:
        photos: image files.
        size: the side of the squares that come out, in pixels.
        augment: cut random crops and flip them; else the whole photo comes, stretched.
        scale: the crops' share of the photo's area.
        store: the side of the squares that are kept: `size`, or a quarter more with `augment`.
        cache: `memory`, or a folder for one file that later runs will find again.
        seed: of the crops.  A crop depends on seed, epoch and photo alone.
        progress: show a progress bar while decoding.
        keep_grey: keep photos whose mean chroma (see `mean_chroma`), as stored, is below 5.

    Items: `dataset[i]` or `dataset[epoch, i]`: uint8 (3, size, size).

    Raises:
        PhotoError: if not one photo can be read, or, with `keep_grey=False`, not one is in colour.
    """

    def __init__(
        self,
        photos: Sequence[Path],
        size: int = 256,
        *,
        augment: bool = False,
        scale: tuple[float, float] = (0.4, 1.0),
        store: int | None = None,
        cache: str | Path = "memory",
        seed: int = 0,
        progress: bool = False,
        keep_grey: bool = True,
    ):
        self.size, self.augment, self.scale, self.seed = size, augment, scale, seed
        self.skipped: list[str] = []
        self.grey: list[Path] = []
        store = store or (size * 5 // 4 if augment else size)
        photos = [Path(photo) for photo in photos]

        def decode(photo: Path) -> tuple[Tensor, float, float] | PhotoError:
            try:
                rgb = open_photo(photo, min_side=store)
            except PhotoError as error:
                return error
            square = torch.from_numpy(resize_photo(rgb, store, store))
            return square, rgb.shape[1] / rgb.shape[0], mean_chroma(square)

        shape = (len(photos), store, store, 3)
        known = None if cache == "memory" else _cache_file(Path(cache), photos, store)
        if known is not None and known.exists():
            saved = torch.load(known.with_suffix(".pt"), weights_only=True)
            self.squares = torch.from_file(str(known), size=math.prod(shape), dtype=torch.uint8).view(shape)
            self.aspects, chroma = saved["aspects"], saved["chroma"]
            kept, self.skipped = saved["kept"], saved["skipped"]
        else:
            part = known and known.with_name(f"{known.stem}.{os.getpid()}.part")
            self.squares = (
                torch.empty(shape, dtype=torch.uint8)
                if part is None
                else torch.from_file(str(part), shared=True, size=math.prod(shape), dtype=torch.uint8).view(
                    shape
                )
            )
            self.aspects, chroma, kept = [1.0] * len(photos), [0.0] * len(photos), []
            with one_torch_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
                decoded = pool.map(decode, photos)
                bar = tqdm(
                    decoded,
                    "decoding",
                    len(photos),
                    disable=None if progress else True,
                    file=sys.stdout,
                    leave=False,
                )
                for i, result in enumerate(bar):
                    if isinstance(result, PhotoError):
                        self.skipped.append(str(result))
                    else:
                        self.squares[i], self.aspects[i], chroma[i] = result
                        kept.append(i)
            if part is not None:
                table = BytesIO()
                about = {"aspects": self.aspects, "chroma": chroma, "kept": kept, "skipped": self.skipped}
                torch.save(about, table)
                write_whole(known.with_suffix(".pt"), table.getvalue())
                part.replace(known)
        if not kept:
            first = f"; the first: {self.skipped[0]}" if self.skipped else ""
            raise PhotoError(f"none of the {len(photos)} photos can be read{first}")
        if not keep_grey:  # after the cache, which holds them all
            self.grey = [photos[i] for i in kept if chroma[i] < NEAR_GREY]
            kept = [i for i in kept if chroma[i] >= NEAR_GREY]
        if not kept:
            raise PhotoError(
                f"none of the {len(self.grey)} photos that can be read is in colour (the first: {self.grey[0]}): "
                "take photos in colour, or keep these (--keep-grey, in Python keep_grey=True)"
            )
        self.squares = self.squares.permute(
            0, 3, 1, 2
        )  # a view: torchvision crops faster from R, G, B side by side
        self.kept = kept
        self.photos = [photos[i] for i in kept]

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


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """New threads compute alone: two that both use all cores wait for each other most of the time."""
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


class EpochSampler(Sampler):
    """Yields (epoch, index) in an order that depends on the seed and the epoch alone.

    So nothing needs to be saved to go on in the middle of an epoch: set `epoch`
    and `skip`.  `skip` holds for one pass.
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
    """A DataLoader of uint8 RGB (B, 3, H, W), read as batches {"L", "ab"} on a device."""

    def __init__(self, loader: DataLoader, device: torch.device | str | None = None):
        self.loader = loader
        self.device = torch.device(device) if device is not None else default_device()

    @property
    def dataset(self) -> Dataset:
        return self.loader.dataset

    @property
    def batch_size(self) -> int:
        return self.loader.batch_size

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        for rgb in self.loader:
            yield lab_batch(rgb.to(self.device, non_blocking=True))


@dataclass
class DataLoaders:
    """Training and validation batches."""

    train: LabLoader
    valid: LabLoader | None = None

    def for_fastai(self):
        """The same batches as tuples (L, ab), in fastai's `DataLoaders`, for a fastai `Learner`.

        Without validation photos, a `Learner` validates on the training photos.

        Raises:
            ImportError: without fastai.
        """
        from fastai.data.core import DataLoaders as FastaiDataLoaders

        loaders = _Pairs(self.train), _Pairs(self.valid or self.train)
        return FastaiDataLoaders(*loaders, device=self.train.device)


class _Pairs(LabLoader):
    """A LabLoader that yields (L, ab)."""

    def __init__(self, loader: LabLoader):
        super().__init__(loader.loader, loader.device)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in super().__iter__():
            yield batch["L"], batch["ab"]


def make_dataloaders(
    train: Sequence[Path],
    valid: Sequence[Path] = (),
    size: int = 256,
    batch_size: int = 16,
    *,
    augment: bool = True,
    scale: tuple[float, float] = (0.4, 1.0),
    cache: str | Path = "memory",
    seed: int = 0,
    num_workers: int | None = None,
    device: torch.device | str | None = None,
    progress: bool = False,
    keep_grey: bool = False,
) -> DataLoaders:
    """Photos → shuffled, augmented training batches and plain validation batches.

    Near-grey photos are left out of the training, and listed in `train.dataset.grey`;
    validation takes all.

    Args:
        train, valid: image files.
        size: the side of the pictures, in pixels.
        batch_size: photos per batch.
        augment: random resized crops and flips for the training photos.
        scale: the crops' share of a photo's area.
        cache: `memory` (size² × 4.7 bytes a training photo), or a folder.
        seed: of the order and the crops.
        num_workers: processes that cut crops; None: 8 on CUDA, else none, since
            they would only take the CPU from the training.
        device: where batches are converted and yielded; None: CUDA, else MPS, else CPU.
        progress: show a progress bar while decoding.
        keep_grey: train on near-grey photos, too; see `PhotoDataset`.

    Returns:
        `DataLoaders`; each batch is {"L": (B, 1, size, size), "ab": (B, 2, size, size)}, float32.

    Raises:
        PhotoError: if not one training photo can be read and is in colour, or not one validation photo can be read.
    """
    device = torch.device(device) if device is not None else default_device()
    if num_workers is None:
        num_workers = min(8, os.cpu_count() or 1) if device.type == "cuda" else 0
    common = {
        "batch_size": batch_size,
        "num_workers": num_workers,
        "persistent_workers": num_workers > 0,
        "pin_memory": device.type == "cuda",
    }
    data = PhotoDataset(
        train, size, augment=augment, scale=scale, cache=cache, seed=seed, progress=progress,
        keep_grey=keep_grey,
    )  # fmt: skip
    sampler = EpochSampler(len(data), seed)
    # A generator of its own, so that starting an epoch draws nothing from the global one.
    loader = DataLoader(
        data, sampler=sampler, drop_last=len(data) >= batch_size, generator=torch.Generator(), **common
    )
    loaders = DataLoaders(LabLoader(loader, device))
    if valid:
        data = PhotoDataset(valid, size, cache=cache, progress=progress)
        loaders.valid = LabLoader(DataLoader(data, generator=torch.Generator(), **common), device)
    return loaders


def lab_batch(rgb: Tensor) -> Batch:
    """RGB (B, 3, H, W), uint8 or in [0, 1] → {"L": (B, 1, H, W), "ab": (B, 2, H, W)}."""
    # On a CPU photo by photo, as in rgb_to_lab, so that it is scaled while it is in the cache.
    parts = rgb.split(1 if rgb.device.type == "cpu" else len(rgb))
    L, ab = (torch.cat(part) for part in zip(*(split_lab(rgb_to_lab(part)) for part in parts), strict=True))
    return {"L": L, "ab": ab}


DATASETS = {"imagenette": "IMAGENETTE_320", "coco_sample": "COCO_SAMPLE"}  # names in fastai's URLs


def fetch_photos(name: str, url: str | None = None) -> list[Path]:
    """Download a named set of photos, once, and list them.

    `imagenette`: 13,394 photos of ten classes, short side 320, 340 MB.
    `coco_sample`: about 21,800 photos of everyday scenes, 3.2 GB.

    The archive is downloaded with a progress bar; a download that broke off goes
    on where it stopped.  fastai's `untar_data` checks and unpacks it, under ~/.fastai.

    Args:
        name: see above.
        url: take the archive from here instead.

    Raises:
        ValueError: for an unknown name.
        ConnectionError: if the download fails; call again to go on with it.
    """
    from fastai.data.external import URLs, fastai_cfg, untar_data

    if name not in DATASETS:
        raise ValueError(f"no data set is called '{name}': choose from {', '.join(DATASETS)}")
    url = url or getattr(URLs, DATASETS[name])
    config = fastai_cfg()
    archive = config.path("archive") / url.rsplit("/", 1)[-1]
    unpacked = config.path("data") / archive.name.removesuffix(".tgz")
    if not archive.exists() and not unpacked.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        download(url, archive)
    return find_photos(untar_data(url))


def download(url: str, path: Path) -> Path:
    """Download to `path`, going on with `path.part` if an earlier try left one.

    Raises:
        ConnectionError: if it fails; what has arrived is kept for the next try.
    """
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            resumed = answer.status == 206
            left = int(answer.headers.get("Content-Length", 0))
            total = left + have * resumed
            with (
                part.open("ab" if resumed else "wb") as file,
                tqdm(total=total or None, initial=have * resumed, unit="B", unit_scale=True,
                     desc=path.name, file=sys.stdout) as bar,
            ):  # fmt: skip
                while block := answer.read(1 << 20):
                    file.write(block)
                    bar.update(len(block))
    except HTTPError as error:
        if error.code != 416:  # 416: there is nothing left to fetch
            raise ConnectionError(f"{url} could not be downloaded ({error}): try again later") from error
        total = have
    except OSError as error:
        raise ConnectionError(
            f"{url} could not be downloaded ({error}): call again to go on with it"
        ) from error
    if total and part.stat().st_size != total:
        raise ConnectionError(
            f"{url} broke off at {part.stat().st_size:,} of {total:,} bytes: call again to go on"
        )
    part.replace(path)
    return path
