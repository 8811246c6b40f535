"""Lesson 08: what it asks, and the answers."""

import numpy as np
import torch

from colorize_course import Choice, Number, expect_not, expect_same, expect_shape
from colorize_lib.color import AB_SCALE

PREDICTIONS = {
    "first": Choice(
        "By the ab error, who is nearer to the truth: grey, or the baseline of lesson 05?",
        ["grey, which paints nothing", "the baseline, which has learned something", "both alike"],
        right=0,
    ),
    "angle": Choice(
        "From which angle on does grey have the better PSNR?",
        ["about 20°", "about 60°", "about 120°"],
        right=1,
    ),
    "grey": Choice(
        "Grey knows nothing. What is its AuC?",
        ["about 0 %", "about 50 %", "nearly 90 %"],
        right=2,
    ),
    "rainbow": Choice(
        "Which numbers will catch the rainbow?",
        ["ΔCF and ΔCF each", "ab error, PSNR and the Fréchet distance", "all of them"],
        right=1,
    ),
    "count": Choice(
        "Grey to true, on 6, 12 and 23 photos. Does the distance stay the same?",
        ["yes, the task is the same", "no, it depends on how many photos there are", "it is always 0"],
        right=1,
    ),
}


def psnr(guess, true):
    """−10 log₁₀ of each photo's mean squared error: RGB (B, 3, H, W) in [0, 1] → (B,), in dB."""
    return -10 * torch.log10(((guess - true) ** 2).mean(dim=(1, 2, 3)))


def check_psnr(theirs):
    true = torch.rand(4, 3, 6, 5)
    guess = (true + 0.2 * torch.randn(4, 1, 1, 1) * torch.rand(4, 3, 6, 5)).clamp(0, 1)
    off = torch.full((2, 3, 4, 5), 0.5)

    def asked(*photos):
        answer = theirs(*photos)
        return torch.from_numpy(answer) if isinstance(answer, np.ndarray) else answer

    tenth = asked(off + 0.1, off)
    expect_shape(tenth, (2,))
    for decibels, sentence in (
        (-20.0, "A small error has a negative logarithm: a minus stands before it."),
        (46.052, "That is the natural logarithm: PSNR takes the one to base 10, `torch.log10`."),
        (10.0, "The error is squared first, before its mean is taken."),
        (2.0, "The logarithm is taken 10 times, in decibels."),
        (2.218, "That is the sum of the squared errors: take their mean."),
        (68.131, "The photos lie in [0, 1]: their largest value is 1, not 255."),
    ):
        expect_not(tenth, torch.full((2,), decibels), sentence, 0.01)
    expect_same(
        tenth,
        torch.full((2,), 20.0),
        "All off by 0.1: the squared error is 0.01, so it should be 20 dB.",
        0.01,
    )
    right = psnr(guess, true)
    expect_same(asked(guess, true), right, "Each photo has its own mean, over colours and pixels.", 1e-3)


def psnr__natural_logarithm(guess, true):
    return -10 * torch.log(((guess - true) ** 2).mean(dim=(1, 2, 3)))


def psnr__one_for_all(guess, true):
    return -10 * torch.log10(((guess - true) ** 2).mean())


def psnr__no_minus(guess, true):
    return 10 * torch.log10(((guess - true) ** 2).mean(dim=(1, 2, 3)))


def psnr__not_squared(guess, true):
    return -10 * torch.log10((guess - true).abs().mean(dim=(1, 2, 3)))


def turned(ab, degrees):
    """Colours with their hue turned towards +b*, and their strength kept: (B, 2, H, W) → the same shape."""
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    a, b = ab.unbind(dim=1)
    return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], dim=1)


def check_turned(theirs):
    red = torch.tensor([0.5, 0.0]).reshape(1, 2, 1, 1)
    expect_not(
        theirs(red, 90),
        0 * red,
        "The new b* is made of the new a*: both are made of the old a* and the old b*.",
    )
    expect_same(
        theirs(red, 90),
        torch.tensor([0.0, 0.5]).reshape(1, 2, 1, 1),
        "Pure +a*, turned by 90°, should be pure +b*. (Degrees, not radians? Which way round?)",
    )
    ab = torch.randn(2, 2, 4, 3)
    expect_same(theirs(ab, 0), ab, "Turned by 0°, nothing should change.")
    expect_same(theirs(ab, 180), -ab, "Turned by 180°, a* and b* should change their signs.", 1e-3)
    expect_same(theirs(ab, 37), turned(ab, 37), "Both new values should be made of both old ones.", 1e-3)


def turned__radians(ab, degrees):
    angle = torch.tensor(float(degrees))
    a, b = ab.unbind(dim=1)
    return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], dim=1)


def turned__other_way(ab, degrees):
    return turned(ab, -degrees)


def turned__with_the_new_a(ab, degrees):
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    a, b = ab.unbind(dim=1)
    a = a * angle.cos() - b * angle.sin()
    b = a * angle.sin() + b * angle.cos()
    return torch.stack([a, b], dim=1)


def share_within(guess, true, t):
    """The share of all pixels whose a*, b* are at most `t` from the true ones: ab (B, 2, H, W) twice → a number."""
    distance = (guess - true).norm(dim=1) * AB_SCALE
    return (distance <= t).float().mean()


