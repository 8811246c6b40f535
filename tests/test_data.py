"""From a folder to batches."""

import hashlib
import http.server
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2lab
from torchvision.datasets import Imagenette

from colorize_lib.data import (
    NEAR_GREY,
    EpochSampler,
    LabLoader,
    PhotoDataset,
    default_workers,
    draw_crop,
    fetch_photos,
    make_dataloaders,
    mean_chroma,
    split_photos,
)
from colorize_lib.files import _sweep, temporary
from colorize_lib.metrics.frechet import Frechet
from colorize_lib.photos import PhotoError, open_photo
from colorize_lib.photos.folders import find_photos, look_through


def test_find_photos(tmp_path, train_photos):
    for name in ("b.JPG", "deep/er/a.jpg", ".hidden.jpg", ".cache/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(train_photos[0], tmp_path / name)
    (tmp_path / "notes.txt").write_text("no photo")
    assert find_photos(tmp_path) == [tmp_path / "b.JPG", tmp_path / "deep/er/a.jpg"]
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        find_photos(tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no photos"):
        find_photos(tmp_path / "bare")


def test_linked_folders_are_followed_once(tmp_path, train_photos):
    (tmp_path / "photos").mkdir()
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(train_photos[0], tmp_path / "photos" / "a.jpg")
    shutil.copy(train_photos[1], tmp_path / "elsewhere" / "b.jpg")
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "circle").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "one.jpg").symlink_to(train_photos[2])
    found = [path.relative_to(tmp_path / "photos").as_posix() for path in find_photos(tmp_path / "photos")]
    assert found == ["a.jpg", "linked/b.jpg", "one.jpg"]


