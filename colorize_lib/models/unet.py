"""pix2pix's U-Net, built from the inside out.

Isola et al., Image-to-Image Translation with Conditional Adversarial Networks,
CVPR 2017, appendix 6.1.1 (arXiv:1611.07004).
"""

from typing import TypeVar

import torch
from torch import Tensor, nn

from .generator import Generator
from .padding import run_padded

Network = TypeVar("Network", bound=nn.Module)


class UnetBlock(nn.Module):
    """One level of the U-Net: down, the level below, up; the input is concatenated to the output.

    Args:
        channels: number of channels of the input, and of the way up's output.
        inner_channels: number of channels between this level and the level below.
        below: the level below, or None at the bottom.
        outermost: whether this is the top level, which has no skip and ends in tanh.
        in_channels: number of input channels, if not `channels` (outermost level).
        out_channels: number of output channels, if not `channels` (outermost level).
        dropout: drop half of the activations on the way up.
    """

    def __init__(
        self,
        channels: int,
        inner_channels: int,
        below: nn.Module | None = None,
        *,
        outermost: bool = False,
        in_channels: int | None = None,
        out_channels: int | None = None,
        dropout: bool = False,
    ):
        super().__init__()
        self.outermost = outermost
        in_channels = in_channels or channels
        out_channels = out_channels or channels

        down: list[nn.Module] = [nn.Conv2d(in_channels, inner_channels, 4, stride=2, padding=1, bias=False)]
        if not outermost:
            down.insert(0, nn.LeakyReLU(0.2))
        if not outermost and below is not None:
            down.append(nn.BatchNorm2d(inner_channels))

        from_below = inner_channels if below is None else inner_channels * 2  # the skip doubles it
        up = [
            nn.ReLU(),
            nn.ConvTranspose2d(from_below, out_channels, 4, stride=2, padding=1, bias=outermost),
            nn.Tanh() if outermost else nn.BatchNorm2d(out_channels),
        ]
        if dropout:
            up.append(nn.Dropout(0.5))
        self.down, self.below, self.up = nn.Sequential(*down), below or nn.Identity(), nn.Sequential(*up)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(self.below(self.down(x)))
        return y if self.outermost else torch.cat([x, y], dim=1)


class Unet(Generator):
    """pix2pix's generator: `downs` halvings to the bottleneck and back, a skip at every level.

    Args:
        in_channels: number of input channels; 1 for L.
        out_channels: number of output channels; 2 for ab.
        downs: number of halvings; 8 take 256² to 1².
        filters: number of channels of the first level; doubled three times, then constant.

    Shapes: L (B, 1, H, W) in [-1, 1] → ab (B, 2, H, W) in (-1, 1).
    54,409,858 parameters as it stands; weights start as N(0, 0.02²).

    Raises:
        ValueError: for fewer than 5 downs.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 2, downs: int = 8, filters: int = 64):
        super().__init__()
        if downs < 5:
            raise ValueError(f"a Unet needs at least 5 downs, got {downs}")
        channels = {"in_channels": in_channels, "out_channels": out_channels}
        self.config = {"name": "unet", **channels, "downs": downs, "filters": filters}
        self.multiple = 2**downs
        widest = filters * 8
        block = UnetBlock(widest, widest)
        for _ in range(downs - 5):
            block = UnetBlock(widest, widest, block, dropout=True)
        for channels in (filters * 4, filters * 2, filters):
            block = UnetBlock(channels, channels * 2, block)
        self.model = UnetBlock(
            filters, filters, block, outermost=True, in_channels=in_channels, out_channels=out_channels
        )
        init_weights(self)

    def forward(self, L: Tensor) -> Tensor:
        return run_padded(self.forward_padded, L, self.multiple)

    def forward_padded(self, padded: Tensor) -> Tensor:
        return self.model(padded)


def init_weights(network: Network, std: float = 0.02) -> Network:
    """Draw the weights as pix2pix does: convolutions N(0, std²), norms N(1, std²), biases 0."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, std)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return network
