"""Mixed precision on a CPU, except for the one kind of layer that it slows down."""

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn


class InFloat32(nn.Conv2d):
    """A convolution that a CPU computes in float32, also under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))


class DepthwiseConv2d(InFloat32):
    pass


class DepthwiseConv2dSame(InFloat32, Conv2dSame):
    pass


def depthwise_in_float32(network: nn.Module) -> nn.Module:
    """Make a network's depthwise convolutions run in float32 on a CPU, in place.

    In bfloat16 their backward pass takes four times as long on a CPU, because oneDNN has
    no fast kernel for it.  That cancels the gain of mixed precision, which makes all other
    convolutions two to four times as fast.  Names, weights and results do not change.
    """
    kinds = {nn.Conv2d: DepthwiseConv2d, Conv2dSame: DepthwiseConv2dSame}
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and type(module) in kinds and module.groups > 1:
            module.__class__ = kinds[type(module)]
    return network
