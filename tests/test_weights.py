"""The bundled weights' recipe: `make weights`."""

import importlib.util
import sys
from itertools import chain

import pytest
import torch

from colorize_lib import build_generator
from colorize_lib.checkpoints import find_weights, load_checkpoint, read_header, save_checkpoint
from colorize_lib.data import sample_photos


@pytest.fixture(scope="module")
def recipe(root):
    spec = importlib.util.spec_from_file_location("make_weights", root / "tools/make_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def photos(tmp_path):
    for split in ("train", "val"):
        folder = tmp_path / "photos" / split
        folder.mkdir(parents=True)
        for photo in sample_photos(split)[:6]:
            (folder / photo.name).symlink_to(photo)
    return tmp_path / "photos"


@pytest.mark.parametrize("table", ["STAGES", "GPU_STAGES"])
def test_each_stage_starts_from_one_before_it(recipe, table):
    done = {None}
    for name, start, _ in chain.from_iterable(getattr(recipe, table).values()):
        assert done >= (set(start) if isinstance(start, dict) else {start})
        done.add(name)


def test_every_header_names_the_factor_of_the_bundled_weights(recipe):
    assert {name: read_header(find_weights(name))["chroma"] for name in recipe.STAGES} == recipe.CHROMA


def test_the_stages_lead_to_weights_and_are_not_repeated(recipe, photos, tmp_path, monkeypatch):
    small = "--size 32 --batch-size 3 --epochs 1 --device cpu"
    stages = [("a", None, f"--queries 0 {small}"), ("b", "a", f"--queries 4 {small}")]
    monkeypatch.setattr(recipe, "STAGES", {"l1": stages})
    monkeypatch.setattr(recipe, "GPU_STAGES", {"l1": stages})
    out = tmp_path / "made"
    monkeypatch.setattr(sys, "argv", ["make.py", str(photos), "--out", str(out)])
    recipe.main()
    assert load_checkpoint(out / "l1.safetensors").config["queries"] == 4
    made, bundled = read_header(out / "l1.safetensors"), read_header(find_weights("l1"))
    assert made["resolution"] == bundled["resolution"]
    assert made["chroma"] == bundled["chroma"]
    first = (out / "b" / "generator.safetensors").read_bytes()
    recipe.main()
    assert (out / "b" / "generator.safetensors").read_bytes() == first


@pytest.fixture
def two_stages(tmp_path):
    """A generator without colour queries, and the same one trained on, with queries."""
    old = build_generator("chroma_unet", pretrained=False, widths=(8, 8, 8), queries=0)
    new = build_generator("chroma_unet", pretrained=False, widths=(8, 8, 8), queries=4)
    for name, generator in (("old", old), ("new", new)):
        (tmp_path / name).mkdir()
        save_checkpoint(tmp_path / name / "generator.safetensors", generator, made_by={})
    return old.state_dict(), new.state_dict()


def test_a_mean_of_stages_lies_between_them(recipe, two_stages, tmp_path):
    old, new = two_stages
    mean = load_checkpoint(recipe.mean_of({"new": 0.75, "old": 0.25}, tmp_path)).state_dict()
    key = next(
        key for key, weight in old.items() if weight.is_floating_point() and not weight.equal(new[key])
    )
    torch.testing.assert_close(mean[key], 0.75 * new[key] + 0.25 * old[key])


def test_a_mean_takes_what_only_the_first_stage_has(recipe, two_stages, tmp_path):
    _, new = two_stages
    mean = load_checkpoint(recipe.mean_of({"new": 0.75, "old": 0.25}, tmp_path)).state_dict()
    queries = [key for key in new if key.startswith("queries.")]
    assert queries
    for key in queries:
        torch.testing.assert_close(mean[key], new[key])


def test_a_stage_may_be_a_mean_alone(recipe, two_stages, tmp_path):
    recipe.make("mean", {"new": 0.5, "old": 0.5}, None, tmp_path, tmp_path)
    assert load_checkpoint(tmp_path / "mean" / "generator.safetensors").config["queries"] == 4


def test_colours_times_a_factor(recipe):
    generator = build_generator("chroma_unet", pretrained=False, widths=(8, 8, 8), queries=4).eval()
    torch.nn.init.normal_(generator.head.weight)  # a new one is grey
    L = torch.rand(1, 1, 32, 32) * 2 - 1
    with torch.no_grad():
        before = generator(L)
        after = recipe.with_colours(generator, 1.25)(L)
    assert before.abs().max() > 0
    torch.testing.assert_close(after, 1.25 * before)


def test_a_stage_that_fails_says_how_to_go_on(recipe, tmp_path):
    with pytest.raises(SystemExit, match="give the same command again"):
        recipe.run("a", None, "", tmp_path / "nowhere", tmp_path)
