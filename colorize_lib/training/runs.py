"""A training run: a method, a budget, and what happens until the budget is used up.

Nothing here knows how a network learns: that is in the methods' steps; the run's files are in `run_folder`.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm.auto import tqdm

from ..checkpoints import fill, weights_of
from ..color import to_rgb
from ..data import Batch, DataLoaders, LabLoader, ResumableSampler, photos_digest
from ..devices import random_states, set_random_states
from ..metrics import eval_mode, measure_generator
from ..models import predict_ab, unwrapped, with_wrappers
from .run_folder import History, RunError, RunFolder


class DivergedError(ValueError):
    """Training whose losses or weights are no numbers any more; its text is one sentence."""


class Method(Protocol):
    """A way to train, as `fit` needs it: `L1Pretraining` and `AdversarialTraining` are two.

    Attributes:
        networks: networks by name; one of them is the "generator".
        optimizers: optimizers by name; their learning rates are the schedule's highest.
        renew_norms: whether the running means of the generator's batch norms are recomputed at the end.

    A method may also have `options`, a dict of what else its steps depend on: a run is not resumed with others, nor with
    other learning rates and the like of its optimizers.
    """

    networks: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    renew_norms: bool

    def step(self, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
        """Learn from one batch; returns the losses by name, for the history."""
        ...


@dataclass
class RunState:
    """Where a run stands: everything but the networks and optimizers."""

    epoch: int = 0  # epochs finished
    batch: int = 0  # batches done in the present one
    step: int = 0  # batches done in all
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)  # of the present epoch's losses
    history: History = field(default_factory=list)

    def add(self, losses: dict[str, float], seconds: float) -> None:
        self.step, self.batch, self.seconds = self.step + 1, self.batch + 1, self.seconds + seconds
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        return {name: total / self.batch for name, total in self.sums.items()}

    def next_epoch(self) -> None:
        self.epoch, self.batch, self.sums = self.epoch + 1, 0, {}


@dataclass
class Budget:
    """How long a run lasts: until its epochs or its minutes are used up, whichever is first.

    Args:
        epochs: passes over the training photos; 20 if `minutes` is None too.
        minutes: minutes of training, validation included.

    Raises:
        ValueError: if there is nothing to do.
    """

    epochs: float | None = None
    minutes: float | None = None

    def __post_init__(self):
        if self.epochs is None and self.minutes is None:
            self.epochs = 20
        if any(limit is not None and not 0 < limit < math.inf for limit in (self.epochs, self.minutes)):
            raise ValueError("epochs and minutes are numbers above 0, or there is nothing to train")

    def steps(self, batches: int) -> float:
        """The number of steps that the epochs hold, of so many batches each; infinite without a limit."""
        return math.inf if self.epochs is None else max(round(self.epochs * batches), 1)

    def used(self, state: RunState, batches: int) -> float:
        """The share that is used up; from 1 on, the run is at its end."""
        minutes = 0 if self.minutes is None else state.seconds / 60 / self.minutes
        return max(state.step / self.steps(batches), minutes)


class Run:
    """A method at work on its photos: batches, steps, and the record of them.

    Used in a `with`, which leaves the method as it came, but trained: without the wrappers of Accelerate, at its own
    learning rates.  So does a run that cannot begin.

    Args:
        method: its networks and optimizers are moved to the photos' device.
        dataloaders: see `make_dataloaders`.
        budget: epochs or minutes that it lasts.
        accelerator: a new one, see `own_accelerator`.
        folder: keeps its files; None keeps nothing.
        options: what else the run is started with, by names for people: a folder's run is not resumed with others.
        samples, progress: see `fit`.

    Attributes:
        state: the run's progress.
        done: whether the budget was used up by the last step.

    Raises:
        RunError: if `folder` holds a run that cannot be resumed, or that this one does not continue, or if another
            training is at work in it.
        ValueError: if there is no whole batch, or `folder` is given and the sampler cannot resume.
        TypeError: if `folder` is given and a network cannot be saved.
    """

    def __init__(
        self,
        method: Method,
        dataloaders: DataLoaders,
        budget: Budget,
        accelerator: Accelerator,
        folder: RunFolder | None = None,
        *,
        options: dict | None = None,
        samples: int = 6,
        progress: bool = True,
    ):
        self.method, self.budget, self.accelerator = method, budget, accelerator
        self.folder, self.samples = folder, samples
        self.rates = [group["lr"] for group in self._parameter_groups()]
        self.before = {
            layer: _forwards(layer) for net in method.networks.values() for layer in with_wrappers(net)
        }
        with ExitStack() as undo:  # if it cannot begin; else at the end of the run
            undo.callback(self._give_back, method.networks, method.optimizers)
            self._prepare(dataloaders)
            if folder:
                about = self._about() | (options or {})
                folder.lock(accelerator, about)
                undo.callback(folder.unlock)
                self._load(folder)
            self._undo = undo.pop_all()
        self.done = self.used >= 1
        self.saved = self.state.seconds
        self.clock = monotonic()
        self.progress = progress and accelerator.is_main_process
        self.bar = tqdm(
            initial=self.state.step,
            total=None if budget.epochs is None else budget.steps(len(self.train)),
            unit="batch",
            file=sys.stdout,
            disable=None if self.progress else True,
            leave=False,
        )

    def _prepare(self, dataloaders: DataLoaders) -> None:
        """Hand networks, optimizers and photos to Accelerate."""
        method, prepare, device = self.method, self.accelerator.prepare, self.accelerator.device
        self.state = RunState()
        method.networks = {name: prepare(network).train() for name, network in method.networks.items()}
        method.optimizers = {name: prepare(optimizer) for name, optimizer in method.optimizers.items()}
        self.sampler = dataloaders.train.loader.sampler
        self.loader: Any = self.accelerator.prepare_data_loader(dataloaders.train.loader)
        self.train = LabLoader(self.loader, device, dataloaders.train.extend)
        valid = dataloaders.valid
        self.valid = LabLoader(valid.loader, device, valid.extend) if valid else None
        if len(self.train) == 0:
            raise ValueError(
                "there are fewer training photos than one batch for every process: make batch_size smaller"
            )

    def _give_back(self, networks: dict[str, nn.Module], optimizers: dict[str, Optimizer]) -> None:
        """Leave the method as it came: without the wrappers of Accelerate, and at its own learning rates."""
        self._set_rates()
        # Accelerate's own unwrapping breaks compiled networks: what it has put into them is taken out here.
        for layer, before in self.before.items():
            for name in _FORWARDS:
                vars(layer).pop(name, None)
            vars(layer).update(before)
        self.method.networks, self.method.optimizers = networks, optimizers
        self.accelerator.free_memory()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()
        self._undo.close()

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The method's networks without any wrappers."""
        return {name: unwrapped(network) for name, network in self.method.networks.items()}

    @property
    def generator(self) -> nn.Module:
        return self.networks["generator"]

    @property
    def epoch(self) -> int:
        """The present epoch, counted from 1."""
        return self.state.epoch + 1

    @property
    def epoch_is_over(self) -> bool:
        return self.state.batch == len(self.train)

    @property
    def used(self) -> float:
        """The share of the budget that is used up; 1 is the end."""
        return self.budget.used(self.state, len(self.train))

    @property
    def unsaved(self) -> float:
        """The minutes since the run was saved."""
        return (self.state.seconds - self.saved) / 60

    def batches(self) -> Iterator[Batch]:
        """Training batches, epoch after epoch, from where the run stands until it is done."""
        if not self.done and self.state.batch and isinstance(self.sampler, ResumableSampler):
            self.sampler.skip = self.state.batch * self.loader.total_batch_size
        while not self.done:
            self.loader.set_epoch(self.state.epoch)
            for batch in self.train:
                yield batch
                if self.done:
                    break

    def step(self, batch: Batch, rate: float = 1.0) -> None:
        """One step of the method, at a share of its learning rates.

        Raises:
            DivergedError: if a loss is infinite or no number.
        """
        self._set_rates(rate)
        losses = numbers(self.method.step(batch, self.accelerator))
        for name, value in losses.items():
            if not math.isfinite(value):
                raise self._diverged(self.state.step + 1, f"the loss '{name}' is {value}")
        self.state.add(losses, self._tick())
        self.done = self.used >= 1
        self.bar.update()
        self.bar.set_postfix({name: f"{mean:.4f}" for name, mean in self.state.means().items()})

    def record(self, validate: bool) -> None:
        """Close an epoch, or what was done of it, with a row of the history; with `validate`, measured."""
        row = {"epoch": self.epoch, "step": self.state.step, "minutes": self.state.seconds / 60}
        row |= self.state.means()
        self._check_weights()
        if validate and self.valid and self.accelerator.is_main_process:
            values = measure_generator(self.generator, self.valid)
            row |= {f"valid_{name}": values[name] for name in ("ab_error", "colourfulness")}
            if self.folder and self.samples > 0:
                self.folder.save_samples(sample_picture(self.generator, self.valid, self.samples), self.epoch)
        if validate and self.progress:
            tqdm.write("  ".join(f"{name} {value:.4g}" for name, value in row.items()), file=sys.stdout)
        self.state.history.append(row)
        self.state.seconds += self._tick()
        if self.epoch_is_over:
            self.state.next_epoch()

    def save(self) -> None:
        """Bring the folder, if there is one, up to date."""
        if self.folder:
            self._check_weights()
            self.folder.save(
                self.accelerator,
                self._state(),
                random_states(self.accelerator.device),
                step=self.state.step,
                history=self.state.history,
                networks=self.networks,
                resolution=getattr(self.train.dataset, "size", None),
            )
            self.saved = self.state.seconds

    def _state(self) -> dict:
        """All that the run needs to be resumed, but for the random states of each process."""
        scaler = self.accelerator.scaler
        return {
            "run": asdict(self.state),
            "networks": {name: weights_of(network) for name, network in self.networks.items()},
            "optimizers": {name: value.state_dict() for name, value in self.method.optimizers.items()},
            "scaler": scaler.state_dict() if scaler else {},
        }

    def _load(self, folder: RunFolder) -> None:
        """Go on from the folder's last state, if it has one."""
        if (found := folder.load(self.accelerator)) is None:
            return
        saved, random = found
        try:
            self.state = RunState(**saved["run"])
            for name, network in self.networks.items():
                fill(network, saved["networks"][name])
            for name, optimizer in self.method.optimizers.items():
                optimizer.load_state_dict(saved["optimizers"][name])
            if self.accelerator.scaler and saved["scaler"]:  # the precision may be another than before
                self.accelerator.scaler.load_state_dict(saved["scaler"])
            if random:
                set_random_states(random)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:  # whole, and of another run
            raise RunError(
                f"the state in {folder.path} is not one of this run ({str(error).splitlines()[0]}): start a new run from "
                f"its weights (--from {folder.path})"
            ) from error

    def _about(self) -> dict:
        """What the run is started with, by names for people."""
        if not isinstance(self.sampler, ResumableSampler):
            raise ValueError(
                f"a run with these batches could not be resumed, because {type(self.sampler).__name__} cannot start in "
                "the middle of an epoch: take make_dataloaders or its EpochSampler, or train without `out`"
            )
        for network in self.networks.values():
            if not hasattr(network, "config"):
                raise TypeError(
                    f"{type(network).__name__} has no `config`, which its checkpoint needs: train without `out`, and "
                    "save its weights yourself"
                )
        data, valid = self.train.dataset, self.valid.dataset if self.valid else None
        about = {
            "method": type(self.method).__name__,
            **{name: network.config for name, network in self.networks.items()},
            "batch size": self.loader.total_batch_size,
            "photos": photos_digest(data),
            "validation photos": photos_digest(valid) if valid else None,
        }
        about |= {name: getattr(data, name, None) for name in ("size", "augment", "scale", "seed")}
        for name, optimizer in self.method.optimizers.items():
            for number, group in enumerate(optimizer.param_groups, start=1):
                about |= {
                    f"{option} of the {name}" + f" (group {number})" * (number > 1): (
                        value.item() if isinstance(value, Tensor) else value
                    )
                    for option, value in group.items()
                    if option in ("lr", "betas", "eps", "weight_decay", "momentum")
                }
        return about | getattr(self.method, "options", {})

    def _parameter_groups(self) -> list[dict]:
        return [group for optimizer in self.method.optimizers.values() for group in optimizer.param_groups]

    def _set_rates(self, share: float = 1) -> None:
        for group, highest in zip(self._parameter_groups(), self.rates, strict=True):
            group["lr"] = highest * share

    def _tick(self) -> float:
        """The seconds since the last call, the same in all processes, or they would disagree on when to stop."""
        last, self.clock = self.clock, monotonic()
        return broadcast_object_list([self.clock - last])[0]

    def _check_weights(self) -> None:
        for name, network in self.networks.items():
            if not all(value.isfinite().all() for value in network.state_dict().values()):
                reason = f"some weights of the {name} are infinite or no numbers"
                raise self._diverged(self.state.step, reason)

    def _diverged(self, step: int, reason: str) -> DivergedError:
        kept, where, again = "", "", "again"
        if self.folder:
            where = f" in {self.folder.path}"
            if (last := self.folder.last_step()) is not None:
                kept = f"; the state and the weights of step {last} are kept"
                again = f"a new run from them (--from {self.folder.path})"
        return DivergedError(
            f"the training{where} was stopped at step {step}, because {reason}{kept}: "
            f"start {again} with a smaller learning rate, or without mixed precision"
        )


