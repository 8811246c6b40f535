"""Lesson 00: what is asked, our answers, and typical mistakes."""

import numpy as np
import torch
from torch import nn

from colorize_course import Choice, Number, expect, expect_not, expect_same, expect_shape

PREDICTIONS = {
    "hidden": Choice(
        "Is there any colour hidden in the grey file?", ["yes, the network finds it again", "no, none at all"], 1
    ),
    "share": Number("On how many per cent of the sample photos is the guess nearer to the truth than grey?", 68, 8),
    "louder": Choice(
        "With a saturation of 4, is the mean colour four times as strong?", ["yes", "less", "more"], 1
    ),
    "finer": Choice(
        "The network sees 512 pixels a side instead of 256. Are its colours nearer to the truth?", ["yes, it sees more", "no"], 1
    ),
    "by_heart": Choice(
        "A network that knows one photo by heart gets another one. What will it paint?",
        ["this photo's true colours, nearly", "the colours of the photo that it knows", "nearly nothing: it stays grey"], 1,
    ),
}  # fmt: skip

QUIZ = [
    Choice("What is the network given of a photo?", ["its lightness", "its colours, made pale", "its file name and date"],
           0, "How light each point is, and nothing else."),
    Choice("What does the network change?", ["lightness and colour", "the lightness", "the colour"], 2,
           "The lightness of the photo stays, to the rounding of the file."),
    Number("A guess is off by 6, grey by 8. What is its error as a share of grey's?", 0.75, 0.001, "6 / 8 = 0.75."),
    Choice(
        "A jacket is blue in truth, and the network paints it green. Which is true?",
        ["the network is broken", "it is wrong, and may look right", "the jacket was green"], 1,
        "Cloth may have any colour. Nothing in the light tells which.",
    ),
    Choice("A colour photo goes in. Why does it come out in other colours?",
           ["its own colours are thrown away first", "the file is compressed again", "the screen is at fault"], 0,
           "Only its lightness is used."),
    Choice("May a coloured photo prove what colour a flag had?", ["yes, if it looks real", "yes, with better weights", "no"],
           2, "It is a picture, not a document. Every colour in it is a guess."),
]  # fmt: skip


def off_by(guess, true):
    return np.abs(guess[..., 1:] - true[..., 1:]).mean()


def check_off_by(theirs):
    true = np.tile([[50.0, 10, 20], [70, -10, 0]], (2, 2, 1))  # 2 × 4 points
    expect_same(theirs(true, true), 0.0, "A perfect guess is off by 0.")
    lighter = true + np.array([9.0, 0, 0])
    expect_same(
        theirs(lighter, true), 0.0, "L* has no part in it: take the second and third number of every point."
    )
    guess = true + np.tile([[0.0, 4, -2], [0, -1, 1]], (2, 2, 1))
    expect_same(
        theirs(guess, true),
        2.0,
        "The differences here are 4, −2, −1 and 1, again and again: without their signs, 2 on average.",
    )


def off_by__with_signs(guess, true):
    return (guess[..., 1:] - true[..., 1:]).mean()


def off_by__with_lightness(guess, true):
    return np.abs(guess - true).mean()


def off_by__the_sum(guess, true):
    return np.abs(guess[..., 1:] - true[..., 1:]).sum()


def share_below_one(shares):
    return sum(share < 1 for share in shares) / len(shares)


def check_share_below_one(theirs):
    expect_same(theirs([0.5, 0.9, 1.2, 0.7]), 0.75, "Three of these four are below 1: 0.75.")
    expect_same(theirs([2.0, 1.0]), 0.0, "1 is not below 1, so here it is 0.")


def share_below_one__the_mean(shares):
    return sum(shares) / len(shares)


def share_below_one__the_count(shares):
    return sum(share < 1 for share in shares)


def share_below_one__one_included(shares):
    return sum(share <= 1 for share in shares) / len(shares)


# --- A network of your own


def learn(network, L, ab, steps):
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    for _ in range(steps):
        guess = network(L)
        error = (guess - ab).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return error.item()


def check_learn(theirs):
    L, ab = torch.randn(1, 1, 6, 5), torch.randn(1, 2, 6, 5)

    def fresh():
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))

    network = fresh()
    apart = (network(L) - ab).detach()
    first = theirs(network, L, ab, 1)
    expect_shape(first, ())
    expect_not(first, apart.mean(), "The signs cancel: take the absolute differences, then the mean.")
    expect_not(
        first, apart.square().mean(), "That is the mean of the squares: take the absolute differences."
    )
    expect_not(first, apart.abs().sum(), "That is the sum of the differences: take their mean.")
    expect_same(first, apart.abs().mean(), "The error is the mean of |guess − ab|, with guess = network(L).")
    still = all(map(torch.equal, network.parameters(), fresh().parameters()))
    expect(
        not still,
        "No weight has moved. `error.backward()` finds the directions, before the optimizer's step.",
    )
    yours, ours = fresh(), fresh()
    last, right = theirs(yours, L, ab, 30), learn(ours, L, ab, 30)
    expect(
        last < first,
        "After 30 steps the error is not smaller than in the first. Is `zero_grad` before `backward`?",
    )
    expect_same(
        last,
        right,
        "After 30 steps the error is another one than ours: is each step as the stub has it?",
        0.002,
    )


def learn__with_signs(network, L, ab, steps):
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    for _ in range(steps):
        error = (network(L) - ab).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return error.item()


def learn__squared(network, L, ab, steps):
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    for _ in range(steps):
        error = (network(L) - ab).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return error.item()


def learn__no_backward(network, L, ab, steps):
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    for _ in range(steps):
        error = (network(L) - ab).abs().mean()
        optimizer.zero_grad()
        optimizer.step()
    return error.item()
