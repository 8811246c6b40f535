"""The tutorial's recipe, written afresh from its article, to be measured beside the library.

Shariatnia, Colorizing black & white images with U-Net and conditional GAN, 2020:
each photo is resized with PIL to 256 × 256 and converted with skimage in a
Dataset, by four worker processes; the generator is fastai's DynamicUnet on an
ImageNet ResNet18, trained in float32 by Adam with a learning rate of 1e-4, 16
photos at a time, first on L1 alone, then against a PatchGAN.

The steps themselves are the library's `L1Pretraining.step` and
`AdversarialTraining.step`: they compute what the article's do.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from fastai.vision.models.unet import DynamicUnet
from PIL import Image
from skimage.color import lab2rgb, rgb2lab
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models import ResNet18_Weights
from torchvision.transforms.v2 import RandomHorizontalFlip

from colorize_lib.models import DynamicUnetGenerator
from colorize_lib.models.imagenet import imagenet_network

SIZE, BATCH_SIZE, LEARNING_RATE, WORKERS = 256, 16, 1e-4, 4


class RecipeDataset(Dataset):
    """Each photo is opened, resized, flipped by chance and converted anew whenever it is asked for."""

    def __init__(self, photos: Sequence[Path]):
        self.photos, self.flip = photos, RandomHorizontalFlip()

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        photo = Image.open(self.photos[index]).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        return to_lab(self.flip(photo))


def to_lab(photo: Image.Image) -> dict[str, Tensor]:
    lab = rgb2lab(np.array(photo)).astype(np.float32)
    lab = torch.from_numpy(lab).permute(2, 0, 1).contiguous()
    return {"L": lab[:1] / 50 - 1, "ab": lab[1:] / 110}


def recipe_loader(photos: Sequence[Path], workers: int = WORKERS) -> DataLoader:
    return DataLoader(RecipeDataset(photos), BATCH_SIZE, shuffle=True, num_workers=workers, drop_last=True)


def recipe_generator() -> tuple[nn.Module, str]:
    """DynamicUnet with an ImageNet encoder, and that encoder's name.

    It is ResNet18 where torchvision's weights are there or can be downloaded; else
    EfficientNet-Lite0, whose weights come as a Python package, under the same
    decoder, so that the comparison from ImageNet weights can be made offline.
    """
    try:
        ResNet18_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
        return DynamicUnetGenerator(size=(SIZE, SIZE)), "ResNet18"
    except OSError:
        return dynamic_unet_on_efficientnet(), "EfficientNet-Lite0"


def dynamic_unet_on_efficientnet() -> nn.Module:
    network = imagenet_network("tf_efficientnet_lite0", in_chans=1)
    # The last stages of 1 × 1 convolutions add nothing to a decoder; DynamicUnet wants a flat list.
    encoder = nn.Sequential(nn.Sequential(network.conv_stem, network.bn1), *network.blocks)
    return DynamicUnet(encoder, 2, (SIZE, SIZE))


@torch.inference_mode()
def recipe_colour(generator: nn.Module, photo: Image.Image, device: torch.device) -> np.ndarray:
    """A photo in colour, at the recipe's 256 × 256, (256, 256, 3) in [0, 1]."""
    L = to_lab(photo.resize((SIZE, SIZE), Image.Resampling.BICUBIC))["L"][None].to(device)
    ab = generator(L)
    lab = torch.cat([(L + 1) * 50, ab * 110], dim=1)[0].permute(1, 2, 0).cpu().numpy()
    return lab2rgb(lab)