_FORWARDS = ("forward", "_original_forward", "_is_accelerate_prepared")  # what Accelerate puts into a network


def _forwards(layer: nn.Module) -> dict:
    return {name: vars(layer)[name] for name in _FORWARDS if name in vars(layer)}


def numbers(losses: dict[str, Tensor]) -> dict[str, float]:
    """Losses as numbers, fetched together: the processor waits for a GPU once."""
    if not losses:
        return {}
    values = torch.stack([value.detach().float().reshape(()) for value in losses.values()])
    return dict(zip(losses, values.tolist(), strict=True))


@torch.no_grad()
def sample_picture(generator: nn.Module, batches: LabLoader, count: int) -> np.ndarray:
    """The first photos of `batches` as rows grey | predicted | true: uint8 (count * H, 3 W, 3)."""
    batch = {name: values[:count] for name, values in next(iter(batches)).items()}
    with eval_mode(generator):
        predicted = predict_ab(generator, batch).float()
    L, ab = batch["L"], batch["ab"]
    columns = [to_rgb(L, x) for x in (torch.zeros_like(ab), predicted, ab)]
    rows = torch.cat(columns, dim=3)  # (count, 3, H, 3 W)
    return rows.permute(0, 2, 3, 1).flatten(0, 1).mul(255).round().byte().cpu().numpy()


