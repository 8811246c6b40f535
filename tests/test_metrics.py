import numpy as np
import pytest
import skimage.color
import skimage.metrics
import torch

from colorize_lib.data import make_dataloaders
from colorize_lib.metrics import ab_error, colourfulness, evaluate, format_table, mean_colour, psnr
from colorize_lib.models import build_generator


def test_psnr_is_skimages(photo):
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 20, photo.shape), 0, 255).astype(np.uint8)
    a, b = (torch.from_numpy(x).permute(2, 0, 1)[None] / 255 for x in (photo, noisy))
    expected = skimage.metrics.peak_signal_noise_ratio(photo / 255, noisy / 255, data_range=1)
    assert psnr(b, a).item() == pytest.approx(expected, abs=1e-3)


def test_colourfulness_by_hand(photo):
    """Computed a second time, in numpy, from the paper's formula."""
    r, g, b = photo.astype(float).transpose(2, 0, 1)
    rg, yb = r - g, (r + g) / 2 - b
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    rgb = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    assert colourfulness(rgb).item() == pytest.approx(expected, rel=1e-4)
    grey = rgb.mean(dim=1, keepdim=True).expand_as(rgb)
    assert colourfulness(grey).item() == pytest.approx(0, abs=1e-3)


def test_ab_error_is_in_cie_units():
    true = torch.zeros(2, 2, 4, 4)
    predicted = torch.stack([torch.full((2, 4, 4), 0.1), torch.zeros(2, 4, 4)])
    assert ab_error(predicted, true).tolist() == pytest.approx([11.0, 0.0])


def test_table_against_skimage(valid_photos):
    loaders = make_dataloaders(valid_photos[:6], valid_photos[:6], size=64, batch_size=4, device="cpu")
    table = evaluate(build_generator("chroma_unet", pretrained=False), loaders.valid)
    dataset = loaders.valid.dataset
    labs = np.stack([skimage.color.rgb2lab(dataset[i].permute(1, 2, 0).numpy()) for i in range(6)])
    assert table["grey"]["ab_error"] == pytest.approx(np.abs(labs[..., 1:]).mean(), abs=1e-3)
    mean = labs[..., 1:].mean(axis=(0, 1, 2))
    assert mean_colour(loaders.valid).flatten().numpy() * 110 == pytest.approx(mean, abs=1e-3)
    assert table["mean colour"]["ab_error"] == pytest.approx(np.abs(labs[..., 1:] - mean).mean(), abs=1e-2)
    assert table["true"]["ab_error"] == 0 and table["true"]["colourfulness"] > 20
    assert table["model"] == table["grey"]  # it starts there
    assert "grey" in format_table(table) and len(format_table(table).splitlines()) == 5
