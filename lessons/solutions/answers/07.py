"""Lesson 07: what it asks, and the answers."""

import torch
from torch import nn

from colorize_course import Choice, Number, expect, expect_same
from colorize_course.checks import NotWritten

PREDICTIONS = {
    "judge": Choice(
        "Can the prepared judge tell paintings from photos that it never saw?",
        ["yes, on average", "no: it knows its training photos alone"],
        right=0,
    ),
    "wash": Choice(
        "The same weights, in train mode and in eval mode with the old running means: the same colours?",
        ["yes: the weights decide", "no: other colours"],
        right=1,
    ),
    "with": Choice(
        "What does the judge change, compared with the control?",
        ["more colour, and less error", "more colour, and more error", "nothing that can be measured"],
        right=1,
    ),
    "lambda": Choice(
        "From no judge (λ = 100,000) down to λ = 1: what happens?",
        ["more colour, and more error", "more colour, and less error", "no more colour, but more error"],
        right=0,
    ),
}


def renew(network, batches):
    """Take the running means of the network's batch norms anew, from batches of L, without training."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # all batches count alike
    with torch.no_grad():
        for L in batches:
            network(L)


def _small():
    """A network with two batch norms that have seen other photos, and three batches."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, momentum=0.0), nn.ReLU(), nn.Conv2d(4, 2, 3)]
    network = nn.Sequential(*layers, nn.BatchNorm2d(2, momentum=0.0)).eval()
    for norm in (network[1], network[4]):
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
        norm.running_mean.fill_(5.0)
        norm.running_var.fill_(3.0)
        norm.num_batches_tracked.fill_(1000)
    return network, [torch.randn(6, 1, 9, 8) + shift for shift in (0.0, 1.0, 4.0)]


def _renewed(together):
    """The running statistics of both norms, from the batches one after the other, or together as one."""
    network, batches = _small()
    renew(network, [torch.cat(batches)] if together else batches)
    return torch.cat(
        [value for norm in (network[1], network[4]) for value in (norm.running_mean, norm.running_var)]
    )


def check_renew(theirs):
    network, batches = _small()
    weights = [parameter.detach().clone() for parameter in network.parameters()]
    if theirs(network, batches) is ...:
        raise NotWritten
    norms = network[1], network[4]
    means = torch.cat([norm.running_mean for norm in norms])
    expect(
        all(torch.equal(*pair) for pair in zip(weights, network.parameters(), strict=True)),
        "The weights have changed; only the running means should.",
    )
    expect(
        all(parameter.grad is None for parameter in network.parameters()),
        "The weights got gradients: nothing is to be learned here.",
    )
    expect(
        not torch.equal(means, torch.full((6,), 5.0)),
        "The running means are still the old ones: they change only in train mode, with a momentum above 0, "
        "while the network is given a batch.",
    )
    expect(
        all(norm.num_batches_tracked > 0 for norm in norms),
        "The old means are gone, and no new ones were taken: the network is given batches in train mode, after the resets.",
    )
    stats = torch.cat([value for norm in norms for value in (norm.running_mean, norm.running_var)])
    ways = [_renewed(together) for together in (False, True)]
    expect_same(
        stats,
        min(ways, key=lambda way: (way - stats).abs().max()),
        "The running means are not the mean over all batches. Reset them first; and with `momentum = None`, "
        "every batch counts alike.",
        within=1e-2,
    )


def renew__in_eval_mode(network, batches):
    network.eval()
    with torch.no_grad():
        for L in batches:
            network(L)


def renew__momentum_kept(network, batches):
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = 0.1
    with torch.no_grad():
        for L in batches:
            network(L)


def renew__not_reset(network, batches):
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5
    with torch.no_grad():
        for L in batches:
            network(L)


def find_factor(colourfulness_at, target):
    """The factor in [0, 8] at which `colourfulness_at(factor)`, which grows with it, is the target."""
    low, high = 0.0, 8.0
    for _ in range(12):
        middle = (low + high) / 2
        if colourfulness_at(middle) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def check_find_factor(theirs):
    for target in (6.0, 31.0):
        wanted = target / 10
        answer = theirs(lambda factor: 10 * factor, target)
        expect_same(
            answer,
            wanted,
            f"If the colourfulness is 10 times the factor, {target:g} is reached at {wanted:g}: keep the half "
            "of the interval in which the target lies, and halve it often enough.",
            within=0.02,
        )
    answer = theirs(lambda factor: 40 * (1 - 2.0**-factor), 30.0)
    expect_same(answer, 2.0, "A colourfulness need not grow in proportion: ask for it at each step.", 0.02)


