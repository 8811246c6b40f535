"""Knobs that need no kernel, and the figures of lessons 03 and 04."""

import re

import numpy as np
import pytest
import torch

from colorize_course import frames
from colorize_course import network_pictures as pictures
from colorize_course.display.html import KEYS


def grey_pictures(count: int) -> list[np.ndarray]:
    return [np.full((8, 8, 3), 10 * i, np.uint8) for i in range(count)]


def test_one_picture_for_every_combination():
    html = frames.knobs(grey_pictures(6), {"across": 3, "on": 2}, "a test", start=(1, 1))._repr_html_()
    shown = [
        style
        for style in re.findall(r"display:(\w+)", html.split("<script>")[0])
        if style in ("none", "block")
    ]
    assert shown[:6] == ["none", "none", "none", "block", "none", "none"]
    assert html.count('type="range"') == 1
    assert html.count('type="checkbox"') == 1


def test_knobs_are_readable_without_a_kernel():
    page = frames.knobs(grey_pictures(2), {"on": 2}, "A test", says=["off it is", "on it is"])
    assert repr(page) == "A test (with knobs: on) off it is"
    assert 'alt="A test"' in page._repr_html_()


def test_pictures_have_to_fit_the_settings():
    with pytest.raises(ValueError, match="5 pictures for 6 combinations"):
        frames.knobs(grey_pictures(5), {"across": 3, "on": 2}, "a test")


def test_jupyterlab_leaves_the_arrow_keys_to_every_input():
    page = frames.knobs(grey_pictures(6), {"across": 3, "on": 2}, "a test")
    inputs = re.findall(r"<input[^>]*>", page._repr_html_())
    assert len(inputs) >= 2
    assert all(KEYS in one for one in inputs)


def test_photos_of_a_kind_keep_their_side(train_photos, valid_photos):
    train, valid = (pictures.photos_of(pictures.OUTDOORS, split) for split in ("train", "val"))
    assert len(train) >= 25
    assert set(train) <= set(train_photos)
    assert len(valid) >= 6
    assert set(valid) <= set(valid_photos)


def test_small_colours_under_a_large_lightness():
    rgb = pictures.enlarged(torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 16, 16))
    assert rgb.shape == (1, 3, 16, 16)
    assert rgb.std() < 1e-3  # grey stays grey


def test_a_photo_beside_its_map():
    both = pictures.photo_and_map(torch.rand(3, 32, 32), torch.full((1, 4, 4), 5.0), limit=5, side=16)
    assert both.shape == (16, 32, 3)
    assert both.dtype == np.uint8
    red, green, _ = both[:, 16:].reshape(-1, 3).mean(axis=0)
    assert green > red  # real is green


def test_a_film_shows_every_third_of_45_pictures():
    page = frames.film([np.full((8, 8, 3), i, np.uint8) for i in range(45)], "step", "a test", most=20)
    html = page._repr_html_()
    assert html.count("<img") == 15
    assert 'max="14"' in html
    assert "after 0 steps" in html
    assert "after 42 steps" in html


COLOURS = torch.tensor([[-40.0, 30.0], [10.0, 40.0], [0.0, -40.0], [1.0, 1.0]]).T[None, :, None] / 110


def test_pixels_are_green_brown_blue_or_nearly_grey():
    kinds = pictures.kinds_of(COLOURS)
    assert list(kinds) == ["green", "brown", "blue", "nearly grey"]
    assert torch.equal(torch.stack(list(kinds.values()))[:, 0, 0], torch.eye(4, dtype=torch.bool))


def test_what_became_of_green(capsys):
    means = pictures.what_became(COLOURS, COLOURS[..., [1, 1, 2, 3]])  # green has become brown
    assert [mean.round().tolist() for mean in means["green"]] == [[-40, 30], [10, 40]]
    green = capsys.readouterr().out.splitlines()[1]
    assert re.findall(r"\d+%", green) == ["0%", "100%", "0%", "0%"]
