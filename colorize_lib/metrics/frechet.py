"""The Fréchet distance between two sets of photos."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..devices import default_device
from ..models.imagenet import imagenet_network
from .formulas import Rows

FRECHET_NETWORK = "tf_efficientnet_lite2"  # neither the encoder's network nor the discriminator's


class Frechet:
    """Fréchet distance between coloured photos and the true ones.

    Each photo becomes the averages of a network's last feature maps; the distance
    is that of the two Gaussians with these features' means and covariances
    (Heusel et al., GANs Trained by a Two Time-Scale Update Rule, 2017), see
    `frechet_distance`.  Distances from different features or different
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
        if features not in ("efficientnet", "inception"):
            raise ValueError(f"no features are called '{features}': choose efficientnet or inception")
        self.name = {"efficientnet": "frechet", "inception": "fid"}[features]
        self.features = {"efficientnet": FRECHET_NETWORK, "inception": "inception"}[features]
        device = default_device(device)
        if device.type == "mps":  # where not every step of the networks' resizing exists
            device = torch.device("cpu")
        self._device = device
        self._network = (EfficientNetFeatures() if features == "efficientnet" else _inception()).to(device)
        self.reset()

    @torch.no_grad()
    def update(self, rgb: Tensor, real: bool) -> None:
        """Add photos, (B, 3, H, W) in [0, 1]: true ones (`real`), or coloured ones."""
        features = self._network(rgb.to(self._device)).cpu()
        (self._true if real else self._coloured).add(features)

    def compute(self) -> float:
        """The distance between the coloured and the true photos added so far."""
        return frechet_distance(*self.seen())

    def seen(self) -> tuple[Tensor, Tensor]:
        """The features of the coloured and of the true photos added so far, (N, D) and (M, D)."""
        return self._coloured.all(), self._true.all()

    def reset(self, keep_true: bool = False) -> None:
        """Forget all photos, or, with `keep_true`, the coloured ones: the true ones serve the next generator, too."""
        self._coloured = Rows()
        if not keep_true:
            self._true = Rows()


def frechet_distance(one: Tensor, other: Tensor, counts: Tensor | None = None) -> float:
    """|m - m'|² + Tr(C + C' - 2 (C C')^½), with the means m and covariances C of two sets of features.

    The trace of the root is the sum of the singular values of A B^T, if A^T A = C and
    B^T B = C': no covariance is needed, whose side is often larger than the number of photos.

    Args:
        one, other: features, (N, D) and (M, D).
        counts: how often each photo counts, (N,), for two sets of the same photos; None: once.

    Returns:
        The distance; NaN for a set of fewer than two photos.
    """
    (mean, root), (other_mean, other_root) = (_gaussian(features, counts) for features in (one, other))
    if not (len(root) and len(other_root)):
        return math.nan
    cross = torch.linalg.svdvals(root @ other_root.T).sum()
    spread = root.square().sum() + other_root.square().sum() - 2 * cross
    return max(0.0, ((mean - other_mean).square().sum() + spread).item())  # equal photos can give -1e-12


def _gaussian(features: Tensor, counts: Tensor | None) -> tuple[Tensor, Tensor]:
    """The mean, (D,), and a root of the covariance, (K, D); of fewer than two photos, a root without rows."""
    counts = torch.ones(len(features)) if counts is None else counts
    total = counts.sum().double()
    kept = counts > 0
    counts, features = counts[kept].double(), features[kept].double()
    mean = counts @ features / total
    root = (features - mean) * (counts / (total - 1)).sqrt()[:, None]
    if total < 2:
        return mean, root[:0]
    return mean, torch.linalg.qr(root, mode="r").R if len(root) > root.shape[1] else root


def _inception() -> nn.Module:
    """RGB in [0, 1], (B, 3, H, W) → (B, 2048), as in published FIDs; its weights are downloaded, if needed."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
        from torchmetrics.image.fid import NoTrainInceptionV3
    except ImportError as error:
        raise ImportError("the FID needs: pip install 'colorize_lib[fid]'") from error
    _fetch_inception(URL_INCEPTION_V3)
    return nn.Sequential(_Bytes(), NoTrainInceptionV3("inception-v3-compat", ["2048"]))


class _Bytes(nn.Module):
    """RGB in [0, 1] → uint8, rounded down, as torchmetrics does."""

    def forward(self, rgb: Tensor) -> Tensor:
        return (rgb * 255).byte()


def _fetch_inception(url: str) -> None:
    """Download Inception's weights to torch's hub folder, where torchmetrics looks for them."""
    try:
        # The checksum is in the file's name; weights_only reads nothing except tensors.
        torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except Exception as error:  # network, protocol, disk, a wrong checksum: many kinds
        raise OSError(
            f"Inception's weights could not be downloaded ({error}). Delete any partial file in "
            f"{torch.hub.get_dir()}/checkpoints, and download {url} to that folder; "
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