def test_files_that_are_passed_over_are_counted(tmp_path):
    for name in ("a.jpg", "b.MOV", "deep/notes.txt", ".hidden", ".cache/c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert look_through(tmp_path).others == {".mov": 1, ".txt": 1}


def test_split_tells_photos_of_one_name_in_several_folders_apart():
    photos = [Path(f"person{i:02d}/target.jpg") for i in range(100)]
    train, valid = split_photos(photos)
    assert sorted(train + valid) == photos
    assert 10 < len(valid) < 30


def test_split_is_by_the_path_in_the_folder():
    photos = [Path(f"/data/set/{side}/{i}.jpg") for side in ("a", "b") for i in range(20)]
    moved = [Path("/elsewhere") / path.relative_to("/data") for path in photos]
    _, valid = split_photos(photos, folder="/data/set")
    _, valid_of_moved = split_photos(moved, folder="/elsewhere/set")
    assert [path.relative_to("/elsewhere") for path in valid_of_moved] == [
        path.relative_to("/data") for path in valid
    ]
    _, valid_of_a = split_photos(photos[:20], folder="/data/set")
    assert valid_of_a == [path for path in valid if path.parent.name == "a"]
    assert split_photos(photos)[1] == valid


def test_split_of_a_flat_folder_is_by_name():
    """As in former versions, so that the split of a data set in use stays."""
    photos = [Path(f"folder/{i:04d}.jpg") for i in range(100)]
    ranks = [int(hashlib.sha256(f"0/{p.name}".encode()).hexdigest()[:16], 16) / 2**64 for p in photos]
    expected = [photo for photo, rank in zip(photos, ranks, strict=True) if rank < 0.2]
    assert split_photos(photos)[1] == expected


def test_split_is_stable_when_photos_are_added():
    photos = [Path(f"folder/{i:04d}.jpg") for i in range(1000)]
    train, valid = split_photos(photos, valid=0.2, seed=1)
    assert sorted(train + valid) == photos
    assert 150 < len(valid) < 250
    assert split_photos(random.sample(photos, 1000), valid=0.2, seed=1) == (train, valid)
    more = [Path(f"elsewhere/{p.name}") for p in photos] + [Path(f"elsewhere/x{i}.jpg") for i in range(500)]
    _, valid_of_more = split_photos(more, valid=0.2, seed=1)
    assert {p.name for p in valid} == {p.name for p in valid_of_more if not p.name.startswith("x")}
    assert split_photos(photos, valid=0.2, seed=2)[1] != valid


def test_split_gives_each_side_one():
    train, valid = split_photos([Path("a.jpg"), Path("b.jpg")], valid=0.01)
    assert len(train) == len(valid) == 1
    assert split_photos([Path("a.jpg")], valid=0.0) == ([Path("a.jpg")], [])


def test_crops_are_undistorted_and_vary():
    rng = random.Random(0)
    for aspect in (0.5, 1.0, 1.5):
        boxes = [draw_crop(rng, aspect) for _ in range(200)]
        for top, left, height, width in boxes:
            assert 0 <= top <= top + height <= 1 + 1e-9
            assert 0 <= left <= left + width <= 1 + 1e-9
            if height < 1 or width < 1:
                assert 3 / 4 - 1e-6 <= width / height * aspect <= 4 / 3 + 1e-6
        areas = [height * width for _, _, height, width in boxes]
        assert max(areas) - min(areas) > 0.2


def test_dataset_without_augmentation_is_the_stretched_photo(train_photos):
    dataset = PhotoDataset(train_photos[:3], size=64)
    assert dataset[0].shape == (3, 64, 64)
    assert dataset[0].dtype == torch.uint8
    assert torch.equal(dataset[0], dataset[0])
    mean = open_photo(train_photos[0]).mean(axis=(0, 1))
    assert np.abs(dataset[0].float().mean(dim=(1, 2)).numpy() - mean).max() < 2


def test_augmentation_depends_on_seed_epoch_and_photo_alone(train_photos):
    first, again = (PhotoDataset(train_photos[:3], size=64, augment=True, seed=1) for _ in range(2))
    torch.manual_seed(5), random.seed(5)
    assert torch.equal(first[3, 0], again[3, 0])
    assert not torch.equal(first[3, 0], first[4, 0])
    other = PhotoDataset(train_photos[:3], size=64, augment=True, seed=2)
    assert not torch.equal(first[3, 0], other[3, 0])


def test_later_epochs_decode_nothing(train_photos, monkeypatch):
    loaders = make_dataloaders(train_photos[:20], train_photos[20:24], size=64, batch_size=8, device="cpu")

    def fail(*_, **__):
        raise AssertionError("decoded again")

    monkeypatch.setattr("colorize_lib.data.open_photo", fail)
    for _ in range(2):
        assert sum(len(batch["L"]) for batch in loaders.train) == 16  # the rest of a batch is dropped


def test_cache_on_disk_serves_later_runs(tmp_path, train_photos, monkeypatch):
    photos = [*train_photos[:5], tmp_path / "missing.jpg"]
    first = PhotoDataset(photos, size=64, augment=True, cache=tmp_path / "cache")
    plain = PhotoDataset(photos, size=64, augment=True)
    monkeypatch.setattr("colorize_lib.data.open_photo", lambda *_, **__: 1 / 0)
    second = PhotoDataset(photos, size=64, augment=True, cache=tmp_path / "cache")
    assert len(first) == len(second) == 5
    assert first.skipped == second.skipped
    for i in range(5):
        assert torch.equal(first[2, i], second[2, i])
        assert torch.equal(first[2, i], plain[2, i])
    assert not list((tmp_path / "cache").glob("*.part"))


def test_unreadable_photos_are_skipped_and_listed(tmp_path, train_photos):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no photo")
    dataset = PhotoDataset([tmp_path / "empty.jpg", *train_photos[:2], tmp_path / "text.jpg"], size=32)
    assert len(dataset) == 2
    assert len(dataset.skipped) == 2
    assert "empty.jpg" in dataset.skipped[0]
    assert "text.jpg" in dataset.skipped[1]
    assert torch.equal(dataset[0], PhotoDataset(train_photos[:1], size=32)[0])
    with pytest.raises(PhotoError, match="none of the 1 photos"):
        PhotoDataset([tmp_path / "empty.jpg"], size=32)


def test_mean_chroma_is_that_of_skimage(train_photos):
    square = PhotoDataset(train_photos[:1], size=256)[0].permute(1, 2, 0)
    expected = np.hypot(*rgb2lab(square.numpy())[..., 1:].transpose(2, 0, 1)).mean()
    assert abs(mean_chroma(square) - expected) < 0.05 * expected  # of one pixel in 64
    assert mean_chroma(torch.full((32, 48, 3), 99, dtype=torch.uint8)) < 0.01


@pytest.fixture()
def some_grey(tmp_path, train_photos):
    """Colour, grey, sepia, nearly grey, and no photo at all."""
    photo = Image.open(train_photos[0])
    grey = photo.convert("L").convert("RGB")
    sepia = photo.convert("RGB", matrix=(0.39, 0.77, 0.19, 0, 0.35, 0.69, 0.17, 0, 0.27, 0.53, 0.13, 0))
    pictures = {"grey": grey, "sepia": sepia, "nearly": Image.blend(grey, photo, 0.1)}
    for name, picture in pictures.items():
        picture.save(tmp_path / f"{name}.png")
    return [train_photos[0], *(tmp_path / f"{name}.png" for name in pictures), tmp_path / "missing.png"]


def test_near_grey_photos_are_left_out_and_listed(some_grey):
    colour, grey, sepia, nearly, _ = some_grey
    dataset = PhotoDataset(some_grey, size=64, augment=True, min_chroma=NEAR_GREY)
    assert dataset.photos == [colour, sepia]
    assert dataset.grey == [grey, nearly]
    assert len(dataset.skipped) == 1
    assert torch.equal(dataset[2, 1], PhotoDataset([colour, sepia], size=64, augment=True)[2, 1])


@pytest.mark.parametrize("first", [0.0, NEAR_GREY])
def test_the_cache_serves_both_with_and_without_near_grey_photos(tmp_path, some_grey, monkeypatch, first):
    PhotoDataset(some_grey, size=64, cache=tmp_path / "cache", min_chroma=first)
    monkeypatch.setattr("colorize_lib.data.open_photo", lambda *_, **__: 1 / 0)
    every = PhotoDataset(some_grey, size=64, cache=tmp_path / "cache")
    assert every.photos == some_grey[:4]
    assert every.grey == []
    coloured = PhotoDataset(some_grey, size=64, cache=tmp_path / "cache", min_chroma=NEAR_GREY)
    assert coloured.photos == [some_grey[0], some_grey[2]]
    assert coloured.grey == [some_grey[1], some_grey[3]]
    assert torch.equal(coloured[1], every[2])


def test_only_training_leaves_near_grey_photos_out(some_grey):
    readable = some_grey[:4]
    loaders = make_dataloaders(readable, readable, size=32, batch_size=2, device="cpu")
    assert loaders.train.dataset.photos == [some_grey[0], some_grey[2]]
    assert loaders.valid.dataset.photos == readable
    kept = make_dataloaders(readable, size=32, batch_size=2, device="cpu", keep_grey=True)
    assert kept.train.dataset.photos == readable


def test_grey_photos_alone_are_one_error(some_grey):
    with pytest.raises(PhotoError, match="none of the 1 photos .* in colour .*grey.png.*--keep-grey"):
        PhotoDataset(some_grey[1:2], size=32, min_chroma=NEAR_GREY)


def test_no_sample_photo_is_near_grey(train_photos):
    assert PhotoDataset(train_photos, size=32, min_chroma=NEAR_GREY).grey == []


def test_batches(train_photos, valid_photos):
    loaders = make_dataloaders(train_photos[:10], valid_photos[:6], size=32, batch_size=4, device="cpu")
    batch = next(iter(loaders.train))
    assert batch["L"].shape == (4, 1, 32, 32)
    assert batch["ab"].shape == (4, 2, 32, 32)
    assert batch["L"].dtype == batch["ab"].dtype == torch.float32
    assert -1 <= batch["L"].min() < batch["L"].max() <= 1
    assert batch["ab"].abs().max() < 1.01
    assert [len(batch["L"]) for batch in loaders.valid] == [4, 2]


def test_a_folder_with_fewer_photos_than_a_batch_is_one_batch(train_photos):
    loaders = make_dataloaders(train_photos[:3], size=16, batch_size=16, device="cpu")
    assert [len(batch["L"]) for batch in loaders.train] == [3]


@pytest.mark.parametrize(("device", "overlapped"), [("cuda", True), ("mps", False), ("cpu", False)])
def test_only_cuda_copies_while_the_program_runs_on(monkeypatch, device, overlapped):
    """On a Mac such a copy may read memory that was freed meanwhile."""
    monkeypatch.setattr(
        "colorize_lib.data.default_device", torch.device
    )  # also one that this machine has not
    copies = []

    class Photos(torch.Tensor):
        def to(self, device, non_blocking=False):
            copies.append((torch.device(device).type, non_blocking))
            return self.as_subclass(torch.Tensor)

    photos = torch.zeros(2, 3, 4, 4, dtype=torch.uint8).as_subclass(Photos)
    list(LabLoader([photos], device))
    assert copies == [(device, overlapped)]


def test_workers_give_the_same_batches(train_photos):
    def epoch(workers: int) -> torch.Tensor:
        loaders = make_dataloaders(train_photos[:8], size=32, batch_size=4, num_workers=workers, device="cpu")
        return torch.cat([batch["ab"] for batch in loaders.train])

    assert torch.equal(epoch(0), epoch(2))


@pytest.mark.parametrize(("method", "workers"), [("fork", True), ("spawn", False), ("forkserver", False)])
def test_workers_are_the_default_only_on_cuda_and_where_they_are_forked(monkeypatch, method, workers):
    monkeypatch.setattr("multiprocessing.get_start_method", lambda allow_none=False: method)
    assert (default_workers(torch.device("cuda")) > 0) == workers
    assert default_workers(torch.device("cpu")) == 0


SCRIPT = """
import multiprocessing, sys
from colorize_lib import find_photos, make_dataloaders
{start}
    photos = find_photos({folder!r})[:4]
    loaders = make_dataloaders(photos, size=16, batch_size=2, num_workers=1, device="cpu")
    print("batches", len(list(loaders.train)))
"""


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param(
            "if True:", "batches 2", marks=pytest.mark.skipif(sys.platform != "linux", reason="is for Linux")
        ),
        (
            "multiprocessing.set_start_method('spawn', force=True)\nif True:",
            "put its code under `if __name__",
        ),
    ],
    ids=["as Linux starts them", "spawned, as on Windows"],
)
def test_a_script_without_a_guard_works_or_says_what_it_needs(tmp_path, train_photos, start, expected):
    (tmp_path / "script.py").write_text(SCRIPT.format(start=start, folder=str(train_photos[0].parent)))
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True)
    assert expected in (done.stdout + done.stderr).splitlines()[-1]