def find_factor__other_half(colourfulness_at, target):
    low, high = 0.0, 8.0
    for _ in range(12):
        middle = (low + high) / 2
        if colourfulness_at(middle) < target:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def find_factor__one_step(colourfulness_at, target):
    middle = (0.0 + 8.0) / 2
    return 2.0 if colourfulness_at(middle) > target else 6.0


def find_factor__proportional(colourfulness_at, target):
    return target / colourfulness_at(1.0)


def hue_change(before, after):
    """By how many degrees the hue of each pixel has turned, 0 to 180: (B, 2, H, W) twice → (B, H, W)."""
    hues = [torch.atan2(ab[:, 1], ab[:, 0]).rad2deg() for ab in (before, after)]
    turned = (hues[1] - hues[0]).abs()
    return torch.minimum(turned, 360 - turned)


def check_hue_change(theirs):
    hues = torch.tensor([0.0, 90.0, 170.0, -100.0]).deg2rad()
    before = torch.stack([hues.cos(), hues.sin()])[None, :, None]  # (1, 2, 1, 4)
    expect_same(
        theirs(before, 3 * before), torch.zeros(1, 1, 4), "Three times as strong is the same hue: 0°.", 0.1
    )
    later = (hues + torch.tensor([30.0, -90.0, 40.0, 180.0]).deg2rad()).remainder(2 * torch.pi)
    after = torch.stack([later.cos(), later.sin()])[None, :, None]
    expect_same(
        theirs(before, after),
        torch.tensor([[[30.0, 90.0, 40.0, 180.0]]]),
        "Turns by 30, −90, 40 and 180 degrees: give their sizes, in degrees, and never more than 180.",
        within=0.1,
    )
    photos = torch.randn(2, 3, 2, 4, 5)
    expect_same(theirs(*photos), hue_change(*photos), "Each pixel of each photo turns on its own.", 0.1)


def hue_change__radians(before, after):
    hues = [torch.atan2(ab[:, 1], ab[:, 0]) for ab in (before, after)]
    turned = (hues[1] - hues[0]).abs()
    return torch.minimum(turned, 2 * torch.pi - turned)


def hue_change__the_long_way(before, after):
    hues = [torch.atan2(ab[:, 1], ab[:, 0]).rad2deg() for ab in (before, after)]
    return (hues[1] - hues[0]).abs()


def hue_change__distance(before, after):
    return (after - before).norm(dim=1)


QUIZ = [
    Choice(
        "A generator with batch norm is trained in train mode. Its running means are those of its old weights. "
        "What do you see in eval mode?",
        [
            "The same as in training.",
            "Colours that neither the training nor the judge has seen.",
            "Grey photos.",
        ],
        right=1,
        why="The layers subtract means that belong to other weights, and the difference passes on to the colours.",
    ),
    Choice(
        "Which cure needs no extra pass over the photos?",
        ["`hold_norms`: train with the running means that evaluation uses", "`renew_norms`, after training"],
        right=0,
        why="Then the judge sees what will be shown. `renew_norms` needs a pass, and no training.",
    ),
    Choice(
        "What is the run without a judge for?",
        [
            "It shows what more training does, so that the rest is the judge's.",
            "It gives the judge something to compare with.",
            "It saves time.",
        ],
        right=0,
        why="Everything else is equal: photos, batches, steps, rates. It is the control.",
    ),
    Number(
        "L1's photos have a colourfulness of 20, the judge's 30. If colourfulness grew in proportion, "
        "which factor would make L1's as colourful?",
        right=1.5,
        within=0.001,
        why="30 / 20. In truth colourfulness grows only nearly in proportion.",
    ),
    Choice(
        "NoGAN's inflection point is the moment at which …",
        [
            "the losses of both networks are equal.",
            "the generator has learned what the judge has to teach, and further training does harm.",
            "the judge is prepared well enough to begin.",
        ],
        right=1,
        why="DeOldify's author saw orange skin and red lips after it, and found it by looking at saved pictures.",
    ),
    Choice(
        "No dropout, no noise: why can the generator be trained against a judge at all?",
        [
            "Spectral norm replaces the noise.",
            "The photos are noise enough for the judge.",
            "Nothing in the loss asks for two answers: one plausible painting of each photo is enough.",
        ],
        right=2,
        why="The judge sees one painting of each photo. The generator becomes a function.",
    ),
]
