"""Image colorization in PyTorch.  Every name below is loaded when it is first used."""

from importlib import import_module

__version__ = "0.2.0"

_HOME = {
    "color": ("rgb_to_lab", "lab_to_rgb", "split_lab", "merge_lab", "fit_to_gamut", "to_rgb"),
    "photos": ("PhotoError", "open_photo", "save_photo"),
    "folders": ("find_photos",),
    "data": (
        "PhotoDataset", "fetch_photos", "make_dataloaders", "sample_photos", "split_photos",
    ),
    "models": ("PatchDiscriminator", "build_generator"),
    "losses": ("GANLoss",),
    "metrics": ("ab_error", "auc", "colourfulness", "delta_e", "evaluate", "psnr", "ssim"),
    "checkpoints": ("CheckpointError", "load_checkpoint", "save_checkpoint"),
    "training": ("pretrain", "train_adversarial"),
    "colorizer": ("Colorizer",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