def test_sampler_resumes_in_the_middle_of_an_epoch():
    sampler = EpochSampler(10, seed=3)
    sampler.set_epoch(2)
    order = list(sampler)
    assert sorted(index for _, index in order) == list(range(10))
    assert {epoch for epoch, _ in order} == {2}
    sampler.skip = 4
    assert list(sampler) == order[4:]
    assert list(sampler) == order
    sampler.set_epoch(3)
    assert [i for _, i in sampler] != [i for _, i in order]


def test_loading_draws_nothing_from_the_global_generator(train_photos):
    loaders = make_dataloaders(train_photos[:8], train_photos[8:12], size=32, batch_size=4, device="cpu")
    before = torch.get_rng_state()
    list(loaders.train), list(loaders.valid)
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(loaders.train, LabLoader)


@pytest.mark.parametrize(
    "text",
    ["Caught RuntimeError in DataLoader worker process 0.\nunable to allocate shared memory(shm) for file </torch_7>: No space",
     "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory."],
)  # fmt: skip
def test_a_full_dev_shm_gives_one_sentence(text):
    """What PyTorch says where it is small, as in a container."""

    class Loader:
        num_workers = 2

        def __iter__(self):
            raise RuntimeError(text)

    with pytest.raises(OSError, match="ran out of shared memory .* take none \\(--workers 0, ") as caught:
        next(iter(LabLoader(Loader(), "cpu")))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [
    lambda photos, device: make_dataloaders(photos, size=32, device=device),
    lambda photos, device: LabLoader([], device),
    lambda photos, device: Frechet(device),
], ids=["make_dataloaders", "LabLoader", "Frechet"])  # fmt: skip
@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_asked_for_and_missing_is_an_error(train_photos, make, device):
    with pytest.raises(ValueError, match=f"no device '{device}' can be used here"):
        make(train_photos[:1], device)


