"""The Fréchet distance between two sets of photos."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..devices import default_device
from ..models.imagenet import imagenet_network

FRECHET_NETWORK = "tf_efficientnet_lite2"  # neither the encoder's network nor the discriminator's


class Frechet:
    """Fréchet distance between coloured photos and the true ones.

    Each photo becomes the averages of a network's last feature maps; the distance
    is that of the two Gaussians with these features' means and covariances
    (Heusel et al., GANs Trained by a Two Time-Scale Update Rule, 2017).  It is
    computed by torchmetrics.  Distances from different features or different
    numbers of photos cannot be compared.

    Args:
        device: device on which the features are computed; None: CUDA, else MPS, else the CPU.
        features: `efficientnet` for the 1280 of `EfficientNetFeatures`, which need no network; or
            `inception` for the 2048 of published FIDs, whose weights are downloaded once.

    Raises:
        ImportError: without the package that the features need.
        OSError: if Inception's weights cannot be downloaded or read.
        ValueError: for other features, or a device that is not there.
    """

    def __init__(self, device: torch.device | str | None = None, features: str = "efficientnet"):
        from torchmetrics.image.fid import FrechetInceptionDistance

        if features not in ("efficientnet", "inception"):
            raise ValueError(f"no features are called '{features}': choose efficientnet or inception")
        self.name = {"efficientnet": "frechet", "inception": "fid"}[features]
        self.features = {"efficientnet": FRECHET_NETWORK, "inception": "inception"}[features]
        if features == "inception":
            _fetch_inception()
        device = default_device(device)
        if device.type == "mps":  # it has no float64, which torchmetrics' sums are in
            device = torch.device("cpu")
        self._fid = FrechetInceptionDistance(
            feature=EfficientNetFeatures() if features == "efficientnet" else 2048,
            normalize=True,
        ).to(device)

    def update(self, rgb: Tensor, real: bool) -> None:
        """Add photos, (B, 3, H, W) in [0, 1]: true ones (`real`), or coloured ones."""
        self._fid.update(rgb.to(self._fid.device), real=real)

    def compute(self) -> float:
        """The distance between the coloured and the true photos added so far."""
        return max(0.0, self._fid.compute().item())  # equal photos can give -1e-4

    def reset(self, keep_true: bool = False) -> None:
        """Forget all photos, or, with `keep_true`, the coloured ones: the true ones serve the next generator, too."""
        self._fid.reset_real_features = not keep_true
        self._fid.reset()


def _fetch_inception() -> None:
    """Download Inception's weights, if needed, to torch's hub folder, where torchmetrics looks for them."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    except ImportError as error:
        raise ImportError("the FID needs: pip install torch-fidelity") from error
    try:
        # The checksum is in the file's name; weights_only reads nothing except tensors.
        torch.hub.load_state_dict_from_url(
            URL_INCEPTION_V3, map_location="cpu", check_hash=True, weights_only=True
        )
    except Exception as error:  # network, protocol, disk, a wrong checksum: many kinds
        raise OSError(
            f"Inception's weights could not be downloaded ({error}). Delete any partial file in "
            f"{torch.hub.get_dir()}/checkpoints, and download {URL_INCEPTION_V3} to that folder; "
            "or use the EfficientNet features"
        ) from error


class EfficientNetFeatures(nn.Module):
    """RGB in [0, 1], (B, 3, H, W) → (B, 1280): EfficientNet-Lite2 with ImageNet weights, before its classifier.

    It is a different network from the generator's encoder and from the one inside the
    discriminator, so that the distance does not favour generators trained with those.
    Photos are scaled to 256 × 256 pixels, the size that `colorize evaluate` uses, so
    that its photos are not resampled again.  (The network was made for 260 × 260; its
    pooling takes any size.)

    Raises:
        ImportError: without the package of its weights.
    """

    num_features = 1280

    def __init__(self):
        super().__init__()
        try:
            self.network = imagenet_network(FRECHET_NETWORK, num_classes=0)
        except ImportError as error:
            raise ImportError(f"{error} (or leave the distance out: --frechet none)") from error
        self.eval()

    def forward(self, rgb: Tensor) -> Tensor:
        rgb = F.interpolate(rgb, (256, 256), mode="bicubic", antialias=True, align_corners=False)
        return self.network(rgb * 2 - 1)
