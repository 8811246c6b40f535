"""L1 pretraining and adversarial training: one loop, two methods.

`L1Pretraining.step` and `AdversarialTraining.step` are the two recipes, in plain
PyTorch.  `fit` is the loop around either: epochs, validation, history, sample
pictures, saving and going on.  Devices, mixed precision and several processes
come from Hugging Face Accelerate; nothing here mentions CUDA.
"""

import csv
import io
import json
import math
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import broadcast, set_seed
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from tqdm.auto import tqdm

from .checkpoints import save_checkpoint
from .color import fit_to_gamut, lab_to_rgb, merge_lab
from .data import Batch, DataLoaders, LabLoader
from .files import write_whole
from .losses import GANLoss
from .metrics import measure_generator
from .models import PatchDiscriminator
from .photos import save_photo

History = list[dict[str, float]]


class L1Pretraining:
    """The generator alone, on the mean absolute error of ab.

    Args:
        generator: L → ab.
        lr: Adam's learning rate; 1e-4, as in the tutorial's article.
        encoder_lr: another one for `generator.encoder`, if it has one.
        weight_decay: decoupled, as in AdamW.
    """

    def __init__(
        self,
        generator: nn.Module,
        *,
        lr: float = 1e-4,
        encoder_lr: float | None = None,
        weight_decay: float = 0.0,
    ):
        self.networks = {"generator": generator}
        self.renew_norms = False
        groups = parameter_groups(generator, lr, encoder_lr)
        self.optimizers = {"generator": torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay)}

    def step(self, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
        optimizer = self.optimizers["generator"]
        with accelerator.autocast():
            predicted = self.networks["generator"](batch["L"])
        loss = F.l1_loss(predicted.float(), batch["ab"])
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
        return {"l1": loss}


class AdversarialTraining:
    """pix2pix's step: the discriminator's, then the generator's.

    The generator's loss is λ · L1 + GAN loss (Isola et al., CVPR 2017, eq. 4).

    Args:
        generator: L → ab.
        discriminator: (L, ab) → patch logits.
        lambda_l1: λ; 100 in the paper.
        gan_mode, real_label: see `GANLoss`.
        chroma: factor for the chroma of the true photos that the discriminator is shown (DDColor's
            authors enhance theirs by 1.2, in RGB).  L1 keeps to the true colours.
        hold_norms: use and keep the running means that the generator's batch norms came
            with, as evaluation does.  So the discriminator sees what the generator will
            paint.  It is for a pretrained generator: one that starts from scratch needs the
            statistics of its batches, and `fit` takes its running means anew at the end.
        lr, discriminator_lr, betas: of Adam; 2e-4 and (0.5, 0.999) in the paper.
        encoder_lr: another one for `generator.encoder`, if it has one.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        lambda_l1: float = 100.0,
        gan_mode: str = "vanilla",
        real_label: float = 1.0,
        chroma: float = 1.0,
        hold_norms: bool = False,
        lr: float = 2e-4,
        discriminator_lr: float | None = None,
        encoder_lr: float | None = None,
        betas: tuple[float, float] = (0.5, 0.999),
    ):
        self.networks = {"generator": generator, "discriminator": discriminator}
        self.optimizers = {
            "generator": torch.optim.Adam(parameter_groups(generator, lr, encoder_lr), lr=lr, betas=betas),
            "discriminator": torch.optim.Adam(
                discriminator.parameters(), lr=discriminator_lr or lr, betas=betas
            ),
        }
        self.gan_loss = GANLoss(gan_mode, real_label)
        self.lambda_l1, self.chroma = lambda_l1, chroma
        self.held_norms = batch_norms(generator) if hold_norms else []
        self.renew_norms = not hold_norms

    def step(self, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
        L, ab = batch["L"], batch["ab"]
        generator, discriminator = self.networks["generator"], self.networks["discriminator"]
        for norm in self.held_norms:
            norm.eval()
        with accelerator.autocast():
            fake = generator(L)

        # The discriminator learns to tell the two apart.  `detach` keeps the generator out of it.
        discriminator.requires_grad_(True)
        with accelerator.autocast():
            on_fake = discriminator(torch.cat([L, fake.detach()], dim=1))
            on_real = discriminator(torch.cat([L, ab * self.chroma], dim=1))
        loss_d = self.gan_loss.discriminator(on_real, on_fake)
        self.optimizers["discriminator"].zero_grad()
        accelerator.backward(loss_d)
        self.optimizers["discriminator"].step()

        # The generator learns to be called real, and to be right.  The discriminator holds
        # still; unwrapped, because several processes need not agree on gradients that it does not get.
        discriminator.requires_grad_(False)
        with accelerator.autocast():
            judged = accelerator.unwrap_model(discriminator)(torch.cat([L, fake], dim=1))
        loss_gan = self.gan_loss.generator(judged)
        loss_l1 = F.l1_loss(fake.float(), ab)
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


def pretrain(
    generator: nn.Module,
    dataloaders: DataLoaders,
    epochs: float | None = None,
    *,
    lr: float = 1e-4,
    encoder_lr: float | None = None,
    weight_decay: float = 0.0,
    **run,
) -> History:
    """Train a generator with L1 alone, in place.

    Args:
        generator: L (B, 1, H, W) → ab (B, 2, H, W).
        dataloaders: see `make_dataloaders`.
        epochs: 20 if neither this nor `minutes` is given, as in the tutorial's article.
        lr, encoder_lr, weight_decay: see `L1Pretraining`.
        run: see `fit`: minutes, schedule, out, resume …

    Returns:
        The history: a row (dict) per epoch.
    """
    method = L1Pretraining(generator, lr=lr, encoder_lr=encoder_lr, weight_decay=weight_decay)
    return fit(method, dataloaders, epochs, **run)


def train_adversarial(
    generator: nn.Module,
    discriminator: nn.Module | None,
    dataloaders: DataLoaders,
    epochs: float | None = None,
    *,
    lambda_l1: float = 100.0,
    gan_mode: str = "vanilla",
    real_label: float = 1.0,
    chroma: float = 1.0,
    hold_norms: bool = False,
    lr: float = 2e-4,
    discriminator_lr: float | None = None,
    encoder_lr: float | None = None,
    betas: tuple[float, float] = (0.5, 0.999),
    **run,
) -> History:
    """Train a generator and a discriminator against each other, in place.

    Args:
        generator: L → ab, best pretrained.
        discriminator: (B, 3, H, W) → logits; None for a new `PatchDiscriminator`.
        dataloaders, epochs, run: as for `pretrain`.
        lambda_l1, gan_mode, real_label, chroma, hold_norms, lr, discriminator_lr, encoder_lr, betas:
            see `AdversarialTraining`.

    Returns:
        The history: a row (dict) per epoch.
    """
    set_seed(run.get("seed", 0))
    method = AdversarialTraining(
        generator,
        discriminator or PatchDiscriminator(),
        lambda_l1=lambda_l1,
        gan_mode=gan_mode,
        real_label=real_label,
        chroma=chroma,
        hold_norms=hold_norms,
        lr=lr,
        discriminator_lr=discriminator_lr,
        encoder_lr=encoder_lr,
        betas=betas,
    )
    return fit(method, dataloaders, epochs, **run)


def parameter_groups(generator: nn.Module, lr: float, encoder_lr: float | None) -> list[dict]:
    """One group for Adam, or two if the encoder has a learning rate of its own."""
    encoder = getattr(generator, "encoder", None)
    if encoder_lr is None or encoder is None:
        return [{"params": list(generator.parameters()), "lr": lr}]
    inside = {id(p) for p in encoder.parameters()}
    rest = [p for p in generator.parameters() if id(p) not in inside]
    return [{"params": rest, "lr": lr}, {"params": list(encoder.parameters()), "lr": encoder_lr}]


def batch_norms(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def renew_norms(generator: nn.Module, batches: LabLoader, count: int = 50) -> None:
    """Take the running means of a generator's batch norms anew, for its present weights.

    While a network trains, its batch norms use the statistics of each batch; when it is
    used, their running means.  These lag behind the weights: after an adversarial stage
    the difference may tint every photo.

    Args:
        generator: L → ab; its mode is kept.
        batches: training photos.
        count: number of batches.
    """
    update_bn((batch["L"] for batch in islice(batches, count)), generator)


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


@dataclass
class RunState:
    """Where a run stands: everything but the networks and optimizers."""

    epoch: int = 0  # epochs finished
    batch: int = 0  # batches done in the present one
    step: int = 0  # batches done in all
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)  # of the present epoch's losses
    history: History = field(default_factory=list)

    def add(self, losses: dict[str, Tensor], seconds: float) -> None:
        self.step, self.batch, self.seconds = self.step + 1, self.batch + 1, self.seconds + seconds
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.item()

    def means(self) -> dict[str, float]:
        return {name: total / self.batch for name, total in self.sums.items()}

    def next_epoch(self) -> None:
        self.epoch, self.batch, self.sums = self.epoch + 1, 0, {}

    def state_dict(self) -> dict:
        return dict(self.__dict__)

    def load_state_dict(self, state: dict) -> None:
        self.__dict__.update(state)


def fit(
    method: L1Pretraining | AdversarialTraining,
    dataloaders: DataLoaders,
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

    With `out`, the run leaves there, and keeps up to date while it goes on:
    `generator.safetensors` (and `discriminator.safetensors`), `history.csv`,
    `samples/epoch_….jpg` (grey | predicted | true, of validation photos that stay
    the same), and `state/`, from which a run that was stopped or killed goes on.
    On the CPU, a run of so many epochs that was killed and went on ends with the
    same weights, to the bit, as one that was not.

    After adversarial training on batch statistics, the running means of the
    generator's batch norms are taken anew (see `renew_norms`).

    Args:
        method: `L1Pretraining` or `AdversarialTraining`.
        dataloaders: see `make_dataloaders`.  Training is on their device.
        epochs: passes over the training photos; 20 if `minutes` is None too.
        minutes: of training time, validation included.
        schedule: of the learning rates: `constant`, `one_cycle`, `linear_decay`.
        out: the run's folder; None keeps nothing.
        resume: go on with the run in `out`, if there is one.
        save_minutes: how often the state is saved; also at the end.
        validate_every: epochs between measurements on the validation photos.
        samples: validation photos in the sample pictures.
        seed: of everything random in the training (dropout).
        mixed_precision: `no`, `fp16` or `bf16`; None: as `accelerate` is set up, else `no`.
        progress: show a progress bar, and a line per validation, on stdout.
        made_by: noted down in the checkpoints.

    Returns:
        The history: a row per epoch: epoch, step, minutes, the mean training
        losses, and at validations `valid_ab_error` and `valid_colourfulness`.

    Raises:
        FileExistsError: if `out` holds a run and `resume` is false.
        ValueError: for an unknown schedule, nothing to do, or a run in `out` that was
            started with another method, other networks, other photos or batches.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"no schedule is called '{schedule}': choose from {', '.join(SCHEDULES)}")
    if epochs is None and minutes is None:
        epochs = 20
    if min(epochs or math.inf, minutes or math.inf) <= 0 or 0 in (epochs, minutes):
        raise ValueError("there is nothing to train: epochs and minutes must be above 0")
    out = None if out is None else Path(out)
    if out and not resume and (out / "history.csv").exists():
        raise FileExistsError(f"{out} holds a run already: go on with it (resume), or choose another folder")

    set_seed(seed)
    accelerator = _accelerator(mixed_precision, dataloaders.train.device)
    progress = progress and accelerator.is_main_process
    run = RunState()
    accelerator.register_for_checkpointing(run)
    method.networks = {name: accelerator.prepare(net).train() for name, net in method.networks.items()}
    method.optimizers = {name: accelerator.prepare(opt) for name, opt in method.optimizers.items()}
    groups = [group for optimizer in method.optimizers.values() for group in optimizer.param_groups]
    rates = [group["lr"] for group in groups]
    train = LabLoader(accelerator.prepare_data_loader(dataloaders.train.loader), accelerator.device)
    if len(train) == 0:
        raise ValueError(
            "there are fewer training photos than one batch for every process: make batch_size smaller"
        )
    about = {
        "method": type(method).__name__,
        "networks": [accelerator.unwrap_model(net).config for net in method.networks.values()] if out else [],
        "batches": len(train),
        "batch_size": train.loader.total_batch_size,
    }
    if out and resume:
        _load_state(accelerator, out, about)
        groups = [group for optimizer in method.optimizers.values() for group in optimizer.param_groups]
    last_step = math.inf if epochs is None else max(round(epochs * len(train)), 1)
    tick = _stopwatch(accelerator)
    saved = run.seconds

    def used() -> float:
        """The share of the budget that is used up; 1 is the end."""
        return max(run.step / last_step, run.seconds / 60 / minutes if minutes is not None else 0)

    def record() -> None:
        row = {"epoch": run.epoch + 1, "step": run.step, "minutes": run.seconds / 60, **run.means()}
        due = (run.epoch + 1) % validate_every == 0 or used() >= 1
        if due and dataloaders.valid and accelerator.is_main_process:
            generator = accelerator.unwrap_model(method.networks["generator"])
            valid = LabLoader(dataloaders.valid.loader, accelerator.device)
            values = measure_generator(generator, valid)
            row |= {f"valid_{name}": values[name] for name in ("ab_error", "colourfulness")}
            if out:
                save_samples(generator, valid, out / "samples" / f"epoch_{row['epoch']:04d}.jpg", samples)
        if progress and due:
            tqdm.write("  ".join(f"{name} {value:.4g}" for name, value in row.items()), file=sys.stdout)
        run.history.append(row)

    bar = tqdm(
        initial=run.step, total=None if epochs is None else last_step, unit="batch",
        file=sys.stdout, disable=None if progress else True, leave=False,
    )  # fmt: skip
    if used() < 1:
        dataloaders.train.loader.sampler.skip = run.batch * train.loader.total_batch_size
    while used() < 1:
        train.loader.set_epoch(run.epoch)
        for batch in train:
            factor = SCHEDULES[schedule](used())
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate * factor
            run.add(method.step(batch, accelerator), tick())
            bar.update()
            bar.set_postfix({name: f"{mean:.4f}" for name, mean in run.means().items()})

            if used() >= 1 and method.renew_norms:
                renew_norms(accelerator.unwrap_model(method.networks["generator"]), dataloaders.train)
            if run.batch == len(train) or used() >= 1:
                record()
                run.seconds += tick()
            if run.batch == len(train):
                run.next_epoch()
            if out and (used() >= 1 or run.seconds - saved >= save_minutes * 60):
                size = getattr(train.dataset, "size", None)
                _save_run(accelerator, method, run, out, about, made_by or {}, size)
                saved = run.seconds
            if used() >= 1:
                break
    bar.close()
    for network in method.networks.values():
        accelerator.unwrap_model(network, keep_fp32_wrapper=False)  # or autocast would stay on for good
    accelerator.free_memory()
    return run.history


@torch.no_grad()
def save_samples(generator: nn.Module, batches: LabLoader, path: Path, count: int = 6) -> None:
    """Write the first photos of `batches` as rows grey | predicted | true."""
    batch = next(iter(batches))
    L, ab = batch["L"][:count], batch["ab"][:count]
    was_training = generator.training
    predicted = generator.eval()(L).float()
    generator.train(was_training)
    columns = [lab_to_rgb(fit_to_gamut(merge_lab(L, x))) for x in (torch.zeros_like(ab), predicted, ab)]
    rows = torch.cat(columns, dim=3)  # (count, 3, H, 3 W)
    picture = rows.permute(0, 2, 3, 1).flatten(0, 1).mul(255).round().byte().cpu()
    save_photo(path, picture.numpy(), overwrite=True, quality=90)


def _accelerator(mixed_precision: str | None, device: torch.device) -> Accelerator:
    # Accelerate remembers the first Accelerator of the process and refuses a different one;
    # a notebook trains several times, in several ways.
    if PartialState().num_processes == 1:
        AcceleratorState._reset_state(reset_partial_state=True)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=mixed_precision,
        # Batch norm's buffers would be overwritten between the discriminator's two passes.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )


def _stopwatch(accelerator: Accelerator) -> Callable[[], float]:
    """A function that gives the seconds since its last call, the same in all processes."""
    last = time.monotonic()

    def tick() -> float:
        nonlocal last
        now = time.monotonic()
        seconds, last = now - last, now
        if accelerator.num_processes > 1:  # or they would disagree on when to save and to stop
            seconds = broadcast(torch.tensor(seconds, device=accelerator.device)).item()
        return seconds

    return tick


def _save_run(
    accelerator: Accelerator, method, run: RunState, out: Path, about: dict, made_by: dict, size: int | None
) -> None:
    """Save the state, whole or not at all, then what people look at; then drop older states."""
    part, state = out / "state" / "part", out / "state" / f"step_{run.step:08d}"
    if accelerator.is_main_process:
        shutil.rmtree(part, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(part))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        (part / "about.json").write_text(json.dumps(about))
        shutil.rmtree(state, ignore_errors=True)
        part.rename(state)
        for name, network in method.networks.items():
            about_it = {**made_by, "step": run.step, "last": run.history[-1] if run.history else {}}
            network = accelerator.unwrap_model(network)
            save_checkpoint(out / f"{name}.safetensors", network, resolution=size, made_by=about_it)
        write_whole(out / "history.csv", history_csv(run.history).encode())
        for old in state.parent.glob("step_*"):
            if old != state:
                shutil.rmtree(old)
    accelerator.wait_for_everyone()


def _load_state(accelerator: Accelerator, out: Path, about: dict) -> None:
    states = sorted((out / "state").glob("step_*"))
    if not states:
        return
    other = ValueError(f"the run in {out} was started with other options: use the same ones to go on")
    if json.loads((states[-1] / "about.json").read_text()) != about:
        raise other
    try:
        accelerator.load_state(str(states[-1]))
    except (RuntimeError, ValueError) as error:  # other groups of parameters
        raise other from error


def history_csv(history: History) -> str:
    """The history as CSV, with a column for every name that occurs."""
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def read_history(out: str | Path) -> History:
    """The history of the run in `out`, as `fit` returned it.

    Raises:
        FileNotFoundError: if there is none.
    """
    with (Path(out) / "history.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
