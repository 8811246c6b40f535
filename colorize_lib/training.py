"""L1 pretraining and adversarial training: one loop, two methods.

`L1Pretraining.step` and `AdversarialTraining.step` are the two methods, in plain
PyTorch.  `fit` is the loop around either; budget, steps and record of a run are in
`runs`, its files in `run_folder`.  A third method is a class like these two, and a
row in `METHODS`.  Devices, mixed precision and several processes come from Hugging
Face Accelerate; nothing here mentions CUDA.
"""

import inspect
import math
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.swa_utils import update_bn

from .data import Batch, DataLoaders, LabLoader, make_dataloaders
from .devices import seeded
from .folders import Photos
from .losses import GANLoss, colour_loss
from .models import Generator, PatchDiscriminator, inputs_of, predict_ab, unwrapped
from .run_folder import History, RunFolder
from .runs import Budget, Method, Run, own_accelerator

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


class RunOptions(TypedDict, total=False):
    """The options of `fit`, as `pretrain` and `train_adversarial` pass them on."""

    minutes: float | None
    schedule: str
    out: str | Path | None
    resume: bool
    save_minutes: float
    validate_every: int
    samples: int
    seed: int
    mixed_precision: str | None
    progress: bool
    made_by: dict | None


class L1Options(RunOptions, total=False):
    """The options of `L1Pretraining` and of `fit`."""

    loss: Loss
    lr: float
    encoder_lr: float | None
    weight_decay: float


class AdversarialOptions(RunOptions, total=False):
    """The options of `AdversarialTraining` and of `fit`."""

    lambda_l1: float
    vivid: float
    gan_mode: str
    real_label: float
    chroma: float
    hold_norms: bool
    lr: float
    discriminator_lr: float | None
    encoder_lr: float | None
    betas: tuple[float, float]


def pretrain(
    generator: nn.Module,
    dataloaders: DataLoaders | LabLoader | Photos,
    epochs: float | None = None,
    **options: Unpack[L1Options],
) -> History:
    """Train a generator with L1 alone, in place.

    Args:
        generator: L (B, 1, H, W) → ab (B, 2, H, W); see `Generator` for others.
        dataloaders: see `fit`.
        epochs: 20 if neither this nor `minutes` is given, as in the tutorial's article.
        options: options of `L1Pretraining` (loss, lr, encoder_lr, weight_decay) and `fit` (minutes, schedule,
            out, resume …), such as `**RECIPES["chroma_unet", "l1"]`.

    Returns:
        The history: a row (dict) per epoch.

    Raises:
        TypeError: for an option that neither of them has.
    """
    own = options_of(L1Pretraining, dict(options))
    method = L1Pretraining(generator, **own)
    return fit(method, dataloaders, epochs, **without(dict(options), own))


def train_adversarial(
    generator: nn.Module,
    dataloaders: DataLoaders | LabLoader | Photos,
    discriminator: nn.Module | None = None,
    epochs: float | None = None,
    **options: Unpack[AdversarialOptions],
) -> History:
    """Train a generator and a discriminator against each other, in place.

    Args:
        generator: L → ab, best pretrained.
        dataloaders, epochs: as for `pretrain`.
        discriminator: (B, 3, H, W) → logits; None for a new one, see `AdversarialTraining`.
        options: options of `AdversarialTraining` (lambda_l1, gan_mode …) and `fit`, such as
            `**RECIPES["chroma_unet", "adversarial"]`.

    Returns:
        The history: a row (dict) per epoch.

    Raises:
        TypeError: for an option that neither of them has, or a discriminator that is no network.
    """
    if dataloaders is None or isinstance(dataloaders, nn.Module):
        warnings.warn(
            "train_adversarial(generator, discriminator, dataloaders) is now train_adversarial(generator, dataloaders, "
            "discriminator): the old order goes with the next version",
            DeprecationWarning,
            stacklevel=2,
        )
        dataloaders, discriminator = discriminator, dataloaders  # pyright: ignore[reportAssignmentType]
    if discriminator is not None and not isinstance(discriminator, nn.Module):
        raise TypeError(
            f"the discriminator is {discriminator!r}, which is no network; the epochs are epochs=…"
        )
    own = options_of(AdversarialTraining, dict(options))
    with seeded(options.get("seed", 0)):  # for a new discriminator
        method = AdversarialTraining(generator, discriminator, **own)
    return fit(method, dataloaders, epochs, **without(dict(options), own))


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


def renew_norms(generator: nn.Module, batches: LabLoader, count: int = 50) -> None:
    """Recompute the running means of a generator's batch norms for its present weights.

    While a network trains, its batch norms use the statistics of each batch; when it is
    used, their running means.  These lag behind the weights: after an adversarial stage
    the difference may tint every photo.

    Args:
        generator: L → ab; its mode is kept.
        batches: training photos.
        count: number of batches.
    """
    update_bn((inputs_of(generator, batch) for batch in islice(batches, count)), generator)


def one_cycle(progress: float, warmup: float = 0.25) -> float:
    """The share of the top learning rate at `progress` in [0, 1]: up and down on half cosines.

    From 1/25 to 1 during the warm-up, then down to nearly 0 (Smith & Topin,
    Super-Convergence, 2018; the two half cosines are fastai's).
    """

    def between(start: float, end: float, t: float) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * t)) / 2

    if progress < warmup:
        return between(1 / 25, 1, progress / warmup)
    return between(1, 1e-5, min((progress - warmup) / (1 - warmup), 1))


