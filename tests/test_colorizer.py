"""Full size in, full size out, with the lightness it came with."""

import numpy as np
import pytest
import skimage.color
import torch
from PIL import Image

from colorize_lib.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from colorize_lib.color import rgb_to_lab
from colorize_lib.colorizer import WEIGHTS, Colorizer
from colorize_lib.data import make_dataloaders
from colorize_lib.metrics import evaluate
from colorize_lib.models import build_generator


@pytest.fixture(scope="module")
def vivid():
    """A generator whose colours are wild, and often beyond sRGB: hard on the lightness."""
    torch.manual_seed(0)
    generator = build_generator("chroma_unet")
    torch.nn.init.normal_(generator.head.weight, std=0.5)
    return generator


def lightness(rgb: np.ndarray) -> np.ndarray:
    top = np.iinfo(rgb.dtype).max
    return skimage.color.rgb2lab(rgb / top)[..., 0]


def test_a_12_megapixel_photo_keeps_its_size_and_lightness(vivid, photo):
    large = np.asarray(Image.fromarray(photo).resize((4000, 3000), Image.Resampling.BICUBIC))
    out = Colorizer(vivid, device="cpu")(large)
    assert out.shape == (3000, 4000, 3) and out.dtype == np.uint8
    assert (out.max(axis=2).astype(int) - out.min(axis=2)).mean() > 30  # it is in colour
    difference = max(
        np.abs(lightness(out[top : top + 500]) - lightness(large[top : top + 500])).max()
        for top in range(0, 3000, 500)
    )
    assert difference < 1


def test_only_the_lightness_is_used(vivid, photo):
    grey = np.round(skimage.color.lab2rgb(skimage.color.rgb2lab(photo) * [1, 0, 0]) * 255).astype(np.uint8)
    colorizer = Colorizer(vivid, device="cpu")
    a, b = colorizer(photo), colorizer(grey)
    assert np.abs(a.astype(int) - b).mean() < 6  # the grey one's L* was rounded to 8 bits


def test_16_bits_stay_16_bits(vivid, photo):
    deep = photo.astype(np.uint16) * 257 + np.random.default_rng(0).integers(
        0, 2, photo.shape, dtype=np.uint16
    )
    out = Colorizer(vivid, device="cpu")(np.minimum(deep, 65535))
    assert out.dtype == np.uint16 and len(np.unique(out)) > 1000
    assert np.abs(lightness(out) - lightness(deep)).max() < 0.2


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (257, 100)])
def test_odd_sizes(vivid, size):
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert Colorizer(vivid, device="cpu")(rgb).shape == (*size, 3)


def test_the_generator_sees_about_resolution_squared(vivid):
    colorizer = Colorizer(vivid, resolution=128, device="cpu")
    for height, width in ((600, 900), (100, 1600), (40, 40)):
        h, w = colorizer.predict(torch.zeros(1, 1, height, width)).shape[-2:]
        assert h * w == pytest.approx(128**2, rel=0.05) and h / w == pytest.approx(height / width, rel=0.05)


def test_bands_leave_no_seams(vivid, photo, monkeypatch):
    whole = Colorizer(vivid, device="cpu")(photo)
    monkeypatch.setattr("colorize_lib.colorizer.BAND", 5000)
    assert np.abs(Colorizer(vivid, device="cpu")(photo).astype(int) - whole).max() <= 1


def test_from_pretrained(tmp_path, vivid, photo):
    path = save_checkpoint(tmp_path / "generator.safetensors", vivid)
    assert np.array_equal(
        Colorizer.from_pretrained(path, device="cpu")(photo), Colorizer(vivid, device="cpu")(photo)
    )
    with pytest.raises(CheckpointError, match="does not exist"):
        Colorizer.from_pretrained("nonsense")
    with pytest.raises(ValueError, match="expected"):
        Colorizer(vivid, device="cpu")(photo[..., 0])


def test_l_is_the_photos_own(vivid, photo):
    seen = []
    colorizer = Colorizer(vivid, device="cpu")
    original = colorizer.predict
    colorizer.predict = lambda L: seen.append(L) or original(L)
    colorizer(photo)
    expected = rgb_to_lab(torch.from_numpy(photo).permute(2, 0, 1)[None])[:, :1] / 50 - 1
    assert torch.allclose(seen[0], expected, atol=1e-5)


BUNDLED = sorted(WEIGHTS.glob("*.safetensors"))


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_bundled_weights_beat_grey_on_photos_that_they_never_saw(path, valid_photos):
    assert path.stat().st_size < 12e6 and path.with_suffix(".md").exists()
    generator = load_checkpoint(path)
    loader = make_dataloaders(valid_photos, valid_photos, size=128, device="cpu").valid
    table = evaluate(generator, loader)
    assert table["model"]["ab_error"] < 0.97 * min(
        table["grey"]["ab_error"], table["mean colour"]["ab_error"]
    )
    assert 5 < table["model"]["colourfulness"] < table["true"]["colourfulness"]


def test_without_a_path_the_best_bundled_weights_are_taken(photo):
    assert BUNDLED
    in_colour = Colorizer.from_pretrained(device="cpu")(photo)
    assert in_colour.shape == photo.shape and (in_colour.max(axis=2) - in_colour.min(axis=2)).mean() > 5
