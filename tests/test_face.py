"""What a script of forty lines says to the library, and what it gets."""

import copy
import inspect
import io
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader

import colorize_lib
from colorize_lib import (
    AdversarialTraining,
    CheckpointError,
    Colorizer,
    L1Pretraining,
    LabLoader,
    PatchDiscriminator,
    PhotoDataset,
    PhotoError,
    build_generator,
    evaluate,
    find_photos,
    fit,
    load_checkpoint,
    make_dataloaders,
    open_photo,
    predict_ab,
    pretrain,
    sample_photos,
    save_checkpoint,
    save_photo,
    split_photos,
    train_adversarial,
)
from colorize_lib.checkpoints import read_header
from colorize_lib.metrics import colourfulness
from colorize_lib.training import AdversarialOptions, L1Options, RunOptions


@pytest.fixture(scope="module")
def painter():
    """A small generator that has learned nothing, and paints strong colours."""
    torch.manual_seed(0)
    generator = build_generator("unet", downs=5, filters=4).eval()
    for parameter in generator.model.up[1].parameters():
        parameter.data *= 40
    return generator


@pytest.fixture
def pale(painter, tmp_path):
    """Weights of the same, with a factor in their header."""
    generator = copy.deepcopy(painter)
    generator.chroma = 0.5
    return save_checkpoint(tmp_path / "pale.safetensors", generator)


def test_evaluate_measures_what_the_colorizer_paints(pale, valid_photos):
    dataset = PhotoDataset(valid_photos[:4], 64)
    table = evaluate(load_checkpoint(pale), LabLoader(DataLoader(dataset, batch_size=4), "cpu"))
    colorizer = Colorizer.from_pretrained(pale, resolution=64, device="cpu")
    painted = torch.stack([colorizer(dataset[i]) for i in range(4)])
    assert table["model"]["colourfulness"] == pytest.approx(
        colourfulness(painted / 255).mean().item(), abs=0.3
    )  # 8 bits


def test_the_factor_of_the_header_scales_ab(painter, pale):
    batch = {"L": torch.rand(1, 1, 32, 32)}
    with torch.no_grad():
        assert predict_ab(load_checkpoint(pale), batch).equal(0.5 * predict_ab(painter, batch))


def test_a_copied_weights_file_keeps_its_factor(pale, tmp_path):
    again = save_checkpoint(tmp_path / "again.safetensors", load_checkpoint(pale))
    assert read_header(again)["chroma"] == 0.5


def test_a_training_begins_with_the_networks_own_colours(pale, train_photos, tmp_path):
    loaders = make_dataloaders(train_photos[:4], size=32, batch_size=4, device="cpu")
    generator = load_checkpoint(pale)
    pretrain(generator, loaders, epochs=1, out=tmp_path / "run", progress=False)
    assert generator.chroma == 1
    assert read_header(tmp_path / "run/generator.safetensors")["chroma"] == 1


# Folders and strings where people give them


@pytest.fixture(scope="module")
def folder(tmp_path_factory, train_photos):
    """A folder called "photos" with ten photos."""
    folder = tmp_path_factory.mktemp("given") / "photos"
    folder.mkdir()
    for photo in train_photos[:10]:
        (folder / photo.name).symlink_to(photo)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)


def names(paths):
    return sorted(path.name for path in paths)


def test_a_folders_name_is_split_as_its_photos_are(here):
    assert split_photos("photos") == split_photos(find_photos("photos"))


def test_the_name_of_the_folder_does_not_decide_on_the_side(folder, tmp_path):
    """Also of a folder whose photos all lie in one subfolder."""
    shutil.copytree(folder, tmp_path / "others/inside", symlinks=True)
    shutil.copytree(folder, tmp_path / "photos/inside", symlinks=True)
    sides = [[names(side) for side in split_photos(str(tmp_path / name))] for name in ("others", "photos")]
    assert sides[0] == sides[1]


def test_dataloaders_of_a_folder_split_it(here):
    loaders = make_dataloaders("photos", size=32, batch_size=2, device="cpu", keep_grey=True)
    train, valid = split_photos("photos")
    assert (loaders.train.dataset.photos, loaders.valid.dataset.photos) == (train, valid)