SCHEDULES = {
    "constant": lambda progress: 1.0,
    "one_cycle": one_cycle,
    "linear_decay": lambda progress: 1 - min(progress, 1),
}


def fit(
    method: Method,
    dataloaders: DataLoaders | LabLoader | Photos,
    epochs: float | None = None,
    *,
    minutes: float | None = None,
    schedule: str = "constant",
    out: str | Path | None = None,
    resume: bool = False,
    save_minutes: float = 5.0,
    validate_every: int = 1,
    samples: int = 6,
    seed: int = 0,
    mixed_precision: str | None = None,
    progress: bool = True,
    made_by: dict | None = None,
) -> History:
    """Run a method's steps until the epochs or the minutes are used up, whichever is first.

    With `out`, the run keeps its files there (see `RunFolder`): the weights, the
    history, sample pictures, and the state from which it is resumed after a stop or
    a kill.  On the CPU, a run limited by `epochs` that is killed and resumed ends with
    exactly the same weights as an uninterrupted one.  A run is resumed with what it was started with; `epochs` and
    `minutes` may be more than before where the schedule is constant.

    The global random states and the Accelerators of the process are as before when it returns.

    After adversarial training on batch statistics, the running means of the
    generator's batch norms are recomputed (see `renew_norms`).  A factor for the
    colours that the generator's weights came with (`Generator.chroma`) is set to 1:
    it suited those weights, and training begins with the network's own colours.

    Args:
        method: `L1Pretraining`, `AdversarialTraining`, or another `Method`.
        dataloaders: DataLoaders; or a LabLoader to train on; or photos, such as a folder, of which `make_dataloaders`
            makes them.  Training is on their device.
        epochs: passes over the training photos; 20 if `minutes` is None too.
        minutes: minutes of training, validation included.
        schedule: course of the learning rates: `constant`, `one_cycle`, `linear_decay`.
        out: folder of the run; None keeps nothing.
        resume: resume the run in `out`, if there is one.
        save_minutes: minutes between savings of the state, which is also saved at the end.
        validate_every: epochs between measurements on the validation photos.
        samples: number of validation photos in the sample pictures; 0 makes no pictures.
        seed: random seed for everything random in the training (dropout).
        mixed_precision: type of the calculations: `no`, `fp16` or `bf16`; None: as `accelerate` is
            configured, else `no`.
        progress: show a progress bar, and a line per validation, on stdout.
        made_by: notes for the checkpoints.

    Returns:
        The history: a row per epoch: epoch, step, minutes, the mean training
        losses, and at validations `valid_ab_error` and `valid_colourfulness`.

    Raises:
        FileExistsError: if `out` holds a run and `resume` is false.
        RunError: if the run in `out` was started with another method, other networks, options or photos, or
            if none of its states is whole, or if another training is at work in it.
        DivergedError: if a loss or a weight is infinite or no number; what was saved before is kept.
        ValueError: for an unknown schedule, nothing to do, a `validate_every` below 1, photos that are too small for
            the discriminator, or an `out` with a sampler that cannot resume.
        TypeError: for an `out` with a network that has no `config`.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"no schedule is called '{schedule}': choose from {', '.join(SCHEDULES)}")
    if validate_every < 1:
        raise ValueError(f"validate_every is {validate_every}: take 1, for every epoch, or more")
    if not save_minutes >= 0:
        raise ValueError(f"save_minutes is {save_minutes}: take 0 or more")
    if isinstance(dataloaders, LabLoader):
        dataloaders = DataLoaders(dataloaders)
    elif not isinstance(dataloaders, DataLoaders):
        dataloaders = make_dataloaders(dataloaders, progress=progress)
    budget = Budget(epochs, minutes)
    check_size(method, getattr(dataloaders.train.dataset, "size", None))
    renew = method.renew_norms  # here, so that a method without it fails before its training, not after
    folder = None if out is None else RunFolder(out, resume=resume, made_by=made_by)

    if isinstance(generator := unwrapped(method.networks["generator"]), Generator):
        generator.chroma = 1.0  # it suited the weights that came, not those to come
    options = {"schedule": schedule, "seed of the run": seed}
    if schedule != "constant":  # the others end with the budget
        options |= {"number of epochs": budget.epochs, "number of minutes": minutes}
    device = dataloaders.train.device
    with (
        own_accelerator(mixed_precision, device) as accelerator,
        seeded(seed + accelerator.process_index, device),  # or all processes would drop out the same
        Run(
            method,
            dataloaders,
            budget,
            accelerator,
            folder,
            options=options,
            samples=samples,
            progress=progress,
        ) as run,
    ):
        for batch in run.batches():
            run.step(batch, rate=SCHEDULES[schedule](run.used))
            if run.done and renew:
                renew_norms(run.generator, dataloaders.train)
            if run.done or run.epoch_is_over:
                run.record(validate=run.done or run.epoch % validate_every == 0)
            if run.done or run.unsaved >= save_minutes:
                run.save()
    return run.state.history
