"""Where weights are found, and how their file is read: without PyTorch.  The bundled ones lie here, with their cards.

The header of a checkpoint holds the name and the options of its network, so that
it can be built again, the resolution to use it at, notes on its training, and a
checksum of the weights.  Pickle files are never read.
"""

import hashlib
import json
import math
import os
import re
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

FORMAT = "colorize_lib/2"
WEIGHTS = Path(__file__).parent
BUNDLED = ("adversarial", "l1")  # best first
HUB_FILE = "generator.safetensors"

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")  # OWNER/NAME, which may have a dot: someone/colours-v1.0
_HUB = ("hf-hub:", "https://huggingface.co/")  # what an id of the hub begins with
_FILES = {".bin", ".ckpt", ".onnx", ".pkl", ".pt", ".pth", ".safetensors"}  # suffixes that end no id
_NOT_WEIGHTS = {  # what files that are taken for weights begin with, and what they are
    b"PK": "an archive, or a pickle of PyTorch, which may run any code: take the weights as safetensors",
    b"\x80": "a pickle, which may run any code: take the weights as safetensors",
    b"version https://git-lfs": "git-lfs's stand-in for the weights: git lfs pull fetches them",
    b"<": "a web page: download the file itself",
}


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; its text is one sentence that names the file."""


def find_weights(weights: str | Path = "best") -> Path:
    """Find the file of weights, and download it if it is on the Hugging Face Hub.

    Args:
        weights: name of weights that come with the library (`l1`, `adversarial`, or `best`,
            the best of them); path of a checkpoint; folder of a run; or id of a Hugging Face
            Hub repository, `hf-hub:owner/name`, from which `generator.safetensors` is downloaded.

    Raises:
        CheckpointError: if there are no such weights.
    """
    name = str(weights)
    if name in (*BUNDLED, "best"):
        names = BUNDLED if name == "best" else [name]
        found = [path for bundled in names if (path := WEIGHTS / f"{bundled}.safetensors").exists()]
        if found:
            return found[0]
        raise CheckpointError(
            f"no weights called '{name}' come with this version: train some (colorize train), and pass their path"
        )
    if not name:
        raise CheckpointError(
            "the weights have no name: leave them out for the best that come with the library"
        )
    for prefix in _HUB:
        if name.startswith(prefix):
            repository = name.removeprefix(prefix).rstrip("/")
            if not _HUB_ID.fullmatch(repository):
                raise CheckpointError(
                    f"'{name}' is no id of a Hugging Face Hub repository: write hf-hub:owner/name"
                )
            return fetch_from_hub(repository)
    path = Path(name)
    if os.path.isdir(path):
        if not os.path.isfile(path / HUB_FILE):
            raise CheckpointError(
                f"{path} is a folder without {HUB_FILE}: give a run's folder, or a file of weights"
            )
        return path / HUB_FILE
    # A name in a folder that is there is a mistyped path, and no business of the hub.
    if not os.path.lexists(path.parent) and path.suffix not in _FILES and _HUB_ID.fullmatch(name):
        warnings.warn(
            f"'{name}' is taken for a Hugging Face Hub repository, since there is no folder '{path.parent}' here: "
            f"write hf-hub:{name}, for this form will be a path alone",
            DeprecationWarning,
            stacklevel=2,
        )
        return fetch_from_hub(name)
    return path


def fetch_from_hub(repository: str) -> Path:
    """Download `generator.safetensors` of a Hugging Face Hub repository, or find it in its cache.

    Raises:
        CheckpointError: if it cannot be downloaded, or is no id of a repository.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, HUB_FILE))
    except Exception as error:  # errors of the hub, of the network and of the disk
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{HUB_FILE} could not be fetched from the Hugging Face Hub repository '{repository}' ({reason}): check "
            "the name, or the path if you meant one, and the network"
        ) from error


