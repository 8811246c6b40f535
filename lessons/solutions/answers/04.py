"""Lesson 04: what is asked, our answers, and typical mistakes."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

from colorize_course import Choice, FewBatches, Number, expect, expect_not, expect_same, expect_written
from colorize_lib import models
from colorize_lib.models import init_weights

PREDICTIONS = {
    "one": Choice("Which single colour costs the least, by L1?", ["their mean", "their median", "the most frequent one"], 1),
    "half": Choice(
        "Where will the map say “fake”?", ["everywhere", "on the grey half", "only along the line in the middle"], 1
    ),
    "loud": Choice(
        "It has only learned real against grey. What will it say of twice the colour?",
        ["fake, just as of grey", "even more real than real", "no difference"], 1,
    ),
    "places": Choice(
        "Real colours in the wrong places: harder to learn than grey?", ["yes, clearly", "no, just as easy"], 0
    ),
    "slope": Choice(
        "The judge has caught a painting: its logit is −5. Which loss pushes the generator harder?",
        ["log(1 − D)", "−log D", "both alike"], 1,
    ),
    "batches": Choice(
        "A judge trained with a batch of each kind: is its gap the same in `eval` mode as in training mode?",
        ["the same in both modes", "much smaller in `eval` mode"], 1,
    ),
}  # fmt: skip

QUIZ = [
    Number(
        "How wide is the patch behind one logit of `PatchDiscriminator(downs=2)`? (Two layers of stride 2, then two of "
        "stride 1, all with kernel 4.)", 34, 0, "4, 10, and then two more layers of 3 jumps of 4 pixels: 22, 34.",
    ),
    Choice(
        "Why does a judge of patches suit L1?",
        ["it is faster than L1", "L1 keeps colours from being far off, the judge sees to the local look",
         "it gives a probability"], 1,
        "Dullness, blotches and colour that bleeds over an edge can be seen in a patch.",
    ),
    Number(
        "What is the loss of a judge that always says 0? (Two decimals.)", 0.69, 0.006,
        "−log(1/2) = log 2 = 0.693, for both halves, so for their mean.",
    ),
    Choice(
        "A judge has learned real against grey. What does it know of blotches?",
        ["nothing: it knows the mistakes that it was shown", "all: it knows what real is"], 0,
        "It learned one difference. What else it says is luck.",
    ),
    Choice(
        "Which generator loss still pushes when the painting is caught?",
        ["log(1 − D(fake)), to be made small", "−log D(fake), to be made small"], 1,
        "The first is flat where D is near 0. Nearly all code uses the second, called non-saturating.",
    ),
    Number(
        "A logit is 2. How sure is the judge, in percent, that the patch is real?", 88, 0.6,
        "sigmoid(2) = 1 / (1 + e⁻²) = 0.881.",
    ),
    Choice(
        "Your judge wins 100 % in training mode, and 50 % in `eval` mode. What do you suspect first?",
        ["too few photos", "batch norm, with real and fake in separate batches", "a learning rate too small"], 1,
        "In training mode each kind is measured against its own mean; in `eval` mode there is one mean for both.",
    ),
    Choice(
        "Why does the judge get the lightness, too?",
        ["so that it can say whether the colours fit the photo", "to have three channels, as RGB has",
         "for a larger receptive field"], 0,
        "Without it, it could only say whether colours are plausible by themselves. Such a judge is called conditional.",
    ),
]  # fmt: skip


# --- The judge


class PatchDiscriminator(nn.Module):
    """pix2pix's discriminator: a logit for every patch."""

    def __init__(self, in_channels=3, filters=64, downs=3):
        super().__init__()
        layers = [nn.Conv2d(in_channels, filters, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for level in range(1, downs + 1):
            narrow, wide = filters * min(2 ** (level - 1), 8), filters * min(2**level, 8)
            stride = 1 if level == downs else 2
            layers += [
                nn.Conv2d(narrow, wide, 4, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(wide),
                nn.LeakyReLU(0.2),
            ]
        layers.append(nn.Conv2d(wide, 1, 4, stride=1, padding=1))
        self.model = init_weights(nn.Sequential(*layers))

    def forward(self, lab):
        return self.model(lab)


def leaves(network):
    """The layers that have none inside: lists in lists count as one list."""
    return [layer for layer in network.modules() if not list(layer.children())]


def check_PatchDiscriminator(theirs):
    judge, library = theirs(3, 4, 3), models.PatchDiscriminator(3, 4, 3)
    layers = leaves(judge.model)
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    strides = [layer.stride[0] for layer in convolutions]
    wanted = [2, 2, 2, 1, 1]
    expect(
        len(strides) == 5,
        f"It should have five convolutions; it has {len(strides)}: one for each turn of the loop.",
    )
    expect(
        strides == wanted, f"The strides are {strides}; they should be {wanted}: 1 in the loop's last turn."
    )
    expect(
        any(isinstance(layer, nn.BatchNorm2d) for layer in layers),
        "There is no batch norm: each turn adds a convolution, a norm and a LeakyReLU.",
    )
    order = [
        type(layer).__name__ if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d)) else "activation"
        for layer in layers
    ]
    turn = ["Conv2d", "BatchNorm2d", "activation"]
    expect(
        order == ["Conv2d", "activation", *3 * turn, "Conv2d"],
        "The order is off: each turn adds the convolution, then the norm, then the LeakyReLU.",
    )
    expect(
        all(layer.bias is None for layer in convolutions[1:-1]),
        "A convolution in the loop has a bias, which the norm makes useless: `bias=False`.",
    )
    expect_sizes(judge, library, "The layers do not have the right sizes: kernel 4, from `narrow` to `wide`.")
    expect_sizes(
        theirs(3, 2, 5),
        models.PatchDiscriminator(3, 2, 5),
        "With more `downs` the channels stop at 8 × filters: min(2**level, 8).",
    )
    for parameters in zip(judge.parameters(), library.parameters(), strict=True):
        drawn = 0.3 * torch.randn_like(parameters[0])  # large: a wrong activation shows
        for parameter in parameters:
            parameter.data.copy_(drawn)
    x = torch.randn(2, 3, 64, 48)
    expect_same(
        judge.eval()(x),
        library.eval()(x),
        "With the same weights it should say the same: is it LeakyReLU(0.2) everywhere, and padding 1?",
        1e-3,
    )


def expect_sizes(judge, library, sentence):
    sizes = [[tuple(tensor.shape) for tensor in net.state_dict().values()] for net in (judge, library)]
    expect(sizes[0] == sizes[1], sentence)


class PatchDiscriminator__always_stride_2(PatchDiscriminator):
    def __init__(self, in_channels=3, filters=64, downs=3):
        super().__init__(in_channels, filters, downs)
        self.model[8] = nn.Conv2d(filters * 4, filters * 8, 4, stride=2, padding=1, bias=False)


class PatchDiscriminator__no_norm(PatchDiscriminator):
    def __init__(self, in_channels=3, filters=64, downs=3):
        super().__init__(in_channels, filters, downs)
        self.model = nn.Sequential(*(layer for layer in self.model if not isinstance(layer, nn.BatchNorm2d)))


class PatchDiscriminator__the_norm_comes_last(PatchDiscriminator):
    def __init__(self, in_channels=3, filters=64, downs=3):
        super().__init__(in_channels, filters, downs)
        layers = list(self.model)
        for i in range(2, len(layers) - 1, 3):
            layers[i + 1], layers[i + 2] = layers[i + 2], layers[i + 1]
        self.model = nn.Sequential(*layers)


class PatchDiscriminator__plain_relu(PatchDiscriminator):
    def __init__(self, in_channels=3, filters=64, downs=3):
        super().__init__(in_channels, filters, downs)
        self.model = nn.Sequential(*(nn.ReLU() if isinstance(m, nn.LeakyReLU) else m for m in self.model))


class PatchDiscriminator__with_biases(PatchDiscriminator):
    def __init__(self, in_channels=3, filters=64, downs=3):
        super().__init__(in_channels, filters, downs)
        self.model[2] = nn.Conv2d(filters, filters * 2, 4, stride=2, padding=1)


# --- The loss


def judge_loss(real, fake):
    """What a judge's logits cost: real patches should be called 1, fake ones 0.  The mean of both."""
    loss = F.binary_cross_entropy_with_logits
    return (loss(real, torch.ones_like(real)) + loss(fake, torch.zeros_like(fake))) / 2


def check_judge_loss(theirs):
    zero, real, fake = torch.zeros(2, 3), torch.tensor([3.0, -1.2]), torch.tensor([-2.0, 0.5])
    expect_not(
        theirs(zero, zero),
        2 * math.log(2),
        "A judge that always says 0 pays log 2: take the mean of both, not the sum.",
    )
    expect_not(
        theirs(real, fake),
        judge_loss(torch.sigmoid(real), torch.sigmoid(fake)),
        "There is a sigmoid too many: binary_cross_entropy_with_logits takes the logits as they are.",
    )
    expect_same(
        theirs(zero, zero),
        math.log(2),
        "A judge that always says 0 pays log 2 for each kind, so for their mean.",
    )
    expect_not(theirs(real, fake), judge_loss(fake, real), "The labels are swapped: 1 for real, 0 for fake.")
    expect_same(theirs(real, fake), judge_loss(real, fake), "Real patches should be called 1, fake ones 0.")
    expect_same(
        theirs(real, fake[:1]),
        judge_loss(real, fake[:1]),
        "With more real patches than fake ones it is off: first the mean of each kind, then the mean of both.",
    )
    sure = torch.tensor([200.0], requires_grad=True)
    loss = theirs(-sure, sure)
    expect_same(
        loss, 200.0, "A judge that is sure and wrong goes wrong: use the loss that takes logits.", 0.1
    )
    expect(
        isinstance(loss, torch.Tensor) and loss.requires_grad,
        "It has to stay a tensor with its history: the training needs its gradient.",
    )


def judge_loss__labels_swapped(real, fake):
    return judge_loss(fake, real)


def judge_loss__summed(real, fake):
    return 2 * judge_loss(real, fake)


def judge_loss__only_the_real_ones(real, fake):
    return F.binary_cross_entropy_with_logits(real, torch.ones_like(real))


def judge_loss__a_sigmoid_too_many(real, fake):
    return judge_loss(torch.sigmoid(real), torch.sigmoid(fake))


# --- Its training


def in_one_batch(network, real, fake):
    return network(torch.cat([real, fake])).chunk(2)


def train_judge(network, loader, change, epochs, rate=5e-4, ask=in_one_batch, watch=None):
    """Train a judge to tell real photos from changed ones; gives its losses.  `watch` sees it after each step."""
    optimizer, losses = torch.optim.Adam(network.parameters(), lr=rate), []
    for epoch in range(epochs):
        network.train()
        loader.loader.sampler.set_epoch(epoch)
        for batch in loader:
            real = torch.cat([batch["L"], batch["ab"]], dim=1)
            fake = torch.cat([batch["L"], change(batch["ab"])], dim=1)
            on_real, on_fake = ask(network, real, fake)
            loss = judge_loss(on_real, on_fake)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if watch:
                watch(network)
    return losses


def half(ab):
    return ab / 2


def check_train_judge(theirs):
    batches = FewBatches({"L": torch.randn(4, 1, 4, 4), "ab": torch.randn(4, 2, 4, 4)} for _ in range(2))
    start = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1))

    def after(function):
        network, shown = copy.deepcopy(start), []

        def ask(network, real, fake):
            shown.append((real, fake))
            return in_one_batch(network, real, fake)

        losses = function(network, batches, half, 3, 0.05, ask)
        return losses, shown, torch.cat([p.detach().flatten() for p in network.parameters()])

    (ours, right, trained), (losses, shown, weights) = after(train_judge), after(theirs)
    expect_written(losses)
    expect(shown, "The judge is not asked: `ask(network, real, fake)` gives both kinds of logits.")
    real, fake = shown[0]
    expect_same(real, right[0][0], "`real` has to be L and the true ab, joined along the channels.")
    expect_not(fake, real, "The fakes are the real photos: change(batch['ab']) changes their colours.")
    expect_same(
        fake, right[0][1], "`fake` has to be the same L and the changed ab, joined along the channels."
    )
    expect_same(
        losses[0], ours[0], "The first loss is off: it is judge_loss(on_real, on_fake), real first.", 1e-3
    )
    before = torch.cat([p.detach().flatten() for p in start.parameters()])
    expect(
        not torch.equal(weights, before), "The weights have not moved: backward(), and then optimizer.step()."
    )
    expect_same(
        weights,
        trained,
        "From the second step on it is off: zero_grad() before backward(), and then step().",
        1e-3,
    )


def train_judge__gradients_pile_up(network, loader, change, epochs, rate=5e-4, ask=in_one_batch, watch=None):
    optimizer, losses = torch.optim.Adam(network.parameters(), lr=rate), []
    for _ in range(epochs):
        for batch in loader:
            real, fake = (torch.cat([batch["L"], ab], dim=1) for ab in (batch["ab"], change(batch["ab"])))
            loss = judge_loss(*ask(network, real, fake))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def train_judge__nothing_is_changed(network, loader, change, epochs, rate=5e-4, ask=in_one_batch, watch=None):
    return train_judge(network, loader, torch.clone, epochs, rate, ask)