PATIENCE = timedelta(hours=12)  # of the processes that wait while the main one validates


@contextmanager
def own_accelerator(mixed_precision: str | None, device: torch.device) -> Iterator[Accelerator]:
    """An Accelerator for a device, whatever others there are in this process; afterwards they are as they were.

    Raises:
        ValueError: if Accelerate is configured for another device.
    """
    # Accelerate remembers the first Accelerator of the process and refuses a different one; a notebook trains several
    # times, in several ways.
    kinds = (PartialState, AcceleratorState, GradientState)
    before = [dict(kind._shared_state) for kind in kinds]
    gpu = torch.cuda.current_device() if device.type == "cuda" else None
    alone = PartialState(cpu=device.type == "cpu", timeout=PATIENCE).num_processes == 1
    try:
        for kind in kinds if alone else (AcceleratorState, GradientState):
            kind._shared_state.clear()
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)
        accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision=mixed_precision,
            # Batch norm's buffers would be overwritten between the discriminator's two passes.
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        if accelerator.device.type != device.type:
            raise ValueError(
                f"the photos are for the device {device}, and Accelerate is configured for {accelerator.device}: "
                "give make_dataloaders that one"
            )
        yield accelerator
    finally:
        for kind, state in zip(kinds, before, strict=True):
            if alone or state:  # the processes stay connected
                kind._shared_state.clear()
                kind._shared_state.update(state)
        if gpu is not None:
            torch.cuda.set_device(gpu)
