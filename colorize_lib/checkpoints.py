"""Weights as safetensors, with what made them.  The only file that reads or writes weights.

A checkpoint carries, in its header, the name and the options of its network, so
that it can be built again, the resolution that suits it, whatever the training
noted down, and a checksum of the weights.  No pickle is ever read.
"""

import hashlib
import json
import textwrap
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .models import DISCRIMINATORS, GENERATORS, build_generator
from .photos import write_whole

FORMAT = "colorize_lib/2"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; its text is one sentence that names the file."""


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    *,
    dtype: torch.dtype | None = None,
    resolution: int | None = None,
    made_by: dict | None = None,
) -> Path:
    """Write a network's weights, whole or not at all.

    Args:
        path: where to; an existing file is replaced.
        model: a generator or a discriminator of this library (it has a `config`).
        dtype: store floating-point weights in this type, e.g. torch.float16.
        resolution: pixels a side of what a generator should see; None: not known.
        made_by: what made them: anything that JSON can hold.

    Raises:
        TypeError: for a network without a `config`.
    """
    if not hasattr(model, "config"):
        raise TypeError(f"{type(model).__name__} has no `config` to build it from again")
    state = {
        name: (value.to(dtype) if dtype and value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    about = {
        "config": model.config, "resolution": resolution, "sha256": checksum(state), "made_by": made_by or {}
    }  # fmt: skip
    header = {"format": FORMAT, **{key: json.dumps(value) for key, value in about.items()}}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save(state, metadata=header))
    return path


def read_header(path: str | Path) -> dict:
    """A checkpoint's {"config": …, "resolution": …, "sha256": …, "made_by": …}.

    Raises:
        CheckpointError: if it is missing, damaged, or not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist: check the path of the weights")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged, cut off, or not a safetensors file ({error}): copy it again"
        ) from error
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} was not saved by colorize_lib: its header does not name a network")
    about = {key: json.loads(header[key]) for key in ("config", "resolution", "sha256", "made_by")}
    if about["config"].get("name") == "feature_discriminator":
        about["config"].setdefault("eyes", "tf_efficientnet_lite0")  # a former file does not name them
    return about


def load_checkpoint(path: str | Path, model: nn.Module | None = None) -> nn.Module:
    """Load weights, strictly: every tensor must be there, and none other.

    Args:
        path: a file by `save_checkpoint`.
        model: a network to load into; None builds the one that the file names.

    Returns:
        The network, float32, on the device where it was (a new one: the CPU), in eval mode if new.

    Raises:
        CheckpointError: if the file is missing, damaged, or belongs to another network.
    """
    header = read_header(path)
    config = dict(header["config"])
    if model is not None and model.config != config:
        raise CheckpointError(
            f"{path} holds weights for {_describe(config)}, not for {_describe(model.config)}"
        )
    model = build(config).eval() if model is None else model
    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if checksum(state) != header["sha256"]:
        raise CheckpointError(f"{path} is damaged: its weights do not match their checksum: copy it again")
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        detail = textwrap.shorten(str(error), 300)
        raise CheckpointError(f"{path} does not fit {_describe(config)}: {detail}") from error
    return model


def load_generator(path: str | Path) -> nn.Module:
    """`load_checkpoint` of what colours.

    Raises:
        CheckpointError: also for a discriminator.
    """
    if read_header(path)["config"]["name"] in DISCRIMINATORS:
        raise CheckpointError(f"{path} holds a discriminator, not a generator: it judges, it cannot colour")
    return load_checkpoint(path)


def checksum(state: dict[str, Tensor]) -> str:
    """SHA-256 over the tensors: their names, types, shapes and bytes, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def build(config: dict) -> nn.Module:
    """Build the network that a `config` describes, without looking for ImageNet weights."""
    options = dict(config)
    name = options.pop("name", None)
    if name in DISCRIMINATORS:
        return DISCRIMINATORS[name](**options)
    if name not in GENERATORS:
        raise CheckpointError(f"this version of colorize_lib knows no network called '{name}'")
    return build_generator(name, **options)


def _describe(config: dict) -> str:
    options = ", ".join(f"{key}={value}" for key, value in config.items() if key != "name")
    return f"{config['name']}({options})"
