"""The device to compute on."""

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
