"""Image colorization in PyTorch.  Every name below is loaded when it is first used."""

from importlib import import_module

__version__ = "0.2.0"

# The modules, from the bottom up, with the names that can be imported from the package itself.
# A module imports only from modules above it in this list; a test sees to that.
_NAMES = {
    "devices": (),
    "files": (),
    "color": ("rgb_to_lab", "lab_to_rgb", "split_lab", "merge_lab", "fit_to_gamut", "to_rgb"),
    "hints": ("Hint", "HintError", "load_hints", "save_hints"),
    "photos": ("PhotoError", "find_photos", "open_photo", "save_photo"),
    "inference": (),
    "data": (
        "DataLoaders",
        "LabLoader",
        "PhotoDataset",
        "fetch_photos",
        "make_dataloaders",
        "sample_photos",
        "split_photos",
    ),
    "models": (
        "DISCRIMINATORS",
        "GENERATORS",
        "ChromaUnet",
        "FeatureDiscriminator",
        "Generator",
        "PatchDiscriminator",
        "build_generator",
        "predict_ab",
    ),
    "losses": ("GANLoss", "colour_loss"),
    "metrics": (
        "ALL",
        "Frechet",
        "ab_error",
        "auc",
        "colourfulness",
        "delta_e",
        "evaluate",
        "format_table",
        "psnr",
        "ssim",
    ),
    "weights": ("CheckpointError", "find_weights"),
    "checkpoints": ("load_checkpoint", "save_checkpoint"),
    "training": (
        "METHODS",
        "RECIPES",
        "AdversarialTraining",
        "L1Pretraining",
        "fit",
        "parameter_groups",
        "pretrain",
        "train_adversarial",
    ),
    "engines": (),
    "colorizer": ("Colorizer",),
    "cli": (),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]  # tools read __init__.pyi


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
