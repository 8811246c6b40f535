"""Lesson 09: what is asked, our answers, and typical mistakes."""

import copy
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from colorize_course import Choice, expect, expect_not, expect_same
from colorize_lib.models import Generator
from colorize_lib.training import L1Pretraining, batch_norms

PREDICTIONS = {
    "sepia filter": Choice(
        "The library leaves near-grey photos out of the training. Does it leave out a sepia print?",
        ["yes: a sepia print is a grey photo", "no: brown is a colour"], 1,
    ),
    "own": Choice(
        "On which photos does training lower the error more?",
        ["on those that it trained on", "on those that were held out", "on both alike"], 0,
    ),
    "sepia": Choice(
        "A grey scan and a sepia scan of one photo: how do their guessed colours differ?",
        ["the sepia one comes out browner", "hardly at all", "the sepia one cannot be coloured"], 1,
    ),
    "again": Choice(
        "The same command runs a second time. What happens to the coloured photos?",
        ["they are made anew", "they are coloured twice", "they stay as they are"], 2,
    ),
    "second": Choice(
        "Yours has the smallest error on held-out photos. Which control comes second?",
        ["grey", "the bundled weights", "the bundled weights, as colourful as yours", "one wash of the mean colour"], 3,
    ),
    "exported": Choice(
        "ONNX Runtime computes your network without our code. How far are its colours from PyTorch's?",
        ["not at all: to the last digit the same", "by less than an eye can see", "by some units"], 1,
    ),
}  # fmt: skip

QUIZ = [
    Choice(
        "Your folder has 200 photos of one wedding. What is wrong with a split by chance?",
        ["nothing", "nearly the same picture is on both sides", "200 photos cannot be split"], 1,
        "A burst shows one scene three times. Keep what belongs together on one side, in a folder of its own.",
    ),
    Choice(
        "Fine-tuning lowers the error on the training photos by a third, on held-out photos by nothing. What do you do?",
        ["use it: a third is a lot", "train longer", "take more photos, or fewer steps"], 2,
        "It has learned these photos by heart. Only held-out photos count.",
    ),
    Choice(
        "Why do the batch norms hold still while we tune?",
        ["the network is then trained as it is used", "it saves memory", "Adam needs it"], 0,
        "A few small photos have other statistics than the thousands that the weights come from.",
    ),
    Choice(
        "Your theme is mostly rose, and your network beats grey and the bundled weights. Which control is missing?",
        ["a larger network", "one rose wash over everything", "another computer"], 1,
        "Where one colour is common, that colour everywhere is hard to beat. A mean gain over it says that the network knows *where*.",
    ),
    Choice(
        "What can no network find out from a grey photo of a car?",
        ["that it is a car", "which paint it had", "where its shadow is"], 1,
        "Red and blue of one lightness give the same grey. Only a witness, a list or a second photo can tell.",
    ),
    Choice(
        "A photo has a wide white border. What is best?",
        ["leave it: the network ignores it", "cut it off before colouring", "paint it black"], 1,
        "The network looks at the whole picture, border included, and scales it to a fixed number of pixels.",
    ),
]  # fmt: skip


def colour_spread(ab):
    middle = ab.mean(dim=(1, 2), keepdim=True)
    return (ab - middle).norm(dim=0).square().mean().sqrt()


def check_colour_spread(theirs):
    flat = torch.tensor([20.0, -5.0])[:, None, None].expand(2, 40, 60)
    expect_not(theirs(flat), 12.5, "It takes one middle for both: a* and b* have a middle each.", 0.01)
    expect_not(
        theirs(flat), 12.5 * 2**0.5, "It takes one middle for both: a* and b* have a middle each.", 0.01
    )
    expect_same(
        theirs(flat), 0.0, "A picture of one single colour has no spread: take its middle away first."
    )
    halves = torch.zeros(2, 40, 60)
    halves[0, :, :30], halves[0, :, 30:] = 30.0, -30.0
    expect_same(
        theirs(halves),
        30.0,
        "Half of it is 30 to the right of the middle, half 30 to the left: that is 30.",
        0.02,
    )
    both = torch.stack([halves[0], halves[0] * 4 / 3])
    expect_same(theirs(both), 50.0, "a* and b* both count: 30 and 40 make 50.", 0.02)
    uneven = torch.zeros(2, 40, 50)
    uneven[0, :, :10] = 50.0
    expect_same(theirs(uneven), 20.0, "The root of the mean of the squares was asked for.", 0.02)


def colour_spread__chroma(ab):
    return ab.norm(dim=0).square().mean().sqrt()


def colour_spread__mean_distance(ab):
    return (ab - ab.mean(dim=(1, 2), keepdim=True)).norm(dim=0).mean()


def colour_spread__one_middle(ab):
    return (ab - ab.mean()).norm(dim=0).square().mean().sqrt()


class FineTuning(L1Pretraining):
    def step(self, batch, accelerator):
        for norm in batch_norms(self.networks["generator"]):
            norm.eval()
        return super().step(batch, accelerator)


