"""The benchmark: that the recipe computes what ours does, and that the table says what was measured."""

import json
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import torch
from PIL import Image

from colorize_lib import fit_to_gamut, lab_to_rgb, open_photo, rgb_to_lab
from colorize_lib.data import lab_batch
from colorize_lib.models.imagenet import imagenet_weights


@pytest.fixture(scope="module")
def bench(root):
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        import bench
    finally:
        sys.path.remove(str(root / "benchmarks"))
    return bench


@pytest.fixture(scope="module")
def skin(root):
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        import skin
    finally:
        sys.path.pop(0)
    return skin


@pytest.fixture(scope="module")
def astronaut(root):
    return open_photo(root / "data/samples/photos/astronaut.jpg")


@pytest.fixture(scope="module")
def face(skin, astronaut):
    """The face's place in `astronaut`, and which of its pixels are skin."""
    (found,) = skin.skin_of(astronaut, skin.Cascade(skin.lbp_frontal_face_cascade_filename()))
    return found


def turned(photo, degrees):
    """A photo, (H, W, 3) uint8, with all hues turned."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    lab = rgb_to_lab(torch.from_numpy(photo).permute(2, 0, 1)[None])
    L, a, b = lab.split(1, dim=1)
    rgb = lab_to_rgb(fit_to_gamut(torch.cat([L, cos * a - sin * b, sin * a + cos * b], dim=1)))
    return (rgb[0].permute(1, 2, 0) * 255).round().byte().numpy()


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_face_of_another_hue_is_wrong(skin, astronaut, face, degrees):
    wrong, _ = skin.wrong_and_grey(turned(astronaut, degrees), *face)
    assert wrong > 0.8


def test_no_skin_of_a_true_photo_is_wrong(skin, astronaut, face):
    assert skin.wrong_and_grey(astronaut, *face) == (0, 0)


def test_a_grey_face_is_grey(skin, astronaut, face):
    grey = np.broadcast_to(astronaut.mean(axis=2, keepdims=True).astype(np.uint8), astronaut.shape)
    assert skin.wrong_and_grey(grey.copy(), *face) == (0, 1)


def test_the_recipes_batches_are_ours(bench, photo):
    """skimage's Lab per photo, and ours per batch, of the same pixels."""
    small = Image.fromarray(photo).resize((64, 64))
    theirs = bench.recipe.to_lab(small)
    ours = lab_batch(torch.from_numpy(np.array(small)).permute(2, 0, 1)[None])
    assert (theirs["L"] - ours["L"][0]).abs().max() < 1e-5
    assert (theirs["ab"] - ours["ab"][0]).abs().max() < 1e-5


def test_the_recipes_offline_encoder_has_imagenets_weights(bench):
    generator = bench.recipe.dynamic_unet_on_efficientnet().eval()
    with torch.no_grad():
        assert generator(torch.randn(1, 1, 256, 256)).shape == (1, 2, 256, 256)
    weights = imagenet_weights("tf_efficientnet_lite0").values()
    known = {tensor.double().sum().item() for tensor in weights if tensor.ndim == 4}
    found = {p.double().sum().item() for p in generator.layers[0].parameters() if p.ndim == 4}
    assert len(found & known) >= 47
    assert len(found - known) == 1  # the first layer's filters are summed


def test_a_row_says_who_is_better_and_whether_it_is_enough(bench):
    three = {"median": 3.0, "low": 2.0, "high": 4.0}
    six = {"median": 6.0, "low": 5.0, "high": 7.0}
    speed = bench.row("speed", "photos/s", six, three, 2)
    assert speed["factor"] == 2
    assert bench.format_factor(speed) == ("2 ×", "2 ×: met")
    time = bench.row("time", "s", six, three, 1)
    assert time["factor"] == 0.5
    assert bench.format_factor(time)[1] == "1 ×: missed"
    stopped = bench.row("time", "minutes", three, six | {"note": "not reached in "}, 2)
    assert bench.format_factor(stopped) == ("at least 2 ×", "2 ×: met")
    assert bench.format_value(six) == "6 (5 to 7)"
    assert bench.format_value(stopped["recipe"]).startswith("not reached in 6")
    assert "| time | minutes | not reached in 6" in bench.table({"parts": {"quality": [stopped]}})


def test_of_three_times_a_training_counts_the_fastest(bench, monkeypatch):
    """No clock is read: the first is slow for its cold caches, the last for a busy moment."""
    times = iter([8.0, 2.0, 4.0])
    monkeypatch.setattr(bench, "seconds", lambda *_: next(times))
    batch = {"L": torch.zeros(16, 1, 4, 4)}
    assert bench.stepper((torch.nn.Conv2d(1, 2, 1), None), batch, "float32")() == 16 / 2.0


def test_a_part_runs_and_writes_its_results(root, tmp_path, train_photos):
    (tmp_path / "photos").mkdir()
    for photo in train_photos[:16]:
        (tmp_path / "photos" / photo.name).symlink_to(photo)
    command = [sys.executable, root / "benchmarks/bench.py", "loading", "--quick", "--device", "cpu"]
    command += ["--photos", tmp_path / "photos", "--out", tmp_path]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    results = json.loads((tmp_path / "results.json").read_text())
    first, later, steps = results["parts"]["loading"]
    assert "decode" in steps["note"]
    for line in (first, later):
        assert line["factor"] == pytest.approx(line["ours"]["median"] / line["recipe"]["median"])
    assert results["quick"]
    assert results["machine"]["versions"]["torch"] == version("torch")
    assert (tmp_path / "results.md").read_text().strip() in said
    assert (tmp_path / "results.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_an_unknown_part_is_refused(bench, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench.py", "nonsense"])
    with pytest.raises(SystemExit) as stop:
        bench.main()
    assert stop.value.code == 2
    assert "choose from importing" in capsys.readouterr().err
