"""Generators and discriminators by name.

A generator maps L (B, 1, H, W) of any H and W to ab (B, 2, H, W); see `color`, and `Generator` for others.
"""

from torch import nn

from .chroma_unet import ChromaUnet
from .dynamic_unet import DynamicUnetGenerator
from .feature_discriminator import FeatureDiscriminator
from .generator import Generator, ab_of, inputs_of, predict_ab, unwrapped, with_wrappers
from .hint_unet import HintBranch, HintUnet, map_channels
from .patchgan import PatchDiscriminator
from .unet import Unet, init_weights

GENERATORS: dict[str, type[Generator]] = {
    "unet": Unet,
    "dynamic_unet": DynamicUnetGenerator,
    "chroma_unet": ChromaUnet,
}

DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "patchgan": PatchDiscriminator,
    "feature_discriminator": FeatureDiscriminator,
}

BRANCHES: dict[str, type[nn.Module]] = {"hint_branch": HintBranch}

__all__ = [
    "BRANCHES",
    "DISCRIMINATORS",
    "GENERATORS",
    "ChromaUnet",
    "DynamicUnetGenerator",
    "FeatureDiscriminator",
    "Generator",
    "HintBranch",
    "HintUnet",
    "PatchDiscriminator",
    "Unet",
    "ab_of",
    "build_generator",
    "init_weights",
    "inputs_of",
    "map_channels",
    "predict_ab",
    "unwrapped",
    "with_wrappers",
]


def build_generator(name: str = "chroma_unet", **options) -> Generator:
    """Build a generator.

    Args:
        name: name of the generator: `unet`, `dynamic_unet` or `chroma_unet`.
        options: options of its class: `Unet`, `DynamicUnetGenerator`, `ChromaUnet`.

    Returns:
        A module that maps L (B, 1, H, W) to ab (B, 2, H, W).  Its `config`
        holds the arguments with which this function builds it again.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in GENERATORS:
        raise ValueError(f"no generator is called '{name}': choose from {', '.join(GENERATORS)}")
    return GENERATORS[name](**options)
