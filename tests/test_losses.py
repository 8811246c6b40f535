import math

import pytest
import torch

from colorize_lib.losses import GANLoss, colour_loss


def test_an_undecided_discriminator():
    """Logits of 0 mean "half and half": the losses are known."""
    zeros = torch.zeros(2, 1, 30, 30)
    for mode, d, g in (("vanilla", math.log(2), math.log(2)), ("lsgan", 0.5, 1.0), ("hinge", 1.0, 0.0)):
        loss = GANLoss(mode)
        assert loss.discriminator(zeros, zeros).item() == pytest.approx(d)
        assert loss.generator(zeros).item() == pytest.approx(g, abs=1e-6)


@pytest.mark.parametrize("mode", ["vanilla", "lsgan", "hinge"])
def test_gradients_point_the_right_way(mode):
    real, fake = (torch.full((4,), 0.5, requires_grad=True) for _ in range(2))
    GANLoss(mode).discriminator(real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()  # a step raises `real`, lowers `fake`
    fake.grad = None
    GANLoss(mode).generator(fake).backward()
    assert (fake.grad < 0).all()


def test_label_smoothing_moves_the_discriminators_optimum():
    logits = torch.linspace(-6, 6, 1201)
    loss = GANLoss("vanilla", real_label=0.9)
    values = torch.stack([loss.discriminator(x, torch.tensor(-50.0)) for x in logits])
    assert logits[values.argmin()].sigmoid().item() == pytest.approx(0.9, abs=0.01)
    assert loss.generator(logits).item() == GANLoss("vanilla").generator(logits).item()


def test_low_precision_logits_give_float32():
    assert GANLoss().generator(torch.zeros(4, dtype=torch.bfloat16)).dtype == torch.float32
    with pytest.raises(ValueError, match="wgan"):
        GANLoss("wgan")


def test_low_precision_logits_are_compared_with_the_exact_label():
    """bfloat16 would make 0.8984 of it."""
    zeros = torch.zeros(4, dtype=torch.bfloat16)
    assert GANLoss("lsgan", real_label=0.9).discriminator(zeros, zeros).item() == pytest.approx(0.81 / 2)


def test_real_and_generated_photos_have_a_label_each():
    zeros = torch.zeros(4)
    loss = GANLoss("lsgan", real_label=0.9, fake_label=0.2)
    assert loss.discriminator(zeros, zeros).item() == pytest.approx((0.81 + 0.04) / 2)


def test_the_hinge_asks_for_a_margin_of_one():
    real, fake = torch.tensor([0.5, 3.0]), torch.tensor([0.25, -3.0])
    assert GANLoss("hinge").discriminator(real, fake).item() == pytest.approx((0.25 + 0.625) / 2)


def test_an_unknown_mode_is_told_the_known_ones():
    with pytest.raises(ValueError, match="no GAN loss is called 'wgan': choose from vanilla, lsgan, hinge$"):
        GANLoss("wgan")


def ab_of(*colours: tuple[float, float]) -> torch.Tensor:
    """(1, 2, 1, W): a row of pixels."""
    return torch.tensor(colours).T[None, :, None]


def test_the_colour_loss_is_l1_without_vivid():
    predicted, true = torch.rand(2, 2, 3, 4), torch.rand(2, 2, 3, 4)
    torch.testing.assert_close(colour_loss(predicted, true), torch.nn.functional.l1_loss(predicted, true))


def test_an_error_counts_more_where_the_true_colour_is_strong():
    true = ab_of((0.6, 0.8), (0.0, 0.0))  # chroma 1 and 0, so weights of 5 and 1, of 3 on average
    at_the_strong_one = colour_loss(true + ab_of((0.3, 0.3), (0.0, 0.0)), true, vivid=2.0)
    at_the_grey_one = colour_loss(true + ab_of((0.0, 0.0), (0.3, 0.3)), true, vivid=2.0)
    assert at_the_strong_one.item() == pytest.approx(0.15 * 5 / 3)
    assert at_the_grey_one.item() == pytest.approx(0.15 * 1 / 3)


def test_grey_photos_have_a_colour_loss():
    assert colour_loss(ab_of((0.5, 0.5)), ab_of((0.0, 0.0)), vivid=2.0).item() == pytest.approx(0.5)
