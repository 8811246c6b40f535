"""The bundled weights' recipe: `make weights`."""

import importlib.util
import sys
from itertools import chain

import pytest

from colorize_lib.checkpoints import load_checkpoint, read_header
from colorize_lib.data import sample_photos


@pytest.fixture(scope="module")
def recipe(root):
    spec = importlib.util.spec_from_file_location("make_weights", root / "colorize_lib/weights/make.py")
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
        assert start in done
        done.add(name)


def test_the_stages_lead_to_weights_and_are_not_repeated(recipe, photos, tmp_path, monkeypatch):
    small = "--size 32 --batch-size 3 --epochs 1 --device cpu"
    stages = [("a", None, f"--queries 0 {small}"), ("b", "a", f"--queries 4 {small}")]
    monkeypatch.setattr(recipe, "STAGES", {"l1": stages})
    monkeypatch.setattr(recipe, "GPU_STAGES", {"l1": stages})
    out = tmp_path / "made"
    monkeypatch.setattr(sys, "argv", ["make.py", str(photos), "--out", str(out)])
    recipe.main()
    assert load_checkpoint(out / "l1.safetensors").config["queries"] == 4
    assert read_header(out / "l1.safetensors")["resolution"] == 256
    first = (out / "b" / "generator.safetensors").read_bytes()
    recipe.main()
    assert (out / "b" / "generator.safetensors").read_bytes() == first


def test_a_stage_that_fails_says_how_to_go_on(recipe, tmp_path):
    with pytest.raises(SystemExit, match="give the same command again"):
        recipe.run("a", None, "", tmp_path / "nowhere", tmp_path)