def test_dataloaders_of_two_folders(here, train_photos, tmp_path):
    (tmp_path / "valid").mkdir()
    (tmp_path / "valid" / train_photos[20].name).symlink_to(train_photos[20])
    loaders = make_dataloaders("photos", tmp_path / "valid", 32, 2, device="cpu", keep_grey=True)
    assert len(loaders.train.dataset) == 10
    assert names(loaders.valid.dataset.photos) == [train_photos[20].name]


def test_dataloaders_of_a_list_keep_all_of_it_for_the_training(train_photos):
    assert make_dataloaders(train_photos[:3], size=32, batch_size=2, device="cpu").valid is None


def test_a_share_of_a_list_is_set_aside(train_photos):
    loaders = make_dataloaders(train_photos[:10], 0.5, 32, 2, device="cpu", keep_grey=True)
    assert loaders.valid.dataset.photos == split_photos(train_photos[:10], 0.5)[1]


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_that_is_none_is_refused(folder, share):
    with pytest.raises(ValueError, match=f"valid is {share}"):
        make_dataloaders(folder, share)


def test_a_share_that_leaves_no_photos_is_named(folder):
    with pytest.raises(PhotoError, match="there are no photos"):
        make_dataloaders(folder, 1)


def test_several_folders(folder, train_photos, tmp_path):
    (tmp_path / train_photos[20].name).symlink_to(train_photos[20])
    assert find_photos(tmp_path, folder) == [tmp_path / train_photos[20].name, *find_photos(folder)]


def test_a_photo_of_two_folders_is_found_once(folder):
    assert find_photos(folder, folder) == find_photos(folder)


def test_folders_in_a_list_stand_for_their_photos(folder, train_photos):
    dataset = PhotoDataset([train_photos[20], folder], 16)
    assert dataset.photos == [train_photos[20], *find_photos(folder)]


