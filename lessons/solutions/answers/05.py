"""Lesson 05: what it asks, and the answers."""

import torch
import torch.nn.functional as F
from torch import nn

from colorize_course import Choice, Number, expect, expect_same, expect_written
from colorize_lib.losses import GANLoss

PREDICTIONS = {
    "between": Choice(
        "Where do L2 and L1 end?",
        ["both in a paint", "L2 between the paints, L1 in a paint", "both between the paints"],
        right=2,
    ),
    "game": Choice(
        "What does the point do that has to fool the judge?",
        ["it rests between the paints", "it goes to a paint and rests", "it goes to a paint and circles"],
        right=2,
    ),
    "push": Choice(
        "Which pushes harder at the start, before λ?", ["L1", "the GAN loss", "both alike"], right=1
    ),
    "coin": Choice(
        "What does the judge make of the grey photos?",
        ["they stay grey", "all get their true colours", "each becomes one of its two worlds"],
        right=2,
    ),
    "unseen": Choice(
        "Which run is farther from the true colours of unseen photos?",
        ["L1 alone", "λ = 1"],
        right=1,
    ),
    "noise": Choice(
        "How many of the four paints does the generator with noise use at one time?",
        ["all four", "one or two"],
        right=1,
    ),
    "heart": Choice(
        "How surely does the judge of sixteen photos tell own colours from strange ones on new photos?",
        ["as surely as on its sixteen", "far less surely"],
        right=1,
    ),
}


def best_judge(real, fake):
    """The best judge's probability of "real", from how common a colour is among real photos and among fakes (tensors)."""
    return real / (real + fake)


def check_best_judge(theirs):
    real, fake = torch.tensor([4.0, 1.0, 3.0]), torch.tensor([0.0, 3.0, 3.0])
    answer = theirs(real, fake)
    expect_same(answer, torch.tensor([1.0, 0.25, 0.5]), "Of four such colours, one real: then say 1/4.")


def best_judge__odds(real, fake):
    return real / fake


def best_judge__of_fakes(real, fake):
    return fake / (real + fake)


def discriminator_step(discriminator, optimizer, gan_loss, L, ab, fake):
    """One step of the discriminator; gives its loss, and its mean logits."""
    on_fake = discriminator(torch.cat([L, fake.detach()], dim=1))
    on_real = discriminator(torch.cat([L, ab], dim=1))
    loss = gan_loss.discriminator(on_real, on_fake)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"d": loss.item(), "d_real": on_real.mean().item(), "d_fake": on_fake.mean().item()}


def _game():
    """A tiny generator and judge, each with an optimizer, a batch, and the painting."""
    torch.manual_seed(0)
    generator, discriminator = nn.Conv2d(1, 2, 1), nn.Conv2d(3, 1, 3)
    optimizers = [torch.optim.SGD(network.parameters(), 0.1) for network in (generator, discriminator)]
    L, ab = torch.randn(2, 1, 6, 6), torch.randn(2, 2, 6, 6)
    return generator, discriminator, *optimizers, L, ab, generator(L)


def _told(answer, names, judge):
    expect_written(answer)
    expect(judge.training, "The judge has to stay in training mode: no `eval()` here.")
    expect(isinstance(answer, dict), "It should give the losses by name, as in the last line of the stub.")
    expect(set(answer) == set(names), f"The losses should have the names {', '.join(names)}.")


def check_discriminator_step(theirs):
    right = _game()
    generator, discriminator, _, optimizer, L, ab, fake = _game()
    weight = discriminator.weight.detach().clone()
    told = theirs(discriminator, optimizer, GANLoss(), L, ab, fake)
    _told(told, ("d", "d_real", "d_fake"), discriminator)
    expect(
        generator.weight.grad is None,
        "The gradient ran on into the generator: cut the painting off from its history with `detach`.",
    )
    expect(
        not torch.equal(weight, discriminator.weight),
        "The judge has not changed. The third gap is a step of the optimizer: clear, backward, step.",
    )
    ours = discriminator_step(right[1], right[3], GANLoss(), *right[4:])
    expect_same(told["d_real"], ours["d_real"], "The logits of the true photos are off: judge L with ab.")
    expect_same(told["d_fake"], ours["d_fake"], "The logits of the fakes are off: judge L with fake.")
    expect_same(told["d"], ours["d"], "The loss is off: the true photos come first, the fakes second.")
    expect_same(
        discriminator.weight,
        right[1].weight,
        "The loss is right, but not its gradient: only `fake` is detached, and no logits are.",
    )
    theirs(discriminator, optimizer, GANLoss(), L, ab, generator(L))
    discriminator_step(right[1], right[3], GANLoss(), L, ab, generator(L))
    expect_same(
        discriminator.weight, right[1].weight, "The second step is off: clear the gradients of the first one."
    )


