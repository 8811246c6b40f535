"""What lesson 10 asks, with answers, and the typical mistakes that the checks refuse."""

import torch

from colorize_course import Choice, Number, expect, expect_same, expect_shape

PREDICTIONS = {
    "one point": Choice(
        "One single point says: red, on the saucer. What happens with the table?",
        ["it stays grey", "it turns red, too", "it turns red close to the saucer"], 1,
    ),
    "few": Choice(
        "Random points, true colours, no network: how many until it is nearer to the truth than the network that nobody told anything?",
        ["a handful", "about 20", "more than 50"], 0,
    ),
    "fifty": Choice(
        "Fifty hints: who is nearer to the truth, your network or spreading without a network?",
        ["my network, clearly", "spreading", "about the same"], 1,
    ),
    "gold": Choice(
        "We ask for gold, on a coat that is nearly black. What will it be?",
        ["gold", "black with a touch of brown", "as it was: the hint is refused"], 1,
    ),
}  # fmt: skip

QUIZ = [
    Choice(
        "No network, and one single hint. Which colour do the other things get?",
        ["grey", "that of the hint", "the mean colour of all photos"], 1,
        "Nothing contradicts it. A weak affinity slows a colour down, but only another hint can stop it.",
    ),
    Number(
        "Two neighbours differ in lightness by exactly σ. What is their affinity?", 0.6065, 0.006,
        "exp(−σ² / 2σ²) = exp(−½) = 0.61.",
    ),
    Choice(
        "What does your network spread from a hint?",
        ["its colour", "how wrong the guess is there", "its lightness"], 1,
        "Where the guess is right already, a hint changes nothing.",
    ),
    Choice(
        "Why may a place look at \"none of them\"?",
        ["the softmax would not add up to 1 otherwise", "it saves time", "so that what is like no hint keeps its guess"], 2,
        "Without it, each place would have to take over something, as in section 1.",
    ),
    Choice(
        "Why do simulated hints come in all numbers, few as often as many?",
        ["users give few, and the network must be good at few, too", "more hints take longer", "so that no photo is left out"], 0,
        "A network that only ever saw fifty would not learn how far one single hint may reach.",
    ),
    Choice(
        "Somebody asks for yellow on a black coat. What can the network do?",
        ["make the coat lighter", "no more than the little yellow that so dark a pixel can show", "refuse the hint"], 1,
        "Lightness is the photo's. In the dark, the gamut is narrow (lesson 01).",
    ),
]  # fmt: skip


def affinity(one, other, sigma=0.05):
    return torch.exp(-((one - other) ** 2) / (2 * sigma**2))


def check_affinity(theirs):
    one, other = torch.tensor([0.3, -0.5, 0.2, 0.9]), torch.tensor([0.3, -0.5, 0.25, 0.4])
    found = theirs(one, other)
    expect_shape(found, (4,))
    expect_same(found[:2], torch.ones(2), "Neighbours of equal lightness have the affinity 1.")
    expect(found[3] < 0.5, "Dark beside light: the affinity is nearly 0. Is there a minus?")
    expect_same(found[2], 0.6065, "A difference of one σ gives exp(−½) = 0.6065.", 1e-3)
    expect_same(theirs(other, one), affinity(one, other), "It is the same in both directions.")
    expect_same(
        theirs(one, other, 0.1)[2], 0.8825, "With sigma=0.1, half a σ gives exp(−⅛): use `sigma`.", 1e-3
    )


def affinity__not_squared(one, other, sigma=0.05):
    return torch.exp(-(one - other).abs() / (2 * sigma**2))


def affinity__no_minus(one, other, sigma=0.05):
    return torch.exp((one - other) ** 2 / (2 * sigma**2))


def affinity__no_two(one, other, sigma=0.05):
    return torch.exp(-((one - other) ** 2) / sigma**2)


def affinity__one_sigma(one, other, sigma=0.05):
    return affinity(one, other)


def draw_hints(ab, count):
    height, width = ab.shape[1:]
    planes = torch.zeros(3, height, width)
    for _ in range(count):
        y, x = int(torch.randint(1, height - 1, ())), int(torch.randint(1, width - 1, ()))
        rows, columns = slice(y - 1, y + 2), slice(x - 1, x + 2)
        planes[:2, rows, columns] = ab[:, rows, columns].mean(dim=(1, 2), keepdim=True)
        planes[2, rows, columns] = 1
    return planes