def read_file(path: str | Path, framework: str, tensors: bool = True) -> tuple[dict, dict[str, Any]]:
    """The header and, with `tensors`, the weights of a checkpoint, from one opened file.

    Args:
        path: file written by `save_checkpoint`.
        framework: kind of tensors to return: "pt" for PyTorch's, "np" for NumPy's.
        tensors: whether to read the weights, too.

    Returns:
        {"config": …, "resolution": …, "chroma": …, "sha256": …, "made_by": …}, as they were written;
        {name: tensor}, whose checksum nobody has verified yet.

    Raises:
        CheckpointError: if it is missing, damaged, or not one of ours.
        TypeError: for a type of weights that the framework does not have.
    """
    path = Path(path)
    if not os.path.isfile(path):
        wrong = "is no file" if os.path.exists(path) else "does not exist"
        raise CheckpointError(f"{path} {wrong}: check the path of the weights")
    check_name(path)
    try:
        with safe_open(path, framework=framework) as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in (file.keys() if tensors else ())}
    except (SafetensorError, OSError) as error:
        _name_what_it_is(path)
        raise CheckpointError(
            f"{path} is damaged, cut off, or not a safetensors file ({error}): copy it, or download it, again"
        ) from error
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} was not saved by colorize_lib: its header does not name a network")
    try:
        about = {key: json.loads(header[key]) for key in ("config", "resolution", "sha256", "made_by")}
        about["chroma"] = json.loads(header.get("chroma", "1.0"))  # older files do not have it
        _check_header(about)
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is damaged: its header is not as colorize_lib writes it: copy it, or download it, again"
        ) from error
    return about, state


def _name_what_it_is(path: Path) -> None:
    """Raise CheckpointError if the first bytes tell what a file is that holds no weights."""
    with suppress(OSError), path.open("rb") as file:
        head = file.read(32)
        for first, what in _NOT_WEIGHTS.items():
            # A safetensors file begins with the length of its header, which may look like the shorter ones.
            if head.startswith(first) and head[8:9] != b"{":
                raise CheckpointError(f"{path} is not a safetensors file but {what}")


def check_name(path: Path) -> None:
    """Refuse a path that is no UTF-8, under which safetensors opens no file.

    Raises:
        CheckpointError: for such a path.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise CheckpointError(
            f"{path} is no UTF-8, and weights under such a name cannot be read: choose another name, or rename it"
        ) from None


def _check_header(about: dict) -> None:
    """Raise ValueError for a value that no checkpoint of ours has."""
    config, resolution, chroma = about["config"], about["resolution"], about["chroma"]
    sound = (
        isinstance(config, dict)
        and isinstance(config.get("name"), str)
        and (resolution is None or isinstance(resolution, int) and 0 < resolution <= 1 << 16)
        and isinstance(chroma, (int, float))
        and 0 <= chroma < math.inf
    )
    if not sound:
        raise ValueError("a value of another kind")


def checksum(tensors: Iterable[tuple[str, str, tuple[int, ...], memoryview]]) -> str:
    """SHA-256 over weights, whatever holds them.

    Args:
        tensors: name, type, shape and bytes of each, in the order of their names; the type as PyTorch
            writes it, such as `torch.float16`.
    """
    digest = hashlib.sha256()
    for name, dtype, shape, values in tensors:
        digest.update(f"{name} {dtype} {shape}".encode())
        digest.update(values)
    return digest.hexdigest()


def read_weights(path: str | Path) -> tuple[dict, dict[str, np.ndarray]]:
    """The header and the weights of a checkpoint, as NumPy arrays, their checksum verified.

    Raises:
        CheckpointError, TypeError: as `read_file`; CheckpointError also for a wrong checksum.
    """
    header, state = read_file(path, "np")
    parts = (
        (name, f"torch.{v.dtype}", v.shape, v.reshape(-1).view(np.uint8).data)
        for name, v in sorted(state.items())
    )
    if checksum(parts) != header["sha256"]:
        raise CheckpointError(
            f"{path} is damaged: its weights do not match their checksum: copy it, or download it, again"
        )
    return header, state
