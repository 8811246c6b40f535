"""The folder of a training run.  No other code writes or reads its files.

A state is a tree of plain values and tensors, in safetensors files: whoever gives a run away gives no code away.
"""

import csv
import hashlib
import io
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..checkpoints import save_checkpoint
from ..files import sync_folder, write_whole
from ..photos import save_photo
from ..photos.folders import RUN_FILE
from ..weights import check_name

History = list[dict[str, float]]


class RunError(ValueError):
    """A run that cannot be resumed; its text is one sentence that names the folder."""


class RunFolder:
    """The files of a run:

        generator.safetensors, …   the weights of each network
        history.csv                a row for each epoch
        samples/epoch_0001.jpg …   validation photos, the same ones each time: grey | predicted | true
        colorize-run.json          what the run was started with
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

    def lock(self, accelerator: Accelerator, about: dict) -> None:
        """Keep all other trainings out of the folder until `unlock`, or until the process ends, however it ends.

        Args:
            accelerator: that of the run.
            about: what the run is started with, or resumed with, by names for people; anything that JSON can hold.

        Raises:
            RunError: if another training is at work in it, it cannot be written to, or its run was started with
                something else.
            FileExistsError: if one has finished in it meanwhile, and is not to be resumed.
        """
        about = json.loads(json.dumps(about))  # as it is read again
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
            if self.states():
                self._compare(about)
            elif accelerator.is_main_process:
                write_whole(self.path / RUN_FILE, json.dumps(about, indent=1).encode())
        except (FileExistsError, RunError):
            self.unlock()
            raise

    def _compare(self, about: dict) -> None:
        """Raise RunError unless the folder's run was started with the same."""
        remedy = f"or start a new run from its weights (--from {self.path})"
        try:
            saved = json.loads((self.path / RUN_FILE).read_text())
        except (OSError, ValueError):
            raise RunError(
                f"the run in {self.path} cannot be resumed, since {RUN_FILE} is missing or damaged, or a version "
                "before 0.2 made it, whose states are pickles, which may run any code: start a new run from its "
                f"weights (--from {self.path})"
            ) from None
        for name in {**saved, **about}:
            was, now = saved.get(name), about.get(name)
            if was == now:
                continue
            if name in ("photos", "validation photos"):
                raise RunError(
                    f"the {name} are others than when the run in {self.path} began ({_count(was)} then, {_count(now)} "
                    f"now): take those, {remedy}"
                )
            raise RunError(
                f"the run in {self.path} was started with another {name} ({_shown(was)}, not {_shown(now)}): take "
                f"that, {remedy}"
            )

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
        state: dict,
        random: dict,
        step: int,
        history: History,
        networks: dict[str, nn.Module],
        resolution: int | None = None,
    ) -> None:
        """Save the state, whole or not at all, then the files for people; then drop older states.

        Args:
            accelerator: that of the run.
            state: what all processes have in common, and `random` what each has of its own: plain values and
                tensors in dicts, lists and tuples.
            step, history: see `RunState`.
            networks: networks by the names of their files.
            resolution: see `save_checkpoint`.
        """
        part, final = self.path / "state" / "part", self.path / "state" / f"step_{step:08d}"
        if accelerator.is_main_process:
            shutil.rmtree(part, ignore_errors=True)
        accelerator.wait_for_everyone()
        part.mkdir(parents=True, exist_ok=True)  # also on another machine
        if accelerator.is_main_process:
            write_tree(part / "state.safetensors", state)
        write_tree(part / f"random_{accelerator.process_index}.safetensors", random)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            seal(part)
            shutil.rmtree(final, ignore_errors=True)
            part.rename(final)
            sync_folder(final.parent)
            made_by = {**self.made_by, "step": step, "last": history[-1] if history else {}}
            for name, network in networks.items():
                path = self.path / f"{name}.safetensors"
                save_checkpoint(path, network, resolution=resolution, made_by=made_by)
            write_whole(self.path / "history.csv", history_csv(history).encode())
            sync_folder(self.path)
            self._drop_states(newest=final)
        accelerator.wait_for_everyone()

    def _drop_states(self, newest: Path) -> None:
        """Keep the newest and the one before it; a state ahead of it was damaged, and skipped."""
        kept = [state for state in self.states() if state.name <= newest.name][: self.KEPT]
        for state in self.states():
            if state not in kept:
                shutil.rmtree(state)

    def load(self, accelerator: Accelerator) -> tuple[dict, dict | None] | None:
        """The newest whole state and its random states, as `save` was given them; a damaged one is passed over, with a
        warning.  None if there is no state; no random states for a process that the run did not have.

        Raises:
            RunError: if all states are damaged.
        """
        states, reasons = self.states(), []
        for state in states:
            try:
                check_seal(state)
                own = state / f"random_{accelerator.process_index}.safetensors"
                return read_tree(state / "state.safetensors"), read_tree(own) if own.exists() else None
            except (SafetensorError, OSError, ValueError, KeyError) as error:
                reason = str(error) or type(error).__name__
            reasons.append(f"{state.name}: {reason}")
            if accelerator.is_main_process and state != states[-1]:
                warnings.warn(
                    f"{state} is damaged ({reason}): resuming from the state before it", stacklevel=5
                )
        if states:
            raise RunError(
                f"no state of the run in {self.path} can be resumed, for each is damaged ({'; '.join(reasons)}): "
                f"start a new run from its weights, {self.path / 'generator.safetensors'}"
            )
        return None

    def save_samples(self, picture: np.ndarray, epoch: int) -> None:
        """Keep an epoch's sample picture, uint8 (H, W, 3)."""
        path = self.path / "samples" / f"epoch_{epoch:04d}.jpg"
        save_photo(path, picture, overwrite=True, quality=90)


