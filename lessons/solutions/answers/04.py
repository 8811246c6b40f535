"""Lesson 04: what is asked, our answers, and typical mistakes."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from colorize_course import Choice, Number, expect, expect_not, expect_same, expect_shape, expect_written
from colorize_lib import models
from colorize_lib.models import init_weights

PREDICTIONS = {
    "median": Choice("Which single colour costs the least, by L1?", ["the green of the grass", "a dull olive brown", "blue"], 1),
    "logits": Choice("How many answers does it give for a photo of 256²?", ["1", "30 × 30", "256 × 256"], 1),
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
    "sigmoid": Choice(
        "A sure judge is wrong: logit 60, but fake. What is −log(1 − sigmoid(60)) in float32?",
        ["60", "about 0", "infinite"], 2,
    ),
    "slope": Choice(
        "The judge has caught a painting: its logit is −5. Which loss pushes the generator harder?",
        ["log(1 − D)", "−log D", "both alike"], 1,
    ),
    "trap": Choice(
        "Trained with one batch of each kind: how far apart are its logits for real and for grey?",
        ["as far in `eval` mode as in training mode", "much less far in `eval` mode"], 1,
    ),
}  # fmt: skip

QUIZ = [
    Number(
        "How wide is the patch behind one logit of `PatchDiscriminator(downs=2)`? (Use `receptive_field`: the layers are "
        "4 × stride 2 twice, then 4 × stride 1 twice.)", 34, 0, "1 → 4 → 7 → 16 → 34.",
    ),
    Choice(
        "Why does a judge of patches suit L1?",
        ["it is faster than L1", "L1 keeps colours from being far off, the judge sees to the local look",
         "it gives a probability"], 1,
        "Dullness, blotches and colour that bleeds over an edge can be seen in a patch.",
    ),
    Number(
        "What is the vanilla loss of a judge that always says 0? (Two decimals.)", 0.69, 0.006,
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


# --- Half true, half grey


def half_grey(ab):
    half = ab.clone()
    half[..., ab.shape[-1] // 2 :] = 0
    return half


def check_half_grey(theirs):
    ab = torch.rand(2, 2, 4, 6) + 1
    given, right = theirs(ab), half_grey(ab)
    expect_shape(given, ab.shape)
    expect_same(
        given[..., 3:], right[..., 3:], "The right half of the columns has to be 0, in both channels."
    )
    expect_same(given[..., :3], right[..., :3], "The left half has to stay as it was.")


def half_grey__in_place(ab):
    ab[..., ab.shape[-1] // 2 :] = 0
    return ab


def half_grey__rows(ab):
    half = ab.clone()
    half[..., ab.shape[-2] // 2 :, :] = 0
    return half


def half_grey__the_left_half(ab):
    return half_grey(ab.flip(-1)).flip(-1)


# --- How often does real win?


def wins(on_real, on_fake):
    return (on_real[:, None] > on_fake[None, :]).float().mean().item()


def check_wins(theirs):
    real, fake = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 2.5])
    given = theirs(real, fake)
    expect_same(given, 4 / 6, "Of the 6 pairs here, real wins 4: every real one meets every fake one.")
    expect(not isinstance(given, torch.Tensor), "Return a plain number: .item().")
    expect_same(
        theirs(fake, real),
        2 / 6,
        "Here the first wins 2 of 6 pairs: every one meets every other. Is the order of the two right?",
    )
    expect_not(theirs(real, real), 6 / 9, "A draw is no win: use >, not >=.")
    draws = theirs(real, real)
    expect(min(abs(draws - 3 / 9), abs(draws - 1 / 2)) < 1e-4, "A draw counts nothing, or as half a win.")


def wins__only_pairs_in_line(on_real, on_fake):
    count = min(len(on_real), len(on_fake))
    return (on_real[:count] > on_fake[:count]).float().mean().item()


def wins__draws_too(on_real, on_fake):
    return (on_real[:, None] >= on_fake[None, :]).float().mean().item()


def wins__of_the_means(on_real, on_fake):
    return float(on_real.mean() > on_fake.mean())


def wins__the_other_way(on_real, on_fake):
    return wins(on_fake, on_real)


# --- The receptive field


def receptive_field(layers):
    r = 1
    for kernel, stride in reversed(layers):
        r = (r - 1) * stride + kernel
    return r


def check_receptive_field(theirs):
    expect_same(theirs([(4, 1)]), 4, "One layer with kernel 4 sees 4.")
    expect_same(theirs([(3, 1), (3, 1)]), 5, "Two layers with kernel 3 and stride 1 see 5.")
    expect_same(
        theirs([(4, 2), (4, 1)]), 10, "A layer of stride 1 after one of stride 2 sees 10: start at the end."
    )
    layers = [(4, 2), (4, 2), (4, 2), (4, 1), (4, 1)]
    expect_same(theirs(layers), 70, "The judge's five layers see 70.")
    expect_same(
        theirs([(7, 2), (3, 3), (1, 1)]), receptive_field([(7, 2), (3, 3), (1, 1)]), "Other kernels go wrong."
    )


def receptive_field__from_the_front(layers):
    r = 1
    for kernel, stride in layers:
        r = (r - 1) * stride + kernel
    return r


def receptive_field__without_minus_one(layers):
    r = 1
    for kernel, stride in reversed(layers):
        r = r * stride + kernel
    return r


def receptive_field__always_70(layers):
    return 70


# --- The loss


class GANLoss(nn.Module):
    """What the judge's logits cost, for the discriminator and for the generator."""

    def __init__(self, mode="vanilla", real_label=1.0, fake_label=0.0):
        super().__init__()
        self.mode, self.real_label, self.fake_label = mode, real_label, fake_label

    def to_label(self, logits, label):
        loss = F.binary_cross_entropy_with_logits if self.mode == "vanilla" else F.mse_loss
        return loss(logits, torch.full_like(logits, label))

    def discriminator(self, real, fake):
        if self.mode == "hinge":
            return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2
        return (self.to_label(real, self.real_label) + self.to_label(fake, self.fake_label)) / 2

    def generator(self, fake):
        if self.mode == "hinge":
            return -fake.mean()
        return self.to_label(fake, 1.0)


