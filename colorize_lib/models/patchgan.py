"""pix2pix's PatchGAN discriminator (Isola et al., CVPR 2017, appendix 6.1.2)."""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .unet import init_weights


class PatchDiscriminator(nn.Module):
    """Judges patches, not photos: each output is one logit about a 70×70 patch of the input.

    Args:
        in_channels: number of input channels; 3 for L and ab, concatenated.
        filters: number of channels of the first layer.
        downs: number of layers of stride 2; 3 make the receptive field 70×70.
        norm: normalisation: `batch`, as in the paper, or `spectral` (Miyato et al., ICLR 2018).

    Shapes: (B, 3, H, W) → logits (B, 1, H/8 - 2, W/8 - 2), so 30×30 for 256².
    No sigmoid: the loss has it.  2,765,633 parameters as it stands.

    Attributes:
        smallest: side in pixels of the smallest photos that it can judge; 24 as it stands.

    Raises:
        ValueError: for an unknown norm.
    """

    def __init__(self, in_channels: int = 3, filters: int = 64, downs: int = 3, norm: str = "batch"):
        super().__init__()
        if norm not in ("batch", "spectral"):
            raise ValueError(f"norm is 'batch' or 'spectral', not '{norm}'")
        options = {"in_channels": in_channels, "filters": filters, "downs": downs, "norm": norm}
        self.config = {"name": "patchgan", **options}
        self.smallest = 3 * 2**downs

        layers = [nn.Conv2d(in_channels, filters, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        channels = filters
        for level in range(1, downs + 1):
            wider = filters * min(2**level, 8)
            stride = 1 if level == downs else 2
            batch_norm = norm == "batch"
            layers.append(nn.Conv2d(channels, wider, 4, stride=stride, padding=1, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(wider))
            layers.append(nn.LeakyReLU(0.2))
            channels = wider
        layers.append(nn.Conv2d(channels, 1, 4, stride=1, padding=1))
        self.model = init_weights(nn.Sequential(*layers))
        if norm == "spectral":
            for layer in self.model:
                if isinstance(layer, nn.Conv2d):
                    spectral_norm(layer)

    def forward(self, lab: Tensor) -> Tensor:
        return self.model(lab)
