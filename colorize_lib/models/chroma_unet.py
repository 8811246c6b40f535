"""Our own generator: a timm encoder and a slim decoder that predicts colour at a quarter of the resolution.

The eye sees colour less sharply than lightness; JPEG stores it at half the
resolution for that reason, and Zhang et al. (Colorful Image Colorization,
ECCV 2016) predict it at a quarter.  Full-size lightness is known anyway.
"""

import warnings
from contextlib import suppress
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .colour_queries import ColourQueries
from .generator import Generator
from .imagenet import PACKAGES, RandomEncoder, imagenet_network
from .padding import run_padded
from .precision import depthwise_in_float32

DEFAULT_ENCODER = "tf_efficientnet_lite0"


class ChromaUnet(Generator):
    """A U-Net on any timm encoder, with ab predicted at a quarter of the resolution.

    Args:
        encoder: name of a timm model that offers features at 1/4, 1/8, 1/16 and
            1/32 of the resolution, as convolutional ones do.
        pretrained: start the encoder from its ImageNet weights.  Those of
            EfficientNet-Lite0 (the default), Lite1 and Lite2 come as Python packages and
            need no download; others are downloaded by timm.  If they cannot be loaded, a
            warning says so and the encoder starts from random weights.
        widths: number of channels of the decoder at 1/16, 1/8 and 1/4 of the resolution.
        queries: number of colour queries (see `ColourQueries`) whose maps join the
            decoder's last map; 24 in the bundled weights.  With 0 it is the plain U-Net
            that lesson 06 builds.

    Shapes: L (B, 1, H, W) in [-1, 1] → ab (B, 2, H, W).
    4.3 million parameters with the default encoder, 3.9 million without queries.
    The last layer starts at zero, so an untrained generator predicts grey.

    Raises:
        ValueError: if timm has no such encoder, or it does not offer these features.
    """

    FORMER = {"queries": 0}  # what older checkpoints do not name

    def __init__(
        self,
        encoder: str = DEFAULT_ENCODER,
        pretrained: bool = True,
        widths: tuple[int, int, int] = (128, 96, 64),
        queries: int = 24,
    ):
        super().__init__()
        self.config = {"name": "chroma_unet", "encoder": encoder, "pretrained": False, "widths": list(widths)}
        self.config["queries"] = 0
        if not timm.is_model(encoder):
            raise ValueError(f"timm knows no model called '{encoder}': timm.list_models() lists them")
        with torch.device("meta"):  # its shape, before any weights are made or fetched
            features: Any = timm.create_model(encoder, features_only=True).feature_info
        if features.reduction()[-4:] != [4, 8, 16, 32]:
            raise ValueError(
                f"{encoder} does not offer features at 1/4, 1/8, 1/16 and 1/32: take a convolutional one"
            )
        self.encoder = depthwise_in_float32(build_encoder(encoder, pretrained))
        config: Any = timm.get_pretrained_cfg(encoder)
        self.mean, self.std = sum(config.mean) / 3, sum(config.std) / 3  # of the RGB of its training

        channels = features.channels()[-4:]  # at 1/4, 1/8, 1/16, 1/32
        below = channels[-1]
        self.decoder = nn.ModuleList()
        for skip, width in zip(reversed(channels[:-1]), widths, strict=True):
            self.decoder.append(nn.Sequential(conv_block(below + skip, width), conv_block(width, width)))
            below = width
        self.head = nn.Conv2d(below, 2, 1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)
        self.queries = None
        if queries:
            self.add_queries(queries)
        use_channels_last(self)

    def add_queries(self, count: int) -> None:
        """Add colour queries to a generator that has none; it colours as before until it is trained.

        Args:
            count: number of colour queries.

        Raises:
            ValueError: if it has queries already, or `count` is below 1.
        """
        if self.queries is not None:
            raise ValueError(f"this generator has {self.config['queries']} colour queries already")
        if count < 1:
            raise ValueError(f"{count} colour queries: take 1 or more")
        self.config["queries"] = count
        plain = self.head
        self.queries = ColourQueries(self.config["widths"], count).to(plain.weight.device)
        self.head = nn.Conv2d(plain.in_channels + count, 2, 1).to(plain.weight.device)
        weight = torch.zeros_like(self.head.weight)
        weight[:, : plain.in_channels] = plain.weight.detach()
        self.head.load_state_dict({"weight": weight, "bias": plain.bias})
        use_channels_last(self)

    def forward(self, L: Tensor) -> Tensor:
        return run_padded(self.forward_padded, L, self.multiple)

    def forward_padded(self, padded: Tensor) -> Tensor:
        ab = self.head(self.maps(padded)[-1])
        return F.interpolate(ab, size=padded.shape[-2:], mode="bilinear", align_corners=False)

    def maps(self, padded: Tensor) -> list[Tensor]:
        """What the network sees in L, coarse to fine: at 1/32 (the encoder's), 1/16, 1/8 and 1/4 (the decoder's).

        The last one, which the colour queries have joined, is what `head` makes ab from.
        """
        grey = ((padded + 1) / 2 - self.mean) / self.std
        *skips, x = self.encoder(grey)[-4:]
        maps = [x]
        for block, skip in zip(self.decoder, reversed(skips), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
            maps.append(x)
        if self.queries is not None:
            maps[-1] = torch.cat([x, self.queries(maps[1:])], dim=1)
        return maps


def use_channels_last(network: nn.Module) -> None:
    """Switch to PyTorch's channels_last memory format, which is a third faster on a CPU.

    Not on a Mac, where it made the backward pass of MPS fail or slow: PyTorch issues 188371 and 193349.
    """
    if not torch.backends.mps.is_available():
        network.to(memory_format=torch.channels_last)


def conv_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """3×3 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def build_encoder(name: str, pretrained: bool = True) -> nn.Module:
    """Build a timm encoder for 1-channel input that returns a list of feature maps, finest first.

    The three colour filters of its first layer are summed into one, so that a
    grey picture gives the same output as it does in RGB.

    Args:
        name: name of the timm model.
        pretrained: start from its ImageNet weights, or say in a warning why not.
    """
    options = {"features_only": True, "in_chans": 1}
    if pretrained and name in PACKAGES:
        with suppress(ImportError):  # without the package, timm downloads the weights
            return imagenet_network(name, **options)
    try:
        return timm.create_model(name, **options, pretrained=pretrained)
    except Exception as error:
        if not pretrained:
            raise
        hint = " (pip install 'colorize_lib[train]')" if name in PACKAGES else ""
        warnings.warn(
            f"the ImageNet weights of {name} could not be loaded{hint}: "
            f"its encoder starts from RANDOM weights [{type(error).__name__}]",
            RandomEncoder,
            stacklevel=3,
        )
        return timm.create_model(name, **options)