KILLED = """
import os, sys, time
from pathlib import Path
from colorize_lib.files import temporary
with temporary(Path(sys.argv[1])) as (file, part):
    print(part, flush=True)
    sys.stdin.read()
    os._exit(1)  # as a kill would: nothing is cleaned up
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps what a killed process left")
def test_what_a_killed_process_left_is_swept_and_a_living_ones_is_not(tmp_path, train_photos):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    part = Path(process.stdout.readline().strip())
    with temporary(tmp_path):
        assert part.exists()
    process.communicate("")
    assert part.exists()
    _sweep.cache_clear()  # which another process would have of its own
    PhotoDataset(train_photos[:1], 16, cache=tmp_path)
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".json", ".u8"]


def test_the_cache_is_no_pickle(tmp_path, train_photos):
    PhotoDataset(train_photos[:2], 16, cache=tmp_path)
    (table,) = tmp_path.glob("*.json")
    assert json.loads(table.read_text()).keys() == {"aspects", "chroma", "readable", "skipped"}


@pytest.fixture
def imagenette(tmp_path, train_photos, monkeypatch):
    """torchvision's Imagenette, with an archive of three photos on a server of its own; returns the archive."""
    archive = tmp_path / "imagenette2-320.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for photo in train_photos[:3]:
            tar.add(photo, f"imagenette2-320/train/n01440764/{photo.stem}.JPEG")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{archive.name}"
        md5 = hashlib.md5(archive.read_bytes()).hexdigest()
        monkeypatch.setattr(Imagenette, "_ARCHIVES", {"320px": (url, md5)})
        yield archive
        server.shutdown()


def test_imagenette_is_fetched_once(imagenette, tmp_path):
    photos = fetch_photos("imagenette", tmp_path / "sets")
    imagenette.unlink()
    assert len(photos) == 3
    assert fetch_photos("imagenette", tmp_path / "sets") == photos


def test_a_damaged_archive_leaves_nothing(imagenette, tmp_path):
    imagenette.write_bytes(imagenette.read_bytes()[:-1] + b"?")
    with pytest.raises(ConnectionError, match="call again, or take a folder of your own"):
        fetch_photos("imagenette", tmp_path / "sets")
    assert list((tmp_path / "sets").iterdir()) == []


def test_a_download_that_fails_is_one_sentence(imagenette, tmp_path):
    imagenette.unlink()
    with pytest.raises(ConnectionError, match="could not be downloaded"):
        fetch_photos("imagenette", tmp_path / "sets")


def test_an_unknown_set_is_refused():
    with pytest.raises(ValueError, match="is imagenette"):
        fetch_photos("nonsense")