def discriminator_step__leaky(discriminator, optimizer, gan_loss, L, ab, fake):
    on_fake = discriminator(torch.cat([L, fake], dim=1))
    on_real = discriminator(torch.cat([L, ab], dim=1))
    loss = gan_loss.discriminator(on_real, on_fake)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"d": loss.item(), "d_real": on_real.mean().item(), "d_fake": on_fake.mean().item()}


def discriminator_step__swapped(discriminator, optimizer, gan_loss, L, ab, fake):
    on_real = discriminator(torch.cat([L, fake.detach()], dim=1))
    on_fake = discriminator(torch.cat([L, ab], dim=1))
    loss = gan_loss.discriminator(on_real, on_fake)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"d": loss.item(), "d_real": on_real.mean().item(), "d_fake": on_fake.mean().item()}


def discriminator_step__blind(discriminator, optimizer, gan_loss, L, ab, fake):
    on_fake = discriminator(torch.cat([L, fake], dim=1)).detach()
    on_real = discriminator(torch.cat([L, ab], dim=1))
    loss = gan_loss.discriminator(on_real, on_fake)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"d": loss.item(), "d_real": on_real.mean().item(), "d_fake": on_fake.mean().item()}


def discriminator_step__old_gradients(discriminator, optimizer, gan_loss, L, ab, fake):
    on_fake = discriminator(torch.cat([L, fake.detach()], dim=1))
    on_real = discriminator(torch.cat([L, ab], dim=1))
    loss = gan_loss.discriminator(on_real, on_fake)
    loss.backward()
    optimizer.step()
    return {"d": loss.item(), "d_real": on_real.mean().item(), "d_fake": on_fake.mean().item()}


def generator_step(discriminator, optimizer, gan_loss, L, ab, fake, lambda_l1):
    """One step of the generator that painted `fake`; gives the two parts of its loss."""
    discriminator.requires_grad_(False)
    loss_gan = gan_loss.generator(discriminator(torch.cat([L, fake], dim=1)))
    loss_l1 = F.l1_loss(fake, ab)
    optimizer.zero_grad()
    (loss_gan + lambda_l1 * loss_l1).backward()
    optimizer.step()
    discriminator.requires_grad_(True)
    return {"l1": loss_l1.item(), "gan": loss_gan.item()}


def check_generator_step(theirs):
    generator, discriminator, optimizer, _, L, ab, fake = _game()
    told = theirs(discriminator, optimizer, GANLoss(), L, ab, fake, 10.0)
    _told(told, ("l1", "gan"), discriminator)
    judge = list(discriminator.parameters())
    expect(
        all(parameter.grad is None for parameter in judge),
        "The judge got gradients: call `requires_grad_(False)` on it first.",
    )
    expect(
        all(parameter.requires_grad for parameter in judge),
        "The judge stays frozen: its next step would fail.",
    )
    right = _game()
    ours = generator_step(right[1], right[2], GANLoss(), *right[4:], 10.0)
    expect_same(
        told["gan"], ours["gan"], "The GAN loss is off: the generator wants (L, fake) to be called real."
    )
    expect_same(told["l1"], ours["l1"], "L1 is off: it is the mean absolute difference of fake and ab.")
    expect_same(
        generator.weight,
        right[0].weight,
        "The losses are right, but the generator went another way: does the judge's opinion have a gradient, "
        "and is L1 multiplied by λ?",
    )
    theirs(discriminator, optimizer, GANLoss(), L, ab, generator(L), 10.0)
    generator_step(right[1], right[2], GANLoss(), L, ab, right[0](L), 10.0)
    expect_same(
        generator.weight, right[0].weight, "The second step is off: clear the gradients of the first one."
    )


def generator_step__no_grad(discriminator, optimizer, gan_loss, L, ab, fake, lambda_l1):
    with torch.no_grad():
        loss_gan = gan_loss.generator(discriminator(torch.cat([L, fake], dim=1)))
    loss_l1 = F.l1_loss(fake, ab)
    optimizer.zero_grad()
    (loss_gan + lambda_l1 * loss_l1).backward()
    optimizer.step()
    return {"l1": loss_l1.item(), "gan": loss_gan.item()}


