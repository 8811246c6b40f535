"""What `training.fit` is made of: a method, a budget, a run, and the folder with the run's files.

Nothing here knows how a network learns: that is in the methods' steps.
"""

import csv
import hashlib
import io
import json
import math
import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.data_loader import DataLoaderShard
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import broadcast
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from torch import Tensor, nn
from tqdm.auto import tqdm

from .checkpoints import check_name, save_checkpoint
from .color import to_rgb
from .data import Batch, DataLoaders, LabLoader, ResumableSampler
from .files import sync_folder, write_whole
from .metrics import eval_mode, measure_generator
from .models import predict_ab
from .photos import save_photo

History = list[dict[str, float]]


class RunError(ValueError):
    """A run that cannot be resumed; its text is one sentence that names the folder."""


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
    optimizers: dict[str, torch.optim.Optimizer]
    renew_norms: bool

    def step(self, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
        """Learn from one batch; returns the losses by name, for the history."""
        ...


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

    def used(self, state: "RunState", batches: int) -> float:
        """The share that is used up; from 1 on, the run is at its end."""
        minutes = 0 if self.minutes is None else state.seconds / 60 / self.minutes
        return max(state.step / self.steps(batches), minutes)


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


class Run:
    """A method at work on its photos: batches, steps, and the record of them.

    Used in a `with`, which leaves the method as it came, but trained: without the wrappers of Accelerate, at its own
    learning rates.  So does a run that cannot begin.

    Args:
        method: its networks and optimizers are moved to the photos' device.
        dataloaders: see `make_dataloaders`.
        budget: epochs or minutes that it lasts.
        folder: keeps its files; None keeps nothing.
        mixed_precision, progress: see `fit`.

    Attributes:
        state: the run's progress.
        done: whether the budget was used up by the last step.

    Raises:
        RunError: if `folder` holds a run that cannot be resumed, or that this one does not continue, or if another
            training is at work in it.
        ValueError: if there is no whole batch, or `folder` is given and the sampler cannot resume.
    """

    def __init__(
        self,
        method: Method,
        dataloaders: DataLoaders,
        budget: Budget,
        folder: "RunFolder | None" = None,
        *,
        mixed_precision: str | None = None,
        progress: bool = True,
    ):
        self.method, self.budget, self.folder = method, budget, folder
        self.rates = [group["lr"] for group in self.parameter_groups()]
        self.accelerator = new_accelerator(mixed_precision, dataloaders.train.device)
        with ExitStack() as undo:  # if it cannot begin; else at the end of the run
            undo.callback(self._give_back, method.networks, method.optimizers)
            self._prepare(dataloaders)
            if folder:
                check_sampler(self.sampler)
                folder.lock(self.accelerator)
                undo.callback(folder.unlock)
                folder.load(self)
            self._undo = undo.pop_all()
        self.done = self.used >= 1
        self.saved = self.state.seconds
        self.tick = stopwatch(self.accelerator)
        self.progress = progress and self.accelerator.is_main_process
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
        method, prepare = self.method, self.accelerator.prepare
        self.state = RunState()
        self.accelerator.register_for_checkpointing(self.state)
        method.networks = {name: prepare(network).train() for name, network in method.networks.items()}
        method.optimizers = {name: prepare(optimizer) for name, optimizer in method.optimizers.items()}
        device = self.accelerator.device
        self.sampler = dataloaders.train.loader.sampler
        self.train = LabLoader(self.accelerator.prepare_data_loader(dataloaders.train.loader), device)
        self.valid = LabLoader(dataloaders.valid.loader, device) if dataloaders.valid else None
        if len(self.train) == 0:
            raise ValueError(
                "there are fewer training photos than one batch for every process: make batch_size smaller"
            )

    def _give_back(
        self, networks: dict[str, nn.Module], optimizers: dict[str, torch.optim.Optimizer]
    ) -> None:
        """Leave the method as it came: without the wrappers of Accelerate, and at its own learning rates."""
        for group, highest in zip(self.parameter_groups(), self.rates, strict=True):
            group["lr"] = highest
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
    def generator(self) -> nn.Module:
        return self.accelerator.unwrap_model(self.method.networks["generator"])

    @property
    def loader(self) -> DataLoaderShard:
        """The training photos' loader, which shares them among the processes."""
        return self.train.loader  # pyright: ignore[reportReturnType]  # Accelerate made it one

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

    def parameter_groups(self) -> list[dict]:
        return [group for optimizer in self.method.optimizers.values() for group in optimizer.param_groups]

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
        for group, highest in zip(self.parameter_groups(), self.rates, strict=True):
            group["lr"] = highest * rate
        losses = {name: value.item() for name, value in self.method.step(batch, self.accelerator).items()}
        for name, value in losses.items():
            if not math.isfinite(value):
                raise self._diverged(self.state.step + 1, f"the loss '{name}' is {value}")
        self.state.add(losses, self.tick())
        self.done = self.used >= 1
        self.bar.update()
        self.bar.set_postfix({name: f"{mean:.4f}" for name, mean in self.state.means().items()})

    def record(self, validate: bool) -> None:
        """Close an epoch, or what was done of it, with a row of the history; with `validate`, measured."""
        row = {
            "epoch": self.epoch,
            "step": self.state.step,
            "minutes": self.state.seconds / 60,
            **self.state.means(),
        }
        self._check_weights()
        if validate and self.valid and self.accelerator.is_main_process:
            values = measure_generator(self.generator, self.valid)
            row |= {f"valid_{name}": values[name] for name in ("ab_error", "colourfulness")}
            if self.folder:
                self.folder.save_samples(self.generator, self.valid, self.epoch)
        if validate and self.progress:
            tqdm.write("  ".join(f"{name} {value:.4g}" for name, value in row.items()), file=sys.stdout)
        self.state.history.append(row)
        self.state.seconds += self.tick()
        if self.epoch_is_over:
            self.state.next_epoch()

    def save(self) -> None:
        """Bring the folder, if there is one, up to date."""
        if self.folder:
            self._check_weights()
            self.folder.save(self)
            self.saved = self.state.seconds

    def _check_weights(self) -> None:
        for name, network in self.method.networks.items():
            if not all(value.isfinite().all() for value in network.state_dict().values()):
                raise self._diverged(
                    self.state.step, f"some weights of the {name} are infinite or no numbers"
                )

    def _diverged(self, step: int, reason: str) -> DivergedError:
        states = self.folder.states() if self.folder else []
        kept = f"; the state and the weights of step {step_of(states[0])} are kept" if states else ""
        where = f" in {self.folder.path}" if self.folder else ""
        return DivergedError(
            f"the training{where} was stopped at step {step}, because {reason}{kept}: "
            f"{'resume' if states else 'start again'} with a smaller learning rate, or without mixed precision"
        )


class RunFolder:
    """The files of a run.  Only this class writes them.

        generator.safetensors, …   the weights of each network
        history.csv                a row for each epoch
        samples/epoch_0001.jpg …   validation photos, the same ones each time: grey | predicted | true
        state/step_00000120/ …     all that the run needs to be resumed: the last two that were saved
        .lock                      held by the training that is at work

    A state is whole before it gets its name, and on the disk before an older one is deleted.

    Args:
        path: the folder; it is made when there is something to save.
        resume: whether a run in it is resumed.
        made_by: notes for the checkpoints.
        samples: number of photos in the sample pictures; 0 makes no pictures.

    Raises:
        FileExistsError: if it holds a run and `resume` is false.
        CheckpointError: if its name is no UTF-8.
    """

    KEPT = 2  # states
    WAIT = 10.0  # seconds for the lock: the loader's workers, which hold it, too, outlive a killed training by a few

    def __init__(
        self, path: str | Path, *, resume: bool = False, made_by: dict | None = None, samples: int = 6
    ):
        self.path, self.resume, self.made_by, self.samples = Path(path), resume, made_by or {}, samples
        check_name(self.path)
        self._lock = FileLock(self.path / ".lock", timeout=self.WAIT)
        self._check_history()

    def _check_history(self) -> None:
        if not self.resume and (self.path / "history.csv").exists():
            raise FileExistsError(f"{self.path} holds a run already: resume it, or choose another folder")

    def lock(self, accelerator: Accelerator) -> None:
        """Keep all other trainings out of the folder until `unlock`, or until the process ends, however it ends.

        Raises:
            RunError: if another training is at work in it, or it cannot be written to.
            FileExistsError: if one has finished in it meanwhile, and is not to be resumed.
        """
        free = True
        if accelerator.is_main_process:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                self._lock.acquire()
            except Timeout:
                free = False
            except OSError as error:
                raise RunError(
                    f"{self.path} cannot be written to ({error.strerror or error}): choose another folder for the run"
                ) from error
        if not from_main(free, accelerator):
            raise RunError(
                f"another training is at work in {self.path}: wait until it has ended, or choose another folder"
            )
        try:
            self._check_history()
        except FileExistsError:
            self.unlock()
            raise

    def unlock(self) -> None:
        self._lock.release()

    def states(self) -> list[Path]:
        """The folders of the saved states, the newest first."""
        return sorted((self.path / "state").glob("step_*"), reverse=True)

    def save(self, run: Run) -> None:
        """Save the state, whole or not at all, then the files for people; then drop older states."""
        part, state = self.path / "state" / "part", self.path / "state" / f"step_{run.state.step:08d}"
        about = describe(run)
        if run.accelerator.is_main_process:
            shutil.rmtree(part, ignore_errors=True)
        run.accelerator.wait_for_everyone()
        run.accelerator.save_state(str(part))
        run.accelerator.wait_for_everyone()
        if run.accelerator.is_main_process:
            (part / "about.json").write_text(json.dumps(about))
            seal(part)
            shutil.rmtree(state, ignore_errors=True)
            part.rename(state)
            sync_folder(state.parent)
            self._save_results(run)
            self._drop_states(newest=state)
        run.accelerator.wait_for_everyone()

    def _save_results(self, run: Run) -> None:
        history = run.state.history
        made_by = {**self.made_by, "step": run.state.step, "last": history[-1] if history else {}}
        resolution = getattr(run.train.dataset, "size", None)
        for name, network in run.method.networks.items():
            network = run.accelerator.unwrap_model(network)
            save_checkpoint(
                self.path / f"{name}.safetensors", network, resolution=resolution, made_by=made_by
            )
        write_whole(self.path / "history.csv", history_csv(history).encode())
        sync_folder(self.path)

    def _drop_states(self, newest: Path) -> None:
        """Keep the newest and the one before it; a state ahead of it was damaged, and skipped."""
        before = [state for state in self.states() if state.name < newest.name]
        for state in self.states():
            if state not in (newest, *before[: self.KEPT - 1]):
                shutil.rmtree(state)

    def load(self, run: Run) -> None:
        """Bring a run to where the newest whole state is; a damaged one is passed over, with a warning.

        Raises:
            RunError: if the run was started with other options, or all states are damaged.
        """
        states, reasons = self.states(), []
        for state in states:
            reason = load_state(run, state)
            if reason is None:
                return
            reasons.append(f"{state.name}: {reason}")
            if run.accelerator.is_main_process and state != states[-1]:
                warnings.warn(
                    f"{state} is damaged ({reason}): resuming from the state before it", stacklevel=4
                )
        if states:
            raise RunError(
                f"no state of the run in {self.path} can be resumed, for each is damaged ({'; '.join(reasons)}): "
                f"start a new run from its weights, {self.path / 'generator.safetensors'}"
            )

    def save_samples(self, generator: nn.Module, batches: LabLoader, epoch: int) -> None:
        if self.samples > 0:
            save_samples(generator, batches, self.path / "samples" / f"epoch_{epoch:04d}.jpg", self.samples)


def describe(run: Run) -> dict:
    """What a run has in common with the states that it can be resumed from."""
    networks = [run.accelerator.unwrap_model(network) for network in run.method.networks.values()]
    for network in networks:
        if not hasattr(network, "config"):
            raise TypeError(
                f"{type(network).__name__} has no `config`, which its checkpoint needs: train without `out`, and save "
                "its weights yourself"
            )
    return {
        "method": type(run.method).__name__,
        "networks": [network.config for network in networks],
        "batches": len(run.train),
        "batch_size": run.loader.total_batch_size,
    }


def check_sampler(sampler: object) -> None:
    """Raise ValueError for a sampler that cannot start in the middle of an epoch."""
    if not isinstance(sampler, ResumableSampler):
        raise ValueError(
            f"a run with these batches could not be resumed, because {type(sampler).__name__} cannot start in the "
            "middle of an epoch: take make_dataloaders or its EpochSampler, or train without `out`"
        )


def load_state(run: Run, state: Path) -> str | None:
    """Load a saved state into a run; returns what is wrong with it if it is damaged.

    Raises:
        RunError: if the state is whole, and that of a run with other options.
    """
    other = RunError(
        f"the run in {state.parents[1]} was started with other options: use the same ones to resume it"
    )
    try:
        about = json.loads((state / "about.json").read_text())
        sealed = check_seal(state)
    except (OSError, ValueError) as error:  # a file that is missing, or no JSON
        return str(error)
    if about != describe(run):
        raise other
    try:
        run.accelerator.load_state(str(state))
    except (SafetensorError, EOFError, OSError, KeyError, pickle.UnpicklingError) as error:
        return str(error) or type(error).__name__
    except (RuntimeError, ValueError) as error:  # other groups of parameters
        if isinstance(error, RuntimeError) and not sealed:
            return str(error).splitlines()[0]
        raise other from error
    return None


def seal(state: Path) -> None:
    """Note down the checksums of a state's files, and wait until all of it is on the disk."""
    sums = {path.name: file_checksum(path) for path in sorted(state.iterdir())}
    (state / "checksums.json").write_text(json.dumps(sums))
    for path in state.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())
    sync_folder(state)