@pytest.mark.parametrize(
    "call",
    [find_photos, split_photos, make_dataloaders, PhotoDataset, Colorizer("l1", device="cpu").many],
    ids=["find_photos", "split_photos", "make_dataloaders", "PhotoDataset", "many"],
)
def test_a_folder_that_is_none_is_named(call, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder: check the path"):
        call(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("call", [split_photos, make_dataloaders, PhotoDataset])
@pytest.mark.parametrize("given", [[b"a.jpg"], b"a.jpg", [1, 2], np.zeros((2, 8, 8, 3), np.uint8)])
def test_what_is_no_path_is_refused(call, given):
    with pytest.raises(TypeError, match="photos are given by their paths, or as a folder"):
        call(given)


def test_many_colours_a_folder(here, painter):
    colorizer = Colorizer(painter, 32, "cpu")
    assert [path for path, _ in colorizer.many("photos")] == find_photos("photos")


def test_many_takes_one_file_for_a_list_of_one(folder, painter):
    photo = find_photos(folder)[0]
    assert [path for path, _ in Colorizer(painter, 32, "cpu").many(str(photo))] == [photo]


@pytest.mark.parametrize(
    "given",
    [b"\xff\xd8", io.BytesIO(b"\xff\xd8"), np.zeros((8, 8, 3)), torch.zeros(3, 8, 8), Image.new("L", (8, 8))],
    ids=["bytes", "upload", "array", "tensor", "image"],
)
def test_many_does_not_read_one_photo_piece_by_piece(painter, given):
    with pytest.raises(ValueError, match="one photo, where several are meant"):
        Colorizer(painter, 32, "cpu").many(given)


@pytest.mark.parametrize("options", [{"satturation": 2}, {"saturation": -1}, {"resolution": 0}])
def test_many_refuses_an_option_once_and_at_once(painter, photo, options):
    failures = []
    with pytest.raises((TypeError, ValueError), match=next(iter(options))):
        Colorizer(painter, 32, "cpu").many([photo, photo], failures=failures, **options)
    assert failures == []


def test_weights_by_their_name(painter, photo):
    assert np.array_equal(
        Colorizer("l1", 64, "cpu")(photo), Colorizer.from_pretrained("l1", resolution=64, device="cpu")(photo)
    )


def test_what_is_neither_weights_nor_a_network_is_refused(painter):
    with pytest.raises(TypeError, match="got Colorizer"):
        Colorizer(Colorizer(painter, device="cpu"))


def test_the_best_weights_need_no_name():
    assert Colorizer(device="cpu").generator.config == load_checkpoint("best").config


def test_a_checkpoint_by_the_name_of_its_weights_or_the_folder_of_its_run(pale, tmp_path):
    (tmp_path / "run").mkdir()
    pale.rename(tmp_path / "run/generator.safetensors")
    assert load_checkpoint(tmp_path / "run").chroma == 0.5
    assert read_header("l1")["chroma"] == 1.3


def test_one_metric(painter, valid_photos):
    batches = make_dataloaders(valid_photos[:2], valid_photos[:2], 32, device="cpu").valid
    assert set(evaluate(painter, batches, metrics="psnr")["model"]) == {"psnr"}


@pytest.mark.parametrize("match", ["ab", ("model",), "model"])
def test_a_match_of_one_row_is_refused(painter, match):
    with pytest.raises(ValueError, match="give two rows' names"):
        evaluate(painter, [], match=match)


def test_evaluate_takes_dataloaders_and_folders(painter, folder):
    loaders = make_dataloaders(
        [find_photos(folder)[0]], find_photos(folder)[:2], 256, device="cpu", keep_grey=True
    )
    expected = evaluate(painter, loaders.valid, metrics="ab_error")
    assert evaluate(painter, loaders, metrics="ab_error") == expected
    assert evaluate(painter, find_photos(folder)[:2], metrics="ab_error") == expected


def test_dataloaders_without_validation_photos_are_refused(painter, train_photos):
    with pytest.raises(ValueError, match="no photos to validate with"):
        evaluate(painter, make_dataloaders(train_photos[:2], size=32, batch_size=2, device="cpu"))


@pytest.mark.parametrize("generator", ["l1", [torch.nn.Identity()], Colorizer("l1", device="cpu")])
def test_evaluate_names_what_is_no_generator(generator):
    with pytest.raises(TypeError, match=f"got {type(generator).__name__}"):
        evaluate(generator, [])


def test_a_split_of_the_samples_that_is_none_is_refused():
    with pytest.raises(ValueError, match="choose train or val"):
        sample_photos("valid")


# Training


@pytest.fixture(scope="module")
def loaders(train_photos):
    return make_dataloaders(train_photos[:4], size=32, batch_size=4, device="cpu")


def small(name="unet"):
    return build_generator(name, downs=5, filters=4)


@pytest.mark.parametrize("discriminator", [None, PatchDiscriminator(filters=4, downs=1)])
def test_the_old_order_of_train_adversarial_goes_on_working(loaders, discriminator):
    torch.manual_seed(0)
    new = small()
    old = copy.deepcopy(new)
    history = train_adversarial(new, loaders, copy.deepcopy(discriminator), 1, progress=False)
    with pytest.warns(DeprecationWarning, match="old order goes with the next version"):
        again = train_adversarial(old, discriminator, loaders, 1, progress=False)
    assert [row["d"] for row in again] == [row["d"] for row in history]


def test_epochs_that_stand_for_a_discriminator_are_refused(loaders):
    with pytest.raises(TypeError, match="the discriminator is 5, which is no network"):
        train_adversarial(small(), loaders, 5)


def test_a_loss_is_an_option(loaders):
    """Its value is that of the grey start, where predicted is 0."""
    generator = build_generator("chroma_unet", pretrained=False, widths=(8, 8, 8), queries=0)
    history = pretrain(generator, loaders, 1, loss=F.huber_loss, progress=False)
    loaders.train.loader.sampler.set_epoch(0)
    (batch,) = loaders.train
    assert history[0]["loss"] == pytest.approx(
        F.huber_loss(torch.zeros_like(batch["ab"]), batch["ab"]).item()
    )
    assert "l1" not in history[0]


def test_a_loss_of_each_pixel_is_refused(loaders):
    with pytest.raises(ValueError, match="take its mean"):
        pretrain(small(), loaders, 1, loss=partial(F.l1_loss, reduction="none"), progress=False)


def test_a_loss_that_is_a_name_is_refused():
    with pytest.raises(TypeError, match="such as F.huber_loss"):
        L1Pretraining(small(), loss="huber")


def test_a_folder_is_trained_on(folder):
    history = pretrain(small(), str(folder), 0.01, progress=False)
    assert [row["step"] for row in history] == [1]
    assert "valid_ab_error" in history[0]


@pytest.mark.parametrize(
    ("options", "method"), [(L1Options, L1Pretraining), (AdversarialOptions, AdversarialTraining)]
)
def test_editors_see_all_options_of_a_training(options, method):
    """Whatever the method and `fit` take, but for what `pretrain` and `train_adversarial` name themselves."""
    taken = inspect.signature(method).parameters.keys() | inspect.signature(fit).parameters.keys()
    named = {"generator", "discriminator", "method", "dataloaders", "epochs"}
    assert options.__annotations__.keys() | RunOptions.__annotations__.keys() == taken - named


def test_a_word_has_one_default():
    found = {word: set() for word in ("progress", "device", "keep_grey", "queries")}
    for name in colorize_lib.__all__:
        public = getattr(colorize_lib, name)
        if callable(public) and not (isinstance(public, type) and issubclass(public, Exception)):
            for word, parameter in inspect.signature(public).parameters.items():
                if word in found:
                    found[word].add(parameter.default)
    assert found["progress"] == {True}
    assert found["device"] == {None}
    assert found["keep_grey"] == {False}
    assert found["queries"] == {24}


def test_the_default_generator_is_the_network_of_the_bundled_weights():
    assert build_generator(pretrained=False).config == read_header("best")["config"]


def test_a_checkpoint_of_a_time_before_colour_queries_has_none(tmp_path):
    plain = build_generator(pretrained=False, widths=(8, 8, 8), queries=0)
    del plain.config["queries"]
    again = load_checkpoint(save_checkpoint(tmp_path / "plain.safetensors", plain))
    assert again.config["queries"] == 0
    assert again.queries is None


def test_a_network_of_ones_own_asks_for_its_file(tmp_path):
    network = small()
    network.config = {"name": "mine"}
    with pytest.raises(CheckpointError, match="import the file that adds it to GENERATORS first"):
        load_checkpoint(save_checkpoint(tmp_path / "mine.safetensors", network))


# Photos as they come


@pytest.fixture(scope="module")
def colorizer(painter):
    return Colorizer(painter, 32, "cpu")


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "BytesIO", "open file", "half-read file"])
def test_a_file_in_memory_is_coloured_as_its_path(colorizer, train_photos, kind):
    path = train_photos[0]
    with path.open("rb") as file:
        if kind == "half-read file":
            file.read(100)
        kinds = {"bytes": bytes, "bytearray": bytearray, "BytesIO": io.BytesIO}
        photo = kinds[kind](path.read_bytes()) if kind in kinds else file
        assert np.array_equal(colorizer(photo), colorizer(path))


