"""The device that is computed on."""

import torch


def default_device(name: str | None = None) -> torch.device:
    """The device of that name; without one: CUDA where there is one, else MPS, else the CPU.

    Raises:
        ValueError: if there is no such device here.
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
