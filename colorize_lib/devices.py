"""The device to compute on, and the random numbers that are drawn on it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def default_device(name: torch.device | str | None = None) -> torch.device:
    """Choose a device to compute on.

    Args:
        name: name of the device, such as `cpu` or `cuda:1`; None: CUDA if there is a GPU, else
            MPS, else the CPU.

    Raises:
        ValueError: if this machine has no such device.
    """
    if name is not None:
        try:
            torch.empty(0, device=name)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"no device '{name}' can be used here: try cpu") from error
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Draw everything random inside the block from a seed; afterwards the global random states are as they were.

    Args:
        seed: random seed for Python, NumPy and PyTorch.
        device: device whose random numbers are seeded, too.

    Raises:
        ValueError: for a seed below 0, or of more than 32 bits.
    """
    if not 0 <= seed < 1 << 32:
        raise ValueError(f"a seed of {seed}: take 0 to {(1 << 32) - 1}")
    kind = torch.device(device).type
    before = random_states(device)
    try:
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(
            seed
        )  # `torch.manual_seed` seeds GPUs that are not used here, too
        if kind == "cuda":
            torch.cuda.manual_seed_all(seed)
        elif kind == "mps":
            torch.mps.manual_seed(seed)
        yield
    finally:
        set_random_states(before)


def random_states(device: torch.device | str = "cpu") -> dict:
    """The states of the global random generators: Python's, NumPy's, PyTorch's, and those of a device."""
    name, keys, *rest = np.random.get_state()
    states = {"python": random.getstate(), "numpy": (name, list(map(int, keys)), *rest)}
    states["cpu"] = torch.get_rng_state()
    kind = torch.device(device).type
    if kind == "cuda":
        states["cuda"] = torch.cuda.get_rng_state_all()
    elif kind == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_states(states: dict) -> None:
    """Go back to what `random_states` returned; GPUs that are not there any more are left out."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["cpu"])
    for number, state in enumerate(states.get("cuda", ())[: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, number)
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])