@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".png", ".webp"])
def test_an_upload_lends_its_metadata(photo, tmp_path, suffix):
    exif = Image.Exif()
    exif[0x010E] = "Grandmother at the lake"
    Image.fromarray(photo).save(tmp_path / f"a{suffix}", exif=exif)
    upload = io.BytesIO((tmp_path / f"a{suffix}").read_bytes())
    for like, name in ((tmp_path / f"a{suffix}", "by_path"), (upload, "by_upload")):
        save_photo(tmp_path / f"{name}{suffix}", open_photo(like), like=like)
    assert (tmp_path / f"by_upload{suffix}").read_bytes() == (tmp_path / f"by_path{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("photo", "said"),
    [
        (b"no photo", "the photo is not an image that can be read here"),
        (b"", r"the photo is empty \(0 bytes\)"),
        (io.StringIO("text"), 'open its file with "rb"'),
        ("https://example.org/a.jpg", "^https://example.org/a.jpg is an address, and this takes files: download"),
        (Path("https://example.org/a.jpg"), "is an address, and this takes files: download it first"),
    ],
)  # fmt: skip
def test_what_is_no_photo_is_named(colorizer, photo, said):
    with pytest.raises(PhotoError, match=said):
        colorizer(photo)


def test_a_broken_open_file_is_named(colorizer, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    with (tmp_path / "broken.jpg").open("rb") as file, pytest.raises(PhotoError, match="broken.jpg is not"):
        colorizer(file)


FORKED = """
import multiprocessing, sys
import numpy as np
from colorize_lib import Colorizer, build_generator
colorizer, grey = Colorizer(build_generator("unet", downs=5, filters=32), 256, "cpu"), np.zeros((99, 99), np.uint8)
alone = colorizer(grey)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(all((alone == one).all() for one in pool.map(colorizer, [grey, grey])))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="others do not fork")
@pytest.mark.timeout(200)
def test_forked_processes_colour_too():
    """PyTorch's threads do not survive a fork: with two, this hung for ever."""
    run = subprocess.run(
        [sys.executable, "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
    )
    assert run.stdout.split() == ["True"], run.stderr
