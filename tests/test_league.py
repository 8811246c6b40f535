"""The course's table: the same unseen photos for every painter, upright and upside down."""

import pytest
import torch

from colorize_course.league import League, rows_in
from colorize_lib.data import sample_photos
from colorize_lib.metrics import ab_error

FEW = sample_photos("val")[:9]


def grey(batch):
    return 0 * batch["ab"]


def yellow_below(batch):
    ab = 0 * batch["ab"]
    ab[:, 1, ab.shape[2] // 2 :] = 0.1
    return ab


@pytest.fixture
def league():
    return League("03", FEW)


def test_the_course_s_photos_train_nothing():
    assert not set(League("03").photos) & set(sample_photos("train"))


def test_the_truth_has_no_error(league):
    row = league.add("the truth", lambda batch: batch["ab"])
    assert row.ab_error == 0
    assert row.upside_down == 0
    assert row.won == len(FEW)


def test_grey_does_not_beat_grey(league):
    row = league.add("grey", grey)
    true = league.batch()["ab"]
    assert row.won == 0
    assert row.ab_error == row.upside_down == pytest.approx(110 * true.abs().mean().item(), rel=1e-5)


def test_upside_down_is_the_painter_s_view_turned(league):
    """A painter that sees only places is as good upside down as its turned painting is upright."""
    true = league.batch()["ab"]
    turned = ab_error(yellow_below({"ab": true}).flip(2), true).mean().item()
    assert league.add("yellow below", yellow_below).upside_down == pytest.approx(turned, rel=1e-5)


def test_a_painter_of_lightness_alone_does_not_mind(league):
    row = league.add("light is yellow", lambda batch: torch.cat([0 * batch["L"], 0.1 * batch["L"]], dim=1))
    assert row.upside_down == pytest.approx(row.ab_error, rel=1e-5)


def test_a_painter_is_given_the_size_it_asks_for(league):
    sizes = set()

    def paint(batch):
        sizes.add(tuple(batch["L"].shape[1:]))
        return batch["ab"]

    row = league.add("the truth, small", paint, size=64)
    assert sizes == {(1, 64, 64)}
    assert 0 < row.ab_error < league.add("grey", grey).ab_error / 2


def test_a_row_takes_the_place_of_one_of_its_name(league):
    league.add("mine", grey)
    league.add("mine", lambda batch: batch["ab"])
    assert [row.ab_error for row in league.rows] == [0]


def test_only_former_lessons_are_there_from_the_start():
    assert {row.lesson for row in League("03").rows} == {"02"}
    assert not League("02").rows


def test_what_is_printed_can_be_read_again(league):
    league.add("grey", grey)
    league.add("two colours, by height", yellow_below)
    read = rows_in(f"something\n{league}\n")
    assert [row.painter for row in read] == ["grey", "two colours, by height"]
    assert read[1].ab_error == pytest.approx(league["two colours, by height"].ab_error, abs=0.005)
    assert [row.won for row in read] == [row.won for row in league.rows]
