"""The loop around a method: budget, schedule, and the run's folder."""

import math
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TypedDict, Unpack

from torch import nn
from torch.optim.swa_utils import update_bn

from ..data import DataLoaders, LabLoader, make_dataloaders
from ..devices import seeded
from ..models import Generator, inputs_of, unwrapped
from ..photos.folders import Photos
from .methods import AdversarialTraining, L1Pretraining, Loss, check_size, options_of, without
from .run_folder import History, RunFolder
from .runs import Budget, Method, Run, own_accelerator


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
    _check_options(schedule, validate_every, save_minutes)
    dataloaders = _as_dataloaders(dataloaders, progress)
    budget = Budget(epochs, minutes)
    check_size(method, getattr(dataloaders.train.dataset, "size", None))
    renew = (lambda generator: renew_norms(generator, dataloaders.train)) if method.renew_norms else None
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
        _loop(run, SCHEDULES[schedule], renew, validate_every, save_minutes)
    return run.state.history


def _loop(
    run: Run, rate: Callable[[float], float], renew: Callable | None, validate_every: int, save_minutes: float
) -> None:
    """The training itself: a step for each batch, a row of the history for each epoch."""
    for batch in run.batches():
        run.step(batch, rate=rate(run.used))
        if run.done and renew:
            renew(run.generator)
        if run.done or run.epoch_is_over:
            run.record(validate=run.done or run.epoch % validate_every == 0)
        if run.done or run.unsaved >= save_minutes:
            run.save()


def _check_options(schedule: str, validate_every: int, save_minutes: float) -> None:
    if schedule not in SCHEDULES:
        raise ValueError(f"no schedule is called '{schedule}': choose from {', '.join(SCHEDULES)}")
    if validate_every < 1:
        raise ValueError(f"validate_every is {validate_every}: take 1, for every epoch, or more")
    if not save_minutes >= 0:
        raise ValueError(f"save_minutes is {save_minutes}: take 0 or more")


def _as_dataloaders(given: DataLoaders | LabLoader | Photos, progress: bool) -> DataLoaders:
    if isinstance(given, DataLoaders):
        return given
    return DataLoaders(given) if isinstance(given, LabLoader) else make_dataloaders(given, progress=progress)
