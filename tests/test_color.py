"""Lab against skimage, and everything else that color.py promises."""

from collections import Counter

import numpy as np
import pytest
import skimage.color
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from colorize_lib.color import fit_to_gamut, lab_to_rgb, merge_lab, rgb_to_L, rgb_to_lab, split_lab, to_rgb
from colorize_lib.photos import open_photo


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """(H, W, 3) → (1, 3, H, W)"""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]


def to_image(tensor: torch.Tensor) -> np.ndarray:
    return tensor[0].permute(1, 2, 0).numpy()


@pytest.fixture(scope="module")
def cube() -> np.ndarray:
    """The RGB cube in 17³ colours, as a picture."""
    values = np.linspace(0, 1, 17)
    return np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1).reshape(17, 289, 3)


def test_equals_skimage_on_the_rgb_cube(cube):
    lab = skimage.color.rgb2lab(cube)
    assert np.abs(to_image(rgb_to_lab(to_tensor(cube).float())) - lab).max() < 1e-3
    assert np.abs(to_image(lab_to_rgb(to_tensor(lab).float())) - cube).max() < 1e-3


def test_equals_skimage_on_real_photos(train_photos):
    for path in train_photos[::10]:
        image = open_photo(path)
        lab = skimage.color.rgb2lab(image)
        assert np.abs(to_image(rgb_to_lab(to_tensor(image))) - lab).max() < 1e-3, path.name
        back = to_image(lab_to_rgb(to_tensor(lab).float()))
        assert np.abs(back - skimage.color.lab2rgb(lab)).max() < 1e-3, path.name


@pytest.mark.filterwarnings("ignore:.*negative Z values")
def test_equals_skimage_beyond_the_gamut():
    """Where colours are clipped, and Z would be negative."""
    lab = np.random.default_rng(0).uniform((0, -110, -110), (100, 110, 110), (64, 64, 3))
    assert np.abs(to_image(lab_to_rgb(to_tensor(lab))) - skimage.color.lab2rgb(lab)).max() < 1e-3


def test_lightness_alone(cube, photo):
    for rgb in (to_tensor(cube), to_tensor(photo), to_tensor(photo).repeat(2, 1, 1, 1)):
        assert (rgb_to_L(rgb) - split_lab(rgb_to_lab(rgb))[0]).abs().max() < 1e-6


def test_round_trip(cube, photo):
    for rgb in (to_tensor(cube).float(), to_tensor(photo).float() / 255):
        assert (lab_to_rgb(rgb_to_lab(rgb)) - rgb).abs().max() < 1e-5
        lab = rgb_to_lab(rgb)
        assert (merge_lab(*split_lab(lab)) - lab).abs().max() < 1e-4


@pytest.fixture(scope="module")
def two_photos(train_photos) -> torch.Tensor:
    """(2, 3, 64, 64), uint8"""
    return torch.cat([to_tensor(open_photo(path)[:64, :64]) for path in train_photos[:2]])


@pytest.mark.parametrize("convert", [rgb_to_lab, rgb_to_L])
def test_a_batch_is_its_photos(two_photos, convert):
    alone = [convert(photo[None]) for photo in two_photos]
    assert torch.equal(convert(two_photos), torch.cat(alone))


@pytest.mark.parametrize("convert", [lab_to_rgb, fit_to_gamut])
def test_a_batch_of_lab_is_its_photos(two_photos, convert):
    lab = rgb_to_lab(two_photos) * torch.tensor([1.0, 3.0, 3.0])[:, None, None]
    alone = [convert(photo[None]) for photo in lab]
    assert torch.allclose(convert(lab), torch.cat(alone), atol=0.02)


def test_float64_stays_float64(two_photos):
    rgb = two_photos.double() / 255
    lab = rgb_to_lab(rgb)
    for values in (lab, rgb_to_L(rgb), lab_to_rgb(lab), fit_to_gamut(lab * 1.5), merge_lab(*split_lab(lab))):
        assert values.dtype == torch.float64


def test_ab_of_low_precision_gives_float32(two_photos):
    L, ab = split_lab(rgb_to_lab(two_photos))
    assert merge_lab(L.bfloat16(), ab.bfloat16()).dtype == torch.float32


def test_a_pair_is_shown_in_the_gamut_with_its_lightness(two_photos):
    L, ab = split_lab(rgb_to_lab(two_photos))
    assert (rgb_to_L(to_rgb(L, ab * 3)) - L).abs().max() < 0.1 / 50


