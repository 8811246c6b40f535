"""Hints: their places and colours, their files, spreading them, and the network that is told them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from colorize_lib import Colorizer, make_dataloaders, open_photo, pretrain
from colorize_lib.checkpoints import find_weights, load_generator
from colorize_lib.cli import main
from colorize_lib.color import lab_to_rgb, rgb_to_lab
from colorize_lib.hints import (
    Hint,
    HintError,
    hint_planes,
    load_hints,
    put_hint,
    repaint,
    save_hints,
    simulate_hints,
    spread_hints,
    with_hints,
)
from colorize_lib.models import ChromaUnet, HintUnet, Unet
from colorize_lib.photos.folders import look_through

RED = (53.24, 80.09, 67.20)  # sRGB's red in CIE L*a*b*


@pytest.fixture(scope="module")
def grey() -> torch.Tensor:
    return torch.zeros(1, 1, 32, 48)


@pytest.fixture(scope="module")
def network() -> HintUnet:
    return HintUnet(load_generator(find_weights("best"))).eval()


@pytest.mark.parametrize("colour", ["red", "#ff0000", "rgb(255, 0, 0)", "hsl(0, 100%, 50%)"])
def test_a_colour_is_what_css_calls_it(colour):
    assert Hint(0, 0, colour).ab() == pytest.approx(RED[1:], abs=0.05)


def test_a_colour_can_be_two_numbers():
    assert Hint(0, 0, (20, -30.5)).ab() == (20.0, -30.5)


@pytest.mark.parametrize(
    "colour", ["", "reddish", "#12", (1,), (1, 2, 3), ("a", "b"), (float("nan"), 0), (900, 0)]
)
def test_what_is_no_colour_is_refused(colour):
    with pytest.raises(HintError, match="colour"):
        Hint(0, 0, colour)


def test_whole_numbers_are_pixels():
    assert Hint(1, 7, "red").pixel(10, 8) == (1, 7)


def test_numbers_with_a_point_are_shares():
    assert Hint(0.5, 1.0, "red").pixel(10, 8) == (5, 7)


@pytest.mark.parametrize("place", [(10, 0), (0, 8), (-1, 0)])
def test_a_place_outside_of_the_photo_is_refused(place):
    with pytest.raises(HintError, match="10 × 8"):
        Hint(*place, "red").pixel(10, 8)


@pytest.mark.parametrize("share", [1.5, -0.1, float("nan"), float("inf"), True, "1"])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(HintError, match="place"):
        Hint(share, 0, "red")


@pytest.mark.parametrize("place", [(0, 0), (479, 0), (0, 319), (479, 319), (240, 160)])
def test_a_hint_is_as_large_at_the_edge_as_in_the_middle(grey, place):
    assert hint_planes([Hint(*place, "red")], grey, 480, 320)[0, 2].sum() == 9


def test_no_hints_are_empty_planes(grey):
    assert not hint_planes([], grey, 480, 320).any()


def test_of_two_hints_at_one_place_the_later_counts(grey):
    planes = hint_planes([Hint(9, 9, (0, -20)), Hint(9, 9, (0, 20))], grey, 48, 32)
    assert planes[0, 1, 9, 9] == pytest.approx(20 / 110)


def test_a_colour_that_the_lightness_does_not_allow_keeps_its_hue():
    dark = torch.full((1, 1, 32, 32), -0.7)  # L* = 15
    a, b = hint_planes([Hint(9, 9, "red")], dark, 32, 32)[0, :2, 9, 9].tolist()
    assert np.arctan2(b, a) == pytest.approx(np.arctan2(RED[2], RED[1]), abs=1e-4)


def test_a_colour_that_the_lightness_does_not_allow_is_brought_into_the_gamut():
    dark = torch.full((1, 1, 32, 32), -0.7)
    ab = hint_planes([Hint(9, 9, "red")], dark, 32, 32)[:, :2, 9:10, 9:10] * 110
    lab = torch.cat([torch.full((1, 1, 1, 1), 15.0), ab], dim=1)
    assert_close(rgb_to_lab(lab_to_rgb(lab)), lab, atol=1, rtol=0)  # out of the gamut, red would miss by 40


def test_a_file_of_hints_gives_them_back(tmp_path):
    hints = [Hint(3, 4, "darkred"), Hint(0.25, 0.75, (12.5, -7))]
    file = save_hints(tmp_path / "a.hints.json", hints, "a.jpg", (640, 480))
    assert load_hints(file, (640, 480)) == hints


def test_a_plain_list_is_a_file_of_hints(tmp_path):
    file = tmp_path / "a.hints.json"
    file.write_text(json.dumps([{"x": 0.5, "y": 0.5, "colour": "teal"}]))
    assert load_hints(file) == [Hint(0.5, 0.5, "teal")]


def test_hints_of_a_photo_of_another_size_are_refused(tmp_path):
    file = save_hints(tmp_path / "a.hints.json", [Hint(3, 4, "darkred")], "a.jpg", (640, 480))
    with pytest.raises(HintError, match=r"\[640, 480\].*\[480, 640\]"):
        load_hints(file, (480, 640))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "1",
        "{}",
        '{"hints": 3}',
        '[{"x": 1}]',
        "[1]",
        '[{"x": 1, "y": 1, "colour": "no"}]',
        "[" * 9999,
        "\0",
    ],
)
def test_a_damaged_file_of_hints_is_refused_by_name(tmp_path, text):
    file = tmp_path / "a.hints.json"
    file.write_text(text)
    with pytest.raises(HintError, match="a.hints.json"):
        load_hints(file)


def test_a_missing_file_of_hints_is_refused_by_name(tmp_path):
    with pytest.raises(HintError, match="a.hints.json"):
        load_hints(tmp_path / "a.hints.json")


def test_a_simulated_hint_is_the_mean_of_the_true_colours_in_its_square():
    ab = torch.rand(2, 20, 20) - 0.5
    planes = torch.zeros(3, 20, 20)
    put_hint(planes, ab, 10, 12, side=5)
    assert_close(planes[:2, 10, 12], ab[:, 8:13, 10:15].mean(dim=(1, 2)))


def test_simulated_hints_lie_where_their_plane_says():
    planes = simulate_hints(torch.rand(8, 2, 32, 32) + 0.1, generator=torch.Generator().manual_seed(0))
    assert torch.equal(planes[:, 0] != 0, planes[:, 2] == 1)


def test_some_photos_have_no_simulated_hints():
    planes = simulate_hints(torch.rand(40, 2, 16, 16), none=0.5, generator=torch.Generator().manual_seed(0))
    assert 10 < (planes[:, 2].amax(dim=(1, 2)) == 0).sum() < 30  # 20 expected, standard deviation 3.2


def two_halves() -> tuple[torch.Tensor, torch.Tensor]:
    """A photo with a dark and a bright half, and the places of the halves."""
    L = torch.full((1, 1, 24, 24), -0.5)
    L[..., 12:] = 0.5
    return L, L[0, 0] > 0


def test_spreading_fills_what_has_equal_lightness():
    L, bright = two_halves()
    planes = torch.zeros(1, 3, 24, 24)
    planes[0, :, 5, 3] = torch.tensor([0.4, -0.2, 1])
    planes[0, :, 5, 20] = torch.tensor([-0.1, 0.3, 1])
    spread = spread_hints(L, planes)
    expected = torch.where(
        bright, torch.tensor([-0.1, 0.3])[:, None, None], torch.tensor([0.4, -0.2])[:, None, None]
    )
    assert (spread[0] - expected).abs().max() < 0.1  # what crosses the edge, of a step of 0.5


def test_spreading_keeps_the_hinted_pixels():
    L, _ = two_halves()
    planes = torch.zeros(1, 3, 24, 24)
    planes[0, :, 5, 3] = torch.tensor([0.4, -0.2, 1])
    assert_close(spread_hints(L, planes)[0, :, 5, 3], planes[0, :2, 5, 3])


def test_what_a_guess_knows_stays_where_no_hint_reaches():
    L, bright = two_halves()
    planes, guess = torch.zeros(1, 3, 24, 24), torch.full((1, 2, 24, 24), 0.2)
    planes[0, :, 5, 3] = torch.tensor([0.4, -0.2, 1])
    spread = spread_hints(L, planes, guess, doubt=0.1)
    assert_close(spread[0, :, bright], guess[0, :, bright], atol=0.01, rtol=0)


def test_without_hints_the_network_is_its_trunk_to_the_bit(network):
    L = torch.rand(2, 1, 50, 70, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        assert torch.equal(network(L), network.trunk(L))
        assert torch.equal(network(torch.cat([L, torch.zeros(2, 3, 50, 70)], dim=1)), network.trunk(L))


def test_a_photo_without_hints_is_not_changed_by_another_ones(network):
    L = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    planes = torch.zeros(2, 3, 64, 64)
    planes[0, :, 30:33, 30:33] = torch.tensor([0.5, 0.3, 1])[:, None, None]
    with torch.inference_mode():
        told, guess = network(torch.cat([L, planes], dim=1)), network.trunk(L)
    assert torch.equal(told[1], guess[1])
    assert not torch.equal(told[0], guess[0])


def test_an_untrained_branch_moves_the_guess_towards_the_hint():
    network = HintUnet(ChromaUnet(pretrained=False)).eval()  # which guesses grey
    planes = torch.zeros(1, 3, 64, 64)
    planes[0, :, 30:33, 30:33] = torch.tensor([0.5, -0.3, 1])[:, None, None]
    with torch.inference_mode():
        a, b = network(torch.cat([torch.zeros(1, 1, 64, 64), planes], dim=1))[0, :, 31, 31]
    assert a > 0
    assert b < 0


def test_only_the_branch_learns():
    network = HintUnet(ChromaUnet(pretrained=False))
    planes = simulate_hints(torch.rand(2, 2, 64, 64), none=0, generator=torch.Generator().manual_seed(0))
    network(torch.cat([torch.zeros(2, 1, 64, 64), planes], dim=1)).sum().backward()
    assert {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None} == {"branch"}


def test_the_trunk_keeps_its_running_means():
    network = HintUnet(ChromaUnet(pretrained=False)).train()
    assert not network.trunk.training
    assert network.branch.training


def test_a_repainted_thing_changes_and_what_has_another_colour_stays():
    ab = torch.zeros(2, 8, 8)
    ab[0, :, 4:] = 0.6  # 66 CIE units away
    painted = repaint(ab, 2, 2)
    assert_close(painted[:, :, 4:], ab[:, :, 4:], atol=1e-4, rtol=0)
    assert painted[:, :, :4].norm(dim=0).min() >= 15 / 110 - 1e-6


def test_hints_have_the_colours_that_a_batch_is_to_learn():
    torch.manual_seed(0)
    batch = with_hints(
        {"L": torch.zeros(6, 1, 32, 32), "ab": torch.rand(6, 2, 1, 1).expand(6, 2, 32, 32)}, repainted=1
    )
    hinted = batch["hints"][:, 2:] > 0
    assert_close(batch["hints"][:, :2], torch.where(hinted, batch["ab"], 0.0))


def test_a_batch_keeps_its_colours_without_repainting():
    batch = {"L": torch.zeros(2, 1, 16, 16), "ab": torch.rand(2, 2, 16, 16)}
    assert torch.equal(with_hints(batch, repainted=0)["ab"], batch["ab"])


@pytest.fixture
def old(tmp_path):
    """A grey photo, 120 × 80."""
    file = tmp_path / "old.png"
    Image.linear_gradient("L").resize((120, 80)).save(file)
    return file


def colour(*arguments) -> int:
    return main([*map(str, arguments), "--weights", "adversarial", "--resolution", "64", "--device", "cpu"])


def redness(file) -> float:
    """How red the middle of a photo is."""
    rgb = open_photo(file)[30:50, 50:70].astype(float)
    return float((rgb[..., 0] - rgb[..., 1]).mean())


def test_a_photo_takes_the_hints_beside_it(old, capsys):
    assert colour(old, "-o", old.parent / "guess") == 0
    save_hints(old.with_suffix(".hints.json"), [Hint(0.5, 0.5, "red")], old.name, (120, 80))
    assert colour(old, "-o", old.parent / "told") == 0
    assert redness(old.parent / "told/old.png") > redness(old.parent / "guess/old.png") + 20
    assert "old.png (with 1 hint)" in capsys.readouterr().out


def test_a_photo_takes_the_hints_that_are_given(old):
    file = save_hints(old.parent / "mine.json", [Hint(0.5, 0.5, "red")], old.name, (120, 80))
    assert colour(old, "--hints", file, "-o", old.parent / "told") == 0
    assert redness(old.parent / "told/old.png") > 20


def test_a_photo_whose_hints_are_damaged_is_left_out_and_named(old, capsys):
    old.with_suffix(".hints.json").write_text("{")
    assert colour(old, "-o", old.parent / "told") == 2  # nothing was coloured
    said = capsys.readouterr().err
    assert f"skipped: {old} was left out" in said
    assert "old.hints.json" in said


def test_given_hints_are_for_one_photo(old, capsys):
    assert colour(old, old.parent, "--hints", "mine.json", "-o", old.parent / "told") == 2
    assert "hints are for one photo" in capsys.readouterr().err


def test_files_of_hints_are_no_strangers_in_a_folder(old):
    save_hints(old.with_suffix(".hints.json"), [], old.name, (120, 80))
    assert not look_through(old.parent).others


def test_hints_keep_the_lightness_of_a_photo(old):
    photo = open_photo(old)
    told = Colorizer.from_pretrained(resolution=64, device="cpu")(photo, hints=[Hint(60, 40, "teal")])
    L = [rgb_to_lab(torch.from_numpy(rgb).permute(2, 0, 1)[None])[:, :1] for rgb in (photo, told)]
    assert_close(*L, atol=1.0, rtol=0)  # 8 bits of a dark colour


def test_a_hundred_hints_at_once_are_taken(old):
    hints = [Hint(x, y, "teal") for x in range(5, 115, 11) for y in range(4, 80, 8)]
    told = Colorizer.from_pretrained(resolution=64, device="cpu")(open_photo(old), hints=hints)
    assert told.shape == (80, 120, 3)


def test_weights_that_take_no_hints_are_refused():
    with pytest.raises(HintError, match="take no hints"):
        Colorizer(Unet(downs=5, filters=4), device="cpu")(torch.zeros(1, 32, 32), hints=[Hint(1, 1, "red")])


def test_hints_for_a_batch_are_refused():
    with pytest.raises(HintError, match="one by one"):
        Colorizer(Unet(downs=5, filters=4), device="cpu")(
            torch.zeros(2, 1, 32, 32), hints=[Hint(1, 1, "red")]
        )


def test_hints_pass_through_the_loaders(train_photos):
    loaders = make_dataloaders(train_photos[:4], train_photos[4:6], 32, 2, extend=with_hints, device="cpu")
    assert next(iter(loaders.train))["hints"].shape == (2, 3, 32, 32)


def test_hints_for_validation_are_the_same_each_time(train_photos):
    loaders = make_dataloaders(train_photos[:4], train_photos[4:6], 32, 2, extend=with_hints, device="cpu")
    first, second = (next(iter(loaders.valid))["hints"] for _ in range(2))
    assert torch.equal(first, second)


def test_a_branch_learns_in_the_librarys_loop(train_photos):
    torch.manual_seed(0)
    network = HintUnet(load_generator(find_weights("best")))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loaders = make_dataloaders(train_photos[:4], (), 32, 2, extend=with_hints, device="cpu")
    pretrain(network, loaders, 1, lr=1e-3, progress=False)
    changed = {
        name.split(".")[0]
        for name, value in network.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"branch"}
