"""Networks and their weights' files: saving, and loading what `weights` finds and reads."""

import inspect
import json
import re
import textwrap
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from .files import write_whole
from .models import (
    BRANCHES,
    DISCRIMINATORS,
    GENERATORS,
    ChromaUnet,
    Generator,
    HintBranch,
    HintUnet,
    map_channels,
    unwrapped,
)
from .weights import FORMAT, WEIGHTS, CheckpointError, checksum, find_weights, read_file

_WRAPPER = re.compile(
    r"(?<![^.])(?:_orig_mod|module)\."
)  # what torch.compile and DataParallel put into names

Network = TypeVar("Network", bound=nn.Module)


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
        path: file to write; an existing file is replaced.
        model: a generator, whose `chroma` is kept, too, or a discriminator (it has a `config`); wrappers, such
            as that of torch.compile, are left out.
        dtype: type for the floating-point weights, e.g. torch.float16; None keeps theirs, and
            so does a tensor with a value that the type cannot hold.
        resolution: resolution at which the generator should see photos, in pixels a side;
            None if it is not known.
        made_by: notes on the training: anything that JSON can hold.

    Raises:
        TypeError: for a network without a `config`.
    """
    plain = unwrapped(model)
    if not hasattr(plain, "config"):
        raise TypeError(f"{type(plain).__name__} has no `config` to build it from again")
    state = {name: narrowed(value, dtype).cpu().contiguous() for name, value in weights_of(plain).items()}
    about = {"config": plain.config, "resolution": resolution}
    about |= {"chroma": plain.chroma if isinstance(plain, Generator) else 1.0}
    about |= {"sha256": checksum_of(state), "made_by": made_by or {}}
    header = {"format": FORMAT, **{key: json.dumps(value) for key, value in about.items()}}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save(state, metadata=header))
    return path


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a network by the names that they have without any wrapper in or around it."""
    return {plain_name(name): value.detach() for name, value in unwrapped(model).state_dict().items()}