def test_uint8_and_float_agree(photo):
    rgb = to_tensor(photo)
    assert (rgb_to_lab(rgb) - rgb_to_lab(rgb.float() / 255)).abs().max() < 1e-3


def test_white_and_black():
    rgb = torch.tensor([[1.0, 1, 1], [0, 0, 0]])[..., None, None]
    lab = rgb_to_lab(rgb)[..., 0, 0]
    assert lab[0].tolist() == pytest.approx(
        [100, 0, 0], abs=0.02
    )  # the constants' own white is not quite neutral
    assert lab[1].tolist() == pytest.approx([0, 0, 0], abs=1e-4)


@pytest.mark.parametrize("colour", [(0, 0, 0), (1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0.5)])
def test_gradients_are_finite(colour):
    rgb = torch.tensor(colour, dtype=torch.float32)[None, :, None, None].requires_grad_()
    rgb_to_lab(rgb).sum().backward()
    assert rgb.grad.isfinite().all()
    assert rgb.grad.abs().sum() > 0
    lab = rgb_to_lab(rgb.detach()).requires_grad_()
    lab_to_rgb(lab).sum().backward()
    assert lab.grad.isfinite().all()


def test_gradients_are_right():
    rgb = (torch.rand(1, 3, 2, 2, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(rgb_to_lab, rgb)
    lab = rgb_to_lab(rgb.detach()).requires_grad_()
    assert torch.autograd.gradcheck(lab_to_rgb, lab)


def test_autocast_changes_nothing(photo):
    rgb = to_tensor(photo).float() / 255
    lab = rgb_to_lab(rgb)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(rgb_to_lab(rgb), lab)
        assert torch.equal(lab_to_rgb(lab), lab_to_rgb(lab).float())
        inside = lab_to_rgb(lab), fit_to_gamut(lab * 1.2)
    assert torch.equal(inside[0], lab_to_rgb(lab))
    assert torch.equal(inside[1], fit_to_gamut(lab * 1.2))
    assert rgb_to_lab(rgb.bfloat16()).dtype == torch.float32


def test_gamut_mapping_keeps_lightness_and_hue():
    generator = torch.Generator().manual_seed(1)
    L = torch.rand(1, 1, 128, 128, generator=generator) * 100
    ab = (torch.rand(1, 2, 128, 128, generator=generator) - 0.5) * 220
    lab = torch.cat([L, ab], dim=1)
    fitted = fit_to_gamut(lab)

    clipped = (rgb_to_lab(lab_to_rgb(lab))[:, :1] - L).abs().max()
    kept = (rgb_to_lab(lab_to_rgb(fitted))[:, :1] - L).abs().max()
    assert kept < 0.1 < 10 < clipped  # clipping moves L* by more than 10 here
    assert torch.equal(fitted[:, :1], L)
    cross = fitted[:, 1] * lab[:, 2] - fitted[:, 2] * lab[:, 1]
    assert cross.abs().max() < 1e-2  # same hue angle
    assert (fitted[:, 1:].norm(dim=1) <= lab[:, 1:].norm(dim=1) + 1e-4).all()


def test_gamut_mapping_takes_no_more_than_it_must(photo):
    lab = rgb_to_lab(to_tensor(photo))
    assert torch.equal(fit_to_gamut(lab), lab)  # real colours are left alone
    wild = torch.cat([lab[:, :1], lab[:, 1:] * 3], dim=1)
    fitted = fit_to_gamut(wild)
    moved = (fitted != wild).any(dim=1)
    rgb = lab_to_rgb(fitted)
    on_edge = (rgb.amin(dim=1) < 0.02) | (rgb.amax(dim=1) > 0.98)
    assert moved.any()
    assert on_edge[moved].all()


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_gamut_mapping_halves_its_doubt_at_each_step(steps):
    """It keeps a multiple of 1 / 2ⁿ of the chroma: the largest that can be shown."""
    lab = torch.tensor([50.0, 100.0, -100.0], dtype=torch.float64)[None, :, None, None]
    scale = (fit_to_gamut(lab, steps)[0, 1] / 100).item()

    def can_be_shown(scale: float) -> bool:
        rgb = lab_to_rgb(torch.cat([lab[:, :1], lab[:, 1:] * scale], dim=1))
        return (rgb_to_lab(rgb)[:, :1] - lab[:, :1]).abs().item() < 0.1  # else it was clipped

    assert scale * 2**steps == round(scale * 2**steps)
    assert can_be_shown(scale)
    assert not can_be_shown(scale + 1 / 2**steps)


def test_gamut_mapping_is_exact_in_8_bits_by_default():
    lab = torch.tensor([50.0, 100.0, -100.0])[None, :, None, None]
    assert torch.equal(fit_to_gamut(lab), fit_to_gamut(lab, steps=15))


def test_gamut_mapping_lets_gradients_through():
    lab = torch.tensor([50.0, 100.0, -100.0])[None, :, None, None].requires_grad_()
    fit_to_gamut(lab).sum().backward()
    assert lab.grad.isfinite().all()
    assert (lab.grad != 0).all()


@pytest.mark.parametrize(
    ("function", "name"),
    [(rgb_to_lab, "rgb"), (rgb_to_L, "rgb"), (lab_to_rgb, "lab"), (split_lab, "lab"), (fit_to_gamut, "lab")],
)
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 8, 8), (1, 4, 8, 8), (1, 3, 8, 8, 1)])
def test_wrong_shapes_are_named(function, name, shape):
    with pytest.raises(ValueError) as caught:
        function(torch.zeros(shape))
    assert str(caught.value) == f"expected {name} of shape (B, 3, H, W), got {shape}"


