import numpy as np
import pytest
import scipy.linalg
import skimage.color
import skimage.metrics
import torch

from colorize_lib.data import make_dataloaders
from colorize_lib.metrics import (
    Frechet,
    ab_error,
    colourfulness,
    evaluate,
    format_table,
    mean_colour,
    psnr,
    show,
    with_shares,
)
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


def test_shares(valid_photos):
    batch = {"L": torch.zeros(2, 1, 8, 8), "ab": torch.rand(2, 2, 8, 8) - 0.5}
    table = with_shares(evaluate(None, [batch]))
    assert table["grey"]["of_grey"] == table["true"]["of_true"] == 1
    assert table["true"]["of_grey"] == 0 and table["grey"]["of_true"] < 1e-3
    assert "of grey's" in format_table(table)


def test_frechet_distance_against_scipy(valid_photos):
    """The same distance computed from the features with scipy's matrix square root."""
    batches = list(make_dataloaders(valid_photos, valid_photos, size=96, batch_size=8, device="cpu").valid)
    frechet = Frechet()
    true = torch.cat([show(batch["L"], batch["ab"]) for batch in batches])
    pale = torch.cat([show(batch["L"], batch["ab"] * 0.5) for batch in batches])
    frechet.see(true, real=True)
    frechet.see(true, real=False)
    assert frechet.distance() == pytest.approx(0, abs=0.02)
    frechet.see(pale, real=False)
    distance = frechet.distance()
    with torch.no_grad():
        a, b = (frechet._fid.inception(x).double().numpy() for x in (true, pale))
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root.real)
    assert distance == pytest.approx(expected, rel=0.02)
    table = evaluate(None, batches, frechet=True)
    assert table["true"]["frechet"] < 0.02 < distance < table["grey"]["frechet"]
