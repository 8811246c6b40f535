# What type checkers and editors see of the lazy `__init__.py`.  A test compares the names with `__all__`.
from .checkpoints import CheckpointError as CheckpointError
from .checkpoints import load_checkpoint as load_checkpoint
from .checkpoints import save_checkpoint as save_checkpoint
from .color import fit_to_gamut as fit_to_gamut
from .color import lab_to_rgb as lab_to_rgb
from .color import merge_lab as merge_lab
from .color import rgb_to_lab as rgb_to_lab
from .color import split_lab as split_lab
from .color import to_rgb as to_rgb
from .colorizer import Colorizer as Colorizer
from .data import PhotoDataset as PhotoDataset
from .data import fetch_photos as fetch_photos
from .data import make_dataloaders as make_dataloaders
from .data import sample_photos as sample_photos
from .data import split_photos as split_photos
from .folders import find_photos as find_photos
from .losses import GANLoss as GANLoss
from .metrics import ab_error as ab_error
from .metrics import auc as auc
from .metrics import colourfulness as colourfulness
from .metrics import delta_e as delta_e
from .metrics import evaluate as evaluate
from .metrics import psnr as psnr
from .metrics import ssim as ssim
from .models import PatchDiscriminator as PatchDiscriminator
from .models import build_generator as build_generator
from .photos import PhotoError as PhotoError
from .photos import open_photo as open_photo
from .photos import save_photo as save_photo
from .training import RECIPES as RECIPES
from .training import pretrain as pretrain
from .training import train_adversarial as train_adversarial

__version__: str
