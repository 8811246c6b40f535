"""The steps of the two methods, beside the same steps written out by hand."""

import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn

from colorize_lib.losses import colour_loss
from colorize_lib.models import PatchDiscriminator
from colorize_lib.training import AdversarialTraining, L1Pretraining


class Tiny(nn.Module):
    """L → ab, with an encoder."""

    def __init__(self):
        super().__init__()
        self.encoder, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, L: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(L).relu())


def tiny_discriminator() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3))


def batches() -> list[dict[str, torch.Tensor]]:
    """Two: the second step shows what the first has left behind, such as gradients."""
    return [{"L": torch.rand(2, 1, 16, 16), "ab": torch.rand(2, 2, 16, 16) - 0.5} for _ in range(2)]


def same(network: nn.Module, other: nn.Module) -> bool:
    return all(
        torch.allclose(a, b, atol=1e-6) for a, b in zip(network.parameters(), other.parameters(), strict=True)
    )


def values(losses: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: loss.item() for name, loss in losses.items()}


@pytest.fixture(scope="module")
def l1():
    """L1Pretraining, and AdamW on the mean absolute error."""
    torch.manual_seed(0)
    generator, losses, expected = Tiny(), [], []
    twin = copy.deepcopy(generator)
    method = L1Pretraining(generator, lr=1e-2, encoder_lr=3e-3, weight_decay=0.5)
    groups = [{"params": twin.head.parameters()}, {"params": twin.encoder.parameters(), "lr": 3e-3}]
    adam = torch.optim.AdamW(groups, lr=1e-2, weight_decay=0.5)
    for batch in batches():
        losses.append(values(method.step(batch, Accelerator(cpu=True))))
        loss = (twin(batch["L"]) - batch["ab"]).abs().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        expected.append(values({"l1": loss}))
    return SimpleNamespace(generator=generator, twin=twin, losses=losses, expected=expected)


def test_l1_pretraining_moves_the_weights_as_by_hand(l1):
    assert same(l1.generator, l1.twin)


def test_l1_pretraining_gives_the_loss(l1):
    for losses, expected in zip(l1.losses, l1.expected, strict=True):
        assert losses == pytest.approx(expected, rel=1e-4)


@pytest.fixture(scope="module")
def gan():
    """AdversarialTraining, and Isola et al. (CVPR 2017), section 3, with smoothed labels and a chroma of 1.2."""
    torch.manual_seed(0)
    generator, discriminator, losses, expected = Tiny(), tiny_discriminator(), [], []
    twin, judge = copy.deepcopy(generator), copy.deepcopy(discriminator)
    options = {"lambda_l1": 10.0, "real_label": 0.9, "chroma": 1.2, "betas": (0.3, 0.9)}
    method = AdversarialTraining(
        generator, discriminator, lr=1e-2, discriminator_lr=2e-2, encoder_lr=3e-3, **options
    )
    groups = [{"params": twin.head.parameters()}, {"params": twin.encoder.parameters(), "lr": 3e-3}]
    adam = torch.optim.Adam(groups, lr=1e-2, betas=(0.3, 0.9))
    judges_adam = torch.optim.Adam(judge.parameters(), lr=2e-2, betas=(0.3, 0.9))
    for batch in batches():
        losses.append(values(method.step(batch, Accelerator(cpu=True))))
        L, ab = batch["L"], batch["ab"]
        fake = twin(L)

        on_fake, on_real = judge(torch.cat([L, fake.detach()], 1)), judge(torch.cat([L, ab * 1.2], 1))
        real_loss = -(0.9 * F.logsigmoid(on_real) + 0.1 * F.logsigmoid(-on_real)).mean()
        d = (real_loss - F.logsigmoid(-on_fake).mean()) / 2
        judges_adam.zero_grad()
        d.backward()
        judges_adam.step()

        gan = -F.logsigmoid(judge(torch.cat([L, fake], 1))).mean()
        l1 = (fake - ab).abs().mean()
        adam.zero_grad()
        (gan + 10 * l1).backward()
        adam.step()
        named = {"l1": l1, "gan": gan, "d": d, "d_real": on_real.mean(), "d_fake": on_fake.mean()}
        expected.append(values(named))
    return SimpleNamespace(
        generator=generator, twin=twin, discriminator=discriminator, judge=judge, losses=losses, expected=expected
    )  # fmt: skip


def test_adversarial_training_moves_the_generators_weights_as_by_hand(gan):
    assert same(gan.generator, gan.twin)


def test_adversarial_training_moves_the_discriminators_weights_as_by_hand(gan):
    assert same(gan.discriminator, gan.judge)


def test_adversarial_training_gives_the_losses_and_the_mean_logits(gan):
    for losses, expected in zip(gan.losses, gan.expected, strict=True):
        assert losses == pytest.approx(expected, rel=1e-4)


def test_the_colour_error_of_adversarial_training_takes_vivid():
    torch.manual_seed(0)
    generator, batch = Tiny(), next(iter(batches()))
    with torch.no_grad():
        fake = generator(batch["L"])
    method = AdversarialTraining(generator, tiny_discriminator(), vivid=2.0)
    told = method.step(batch, Accelerator(cpu=True))["l1"].item()
    assert told == pytest.approx(colour_loss(fake, batch["ab"], 2.0).item())
    assert told != pytest.approx(colour_loss(fake, batch["ab"]).item())


def test_adversarial_training_is_pix2pixs_by_default():
    """Isola et al. (CVPR 2017), sections 3.3 and 4: λ = 100, Adam with 2e-4 and (0.5, 0.999)."""
    method = AdversarialTraining(Tiny())
    assert method.lambda_l1 == 100
    assert (method.gan_loss.mode, method.gan_loss.real_label, method.chroma) == ("vanilla", 1, 1)
    assert method.renew_norms
    for name in ("generator", "discriminator"):
        group = method.optimizers[name].param_groups[0]
        assert (group["lr"], group["betas"]) == (2e-4, (0.5, 0.999)), name


def test_l1_pretraining_is_the_tutorials_by_default():
    method = L1Pretraining(Tiny())
    group = method.optimizers["generator"].param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (1e-4, 0)
    assert not method.renew_norms


@pytest.mark.parametrize(("mode", "norm"), [("vanilla", "batch"), ("lsgan", "batch"), ("hinge", "spectral")])
def test_a_new_discriminator_has_the_norm_that_goes_with_the_loss(mode, norm):
    assert AdversarialTraining(Tiny(), gan_mode=mode).networks["discriminator"].config["norm"] == norm


@pytest.mark.parametrize(("given", "used"), [(None, 2e-4), (4e-4, 4e-4), (0.0, 0.0)])
def test_a_discriminator_that_is_to_stand_still_does(given, used):
    method = AdversarialTraining(Tiny(), tiny_discriminator(), discriminator_lr=given)
    assert [group["lr"] for group in method.optimizers["discriminator"].param_groups] == [used]


def test_a_discriminator_that_is_given_is_taken():
    discriminator = PatchDiscriminator(filters=4)
    assert AdversarialTraining(Tiny(), discriminator).networks["discriminator"] is discriminator


def test_held_norms_are_those_of_the_generator():
    generator = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    method = AdversarialTraining(generator, tiny_discriminator(), hold_norms=True)
    assert method.held_norms == [generator[1]]
    assert not method.renew_norms


def test_without_holding_them_no_norms_are_held():
    generator = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    assert AdversarialTraining(generator, tiny_discriminator()).held_norms == []
