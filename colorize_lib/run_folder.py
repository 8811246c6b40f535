"""The folder of a training run.  No other code writes or reads its files.

What a state holds is up to Accelerate, which saves and loads all that it was given to prepare or to register.
"""

import csv
import hashlib
import io
import json
import os
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from torch import nn

from .checkpoints import check_name, save_checkpoint
from .files import sync_folder, write_whole
from .photos import save_photo

History = list[dict[str, float]]


class RunError(ValueError):
    """A run that cannot be resumed; its text is one sentence that names the folder."""


class RunFolder:
    """The files of a run:

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

    Raises:
        FileExistsError: if it holds a run and `resume` is false.
        CheckpointError: if its name is no UTF-8.
    """

    KEPT = 2  # states
    WAIT = 10.0  # seconds for the lock: the loader's workers, which hold it, too, outlive a killed training by a few

    def __init__(self, path: str | Path, *, resume: bool = False, made_by: dict | None = None):
        self.path, self.resume, self.made_by = Path(path), resume, made_by or {}
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
        problem = None
        if accelerator.is_main_process:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                self._lock.acquire()
            except Timeout:
                problem = f"another training is at work in {self.path}: wait until it has ended, or choose another folder"
            except OSError as error:
                reason = error.strerror or error
                problem = f"{self.path} cannot be written to ({reason}): choose another folder for the run"
        problem = broadcast_object_list([problem])[0]  # or the other processes would wait for the main one
        if problem:
            raise RunError(problem)
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

    def last_step(self) -> int | None:
        """The step of the newest saved state, if there is one."""
        states = self.states()
        return int(states[0].name.removeprefix("step_")) if states else None

    def save(
        self,
        accelerator: Accelerator,
        about: dict,
        step: int,
        history: History,
        networks: dict[str, nn.Module],
        resolution: int | None = None,
    ) -> None:
        """Save the state, whole or not at all, then the files for people; then drop older states.

        The state is what the accelerator holds.  `about` is anything that JSON can hold, for `load` to compare.
        """
        part, state = self.path / "state" / "part", self.path / "state" / f"step_{step:08d}"
        if accelerator.is_main_process:
            shutil.rmtree(part, ignore_errors=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(part))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            (part / "about.json").write_text(json.dumps(about))
            seal(part)
            shutil.rmtree(state, ignore_errors=True)
            part.rename(state)
            sync_folder(state.parent)
            made_by = {**self.made_by, "step": step, "last": history[-1] if history else {}}
            for name, network in networks.items():
                path = self.path / f"{name}.safetensors"
                save_checkpoint(path, network, resolution=resolution, made_by=made_by)
            write_whole(self.path / "history.csv", history_csv(history).encode())
            sync_folder(self.path)
            self._drop_states(newest=state)
        accelerator.wait_for_everyone()

    def _drop_states(self, newest: Path) -> None:
        """Keep the newest and the one before it; a state ahead of it was damaged, and skipped."""
        kept = [state for state in self.states() if state.name <= newest.name][: self.KEPT]
        for state in self.states():
            if state not in kept:
                shutil.rmtree(state)

    def load(self, accelerator: Accelerator, about: dict) -> None:
        """Load the newest whole state, if there is one; a damaged one is passed over, with a warning.

        Raises:
            RunError: if `about` is not what was saved, or all states are damaged.
        """
        states, reasons = self.states(), []
        for state in states:
            reason = load_state(accelerator, state, about)
            if reason is None:
                return
            reasons.append(f"{state.name}: {reason}")
            if accelerator.is_main_process and state != states[-1]:
                warnings.warn(
                    f"{state} is damaged ({reason}): resuming from the state before it", stacklevel=4
                )
        if states:
            raise RunError(
                f"no state of the run in {self.path} can be resumed, for each is damaged ({'; '.join(reasons)}): "
                f"start a new run from its weights, {self.path / 'generator.safetensors'}"
            )

    def save_samples(self, picture: np.ndarray, epoch: int) -> None:
        """Keep an epoch's sample picture, uint8 (H, W, 3)."""
        path = self.path / "samples" / f"epoch_{epoch:04d}.jpg"
        save_photo(path, picture, overwrite=True, quality=90)


def load_state(accelerator: Accelerator, state: Path, about: dict) -> str | None:
    """Load a saved state; returns what is wrong with it if it is damaged.

    Raises:
        RunError: if the state is whole, and that of a run with other options.
    """
    other = RunError(
        f"the run in {state.parents[1]} was started with other options: use the same ones to resume it"
    )
    try:
        saved = json.loads((state / "about.json").read_text())
        sealed = check_seal(state)
    except (OSError, ValueError) as error:  # a file that is missing, or no JSON
        return str(error)
    if saved != about:
        raise other
    try:
        accelerator.load_state(str(state))
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