def check_draw_hints(theirs):
    ab = torch.rand(2, 9, 14) + torch.tensor([1.0, -2.0])[:, None, None]
    planes = theirs(ab, 1)
    expect_shape(planes, (3, 9, 14))
    hinted = planes[2] > 0
    expect(hinted.any(), 'The third plane is 0 everywhere: it says "here is a hint" with a 1.')
    expect_same(planes[2], hinted.float(), "The third plane holds 0 and 1, and nothing else.")
    expect(hinted.sum() == 9, f"One hint covers {int(hinted.sum())} pixels: 3 × 3 were asked for.")
    true = ab[:, hinted].mean(dim=1)
    expect_same(
        planes[:2, hinted],
        true[:, None].expand(2, 9),
        "Its nine pixels all have the mean of the nine true colours: one mean for a*, one for b*.",
    )
    expect_same(planes[:, ~hinted], torch.zeros(3, 9 * 14 - 9), "Where no hint is, all planes are 0.")
    expect_same(theirs(ab, 0), torch.zeros(3, 9, 14), "No hints: all planes are 0.")
    expect((theirs(ab, 40)[2] > 0).sum() > 50, "Forty hints cover much more than one: are they at one place?")


def draw_hints__no_mean(ab, count):
    planes = draw_hints(ab, count)
    for y, x in (planes[2] > 0).nonzero().tolist():
        planes[:2, y, x] = ab[:, y, x]
    return planes


def draw_hints__no_mask(ab, count):
    planes = draw_hints(ab, count)
    planes[2] = 0
    return planes


def draw_hints__one_mean(ab, count):
    planes = draw_hints(ab, count)
    planes[:2] = planes[:2].mean(dim=0, keepdim=True)
    return planes


def draw_hints__whole_photo(ab, count):
    planes = draw_hints(ab, count)
    planes[:2] = planes[2] * ab.mean(dim=(1, 2), keepdim=True)
    return planes


def look_at_hints(alike, hinted, none):
    alike = alike.masked_fill(~hinted[:, None], -1e4)
    none = none.expand(*alike.shape[:2], 1)
    weights = torch.cat([alike, none], dim=2).softmax(dim=2)
    return weights[..., :-1]


def check_look_at_hints(theirs):
    alike = torch.tensor([[[0.0, 1.0, 7.0], [2.0, -2.0, 0.0]], [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]])
    hinted = torch.tensor([[True, True, False], [False, False, False]])
    found = theirs(alike, hinted, torch.tensor(1.0))
    expect_written_shape(found, alike)
    expect_same(found[0, :, 2], torch.zeros(2), "There is no hint at the third place: its weight is 0.")
    expect_same(
        found[1],
        torch.zeros(2, 3),
        'The second photo has no hint at all, so all look at "none of them", and every weight is 0.',
    )
    right = torch.tensor([0.0, 1.0, 1.0]).softmax(dim=0)[:2]  # the two hints, and none
    expect_same(
        found[0, 0, :2],
        right,
        "Place 1 has logits 0 and 1 for the hints and 1 for none: a softmax over these three.",
    )
    expect_same(found, look_at_hints(alike, hinted, torch.tensor(1.0)), "The softmax is over the hints.")


def expect_written_shape(found, alike):
    """The shape that was asked for; a column too many gets a sentence of its own."""
    if isinstance(found, torch.Tensor) and found.shape == (*alike.shape[:2], alike.shape[2] + 1):
        expect(False, 'The share of "none of them" is still in it: return only the weights of the hints.')
    expect_shape(found, alike.shape)


def look_at_hints__must_take_one(alike, hinted, none):
    return alike.masked_fill(~hinted[:, None], -1e4).softmax(dim=2)


def look_at_hints__wrong_dimension(alike, hinted, none):
    alike = alike.masked_fill(~hinted[:, None], -1e4)
    return torch.cat([alike, none.expand(*alike.shape[:2], 1)], dim=2).softmax(dim=1)[..., :-1]


def look_at_hints__none_left_in(alike, hinted, none):
    alike = alike.masked_fill(~hinted[:, None], -1e4)
    return torch.cat([alike, none.expand(*alike.shape[:2], 1)], dim=2).softmax(dim=2)


def look_at_hints__sigmoid(alike, hinted, none):
    return torch.sigmoid(alike.masked_fill(~hinted[:, None], -1e4))
