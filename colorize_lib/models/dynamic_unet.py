"""The tutorial's generator: fastai's DynamicUnet on torchvision's ResNet18.

fastai is imported when the network is built, not before.
"""

import warnings

from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, resnet18

from .generator import Generator
from .imagenet import RandomEncoder
from .padding import run_padded


class DynamicUnetGenerator(Generator):
    """A U-Net that fastai derives from an ImageNet ResNet18: 1 channel in, 2 out.

    Args:
        pretrained: start the encoder from torchvision's ImageNet weights.  Where
            they can be neither found nor downloaded, a warning says so and the
            encoder starts from random weights.
        size: size (H, W) for which fastai builds the decoder.

    Shapes: L (B, 1, H, W) → ab (B, 2, H, W).  31,099,672 parameters at 256².

    Raises:
        ImportError: without fastai.
    """

    def __init__(self, pretrained: bool = True, size: tuple[int, int] = (256, 256)):
        super().__init__()
        try:
            with warnings.catch_warnings():  # fastai uses what recent torch and pandas call outdated
                warnings.simplefilter("ignore")
                from fastai.vision.learner import create_body
                from fastai.vision.models.unet import DynamicUnet
        except ImportError as error:
            raise ImportError(
                "dynamic_unet is built by fastai: pip install 'colorize_lib[lessons]', or take chroma_unet"
            ) from error
        self.config = {"name": "dynamic_unet", "pretrained": False, "size": list(size)}
        resnet, loaded = _resnet18(pretrained)
        # In recent fastai, `pretrained` loads nothing: it only sums the three colour filters
        # of the first layer into one.
        body = create_body(resnet, n_in=1, pretrained=loaded, cut=-2)
        self.model = DynamicUnet(body, 2, tuple(size))

    @property
    def encoder(self) -> nn.Module:
        return self.model.layers[0]

    def forward(self, L: Tensor) -> Tensor:
        return run_padded(self.forward_padded, L, self.multiple)

    def forward_padded(self, padded: Tensor) -> Tensor:
        return self.model(padded)


def _resnet18(pretrained: bool) -> tuple[nn.Module, bool]:
    if not pretrained:
        return resnet18(), False
    try:
        return resnet18(weights=ResNet18_Weights.IMAGENET1K_V1), True
    except Exception as error:  # network, protocol, disk, a wrong checksum: many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(
            f"ResNet18's ImageNet weights could not be downloaded ({reason}): its encoder starts from RANDOM weights",
            RandomEncoder,
            stacklevel=3,
        )
        return resnet18(), False
