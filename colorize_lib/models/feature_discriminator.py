"""A discriminator on the features of a pretrained network (after Projected GANs, NeurIPS 2021)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.nn.utils.parametrizations import spectral_norm

from ..color import lab_to_rgb, merge_lab
from .chroma_unet import use_channels_last
from .imagenet import imagenet_network
from .precision import depthwise_in_float32


class FeatureDiscriminator(nn.Module):
    """Judges a photo by the features that a frozen ImageNet network finds in it.

    A PatchGAN has to learn from scratch what a photo looks like.  This discriminator
    gets the feature maps of EfficientNet-Lite1 at four scales and learns only a
    small head for each: Sauer, Chitta, Müller, Geiger, Projected GANs Converge
    Faster, NeurIPS 2021, without their random mixing of the maps.  Its gradients
    reach the generator through the frozen network.

    Args:
        width: number of channels of the heads.
        backbone: name of the frozen network, one of `imagenet.PACKAGES`.  The default is
            neither the generator's encoder nor the network of the Fréchet distance.

    Shapes: L and ab, concatenated (B, 3, H, W) → logits (B, N): about 64 patches
    of each of three sizes, and 16 large ones, for 128².  No sigmoid: the loss has it.

    Raises:
        ImportError: without the package of the frozen network's weights.
    """

    FORMER = {"backbone": "tf_efficientnet_lite0"}  # what older checkpoints do not name

    def __init__(self, width: int = 64, backbone: str = "tf_efficientnet_lite1"):
        super().__init__()
        self.config = {"name": "feature_discriminator", "width": width, "backbone": backbone}
        network = imagenet_network(backbone, features_only=True, out_indices=(1, 2, 3, 4)).eval()
        features: Any = network.feature_info
        scales = features.channels()  # at a 4th, an 8th, a 16th and a 32nd of the side
        # In a tuple, so that PyTorch does not register it: its parameters are neither trained nor saved.
        self._backbone = (depthwise_in_float32(fold_batch_norms(network)).requires_grad_(False),)
        self.heads = nn.ModuleList(
            head(channels, width, strides)
            for channels, strides in zip(scales, [(2, 2), (2, 1), (1, 1), (1, 1)], strict=True)
        )
        use_channels_last(self)

    def forward(self, lab: Tensor) -> Tensor:
        rgb = lab_to_rgb(merge_lab(lab[:, :1], lab[:, 1:]))
        maps = self.backbone(rgb * 2 - 1)
        return torch.cat([head(x).flatten(1) for head, x in zip(self.heads, maps, strict=True)], dim=1)

    def _apply(self, function, recurse: bool = True):
        self.backbone._apply(function, recurse)  # so that it moves to another device, too
        return super()._apply(function, recurse)

    @property
    def backbone(self) -> nn.Module:
        """The frozen network."""
        return self._backbone[0]


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Fold each batch norm of timm's EfficientNet, in eval mode, into the convolution before it, in place.

    The network computes the same with fewer passes over its feature maps.
    """
    convolution: Any = None
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d):
            convolution = module
        elif isinstance(module, nn.BatchNorm2d):
            norm: Any = module  # timm's batch norms also have their activation
            convolution.weight, convolution.bias = fuse_conv_bn_weights(
                convolution.weight,
                convolution.bias,
                norm.running_mean,
                norm.running_var,
                norm.eps,
                norm.weight,
                norm.bias,
            )
            network.set_submodule(name, norm.act)
    return network


def head(channels: int, width: int, strides: tuple[int, int]) -> nn.Sequential:
    """A head: feature maps (B, channels, H, W) → one logit for each place."""
    return nn.Sequential(
        spectral_norm(nn.Conv2d(channels, width, 3, stride=strides[0], padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, width, 3, stride=strides[1], padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, 1, 1)),
    )
