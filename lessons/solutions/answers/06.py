"""Lesson 06: what it asks, and the answers."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from colorize_course import Choice, Number, expect_same, expect_shape

PREDICTIONS = {
    "alike": Choice(
        "Which photo is closest to a red panda's, by ImageNet's features?",
        [
            "one with the same light and dark",
            "another animal",
            "any one: the network is blind to grey photos",
        ],
        right=1,
    ),
    "fastai": Choice(
        "`create_body(resnet18(), pretrained=True, …)`: are the weights ImageNet's?",
        ["yes", "no, they are random, without a warning", "no, and fastai warns"],
        right=1,
    ),
    "coarse": Choice(
        "From which resolution on do you see a difference?",
        ["a half", "a quarter", "an eighth or a sixteenth"],
        right=2,
    ),
    "catch": Choice(
        "88 photos, equally many steps. Who is nearer to the true colours of new photos?",
        ["ImageNet's start", "the random start", "both alike"],
        right=0,
    ),
    "median": Choice(
        "60 % red, 40 % blue. What does L1 choose?",
        ["red, in full", "a purple between them", "grey"],
        right=0,
    ),
    "anneal": Choice(
        "Where is the annealed mean at T = 0.38?",
        ["in a paint: the most probable one", "still far from every paint", "where the mean is"],
        right=1,
    ),
    "classes": Choice(
        "At equal colourfulness, which has the smaller ab error?",
        ["L1 × k", "classes, read as an annealed mean", "both the same"],
        right=1,
    ),
    "strong": Choice(
        "How strong are the predicted colours where the true ones are strongest?",
        ["as strong", "weaker by far", "stronger"],
        right=1,
    ),
}


def same_weights(build):
    """Whether `build()` gives the same weights each time, as it does if they are loaded and not drawn."""
    one, other = build().state_dict(), build().state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


def check_same_weights(theirs):
    def drawn():
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))

    def loaded():
        network = drawn()
        for parameter in network.parameters():
            nn.init.constant_(parameter, 0.5)
        return network

    def half_loaded():  # the first layer alone is new
        network = loaded()
        nn.init.normal_(network[0].weight)
        return network

    def same_sum():
        network = loaded()
        with torch.no_grad():
            network[1].bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0])[torch.randperm(4)])
        return network

    def last_is_new():
        network = nn.Sequential(loaded(), nn.Conv2d(4, 2, 1))
        return network

    expect_same(theirs(loaded), 1.0, "The same weights twice: it should say True.")
    expect_same(theirs(drawn), 0.0, "Weights that are drawn anew each time: it should say False.")
    expect_same(theirs(half_loaded), 0.0, "The first layer differs here: compare every tensor.")
    expect_same(theirs(same_sum), 0.0, "The same numbers in another order: compare element by element.")
    expect_same(theirs(last_is_new), 0.0, "The last layer differs here: compare every tensor.")


def same_weights__one_network(build):
    network = build()
    one, other = network.state_dict(), network.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


def same_weights__sums(build):
    one, other = build().state_dict(), build().state_dict()
    return all(one[name].sum() == other[name].sum() for name in one)


def same_weights__any_layer(build):
    one, other = build().state_dict(), build().state_dict()
    return any(torch.equal(one[name], other[name]) for name in one)


def same_weights__first_layer(build):
    one, other = (next(iter(build().state_dict().values())) for _ in range(2))
    return torch.equal(one, other)


def coarse(ab, factor):
    """Colours at 1 / factor of the resolution, scaled up again smoothly: (B, 2, H, W) → (B, 2, H, W)."""
    small = F.interpolate(ab, scale_factor=1 / factor, mode="area")
    return F.interpolate(small, size=ab.shape[-2:], mode="bilinear")


def check_coarse(theirs):
    ab = torch.randn(2, 2, 12, 16)
    expect_same(
        theirs(torch.full_like(ab, 0.3), 4), torch.full_like(ab, 0.3), "One colour stays that colour."
    )

    def nearest(answer, factor):  # of the smooth ways up
        small = F.interpolate(ab, scale_factor=1 / factor, mode="area")
        ways = [
            F.interpolate(small, size=(12, 16), mode=mode, align_corners=corners)
            for mode in ("bilinear", "bicubic")
            for corners in (False, True)
        ]
        return min(ways, key=lambda way: (way - answer).abs().max())

    answers = theirs(ab, 4), theirs(ab, 2)
    expect_shape(answers[0], ab.shape)
    expect_same(
        answers[0],
        nearest(answers[0], 4),
        'It should be the mean of each 4 × 4 pixels (mode "area"), scaled up smoothly (mode "bilinear").',
    )
    expect_shape(answers[1], ab.shape)
    expect_same(
        answers[1],
        nearest(answers[1], 2),
        "With a factor of 2 it should be half of the resolution: use `factor`.",
    )


def coarse__stays_small(ab, factor):
    return F.interpolate(ab, scale_factor=1 / factor, mode="area")


def coarse__one_pixel_of_each(ab, factor):
    small = ab[..., ::factor, ::factor]
    return F.interpolate(small, size=ab.shape[-2:], mode="bilinear")


def coarse__always_a_quarter(ab, factor):
    return coarse(ab, 4)


def coarse__squares(ab, factor):
    small = F.interpolate(ab, scale_factor=1 / factor, mode="area")
    return F.interpolate(small, size=ab.shape[-2:], mode="nearest")


def one_cycle(progress, warmup=0.25):
    """The share of the top rate: from 1/25 up to 1 during the warm-up, then down to 0, on half cosines."""
    if progress < warmup:
        start, end, t = 1 / 25, 1, progress / warmup
    else:
        start, end, t = 1, 0, (progress - warmup) / (1 - warmup)
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2


def check_one_cycle(theirs):
    expect_same(theirs(0.25), 1.0, "At the end of the warm-up, the rate is at its top.")
    expect_same(theirs(0.0), 0.04, "It begins at 1/25 of the top.")
    expect_same(theirs(1.0), 0.0, "It ends at 0.")
    expect_same(theirs(0.125), 0.52, "Half of the warm-up: the mean of 1/25 and 1.")
    expect_same(
        theirs(0.05), one_cycle(0.05), "The way up is a half cosine: flat at both ends, not a straight line."
    )
    expect_same(theirs(0.625), 0.5, "Half of the way down: one half.")
    expect_same(
        theirs(0.4), one_cycle(0.4), "The way down is a half cosine: flat at both ends, not a straight line."
    )
    expect_same(theirs(0.1, 0.2), 0.52, "The warm-up may have another length: use `warmup`.")


def one_cycle__straight(progress, warmup=0.25):
    if progress < warmup:
        return 1 / 25 + (1 - 1 / 25) * progress / warmup
    return 1 - (progress - warmup) / (1 - warmup)


def one_cycle__no_warmup(progress, warmup=0.25):
    return (1 + math.cos(math.pi * progress)) / 2


def one_cycle__whole_cosine(progress, warmup=0.25):
    if progress < warmup:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * progress / warmup)) / 2
    return (1 + math.cos(math.pi * progress)) / 2


QUIZ = [
    Choice(
        "How can you prove that a network has pretrained weights?",
        ["By its parameter `pretrained=True`.", "Build it twice: are the weights the same?", "By its size."],
        right=1,
        why="Weights that are loaded are the same each time; drawn ones are not. Or look at what it finds alike.",
    ),
    Choice(
        "Why does a colourizer get along with colour at a quarter of the resolution?",
        [
            "The lightness keeps the edges, and colour is smooth between them.",
            "Photos have few colours.",
            "The network has no skips.",
        ],
        right=0,
        why="A JPEG file usually stores colour at half of the resolution for the same reason.",
    ),
    Choice(
        "ChromaUnet's last layer starts at zero. What does it paint before training?",
        ["noise", "the mean colour", "grey"],
        right=2,
        why="ab = 0 everywhere: the best guess of somebody who knows nothing.",
    ),
    Number(
        "Five equally likely values of a*: −50, −15, 5, 20 and 60. What does L1 answer?",
        right=5,
        within=0.01,
        why="The median: two lie below it, and two above.",
    ),
    Choice(
        "A wall could be red, green or blue, and no photo of the world tells which. What helps against its dull colour?",
        ["more training photos", "a longer training", "a loss that does not ask for an average"],
        right=2,
        why="This uncertainty lies in the world (aleatoric); more data removes only the network's own (epistemic).",
    ),
    Choice(
        "A one-cycle run is stopped in the middle of its planned length. Its error is poor. What follows?",
        ["The learning rate was too low.", "Nothing: such a run is judged at its end.", "It overfits."],
        right=1,
        why="In the middle the rate is high. The small steps at the end bring the error down.",
    ),
]
