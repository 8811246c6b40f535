"""A training run: a method, a budget, and what happens until the budget is used up.

Nothing here knows how a network learns: that is in the methods' steps; the run's files are in `run_folder`.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm.auto import tqdm

from .color import to_rgb
from .data import Batch, DataLoaders, LabLoader, ResumableSampler
from .metrics import eval_mode, measure_generator
from .models import predict_ab
from .run_folder import History, RunFolder


class DivergedError(ValueError):
    """Training whose losses or weights are no numbers any more; its text is one sentence."""


class Method(Protocol):
    """A way to train, as `fit` needs it: `L1Pretraining` and `AdversarialTraining` are two.

    Attributes:
        networks: networks by name; one of them is the "generator".
        optimizers: optimizers by name; their learning rates are the schedule's highest.
        renew_norms: whether the running means of the generator's batch norms are recomputed at the end.
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

    def state_dict(self) -> dict:
        return dict(self.__dict__)

    def load_state_dict(self, state: dict) -> None:
        self.__dict__.update(state)


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
        accelerator: a new one, see `new_accelerator`.
        folder: keeps its files; None keeps nothing.
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
        samples: int = 6,
        progress: bool = True,
    ):
        self.method, self.budget, self.accelerator = method, budget, accelerator
        self.folder, self.samples = folder, samples
        self.rates = [group["lr"] for group in self._parameter_groups()]
        with ExitStack() as undo:  # if it cannot begin; else at the end of the run
            undo.callback(self._give_back, method.networks, method.optimizers)
            self._prepare(dataloaders)
            if folder:
                about = self._about()
                folder.lock(accelerator)
                undo.callback(folder.unlock)
                folder.load(accelerator, about)
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
        self.accelerator.register_for_checkpointing(self.state)
        method.networks = {name: prepare(network).train() for name, network in method.networks.items()}
        method.optimizers = {name: prepare(optimizer) for name, optimizer in method.optimizers.items()}
        self.sampler = dataloaders.train.loader.sampler
        self.loader: Any = self.accelerator.prepare_data_loader(dataloaders.train.loader)
        self.train = LabLoader(self.loader, device)
        self.valid = LabLoader(dataloaders.valid.loader, device) if dataloaders.valid else None
        if len(self.train) == 0:
            raise ValueError(
                "there are fewer training photos than one batch for every process: make batch_size smaller"
            )

    def _give_back(self, networks: dict[str, nn.Module], optimizers: dict[str, Optimizer]) -> None:
        """Leave the method as it came: without the wrappers of Accelerate, and at its own learning rates."""
        self._set_rates()
        for network in self.method.networks.values():
            # Without its wrapper for mixed precision, too, or autocast would stay on for good.
            self.accelerator.unwrap_model(network, keep_fp32_wrapper=False)
        self.method.networks, self.method.optimizers = networks, optimizers
        self.accelerator.free_memory()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()
        self._undo.close()

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The method's networks without the wrappers of Accelerate."""
        return {name: self.accelerator.unwrap_model(net) for name, net in self.method.networks.items()}

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
        losses = {name: value.item() for name, value in self.method.step(batch, self.accelerator).items()}
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
                self._about(),
                step=self.state.step,
                history=self.state.history,
                networks=self.networks,
                resolution=getattr(self.train.dataset, "size", None),
            )
            self.saved = self.state.seconds

    def _about(self) -> dict:
        """What the run has in common with the states that it can be resumed from."""
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
        return {
            "method": type(self.method).__name__,
            "networks": [network.config for network in self.networks.values()],
            "batches": len(self.train),
            "batch_size": self.loader.total_batch_size,
        }

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
        last = self.folder.last_step() if self.folder else None
        kept = "" if last is None else f"; the state and the weights of step {last} are kept"
        where = f" in {self.folder.path}" if self.folder else ""
        return DivergedError(
            f"the training{where} was stopped at step {step}, because {reason}{kept}: "
            f"{'start again' if last is None else 'resume'} with a smaller learning rate, or without mixed precision"
        )


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


def new_accelerator(mixed_precision: str | None, device: torch.device) -> Accelerator:
    """An Accelerator for a device, whatever others there were before it in this process."""
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
