"""The figures and small helpers of lesson 05."""

import matplotlib.pyplot as plt
import pytest
import torch

from colorize_course import game
from colorize_lib.data import make_dataloaders, sample_photos


@pytest.fixture
def figure(monkeypatch):
    """What was drawn last."""
    monkeypatch.setattr(plt, "show", lambda: None)
    yield plt.gcf
    plt.close("all")


def test_batches_are_drawn_over_the_epochs():
    photos = sample_photos("train")[:4]
    loader = make_dataloaders(photos, size=32, batch_size=2, device="cpu").train
    batches = [batch["ab"] for batch in game.draw_batches(loader, 5)]
    assert len(batches) == 5
    assert not torch.equal(batches[0], batches[2])  # another epoch, other crops


def test_the_plane_is_a_picture_with_b_upwards():
    plane = game.plane(side=21)
    assert plane.shape == (3, 21, 21)
    assert plane.min() >= 0
    assert plane.max() <= 1
    assert plane[2, 0, 10] < plane[2, -1, 10]  # yellow above, blue below


def test_the_swatch_of_grey_is_grey():
    red, green, blue = game.paint(torch.zeros(2)).tolist()
    assert red == pytest.approx(green, abs=1e-3)
    assert green == pytest.approx(blue, abs=1e-3)


def test_points_beyond_the_plane_are_drawn_on_its_edge(figure):
    game.show_planes({"far": {"points": torch.tensor([[500.0, 0.0]])}})
    (dots,) = figure().axes[0].collections
    assert dots.get_offsets()[0, 0] == game.EDGE - 2


def test_a_filmstrip_has_a_row_for_each_run_and_the_truth_at_its_end(figure):
    L, ab = torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 4)
    game.filmstrip(L, {"one": {0: ab, 9: ab}, "two": {0: ab, 9: ab}}, ab)
    axes = figure().axes
    assert len(axes) == 2 * 3
    assert [ax.get_title() for ax in axes[:3]] == ["step 0", "step 9", "true"]