def fill(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights into a network, strictly, whatever either is wrapped in.

    Raises:
        RuntimeError: for a weight that is missing, is too many, or has another shape.
    """
    plain = unwrapped(model)
    own = {plain_name(name): name for name in plain.state_dict()}
    named = {own.get(plain_name(name), name): value for name, value in weights.items()}
    plain.load_state_dict(named, strict=True)


def plain_name(name: str) -> str:
    return _WRAPPER.sub("", name)


def narrowed(value: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A tensor as `dtype`, unless it overflows: the running variance of a batch norm may exceed float16's 65,504,
    and an infinite one silences its channel."""
    if dtype is None or not value.is_floating_point():
        return value
    narrow = value.to(dtype)
    return narrow if torch.equal(narrow.isfinite(), value.isfinite()) else value


def read_header(path: str | Path) -> dict:
    """Read a checkpoint's {"config": …, "resolution": …, "chroma": …, "sha256": …, "made_by": …}.

    Raises:
        CheckpointError: if it is missing, damaged, or not one of ours.
    """
    return _read(find_weights(path), tensors=False)[0]


def load_checkpoint(path: str | Path, model: nn.Module | None = None) -> nn.Module:
    """Load weights, strictly: every tensor must be there, and no other.

    Args:
        path: a file written by `save_checkpoint`; or other weights that `find_weights` finds, such as "l1".
        model: the network to load into; None builds the one that the file names.

    Returns:
        The network, float32; a new one is on the CPU and in eval mode, `model` stays where it was.

    Raises:
        CheckpointError: if the file is missing or damaged, belongs to another network, or needs
            a newer version of this library.
    """
    path = find_weights(path)
    header, state = _read(path)
    if model is None:
        model = _built(path, header["config"], GENERATORS | DISCRIMINATORS | BRANCHES, state)
    elif (own := unwrapped(model).config) != header["config"]:
        raise CheckpointError(
            f"{path} holds weights for {_describe(header['config'])}, not for {_describe(own)}"
        )
    return _filled(path, model, header, state)


def load_generator(path: str | Path = "best") -> Generator:
    """Load a generator, of weights that `find_weights` finds; refuse a discriminator.

    Raises:
        CheckpointError: as `load_checkpoint`, and for a discriminator.
    """
    return load_pretrained(path)[0]


def load_pretrained(path: str | Path = "best") -> tuple[Generator, dict]:
    """Load a generator with its header (see `read_header`), which are read together.

    Raises:
        CheckpointError: as `load_generator`.
    """
    path = find_weights(path)
    header, state = _read(path)
    if header["config"]["name"] in DISCRIMINATORS:
        raise CheckpointError(f"{path} holds a discriminator, not a generator: it judges, it cannot colour")
    if header["config"]["name"] in BRANCHES:
        raise CheckpointError(f"{path} holds a branch for hints, not a generator: it needs one to add to")
    generator = _built(path, header["config"], GENERATORS, state)
    return _filled(path, generator, header, state), header


def add_hints(generator: ChromaUnet, branch: str | Path | None = None) -> HintUnet:
    """A generator that takes hints: the given one, and a branch that was trained for it.

    Args:
        generator: network that guesses; it is not changed.
        branch: file of a `HintBranch`; None: the one that comes with the library, for its best weights.

    Returns:
        The network, in eval mode.

    Raises:
        CheckpointError: if the file cannot be used, or its branch does not fit the generator.
    """
    file = WEIGHTS / "hints.safetensors" if branch is None else Path(branch)
    spreading = load_checkpoint(file)
    if not isinstance(spreading, HintBranch):
        raise CheckpointError(f"{file} holds no branch for hints: it holds a {type(spreading).__name__}")
    if map_channels(generator) != spreading.config["channels"]:
        raise CheckpointError(
            f"the branch for hints in {file} was made for another network than these weights'"
        )
    return HintUnet(generator, spreading).eval()


def _read(path: str | Path, tensors: bool = True) -> tuple[dict, dict[str, Tensor]]:
    """`read_file`, with the options that older files do not name, or name otherwise."""
    about, state = read_file(path, "pt", tensors)
    config = about["config"]
    if "eyes" in config:  # what older files call the backbone
        config["backbone"] = config.pop("eyes")
    network: Any = (GENERATORS | DISCRIMINATORS).get(config["name"])
    about["config"] = getattr(network, "FORMER", {}) | config
    return about, state


def _built(
    path: str | Path, config: dict, networks: Mapping[str, type[Network]], state: dict[str, Tensor]
) -> Network:
    """The network that a checkpoint's `config` describes, in eval mode."""
    try:
        with _parameters_limited(2 * sum(value.numel() for value in state.values()) + _SPARE):
            return build(config, networks).eval()
    except CheckpointError as error:
        raise CheckpointError(
            f"{path} needs a newer version of colorize_lib: {error}; if the network is of your own, import the file that "
            "adds it to GENERATORS first"
        ) from error
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        reason = textwrap.shorten(str(error), 200)
        raise CheckpointError(
            f"{path} describes a network that cannot be built ({reason}): copy it, or download it, again"
        ) from error


def _filled(path: str | Path, model: Network, header: dict, state: dict[str, Tensor]) -> Network:
    """The network with a checkpoint's weights."""
    if checksum_of(state) != header["sha256"]:
        raise CheckpointError(
            f"{path} is damaged: its weights do not match their checksum: copy it, or download it, again"
        )
    _check_values(path, state)
    try:
        fill(model, state)
    except RuntimeError as error:
        detail = textwrap.shorten(str(error), 300)
        raise CheckpointError(f"{path} does not fit {_describe(header['config'])}: {detail}") from error
    for value in model.buffers():  # older float16 files have infinite variances, which cannot be trained on
        if value.is_floating_point():
            value.clamp_(max=torch.finfo(value.dtype).max)
    if isinstance(plain := unwrapped(model), Generator):
        plain.chroma = header["chroma"]
    return model


def _check_values(path: str | Path, state: dict[str, Tensor]) -> None:
    for name, value in state.items():
        if value.dtype not in _TYPES:
            raise CheckpointError(
                f"{path} has {value.dtype} values in {name}, which no network here has: copy it, or download it, again"
            )
        older = name.endswith("running_var")  # in older float16 files infinite: see `_filled`
        allowed = ~value.isnan() if older else value.isfinite()
        if not allowed.all():
            raise CheckpointError(f"{path} has values in {name} that are infinite or no numbers: train anew")


_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
_SPARE = 30_000_000  # parameters that a network may have for a while, such as a classifier that is cut off


@contextmanager
def _parameters_limited(most: int) -> Iterator[None]:
    """No network of more parameters is built inside: a header that lies must not fill the memory."""
    count, thread = 0, threading.get_ident()

    def add(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        if parameter is not None and threading.get_ident() == thread:
            count += parameter.numel()
            if count > most:
                raise ValueError("it is much larger than its weights")

    hook = register_module_parameter_registration_hook(add)
    try:
        yield
    finally:
        hook.remove()


def checksum_of(state: dict[str, Tensor]) -> str:
    """The checksum of weights that PyTorch holds."""
    return checksum(
        (name, str(tensor.dtype), tuple(tensor.shape), tensor.reshape(-1).view(torch.uint8).numpy().data)
        for name, tensor in sorted(state.items())
    )


def build(config: dict, networks: Mapping[str, type[Network]]) -> Network:
    """Build the network that a `config` describes, without looking for ImageNet weights.

    Args:
        config: name of the network, and its options.
        networks: classes of the networks by name: `GENERATORS`, `DISCRIMINATORS`.

    Raises:
        CheckpointError: if this version does not know the network, or one of its options.
    """
    options = dict(config)
    name = options.pop("name", None)
    if name not in networks:
        raise CheckpointError(f"this version knows no network called '{name}'")
    if unknown := [option for option in options if option not in options_of(networks[name])]:
        raise CheckpointError(f"this version knows no option '{unknown[0]}' of {name}")
    if "pretrained" in options_of(networks[name]):
        options["pretrained"] = False
    return networks[name](**options)


def options_of(network: type) -> set[str]:
    """The names of a class's options; where it takes `**options`, its parent's, too."""
    known = set()
    for parent in network.__mro__:
        parameters = inspect.signature(parent.__init__).parameters
        known |= parameters.keys()
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return known


def _describe(config: Any) -> str:
    options = ", ".join(f"{key}={value}" for key, value in config.items() if key != "name")
    return f"{config['name']}({options})"
