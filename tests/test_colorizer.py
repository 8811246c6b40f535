"""Full size in, full size out, with the lightness it came with."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import skimage.color
import torch
import torch.nn.functional as F
from PIL import Image

from colorize_lib.checkpoints import load_checkpoint, read_header, save_checkpoint
from colorize_lib.color import rgb_to_lab, split_lab
from colorize_lib.colorizer import Colorizer
from colorize_lib.data import make_dataloaders
from colorize_lib.engines.pytorch import PyTorchEngine, scaling_matrix, slope_of_colour
from colorize_lib.metrics import evaluate
from colorize_lib.models import PatchDiscriminator, build_generator
from colorize_lib.photos import PhotoError
from colorize_lib.weights import WEIGHTS, CheckpointError


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
    assert out.shape == (3000, 4000, 3)
    assert out.dtype == np.uint8
    assert (out.max(axis=2).astype(int) - out.min(axis=2)).mean() > 30  # it is in colour
    difference = max(
        np.abs(lightness(out[top : top + 500]) - lightness(large[top : top + 500])).max()
        for top in range(0, 3000, 500)
    )
    assert difference < 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
def test_a_12_megapixel_photo_takes_at_most_one_and_a_half_gigabytes():
    """Everything counted: Python, PyTorch, the network, the photo."""
    code = (
        "import re, numpy as np; from colorize_lib import Colorizer;"
        "Colorizer.from_pretrained(device='cpu')(np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), np.uint8));"
        "print(re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 0.3e9 < int(out) * 1024 < 1.5e9


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
    assert out.dtype == np.uint16
    assert len(np.unique(out)) > 1000
    assert np.abs(lightness(out) - lightness(deep)).max() < 0.2


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (257, 100)])
def test_odd_sizes(vivid, size):
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert Colorizer(vivid, device="cpu")(rgb).shape == (*size, 3)


def test_the_generator_sees_about_resolution_squared(vivid):
    engine = PyTorchEngine(vivid, "cpu")
    for height, width in ((600, 900), (100, 1600), (40, 40)):
        small, ab = engine.predict(torch.zeros(1, 1, height, width), 128)
        assert small.shape[-2:] == ab.shape[-2:]
        h, w = ab.shape[-2:]
        assert h * w == pytest.approx(128**2, rel=0.05)
        assert h / w == pytest.approx(height / width, rel=0.05)


def test_bands_leave_no_seams(vivid, photo, monkeypatch):
    whole = Colorizer(vivid, device="cpu")(photo)
    monkeypatch.setattr("colorize_lib.engines.pytorch.BAND", 5000)
    assert np.abs(Colorizer(vivid, device="cpu")(photo).astype(int) - whole).max() <= 1


def test_from_pretrained(tmp_path, vivid, photo):
    path = save_checkpoint(tmp_path / "generator.safetensors", vivid)
    assert same(Colorizer.from_pretrained(path)(photo), Colorizer(vivid, device="cpu")(photo), 1)
    assert Colorizer.from_pretrained(path, device="cpu").resolution == 256
    for resolution, option in ((192, None), (192, 64)):
        save_checkpoint(path, vivid, resolution=resolution)
        colorizer = Colorizer.from_pretrained(tmp_path, resolution=option, device="cpu")  # the run's folder
        assert colorizer.resolution == (option or resolution)
    with pytest.raises(CheckpointError, match="does not exist"):
        Colorizer.from_pretrained("nonsense")
    save_checkpoint(path, PatchDiscriminator(filters=8))
    with pytest.raises(CheckpointError, match="holds a discriminator"):
        Colorizer.from_pretrained(path)


def same(a, b, tolerance):
    return np.abs(a.astype(float) - b).max() <= tolerance


def test_what_comes_in_comes_out(vivid, photo, tmp_path):
    """Paths, images, arrays and tensors, of every depth: one photo, the same colours."""
    colorizer = Colorizer(vivid, device="cpu")
    expected = colorizer(photo)
    tensor = torch.from_numpy(photo).permute(2, 0, 1)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    assert same(colorizer(tmp_path / "photo.png"), expected, 0)
    assert same(colorizer(str(tmp_path / "photo.png")), expected, 0)
    image = colorizer(Image.fromarray(photo))
    assert image.mode == "RGB"
    assert same(np.array(image), expected, 0)
    for dtype, top in ((np.uint16, 65535), (np.float32, 1), (np.float64, 1)):
        array = (photo / 255 * top).astype(dtype)
        out = colorizer(array)
        assert out.dtype == dtype
        assert same(out / top * 255, expected, 0.6)
    out = colorizer(tensor)
    assert out.dtype == torch.uint8
    assert same(out.permute(1, 2, 0).numpy(), expected, 0)
    out = colorizer(tensor / 255)
    assert out.dtype == torch.float32
    assert same(out.permute(1, 2, 0).numpy() * 255, expected, 0.6)
    batch = colorizer(torch.stack([tensor, tensor.flip(-1), tensor]))
    assert batch.shape == (3, *tensor.shape)
    assert same(batch[0].permute(1, 2, 0).numpy(), expected, 1)
    assert torch.equal(batch[0], batch[2])


def test_grey_of_every_kind(vivid, photo):
    colorizer = Colorizer(vivid, device="cpu")
    image = Image.fromarray(photo).convert("L")
    grey = np.array(image)
    expected = colorizer(np.repeat(grey[..., None], 3, axis=2))
    assert same(colorizer(grey), expected, 0)
    assert same(colorizer(grey[..., None]), expected, 0)
    assert same(np.array(colorizer(image)), expected, 0)
    tensor = colorizer(torch.from_numpy(grey)[None])
    assert tensor.shape == (3, *grey.shape)
    assert same(tensor.permute(1, 2, 0).numpy(), expected, 0)
    two = colorizer(Image.fromarray(photo).convert("1"))
    assert two.mode == "RGB"
    assert two.size == image.size


def test_transparency_is_kept(vivid, photo):
    colorizer = Colorizer(vivid, device="cpu")
    alpha = np.arange(photo[..., 0].size, dtype=np.uint8).reshape(photo.shape[:2])
    rgba = np.dstack([photo, alpha])
    out = colorizer(rgba)
    assert np.array_equal(out[..., 3], alpha)
    assert same(out[..., :3], colorizer(photo), 0)
    image = colorizer(Image.fromarray(rgba))
    assert image.mode == "RGBA"
    assert same(np.array(image), out, 0)
    palette = Image.fromarray(photo).quantize(64)
    palette.info["transparency"] = 0
    out = np.array(colorizer(palette))
    assert out.shape[2] == 4
    assert set(np.unique(out[..., 3])) == {0, 255}


def test_a_sepia_print_is_read_by_its_lightness(photo):
    grey = skimage.color.rgb2lab(photo) * [0.9, 0, 0]  # not so light that sepia leaves the gamut
    sepia, plain = (
        np.round(skimage.color.lab2rgb(grey + tone) * 255).astype(np.uint8)
        for tone in ([0, 4, 12], [0, 0, 0])
    )
    colorizer = Colorizer.from_pretrained(device="cpu")
    assert np.abs(sepia.astype(float) - plain).mean() > 5
    assert np.abs(colorizer(sepia).astype(float) - colorizer(plain)).mean() < 1


@pytest.mark.parametrize(
    ("photo", "match"),
    [
        (np.zeros((4, 4, 2), np.uint8), "expected"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
        (np.zeros((0, 4, 3), np.uint8), "expected"),
        (torch.zeros(4, 4, 3), "expected"),
        (np.full((4, 4, 3), 200.0), "scale them"),
        (Image.new("I;16", (4, 4)), "16-bit"),
        (7, "int"),
    ],
)
def test_what_cannot_be_coloured(vivid, photo, match):
    with pytest.raises(ValueError, match=match):
        Colorizer(vivid, device="cpu")(photo)


def chroma(rgb):
    return np.hypot(*skimage.color.rgb2lab(rgb)[..., 1:].transpose(2, 0, 1))


def test_saturation(photo):
    colorizer = Colorizer.from_pretrained(device="cpu")
    plain = colorizer(photo)
    assert chroma(colorizer(photo, saturation=0)).max() < 1.5  # 8 bits have no exact grey of every L*
    half = chroma(colorizer(photo, saturation=0.5)).mean() / chroma(plain).mean()
    assert half == pytest.approx(0.5, abs=0.03)
    more = colorizer(photo, saturation=1.3)
    assert chroma(more).mean() > 1.2 * chroma(plain).mean()
    assert np.abs(lightness(more) - lightness(photo)).max() < 1
    with pytest.raises(ValueError, match="below 0"):
        colorizer(photo, saturation=-1)


def test_colours_follow_the_edges(photo):
    """True ab, shrunk and scaled up again along the edges, is nearer to the truth than when only scaled up."""
    lab = rgb_to_lab(torch.from_numpy(photo).permute(2, 0, 1)[None])
    L, ab = lab[:, :1] / 50 - 1, lab[:, 1:] / 110
    height, width = L.shape[-2:]
    small, few = (F.interpolate(x, (height // 8, width // 8), mode="area") for x in (L, ab))
    down, right = scaling_matrix(height // 8, height), scaling_matrix(width // 8, width)

    def up(x):
        return down @ x @ right.T

    plain = F.interpolate(few, (height, width), mode="bilinear")
    along = up(few) + up(slope_of_colour(small, few)) * (L - up(small))
    assert (along - ab).abs().mean() < 0.93 * (plain - ab).abs().mean()


def test_the_scaling_matrix_is_torchs_bicubic():
    x = torch.rand(1, 2, 13, 17)
    for size in ((31, 50), (6, 8)):
        expected = F.interpolate(x, size, mode="bicubic", antialias=True, align_corners=False)
        assert torch.allclose(
            scaling_matrix(13, size[0]) @ x @ scaling_matrix(17, size[1]).T, expected, atol=1e-5
        )


def test_out_of_memory_falls_back_to_a_smaller_resolution(vivid, photo):
    class Hungry(torch.nn.Module):
        """Has memory for 128² pixels."""

        def forward(self, L):
            if L[0].numel() > 128**2 * 1.05:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")
            return vivid(L)

    with pytest.warns(
        UserWarning, match="at a resolution of 512: using 256 instead|using 128 instead"
    ) as caught:
        out = Colorizer(Hungry(), resolution=512, device="cpu")(photo)
    assert len(caught) == 2
    assert same(out, Colorizer(vivid, resolution=128, device="cpu")(photo), 0)

    class Broken(torch.nn.Module):
        def forward(self, L):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        Colorizer(Broken(), device="cpu")(photo)


def test_many_photos(vivid, tmp_path, train_photos, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    colorizer = Colorizer(vivid, resolution=64, device="cpu")
    (bad := tmp_path / "bad.jpg").write_text("text")
    paths = [train_photos[0], bad, train_photos[1]]
    failures = []
    done = list(colorizer.many(paths, failures=failures, progress=True))
    assert [path for path, _ in done] == train_photos[:2]
    assert all(same(rgb, colorizer(path), 0) for path, rgb in done)
    assert len(failures) == 1
    assert "bad.jpg" in failures[0]
    assert "3/3" in capsys.readouterr().err
    with pytest.raises(PhotoError, match="bad.jpg"):
        list(colorizer.many(paths))
    assert list(colorizer.many([])) == []


def test_an_iterator_is_read_one_photo_ahead(vivid, photo):
    """So the frames of a film need not all be in memory."""
    taken = []

    def frames():
        for i in range(5):
            taken.append(i)
            yield photo[:64, :64]

    coloured = Colorizer(vivid, resolution=64, device="cpu").many(frames())
    next(coloured)
    assert taken == [0, 1]
    next(coloured)
    assert taken == [0, 1, 2]
    assert len(list(coloured)) == 3


def test_predict_and_apply_are_the_two_steps_of_a_call(vivid, photo):
    colorizer = Colorizer(vivid, resolution=64, device="cpu")
    rgb = torch.from_numpy(photo).permute(2, 0, 1)[None]
    out = torch.empty_like(rgb)
    L, _ = split_lab(rgb_to_lab(rgb))
    with torch.inference_mode():
        colorizer.engine.apply(L, *colorizer.engine.predict(L, 64), out)
    assert (out.int() - colorizer(rgb).int()).abs().max() <= 1


def test_l_is_the_photos_own(vivid, photo):
    seen = []
    colorizer = Colorizer(vivid, device="cpu")
    original = colorizer.engine.predict
    colorizer.engine.predict = lambda L, *more: seen.append(L) or original(L, *more)
    colorizer(photo)
    expected = rgb_to_lab(torch.from_numpy(photo).permute(2, 0, 1)[None])[:, :1] / 50 - 1
    assert torch.allclose(seen[0], expected, atol=1e-5)


def test_the_weights_header_says_how_strong_their_colours_should_be(photo, vivid, tmp_path):
    by_hand = Colorizer(vivid, 128, device="cpu")(photo, saturation=0.5)
    pale = copy.deepcopy(vivid)
    pale.chroma = 0.5
    path = save_checkpoint(tmp_path / "pale.safetensors", pale, resolution=128)
    assert same(Colorizer.from_pretrained(path)(photo), by_hand, 1)


BUNDLED = [WEIGHTS / f"{name}.safetensors" for name in ("l1", "adversarial")]


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_bundled_weights_beat_grey_on_photos_that_they_never_saw(path, valid_photos):
    assert path.stat().st_size < 12e6
    header = read_header(path)
    assert header["sha256"] in path.with_suffix(".md").read_text()
    assert header["resolution"] in range(128, 257)
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
    assert in_colour.shape == photo.shape
    assert (in_colour.max(axis=2) - in_colour.min(axis=2)).mean() > 5