def _count(photos: Any) -> str:
    return str(photos["count"]) if photos else "none"


def _shown(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def write_tree(path: Path, tree: Any) -> None:
    """Write plain values and tensors, in dicts, lists and tuples, as safetensors: the values are in its header."""
    tensors: dict[str, Tensor] = {}

    def packed(value: Any) -> Any:
        if isinstance(value, Tensor):
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().clone().contiguous()  # tensors that share memory are refused
            return {"tensor": name}
        if isinstance(value, dict):  # whose keys may be numbers
            return {"dict": [[key, packed(inner)] for key, inner in value.items()]}
        if isinstance(value, (list, tuple)):
            return {type(value).__name__: [packed(inner) for inner in value]}
        return value

    header = json.dumps(packed(tree))
    path.write_bytes(save(tensors, metadata={"tree": header}))


def read_tree(path: Path) -> Any:
    """What `write_tree` wrote.

    Raises:
        SafetensorError, ValueError, KeyError, OSError: if the file is missing, or none of these.
    """

    def unpacked(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        ((kind, inner),) = value.items()
        return unpack[kind](inner)

    unpack: dict[str, Callable[[Any], Any]] = {
        "tensor": lambda name: file.get_tensor(name).clone(),  # out of the file, which may be deleted
        "dict": lambda pairs: {key: unpacked(value) for key, value in pairs},
        "list": lambda values: [unpacked(value) for value in values],
        "tuple": lambda values: tuple(unpacked(value) for value in values),
    }
    with safe_open(path, framework="pt") as file:
        return unpacked(json.loads((file.metadata() or {})["tree"]))


def seal(state: Path) -> None:
    """Note down the checksums of a state's files, and wait until all of it is on the disk."""
    sums = {path.name: file_checksum(path) for path in sorted(state.iterdir())}
    (state / "checksums.json").write_text(json.dumps(sums))
    for path in state.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())
    sync_folder(state)


def check_seal(state: Path) -> None:
    """Compare a state with its checksums.

    Raises:
        ValueError: if one does not match.
        OSError: if a file is missing.
    """
    for name, expected in json.loads((state / "checksums.json").read_text()).items():
        if file_checksum(state / name) != expected:
            raise ValueError(f"{name} does not match its checksum")


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
