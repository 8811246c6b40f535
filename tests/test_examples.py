"""The examples: a new loss needs no change to the loop, the metrics or the colorizer; scripts for a folder of photos."""

import importlib.util
import math
import re

import pytest
import torch

from colorize_lib.checkpoints import load_generator
from colorize_lib.color import merge_lab, rgb_to_lab, split_lab
from colorize_lib.colorizer import Colorizer
from colorize_lib.data import make_dataloaders, sample_photos
from colorize_lib.metrics import evaluate
from colorize_lib.models import GENERATORS
from colorize_lib.photos import open_photo, resize_photo, save_photo
from colorize_lib.training import METHODS, RECIPES, fit
from colorize_lib.training.run_folder import read_history


@pytest.fixture(scope="module")
def classes(root):
    tables = [GENERATORS, METHODS, RECIPES]
    before = [dict(table) for table in tables]
    spec = importlib.util.spec_from_file_location("classes", root / "examples/classes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)


@pytest.fixture(scope="module")
def loaders():
    return make_dataloaders(
        sample_photos("train")[:32], sample_photos("val")[:8], size=64, batch_size=8, device="cpu"
    )


@pytest.fixture(scope="module")
def trained(classes, loaders, tmp_path_factory):
    """Eight epochs of four batches, with cells 20 units wide."""
    out = tmp_path_factory.mktemp("classes")
    torch.manual_seed(0)
    method = classes.Classification(classes.ColourClasses(width=20.0), lr=1e-3, encoder_lr=3e-4)
    fit(method, loaders, 8, schedule="one_cycle", out=out, validate_every=4, progress=False)
    return out


def test_the_loss_falls(trained):
    losses = [row["cross_entropy"] for row in read_history(trained)]
    assert losses[-1] < 0.75 * losses[0]


def test_the_metrics_measure_it(trained, loaders):
    table = evaluate(load_generator(trained / "generator.safetensors"), loaders.valid)
    assert table["model"]["colourfulness"] > 2
    assert table["model"]["ab_error"] < 1.5 * table["grey"]["ab_error"]


def test_the_run_validates_it_and_draws_it(trained):
    assert [row["epoch"] for row in read_history(trained) if "valid_ab_error" in row] == [4, 8]
    picture = open_photo(trained / "samples" / "epoch_0008.jpg").astype(int)
    predicted = picture[:, 64:128]
    assert (predicted.max(axis=2) - predicted.min(axis=2)).mean() > 3


def test_the_colorizer_colours_with_it(trained):
    photo = sample_photos("val")[0]
    in_colour = Colorizer.from_pretrained(trained, device="cpu")(photo).astype(int)
    assert in_colour.shape == open_photo(photo).shape
    assert (in_colour.max(axis=2) - in_colour.min(axis=2)).mean() > 3


def test_the_cells_are_those_of_the_colours(classes, photo):
    ab = split_lab(rgb_to_lab(torch.from_numpy(photo).permute(2, 0, 1)[None]))[1]
    cells = classes.ab_cells(10.0)
    assert len(cells) == 261
    units = merge_lab(torch.zeros(1, 1, 1, len(cells)), cells.T[None, :, None])[0, 1:]
    assert torch.allclose(units, (units / 10).round() * 10, atol=1e-4)
    generator = classes.ColourClasses(pretrained=False)
    nearest = generator.cells[generator.soft_targets(ab).argmax(dim=1)].movedim(-1, 1)
    farthest = (merge_lab(torch.zeros_like(ab[:, :1]), ab - nearest)[:, 1:]).abs().max()
    assert farthest < 10  # 5 inside, and a little more at the rim


def test_the_five_nearest_cells_share_a_target(classes):
    """In the middle of a cell of 10 units, the four neighbours are two sigmas away: exp(−2) of its share each."""
    generator = classes.ColourClasses(pretrained=False)
    middle = int(generator.cells.norm(dim=1).argmin())  # grey, with cells all around
    targets = generator.soft_targets(generator.cells[middle].view(1, 2, 1, 1))[0, :, 0, 0]
    shares, _ = targets.sort(descending=True)
    assert targets.argmax() == middle
    assert torch.allclose(
        shares[:6], torch.tensor([1, *[math.exp(-2)] * 4, 0]) / (1 + 4 * math.exp(-2)), atol=1e-5
    )


def test_rare_colours_weigh_more_and_the_mean_weight_is_one(classes):
    generator = classes.ColourClasses(width=20.0, pretrained=False)
    ab = (
        generator.cells[[30] * 9 + [50]].T.view(1, 2, 1, 10).repeat_interleave(4, dim=3).expand(-1, -1, 4, -1)
    )
    weights = classes.rarity(generator, [{"ab": ab}])
    shares = generator.soft_targets(ab).mean((0, 2, 3))
    assert (shares * weights).sum() == pytest.approx(1, abs=1e-5)
    assert weights[50] > 1.5 * weights[30]


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.6), (0.5, 0.36 / 0.52), (0.01, 1.0)])
def test_the_annealed_mean_goes_from_the_mean_to_the_most_probable(classes, temperature, share):
    """Shares of 0.6 and 0.4 for two colours: at T they are as 0.6^(1/T) to 0.4^(1/T), as in the paper's equation 5."""
    generator = classes.ColourClasses(width=20.0, temperature=temperature, pretrained=False)
    logits = torch.full((1, len(generator.cells), 1, 1), -1e4)
    logits[0, :2, 0, 0] = torch.tensor([0.6, 0.4]).log()
    expected = share * generator.cells[0] + (1 - share) * generator.cells[1]
    assert torch.allclose(generator.to_ab(logits)[0, :, 0, 0], expected, atol=1e-4)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a few photos, called "photos", and an old one."""
    (tmp_path / "photos").mkdir()
    for photo in sample_photos("train")[:6]:
        save_photo(tmp_path / "photos" / photo.name, resize_photo(open_photo(photo), 72, 96))
    (tmp_path / "old.jpg").symlink_to(tmp_path / "photos" / photo.name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_script(root, title):
    """Run the script of docs/own_project.md under a heading; returns its names."""
    page = (root / "docs/own_project.md").read_text(encoding="utf-8")
    (script,) = re.findall(rf"## {title}\n\n```python\n(.*?)```", page, re.DOTALL)
    space = {}
    exec(script, space)
    return space


def test_a_folder_in_colour(root, project):
    run_script(root, "A folder in colour")
    assert {path.stem for path in (project / "in_colour").iterdir()} == {
        path.stem for path in (project / "photos").iterdir()
    }


def test_another_loss(root, project):
    run_script(root, "Another loss")
    assert ["loss" in row for row in read_history("runs/huber")] == [True, True]


def test_a_network_of_ones_own(root, project):
    assert run_script(root, "A network of your own")["in_colour"].shape == (72, 96, 3)


def test_a_generator_of_ones_own_and_a_gan(root, project, monkeypatch):
    monkeypatch.setitem(GENERATORS, "halves", None)
    space = run_script(root, "A generator of your own, and a GAN")
    weights = space["generator"].state_dict()
    assert all(value.equal(weights[name]) for name, value in space["again"].state_dict().items())


def test_a_table(root, project):
    table = run_script(root, "A table")["table"]
    assert list(table) == ["grey", "mean colour", "l1", "adversarial", "true"]
    assert table["l1"].keys() == {"ab_error", "psnr", "colourfulness", "frechet"}