@pytest.mark.parametrize(
    ("L", "ab"),
    [((1, 8, 8), (1, 2, 8, 8)), ((1, 2, 8, 8), (1, 2, 8, 8)), ((1, 1, 8, 8), (1, 3, 8, 8)), ((1, 1, 8, 8), (2, 2, 8, 8)),
     ((1, 1, 8, 8), (1, 2, 8, 4)), ((1, 1, 8, 8), (1, 2, 4, 8))],
)  # fmt: skip
def test_pairs_that_do_not_belong_together_are_named(L, ab):
    with pytest.raises(ValueError) as caught:
        merge_lab(torch.zeros(L), torch.zeros(ab))
    assert str(caught.value) == f"expected L (B, 1, H, W) and ab (B, 2, H, W), got {L} and {ab}"


def test_wrong_shapes_and_types_are_named():
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), got \(3, 8, 8\)"):
        rgb_to_lab(torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match=r"lab of shape \(B, 3, H, W\), got \(8, 1, 4, 4\)"):
        lab_to_rgb(lab=torch.zeros(8, 1, 4, 4))
    with pytest.raises(TypeError, match="int64"):
        rgb_to_lab(torch.zeros(1, 3, 8, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match="ab"):
        merge_lab(torch.zeros(1, 1, 8, 8), torch.zeros(1, 2, 4, 4))


@pytest.mark.skipif(
    not torch.cuda.is_available() and not torch.backends.mps.is_available(), reason="needs a GPU"
)
def test_gpu_equals_cpu(photo):
    device = "cuda" if torch.cuda.is_available() else "mps"
    rgb = to_tensor(photo)
    lab = rgb_to_lab(rgb)
    assert (rgb_to_lab(rgb.to(device)).cpu() - lab).abs().max() < 1e-3
    assert (lab_to_rgb(lab.to(device)).cpu() - lab_to_rgb(lab)).abs().max() < 1e-4
    strong = lab * torch.tensor([1.0, 2.0, 2.0])[:, None, None]
    assert (fit_to_gamut(strong.to(device)).cpu() - fit_to_gamut(strong)).abs().max() < 0.1


class Counted(TorchDispatchMode):
    """Counts, inside the block, the values that each operation of torch computes."""

    def __init__(self):
        super().__init__()
        self.values = Counter()
        self.largest = 0  # values in the largest result

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        name = operation.overloadpacket.__name__
        if name not in ("split", "cat"):  # views and a copy
            self.values[name] += result.numel()
            self.largest = max(self.largest, result.numel())
        return result


def test_a_value_of_uint8_takes_one_power():
    """Only CIE's cube root; sRGB's curve comes from a table of 256 values, computed for each photo."""
    batch = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    with Counted() as counted:
        rgb_to_lab(batch)
    assert counted.values["log"] == batch.numel() + 4 * 256
    assert counted.values["exp_"] == counted.values["log"]
    assert counted.values["pow"] == 0


@pytest.mark.parametrize("photos", [2, 4])
def test_on_a_cpu_no_step_is_larger_than_one_photo(photos):
    batch = torch.randint(0, 256, (photos, 3, 64, 64), dtype=torch.uint8)
    with Counted() as counted:
        rgb_to_lab(batch)
    assert counted.largest == 3 * 64 * 64


def test_lightness_alone_takes_a_third_of_the_powers():
    batch = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    with Counted() as counted:
        rgb_to_L(batch)
    assert counted.values["log"] == batch.numel() / 3 + 4 * 256