def check_seal(state: Path) -> bool:
    """Whether a state has checksums (those of versions before 0.2 have none).

    Raises:
        ValueError: if one does not match.
        OSError: if a file is missing.
    """
    sums = state / "checksums.json"
    if not sums.exists():
        return False
    for name, expected in json.loads(sums.read_text()).items():
        if file_checksum(state / name) != expected:
            raise ValueError(f"{name} does not match its checksum")
    return True


def file_checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def step_of(state: Path) -> int:
    return int(state.name.removeprefix("step_"))


@torch.no_grad()
def save_samples(generator: nn.Module, batches: LabLoader, path: Path, count: int = 6) -> None:
    """Write the first photos of `batches` as rows grey | predicted | true."""
    batch = {name: values[:count] for name, values in next(iter(batches)).items()}
    with eval_mode(generator):
        predicted = predict_ab(generator, batch).float()
    L, ab = batch["L"], batch["ab"]
    columns = [to_rgb(L, x) for x in (torch.zeros_like(ab), predicted, ab)]
    rows = torch.cat(columns, dim=3)  # (count, 3, H, 3 W)
    picture = rows.permute(0, 2, 3, 1).flatten(0, 1).mul(255).round().byte().cpu()
    save_photo(path, picture.numpy(), overwrite=True, quality=90)


def new_accelerator(mixed_precision: str | None, device: torch.device) -> Accelerator:
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


def stopwatch(accelerator: Accelerator) -> Callable[[], float]:
    """A function that gives the seconds since its last call, the same in all processes."""
    last = monotonic()

    def tick() -> float:
        nonlocal last
        now = monotonic()
        seconds, last = now - last, now
        return from_main(seconds, accelerator)  # or they would disagree on when to save and to stop

    return tick


def from_main(value: float, accelerator: Accelerator) -> float:
    """The main process's value, in all processes."""
    if accelerator.num_processes == 1:
        return value
    shared: Any = broadcast(torch.tensor(float(value), device=accelerator.device))
    return shared.item()


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
