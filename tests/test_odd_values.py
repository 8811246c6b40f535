"""NaN, infinity, empty and odd shapes: the right value, or one clear error; never a wrong value without a word."""

import math

import numpy as np
import pytest
import torch

from colorize_lib.colorizer import Colorizer
from colorize_lib.metrics import (
    Blotches,
    PerPhoto,
    ab_error,
    auc,
    colourfulness,
    delta_e,
    evaluate,
    psnr,
    ssim,
)
from colorize_lib.models import Generator
from colorize_lib.photos import PhotoError, resize_photo, save_photo

AB, RGB = torch.rand(2, 2, 16, 16), torch.rand(2, 3, 16, 16)
NAN, INF = math.nan, math.inf
GREY = torch.full((1, 8, 8), 128, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("measure", "sound"), [(ab_error, AB), (auc, AB), (psnr, RGB), (ssim, RGB), (delta_e, RGB), (Blotches().update, AB)],
    ids=["ab_error", "auc", "psnr", "ssim", "delta_e", "blotches"],
)  # fmt: skip
def test_what_does_not_fit_together_is_not_measured(measure, sound):
    for predicted in (sound[:1], sound[..., :1], sound[:, :1], sound[0]):
        with pytest.raises(ValueError, match="expected two of the same shape"):
            measure(predicted, sound)
    with pytest.raises(ValueError, match="expected two of the same shape"):
        measure(sound[0], sound[0])


@pytest.mark.parametrize(
    "rgb", [(RGB * 255).byte(), RGB[0], RGB[:, :2]], ids=["uint8", "no batch", "2 channels"]
)
def test_colourfulness_is_that_of_rgb_alone(rgb):
    with pytest.raises(ValueError, match="expected RGB in"):
        colourfulness(rgb)


@pytest.mark.parametrize("measure", [psnr, ssim])
@pytest.mark.parametrize("which", [0, 1])
def test_photos_of_two_scales_are_not_compared(measure, which):
    pair = [RGB, RGB]
    pair[which] = (RGB * 255).byte()
    with pytest.raises(ValueError, match="expected RGB in"):
        measure(*pair)


def test_psnr_of_half_precision_is_computed_in_float32():
    half, other = RGB.half(), (0.9 * RGB).half()
    assert torch.equal(psnr(half, other), psnr(half.float(), other.float()))


def test_batches_that_can_be_read_once_are_refused():
    """The first row read them all, and every number was NaN."""
    batch = {"L": torch.zeros(2, 1, 8, 8), "ab": AB[..., :8, :8]}
    with pytest.raises(ValueError, match="read only once"):
        evaluate(None, iter([batch]))


def test_ssim_needs_its_window():
    with pytest.raises(ValueError, match="11 × 11"):
        ssim(RGB[..., :10], RGB[..., :10])


def test_the_mean_over_no_photos_is_no_number():
    assert math.isnan(PerPhoto(ab_error).compute())


class Constant(torch.nn.Module):
    """A generator of one value."""

    def __init__(self, value: float):
        super().__init__()
        self.value = value

    def forward(self, L: torch.Tensor) -> torch.Tensor:
        return torch.full((len(L), 2, *L.shape[2:]), self.value)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_generator_that_gives_no_numbers_paints_no_photo(value):
    with pytest.raises(ValueError, match="no numbers"):
        Colorizer(Constant(value), 64, "cpu")(GREY)


@pytest.mark.parametrize("value", [NAN, INF, -1])
def test_factors_that_are_none_are_refused(value):
    with pytest.raises(ValueError, match="saturation"):
        Colorizer(Constant(0.1), 64, "cpu")(GREY, saturation=value)
    with pytest.raises(ValueError, match="chroma"):
        Generator().chroma = value


@pytest.mark.parametrize("value", [NAN, INF, -1, 0])
def test_resolutions_that_are_none_are_refused(value):
    with pytest.raises(ValueError, match="resolution"):
        Colorizer(Constant(0.1), 64, "cpu")(GREY, resolution=value)
    with pytest.raises(ValueError, match="resolution"):
        Colorizer(Constant(0.1), value, "cpu")


@pytest.mark.parametrize("value", [NAN, INF, -1, 0])
def test_a_resolution_that_is_none_is_not_taken_for_that_of_the_weights(value):
    with pytest.raises(ValueError, match="resolution"):
        Colorizer.from_pretrained("l1", resolution=value, device="cpu")


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1.5])
@pytest.mark.parametrize("make", [torch.full, np.full], ids=["tensor", "array"])
def test_a_photo_with_one_value_that_is_none_is_refused(make, value):
    photo = make((3, 8, 8) if make is torch.full else (8, 8, 3), 0.5)
    photo[1, 1, 1] = value
    with pytest.raises(ValueError, match="floats are in"):
        Colorizer(Constant(0.1), 64, "cpu")(photo)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp", "bmp"])
@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 5, 3)), np.zeros((4, 5, 3), int), np.zeros((4, 5), np.uint8), np.zeros((4, 5, 5), np.uint8),
               np.zeros((0, 5, 3), np.uint8)],
    ids=["float", "int", "2 axes", "5 channels", "empty"],
)  # fmt: skip
def test_what_is_no_picture_is_not_saved(tmp_path, suffix, pixels):
    with pytest.raises(PhotoError, match="expected .H, W, 3 or 4. pixels, uint8 or uint16") as caught:
        save_photo(path := tmp_path / f"photo.{suffix}", pixels)
    assert str(path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_floats_are_not_resized_to_black():
    with pytest.raises(TypeError, match="uint8 or uint16"):
        resize_photo(np.full((8, 8, 3), 0.5), 4, 4)