def generator_step__without_lambda(discriminator, optimizer, gan_loss, L, ab, fake, lambda_l1):
    discriminator.requires_grad_(False)
    loss_gan = gan_loss.generator(discriminator(torch.cat([L, fake], dim=1)))
    loss_l1 = F.l1_loss(fake, ab)
    optimizer.zero_grad()
    (loss_gan + loss_l1).backward()
    optimizer.step()
    discriminator.requires_grad_(True)
    return {"l1": loss_l1.item(), "gan": loss_gan.item()}


def generator_step__judge_moves(discriminator, optimizer, gan_loss, L, ab, fake, lambda_l1):
    loss_gan = gan_loss.generator(discriminator(torch.cat([L, fake], dim=1)))
    loss_l1 = F.l1_loss(fake, ab)
    optimizer.zero_grad()
    (loss_gan + lambda_l1 * loss_l1).backward()
    optimizer.step()
    return {"l1": loss_l1.item(), "gan": loss_gan.item()}


def toss(ab, heads):
    """Each photo of a batch keeps its colours if its coin shows heads, and gets the opposite ones if not."""
    return torch.where(heads[:, None, None, None], ab, -ab)


def check_toss(theirs):
    ab, heads = torch.randn(4, 2, 3, 5), torch.tensor([True, False, False, True])
    answer = theirs(ab, heads)
    expect_same(theirs(ab[:1], heads[:1]), ab[:1], "A photo whose coin shows heads keeps its colours.")
    expect_same(
        theirs(ab[1:2], heads[1:2]), -ab[1:2], "A photo whose coin shows tails gets -ab: both a* and b*."
    )
    expect_same(answer, torch.stack([ab[0], -ab[1], -ab[2], ab[3]]), "Each photo has a coin of its own.")


def toss__one_coin(ab, heads):
    return ab if heads[0] else -ab


def toss__only_a(ab, heads):
    sign = torch.where(heads, 1.0, -1.0)[:, None, None]
    return torch.stack([ab[:, 0] * sign, ab[:, 1]], dim=1)


def toss__other_side(ab, heads):
    return torch.where(heads[:, None, None, None], -ab, ab)


QUIZ = [
    Choice(
        "What does `detach` protect, in the discriminator's step?",
        ["the discriminator", "the generator", "the photos"],
        right=1,
        why="The painting keeps its numbers and loses its history, so no gradient gets back to the painter.",
    ),
    Number(
        "A vanilla judge says 1/2 to everything. What is its loss, to two decimals?",
        right=0.69,
        within=0.01,
        why="−log ½ = log 2 = 0.693, for real photos and for fakes; the mean of the two is the same.",
    ),
    Choice(
        "A judge's loss stays at log 2. What do you know?",
        [
            "The game is won: fakes and photos cannot be told apart.",
            "The judge has not learned anything.",
            "Either may be true: look at the pictures and at the logits.",
        ],
        right=2,
        why="½ everywhere is the solution of the game, and also what a judge says that has no idea.",
    ),
    Number(
        "A colour is three times as common among fakes as among photos. What should the best judge say, as a probability of “real”?",
        right=0.25,
        within=0.001,
        why="p / (p + q) = 1 / (1 + 3).",
    ),
    Choice(
        "A T-shirt is red or blue, fifty-fifty, as far as its lightness tells. What does a judge that learns beside the generator reward?",
        ["the violet or grey between them", "red or blue, either of them", "always the true one"],
        right=1,
        why="It asks whether this could be a photo, not whether it is the photo.",
    ),
    Choice(
        "What makes pix2pix's GAN conditional?",
        [
            "The judge sees the lightness together with the colours.",
            "The generator starts from noise.",
            "λ is larger than 1.",
        ],
        right=0,
        why="So it can ask whether these colours belong to this photo, not only whether they are a photo's colours.",
    ),
    Choice(
        "All paintings of a generator look alike, whatever noise it gets. What is this called?",
        ["checkerboard", "mode collapse", "saturation"],
        right=1,
        why="It has found one thing that the judge accepts, and makes nothing else.",
    ),
    Choice(
        "A judge is sure of its training photos, and helpless before new ones. What helps?",
        ["a longer training", "more photos, or changed copies of these", "a larger λ"],
        right=1,
        why="It has learned its photos by heart. What it has never seen twice it cannot learn by heart.",
    ),
]
