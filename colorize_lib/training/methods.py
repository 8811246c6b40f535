"""L1 pretraining and adversarial training: what a network learns from one batch."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ..data import Batch
from ..losses import GANLoss, colour_loss
from ..models import PatchDiscriminator, predict_ab, unwrapped
from .runs import Method

Loss = Callable[[Tensor, Tensor], Tensor]


class L1Pretraining:
    """The generator alone, on the mean absolute error of ab, or on another loss.

    Args:
        generator: L → ab.
        loss: predicted ab, true ab, float32 (B, 2, H, W) → a scalar, such as `F.huber_loss`.  The history calls it
            "l1", and another one "loss".
        lr: Adam's learning rate; 1e-4, as in the tutorial's article.
        encoder_lr: learning rate of `generator.encoder`, if it has one; None: `lr`.
        weight_decay: weight decay of AdamW, decoupled from the gradient.

    Raises:
        TypeError: for a loss that is no function.
        ValueError: in `step`, for a loss that is more than one number.
    """

    def __init__(
        self,
        generator: nn.Module,
        *,
        loss: Loss = F.l1_loss,
        lr: float = 1e-4,
        encoder_lr: float | None = None,
        weight_decay: float = 0.0,
    ):
        if not callable(loss):
            raise TypeError(
                f"the loss is {loss!r}: give a function of (predicted, true), such as F.huber_loss"
            )
        self.criterion, self.options = loss, {"loss": getattr(loss, "__name__", type(loss).__name__)}
        self.networks = {"generator": generator}
        self.renew_norms = False
        groups = parameter_groups(generator, lr, encoder_lr)
        adam = torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay)
        self.optimizers: dict[str, Optimizer] = {"generator": adam}

    def step(self, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
        optimizer = self.optimizers["generator"]
        with accelerator.autocast():
            predicted = predict_ab(self.networks["generator"], batch)
        loss = self.criterion(predicted.float(), batch["ab"])
        if loss.ndim:
            raise ValueError(
                f"the loss has the shape {tuple(loss.shape)}: take its mean, it is to be one number"
            )
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
        return {"l1" if self.criterion is F.l1_loss else "loss": loss}


class AdversarialTraining:
    """pix2pix's step: the discriminator's, then the generator's.

    The generator's loss is λ · L1 + GAN loss (Isola et al., CVPR 2017, eq. 4).

    Args:
        generator: L → ab.
        discriminator: L and ab, concatenated → logits; None for a new `PatchDiscriminator`, with
            spectral norm for the hinge loss (Miyato et al., ICLR 2018), else with pix2pix's batch norm.
        lambda_l1: weight λ of the L1 loss; 100 in the paper.
        vivid: how much more L1 minds an error where the true colour is strong, see `colour_loss`.
        gan_mode, real_label: options of `GANLoss`.
        chroma: factor for the chroma of the true photos that the discriminator is shown (DDColor's
            authors enhance theirs by 1.2, in RGB).  L1 keeps to the true colours.
        hold_norms: use and keep the running means that the generator's batch norms came
            with, as evaluation does.  So the discriminator sees what the generator will
            paint.  It is for a pretrained generator: one that starts from scratch needs the
            statistics of its batches, and `fit` recomputes its running means at the end.
        lr: Adam's learning rate for the generator; 2e-4 in the paper.
        discriminator_lr: Adam's learning rate for the discriminator; None: `lr`.
        betas: Adam's betas for both; (0.5, 0.999) in the paper.
        encoder_lr: learning rate of `generator.encoder`, if it has one; None: `lr`.

    Raises:
        ValueError: for a weight or a factor below 0, or that is no number.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None = None,
        *,
        lambda_l1: float = 100.0,
        vivid: float = 0.0,
        gan_mode: str = "vanilla",
        real_label: float = 1.0,
        chroma: float = 1.0,
        hold_norms: bool = False,
        lr: float = 2e-4,
        discriminator_lr: float | None = None,
        encoder_lr: float | None = None,
        betas: tuple[float, float] = (0.5, 0.999),
    ):
        for name, factor in {"lambda_l1": lambda_l1, "vivid": vivid, "chroma": chroma}.items():
            if not 0 <= factor < math.inf:
                raise ValueError(f"{name} is {factor}: take 0 or more")
        if discriminator is None:
            discriminator = PatchDiscriminator(norm="spectral" if gan_mode == "hinge" else "batch")
        if discriminator_lr is None:
            discriminator_lr = lr
        self.networks = {"generator": generator, "discriminator": discriminator}
        self.optimizers: dict[str, Optimizer] = {
            "generator": torch.optim.Adam(parameter_groups(generator, lr, encoder_lr), lr=lr, betas=betas),
            "discriminator": torch.optim.Adam(discriminator.parameters(), lr=discriminator_lr, betas=betas),
        }
        self.gan_loss = GANLoss(gan_mode, real_label)
        self.lambda_l1, self.vivid, self.chroma = lambda_l1, vivid, chroma
        self.held_norms = batch_norms(generator) if hold_norms else []
        self.renew_norms = not hold_norms
        self.smallest = getattr(unwrapped(discriminator), "smallest", 1)
        self.options = {
            "weight of L1": lambda_l1, "vivid": vivid, "GAN loss": gan_mode, "real label": real_label, "chroma": chroma,
            "hold_norms": hold_norms,
        }  # fmt: skip

    def step(self, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
        L, ab = batch["L"], batch["ab"]
        generator, discriminator = self.networks["generator"], self.networks["discriminator"]
        for norm in self.held_norms:
            norm.eval()
        with accelerator.autocast():
            fake = predict_ab(generator, batch)

        # The discriminator learns to tell the two apart.  `detach` keeps the generator out of it.
        discriminator.requires_grad_(True)
        with accelerator.autocast():
            on_fake = discriminator(torch.cat([L, fake.detach()], dim=1))
            on_real = discriminator(torch.cat([L, ab * self.chroma], dim=1))
        loss_d = self.gan_loss.discriminator(on_real, on_fake)
        self.optimizers["discriminator"].zero_grad()
        accelerator.backward(loss_d)
        self.optimizers["discriminator"].step()

        # The generator learns to fool the discriminator, and to match the true colours.  The discriminator
        # is frozen, so it is used without its wrapper for several processes: it has no gradients to share.
        discriminator.requires_grad_(False)
        judge = discriminator.module if isinstance(discriminator, DistributedDataParallel) else discriminator
        with accelerator.autocast():
            judged = judge(torch.cat([L, fake], dim=1))
        loss_gan = self.gan_loss.generator(judged)
        loss_l1 = colour_loss(fake, ab, self.vivid)
        self.optimizers["generator"].zero_grad()
        accelerator.backward(loss_gan + self.lambda_l1 * loss_l1)
        self.optimizers["generator"].step()
        discriminator.requires_grad_(True)

        return {
            "l1": loss_l1,
            "gan": loss_gan,
            "d": loss_d,
            "d_real": on_real.float().mean(),  # mean logits: > 0 means "called real"
            "d_fake": on_fake.float().mean(),
        }


METHODS: dict[str, Callable[..., Method]] = {"l1": L1Pretraining, "adversarial": AdversarialTraining}

# Options of the method, and the schedule, for each generator.  `unet` and `dynamic_unet` follow
# the tutorial's article; those of `chroma_unet` gave the best results in a few minutes on a laptop.
RECIPES: dict[tuple[str, str], dict[str, Any]] = {
    ("unet", "l1"): {"lr": 2e-4},
    ("dynamic_unet", "l1"): {"lr": 1e-4},
    ("chroma_unet", "l1"): {"lr": 3e-3, "encoder_lr": 1e-3, "schedule": "one_cycle", "weight_decay": 1e-2},
    ("unet", "adversarial"): {"lr": 2e-4, "lambda_l1": 100.0, "gan_mode": "vanilla"},
    ("dynamic_unet", "adversarial"): {"lr": 2e-4, "lambda_l1": 100.0, "gan_mode": "vanilla"},
    ("chroma_unet", "adversarial"): {
        "lr": 2e-4, "discriminator_lr": 4e-4, "betas": (0.0, 0.999), "lambda_l1": 10.0,
        "gan_mode": "hinge", "schedule": "linear_decay", "hold_norms": True,
    },
}  # fmt: skip


def check_size(method: Method, size: int | None) -> None:
    """Refuse photos that are too small for a method, which may have a side in pixels as its `smallest`.

    Raises:
        ValueError: for such a size.
    """
    smallest = getattr(method, "smallest", 1)
    if size is not None and size < smallest:
        raise ValueError(
            f"a size of {size} is too small for a discriminator that judges patches: take --size {smallest} or more, or "
            "--discriminator features (in Python, size and FeatureDiscriminator)"
        )


def options_of(function: Callable, options: dict) -> dict:
    """The options for which a function, or a class, has a parameter."""
    return {name: options[name] for name in inspect.signature(function).parameters if name in options}


def without(options: dict, others: dict) -> dict:
    return {name: value for name, value in options.items() if name not in others}


def parameter_groups(generator: nn.Module, lr: float, encoder_lr: float | None) -> list[dict]:
    """One group for Adam, or two if the encoder has a learning rate of its own."""
    encoder = getattr(unwrapped(generator), "encoder", None)
    if encoder_lr is None or encoder is None:
        return [{"params": list(generator.parameters()), "lr": lr}]
    inside = {id(p) for p in encoder.parameters()}
    rest = [p for p in generator.parameters() if id(p) not in inside]
    return [{"params": rest, "lr": lr}, {"params": list(encoder.parameters()), "lr": encoder_lr}]


def batch_norms(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