def check_share_within(theirs):
    true = torch.randn(1, 2, 1, 4)
    off = torch.tensor([[3.0, 4.0], [6.0, 8.0], [0.0, 20.0], [0.0, 0.0]]).T.reshape(1, 2, 1, 4)
    guess = true + off / AB_SCALE
    expect_same(
        theirs(guess, true, 12.5),
        0.75,
        "Distances of 5, 10, 20 and 0: three of four pixels are within 12.5. "
        "(Is the distance in units of a* and b*, and along the straight line?)",
    )
    expect_same(theirs(guess, true, 1000), 1.0, "Within 1,000 lie all pixels.")
    expect_same(theirs(guess, true, 6), 0.5, "Within 6 lie two of the four.")
    expect_same(theirs(guess, true, 9), 0.5, "6 and 8 off is 10 away, along the straight line: not within 9.")
    expect_same(theirs(guess, true, 9.5), 0.5, "10 is not within 9.5: a* and b* are ab times AB_SCALE, 110.")
    tie = torch.tensor([0.0, 0.5]).reshape(1, 2, 1, 1)
    expect_same(theirs(tie, 0 * tie, 0.5 * AB_SCALE), 1.0, "At most `t`: exactly `t` away counts, too.")


def share_within__not_scaled(guess, true, t):
    return ((guess - true).norm(dim=1) <= t).float().mean()


def share_within__each_channel(guess, true, t):
    return ((guess - true).abs() * AB_SCALE <= t).float().mean()


def share_within__in_a_square(guess, true, t):
    return ((guess - true).abs().amax(dim=1) * AB_SCALE <= t).float().mean()


def share_within__around_the_block(guess, true, t):
    return ((guess - true).abs().sum(dim=1) * AB_SCALE <= t).float().mean()


def frechet_1d(one, other):
    """The Fréchet distance of two sets of numbers, each taken for a bell curve: (N,) and (M,) → a number."""
    return (one.mean() - other.mean()) ** 2 + (one.std() - other.std()) ** 2


def check_frechet_1d(theirs):
    x = torch.linspace(-1, 1, 101)
    expect_same(theirs(x, x), 0.0, "A set is at distance 0 from itself.")
    expect_same(
        theirs(x, x.flip(0)), 0.0, "The order of the numbers does not count: take means first, no pairs."
    )
    expect_same(theirs(x, x + 3), 9.0, "Moved by 3: the squared distance of the means is 9.", 1e-3)
    width = x.std(correction=0).item()
    expect_same(
        theirs(x, 4 * x),
        9 * width**2,
        "Four times as wide, the same mean: the difference of the standard deviations, squared.",
        0.1,
    )
    expect_same(theirs(x, 4 * x - 2), 4 + 9 * width**2, "Both parts are added.", 0.1)
    skewed = 4 * torch.linspace(0, 1, 60) ** 4  # fewer numbers, and a long tail
    for sets in ((x + 1, skewed), (skewed, x + 1)):
        expect_same(theirs(*sets), frechet_1d(*sets), "It is about means: no medians, no quantiles.", 0.05)


def frechet_1d__means_alone(one, other):
    return (one.mean() - other.mean()) ** 2


def frechet_1d__variances(one, other):
    return (one.mean() - other.mean()) ** 2 + (one.var() - other.var()) ** 2


def frechet_1d__not_squared(one, other):
    return (one.mean() - other.mean()).abs() + (one.std() - other.std()).abs()


QUIZ = [
    Choice(
        "A paper reports a PSNR of 24 dB and calls it the state of the art. What do you ask first?",
        ["How fast is it?", "What does grey reach on the same photos?", "Why not 30 dB?"],
        right=1,
        why="PSNR is easiest raised by being careful. Without grey's row it says little.",
    ),
    Number(
        "All pixels are off by 0.01, on a scale from 0 to 1. What is the PSNR, in dB?",
        right=40,
        within=0.1,
        why="The mean squared error is 0.0001 = 10⁻⁴, and −10 log₁₀ 10⁻⁴ = 40.",
    ),
    Choice(
        "By a distance on the a*b* plane, when is grey better than a guess of the right strength?",
        [
            "when its hue is off by more than about 60°",
            "never: some colour is better than none",
            "when its hue is off by more than 150°",
        ],
        right=0,
        why="The guess is 2 C sin(θ/2) away, grey is C away: equal at 60°.",
    ),
    Choice(
        "Which of these can a rainbow cheat?",
        ["the ab error", "ΔCF", "the Fréchet distance"],
        right=1,
        why="ΔCF compares amounts of colour, and never looks at where the colour is.",
    ),
    Number(
        "Fréchet distance in one dimension: means 2 and 5, standard deviations 1 and 3.",
        right=13,
        within=0.01,
        why="(2 − 5)² + (1 − 3)² = 9 + 4.",
    ),
    Choice(
        "A Fréchet distance of 24 on 877 photos here, an FID of 4 on 5,000 photos there. Which is better?",
        [
            "the second: it is smaller",
            "nobody knows: other photos, another number of them, other features",
            "the first: it has fewer photos",
        ],
        right=1,
        why="Compare these distances only for the same photos, the same number and size, and the same features.",
    ),
    Choice(
        "Your model has more colour than mine, and a larger ab error. Is it better?",
        [
            "Yes, colour is what we want.",
            "No, its error is larger.",
            "Multiply mine until it is as colourful, and compare then.",
        ],
        right=2,
        why="More colour can be had by a factor. So compare at equal colourfulness.",
    ),
]