class Tiny(Generator):
    """A generator with one batch norm, small enough for a check."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))

    def forward(self, L: Tensor) -> Tensor:
        return self.layers(L)


class Alone:
    """What a step needs of an Accelerator, for one process."""

    def autocast(self):
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        loss.backward()


def check_FineTuning(theirs):
    network = Tiny().train()
    norm, first = network.layers[1], network.layers[0].weight.detach().clone()
    norm.running_mean.fill_(0.5)  # not what a batch has
    right = copy.deepcopy(network)
    batch = {"L": 3 + torch.rand(2, 1, 8, 6), "ab": torch.rand(2, 2, 8, 6)}
    method = theirs(network, lr=0.1)
    network.train()  # as `fit` does now and then
    losses = method.step(batch, Alone())
    if losses is ... or losses is None and torch.equal(network.layers[0].weight, first):
        raise NotImplementedError
    expect(
        isinstance(losses, dict) and "l1" in losses,
        "A step returns its losses: return what L1Pretraining's does.",
    )
    expect(
        torch.equal(norm.running_mean, torch.full((4,), 0.5)),
        "The running means have moved: hold the batch norms still *before* the step, in each step.",
    )
    expect(
        not torch.equal(network.layers[0].weight, first),
        "The weights have not moved: only the norms hold still.",
    )
    expect(network.training, "Only the batch norms hold still; the rest stays in training mode.")
    ours = FineTuning(right, lr=0.1).step(batch, Alone())
    expect_same(
        losses["l1"],
        ours["l1"],
        "The running means hold still, and are not used: only in evaluation mode, `norm.eval()`, does a norm use them.",
    )
    weights = network.layers[0].weight, right.layers[0].weight
    expect_same(*weights, "The weights moved otherwise than in L1Pretraining's step: call it, once.")


class FineTuning__norms_run(L1Pretraining):
    def step(self, batch, accelerator):
        return super().step(batch, accelerator)


class FineTuning__too_late(L1Pretraining):
    def step(self, batch, accelerator):
        losses = super().step(batch, accelerator)
        for norm in batch_norms(self.networks["generator"]):
            norm.eval()
        return losses


class FineTuning__all_of_it(L1Pretraining):
    def step(self, batch, accelerator):
        self.networks["generator"].eval()
        return super().step(batch, accelerator)


class FineTuning__nothing_returned(L1Pretraining):
    def step(self, batch, accelerator):
        for norm in batch_norms(self.networks["generator"]):
            norm.eval()
        super().step(batch, accelerator)


def gain(before, after):
    better = before - after
    return torch.stack([better.mean(), better.std() / len(better) ** 0.5])


def check_gain(theirs):
    before, better = 10 * torch.arange(1.0, 10.0), torch.tensor(8 * [1.0] + [10.0])
    expect_same(
        theirs(before, before - better),
        torch.tensor([2.0, 1.0]),
        "Eight differences of 1 and one of 10: the mean is 2, the standard deviation 3, the standard error 3 / √9.",
        1e-3,
    )
    worse = theirs(before, before + better)
    expect_same(worse, torch.tensor([-2.0, 1.0]), "More error afterwards is a negative gain.", 1e-3)


def gain__each_side(before, after):
    error = (before.var() / len(before) + after.var() / len(after)).sqrt()
    return torch.stack([before.mean() - after.mean(), error])


def gain__standard_deviation(before, after):
    return torch.stack([(before - after).mean(), (before - after).std()])


def gain__turned_round(before, after):
    better = after - before
    return torch.stack([better.mean(), better.std() / len(better) ** 0.5])


def stretch(grey, share=0.01):
    dark, light = grey.quantile(share), grey.quantile(1 - share)
    return ((grey - dark) / (light - dark)).clamp(0, 1)


def check_stretch(theirs):
    faded = torch.linspace(0.4, 0.7, 1001).reshape(7, 143)
    whole = theirs(faded)
    right = ((faded - 0.403) / 0.294).clamp(0, 1)
    if isinstance(whole, Tensor):
        expect(whole.min() >= -0.001 and whole.max() <= 1.001, "It leaves [0, 1]: clamp it.")
    expect_same(whole, right, "Its hundredth darkest value becomes 0, its hundredth lightest 1.", 2e-3)
    expect_same(
        theirs(faded, 0.1),
        stretch(faded, 0.1),
        "With `share` 0.1 it is the tenth that counts: use `share`.",
        2e-3,
    )
    dusty = faded.clone()
    dusty[0, 0], dusty[0, 1] = 0.0, 1.0
    stretched = theirs(dusty)
    expect(
        (stretched - right).abs().flatten()[2:].max() < 0.01,
        "Two specks of dust must not decide: use quantiles.",
    )


def stretch__ends(grey, share=0.01):
    return (grey - grey.min()) / (grey.max() - grey.min())


def stretch__no_clamp(grey, share=0.01):
    dark, light = grey.quantile(share), grey.quantile(1 - share)
    return (grey - dark) / (light - dark)


def stretch__always_a_hundredth(grey, share=0.01):
    return stretch(grey)


def stretch__only_up(grey, share=0.01):
    return (grey / grey.quantile(1 - share)).clamp(0, 1)