def check_GANLoss(theirs):
    loss, zero = theirs(), torch.zeros(2, 3)
    real, fake = torch.tensor([3.0, -1.2]), torch.tensor([-2.0, 0.5])
    log2 = math.log(2)
    expect_same(
        loss.discriminator(zero, zero),
        log2,
        "A judge that always says 0 pays log 2: take the mean of both halves.",
    )
    expect_same(loss.generator(zero), log2, "If the judge says 0, the generator pays log 2.")
    right = (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2
    expect_same(
        loss.discriminator(real, fake),
        right,
        "Real patches should be called real_label, fake ones fake_label.",
    )
    right = F.softplus(-fake).mean()
    expect_same(loss.generator(fake), right, "The generator wants its patches to be called real: label 1.")
    smooth = theirs("vanilla", 0.9, 0.1)
    right = (F.softplus(real) - 0.9 * real).mean() / 2 + (F.softplus(fake) - 0.1 * fake).mean() / 2
    expect_same(
        smooth.discriminator(real, fake), right, "Use self.real_label and self.fake_label, not 1 and 0."
    )
    expect_same(
        smooth.generator(fake),
        F.softplus(-fake).mean(),
        "The generator aims at 1, also with smoothed labels.",
    )
    least = theirs("lsgan", 0.9, 0.1)
    right = ((real - 0.9) ** 2).mean() / 2 + ((fake - 0.1) ** 2).mean() / 2
    expect_same(
        least.discriminator(real, fake),
        right,
        "Least squares is off: use self.to_label, which knows the mode, and the two labels.",
    )
    expect_same(
        least.generator(fake),
        ((fake - 1) ** 2).mean(),
        "The generator's least squares is off: use self.to_label, which knows the mode.",
    )
    hinge = theirs("hinge")
    right = (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2
    expect_same(hinge.discriminator(real, fake), right, "Leave the hinge lines as they were.")
    expect_same(hinge.generator(fake), -fake.mean(), "Leave the generator's hinge line as it was.")


class GANLoss__a_constant(GANLoss):
    def discriminator(self, real, fake):
        return torch.tensor(math.log(2))


class GANLoss__labels_swapped(GANLoss):
    def discriminator(self, real, fake):
        return super().discriminator(fake, real)


class GANLoss__summed(GANLoss):
    def discriminator(self, real, fake):
        return 2 * super().discriminator(real, fake)


class GANLoss__the_generator_gives_itself_up(GANLoss):
    def generator(self, fake):
        return self.to_label(fake, 0.0)


class GANLoss__smoothed_generator(GANLoss):
    def generator(self, fake):
        return self.to_label(fake, self.real_label)


# --- Exercises


def sides(most):
    return {downs: receptive_field([(4, 2)] * downs + [(4, 1)] * 2) for downs in range(1, most + 1)}


def check_sides(theirs):
    given = theirs(5)
    expect_written(given)
    expect(isinstance(given, dict), "Return {downs: side}, a dictionary.")
    expect(sorted(given) == [1, 2, 3, 4, 5], "It has to say something for downs = 1 to 5.")
    expect(given[3] == 70, "downs = 3 is the judge of the lesson: 70.")
    expect(
        given == sides(5), "3 is right, others are not: downs layers of stride 2, and always two of stride 1."
    )


def sides__doubled(most):
    return {downs: round(70 * 2 ** (downs - 3)) for downs in range(1, most + 1)}


def sides__one_layer_missing(most):
    return {downs: receptive_field([(4, 2)] * downs + [(4, 1)]) for downs in range(1, most + 1)}


def resting_logit(label):
    return math.log(label / (1 - label))


def check_resting_logit(theirs):
    expect_same(theirs(0.5), 0.0, "With a label of 0.5 the best answer is to know nothing: logit 0.")
    expect_same(
        theirs(0.9),
        math.log(9),
        "With 0.9 it is log(0.9 / 0.1) = log 9: where is the slope, p − label, zero?",
    )
    expect_same(theirs(0.8), math.log(4), "0.5 and 0.9 are right, 0.8 is not: log(label / (1 − label)).")


def resting_logit__the_probability(label):
    return label - 0.5


def resting_logit__half_of_it(label):
    return math.log(2 * label)
