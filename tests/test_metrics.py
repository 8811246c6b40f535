import copy
import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import skimage.color
import skimage.metrics
import torch
import torch.nn.functional as F
from torchmetrics.functional.image import structural_similarity_index_measure

from colorize_lib.color import rgb_to_lab, to_rgb
from colorize_lib.data import make_dataloaders
from colorize_lib.metrics import (
    ALL,
    METRICS,
    BalancedAuC,
    Blotches,
    PerPhoto,
    ab_error,
    auc,
    colourfulness,
    delta_e,
    evaluate,
    matching_factor,
    mean_colour,
    measure_generator,
    psnr,
    ssim,
)
from colorize_lib.metrics.formulas import Rows
from colorize_lib.metrics.frechet import EfficientNetFeatures, Frechet, frechet_distance
from colorize_lib.metrics.sources import EVERY, by_source, leads, source_of
from colorize_lib.metrics.tables import format_table, table_csv, table_json, with_shares
from colorize_lib.models import build_generator
from colorize_lib.training import batch_norms


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


def test_absolute_colourfulness_by_hand(photo):
    """The convention of DDColor and its successors; red beside green is no spread in it."""
    r, g, b = photo.astype(float).transpose(2, 0, 1)
    rg, yb = abs(r - g), abs((r + g) / 2 - b)
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    rgb = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    assert colourfulness(rgb, absolute=True).item() == pytest.approx(expected, rel=1e-4)
    halves = torch.zeros(1, 3, 8, 8)
    halves[:, 0, :4], halves[:, 1, 4:] = 1, 1
    assert colourfulness(halves, absolute=True) < 0.3 * colourfulness(halves)


@pytest.fixture
def guess_and_truth() -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised ab, (2, 2, 32, 32), with distances from 0 to well beyond 150."""
    generator = torch.Generator().manual_seed(0)
    true = torch.rand(2, 2, 32, 32, generator=generator) * 1.8 - 0.9
    return true + torch.randn(true.shape, generator=generator) * 0.5, true


def test_auc_by_sweeping_thresholds(guess_and_truth):
    """As Zhang et al. describe it: the share within a threshold, for thresholds from 0 to 150, integrated."""
    predicted, true = guess_and_truth
    distances = np.linalg.norm((predicted - true).numpy() * 110, axis=1)
    assert distances.min() < 5
    assert distances.max() > 150
    thresholds = np.linspace(0, 150, 15001)
    expected = [
        np.trapezoid((d[:, None] <= thresholds).mean(axis=0), thresholds) / 1.5
        for d in distances.reshape(2, -1)
    ]
    assert auc(predicted, true).tolist() == pytest.approx(expected, abs=0.01)
    assert auc(true, true).tolist() == [100, 100]


def test_balanced_auc_by_weighting_pixels(guess_and_truth):
    """Every pixel weighted by one over how often its colour class occurs."""
    predicted, true = guess_and_truth
    balanced = BalancedAuC()
    for i in range(2):
        balanced.update(predicted[i : i + 1], true[i : i + 1])
    accuracy = np.maximum(0, 1 - np.linalg.norm((predicted - true).numpy() * 110, axis=1) / 150).ravel()
    classes = np.round(true.numpy() * 11).transpose(0, 2, 3, 1).reshape(-1, 2)
    _, index, counts = np.unique(classes, axis=0, return_inverse=True, return_counts=True)
    weights = 1 / counts[index.ravel()]
    assert balanced.compute() == pytest.approx(100 * (weights * accuracy).sum() / weights.sum(), abs=1e-3)


def test_ssim_is_that_of_torchmetrics(photo):
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 30, photo.shape), 0, 255).astype(np.uint8)
    pair = [torch.from_numpy(x[:128, :128]).permute(2, 0, 1)[None] / 255 for x in (noisy, photo)]
    _, everywhere = structural_similarity_index_measure(*pair, data_range=1.0, return_full_image=True)
    expected = everywhere[..., 5:-5, 5:-5].mean().item()  # where no window reaches over the border
    assert 0.1 < expected < 0.9  # so that it says something
    assert ssim(*pair).item() == pytest.approx(expected, abs=1e-4)


def test_delta_e_on_published_pairs():
    """Pairs of Sharma, Wu, Dalal, The CIEDE2000 Color-Difference Formula, 2005, table 1."""
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (61, -5, 29), 22.8977),
        ((50, 2.5, 0), (56, -27, -3), 31.9030),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ]
    first, second = (torch.tensor([pair[i] for pair in pairs])[:, :, None, None] for i in (0, 1))
    assert delta_e(first, second).tolist() == pytest.approx([pair[2] for pair in pairs], abs=1e-4)


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
    assert table["true"]["ab_error"] == 0
    assert table["true"]["colourfulness"] > 20
    assert table["model"] == pytest.approx(table["grey"])  # it starts there
    assert "grey" in format_table(table)
    assert len(format_table(table).splitlines()) == 5


def test_shares(valid_photos):
    batch = {"L": torch.zeros(2, 1, 8, 8), "ab": torch.rand(2, 2, 8, 8) - 0.5}
    table = with_shares(evaluate(None, [batch]))
    assert table["grey"]["of_grey"] == table["true"]["of_true"] == 1
    assert table["true"]["of_grey"] == 0
    assert table["grey"]["of_true"] < 1e-3
    assert "of grey's" in format_table(table)


def test_shares_stand_behind_what_they_are_shares_of():
    table = with_shares(evaluate(None, [{"L": torch.zeros(2, 1, 8, 8), "ab": torch.rand(2, 2, 8, 8) - 0.5}]))
    columns = ["ab_error", "of_grey", "psnr", "colourfulness", "of_true"]
    assert all(list(row) == columns for row in table.values())


def test_shares_of_no_colour_are_undefined():
    table = with_shares(evaluate(None, [{"L": torch.zeros(2, 1, 8, 8), "ab": torch.zeros(2, 2, 8, 8)}]))
    assert np.isnan(table["grey"]["of_grey"])
    assert np.isnan(table["grey"]["of_true"])
    assert "–" in format_table(table)


def test_some_metrics_can_be_chosen_by_name():
    batch = {"L": torch.zeros(2, 1, 8, 8), "ab": torch.rand(2, 2, 8, 8) - 0.5}
    assert list(evaluate(None, [batch], metrics=("delta_e", "ab_error"))["grey"]) == ["ab_error", "delta_e"]
    with pytest.raises(ValueError, match="no metric is called 'beauty'.*ab_error"):
        evaluate(None, [batch], metrics=["beauty"])


def test_a_new_metric_is_one_row(monkeypatch):
    largest = METRICS["ab_error"].__class__(
        "largest", 1, METRICS["ab_error"].inputs, lambda: PerPhoto(lambda a, b: (a - b).abs().amax((1, 2, 3)))
    )
    monkeypatch.setitem(METRICS, "largest", largest)
    batch = {"L": torch.zeros(2, 1, 8, 8), "ab": torch.full((2, 2, 8, 8), 0.5)}
    assert evaluate(None, [batch], metrics=["largest"])["grey"] == {"largest": 0.5}


def test_frechet_distance_against_scipy(valid_photos):
    """The same distance computed from the features with scipy's matrix square root."""
    batches = list(make_dataloaders(valid_photos, valid_photos, size=96, batch_size=8, device="cpu").valid)
    frechet = Frechet()
    features = EfficientNetFeatures()
    assert frechet.features == features.network.pretrained_cfg["architecture"]
    true = torch.cat([to_rgb(batch["L"], batch["ab"]) for batch in batches])
    pale = torch.cat([to_rgb(batch["L"], batch["ab"] * 0.5) for batch in batches])
    frechet.update(true, real=True)
    frechet.update(true, real=False)
    assert frechet.compute() == pytest.approx(0, abs=0.02)
    frechet.reset(keep_true=True)
    frechet.update(pale, real=False)
    distance = frechet.compute()
    with torch.no_grad():
        a, b = (features(x).double().numpy() for x in (true, pale))
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root.real)
    assert distance == pytest.approx(expected, rel=0.02)
    table = evaluate(None, batches, frechet=Frechet())
    assert table["true"]["frechet"] < 0.02 < distance < table["grey"]["frechet"]


def test_a_distance_that_is_used_again_has_forgotten_the_photos_before(valid_photos):
    """Those of another data set would stay among the true ones."""
    first, second = (
        list(make_dataloaders(photos, photos, size=32, batch_size=3, device="cpu").valid)
        for photos in (valid_photos[:3], valid_photos[3:6])
    )
    frechet = Frechet("cpu")
    evaluate(None, first, frechet=frechet)
    assert evaluate(None, second, frechet=frechet) == evaluate(None, second, frechet=Frechet("cpu"))


def test_all_formulas_give_the_same_type():
    rgb = torch.rand(1, 3, 16, 16)
    values = [
        psnr(rgb, rgb),
        ssim(rgb, rgb),
        delta_e(rgb, rgb),
        colourfulness(rgb),
        auc(rgb[:, :2], rgb[:, :2]),
    ]
    assert {value.dtype for value in values} == {torch.float32}


def test_other_features_are_refused():
    with pytest.raises(ValueError, match="no features are called 'vgg': choose efficientnet or inception"):
        Frechet(features="vgg")


def test_inception_features_come_from_a_file_or_say_how_to_get_them(tmp_path, monkeypatch, valid_photos):
    """With weights of the right shapes but random, as the published ones cannot be bundled."""
    inception = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    gone = tmp_path / "weights-inception-01234567.pth"
    monkeypatch.setattr(inception, "URL_INCEPTION_V3", gone.as_uri())
    with pytest.raises(OSError, match="EfficientNet"):
        Frechet(features="inception")

    shapes = {}
    with monkeypatch.context() as patch, pytest.raises(StopIteration):

        def keep(network, state):
            shapes.update(network.state_dict())
            raise StopIteration

        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: None)
        patch.setattr(inception.FeatureExtractorInceptionV3, "load_state_dict", keep)
        inception.FeatureExtractorInceptionV3("random", ["2048"])
    torch.save(shapes, gone)
    digest = hashlib.sha256(gone.read_bytes()).hexdigest()[:8]
    weights = gone.rename(tmp_path / f"weights-inception-{digest}.pth")
    monkeypatch.setattr(inception, "URL_INCEPTION_V3", weights.as_uri())
    frechet = Frechet(features="inception")
    batches = list(make_dataloaders(valid_photos[:6], valid_photos[:6], 64, 6, device="cpu").valid)
    table = evaluate(None, batches, frechet=frechet)
    assert frechet.name == "fid"
    assert table["true"]["fid"] < 0.01 * table["grey"]["fid"]


def test_the_complete_table(valid_photos):
    """On whatever device is here: not every one has float64."""
    batches = list(make_dataloaders(valid_photos, valid_photos, size=64, batch_size=8).valid)
    table = with_shares(evaluate(None, batches, metrics=ALL))
    grey, true = table["grey"], table["true"]
    assert true["auc"] == true["auc_balanced"] == pytest.approx(100)
    assert true["ssim"] == pytest.approx(1)
    assert true["delta_e"] == true["delta_cf"] == true["delta_cf_each"] == 0
    assert grey["auc_balanced"] < grey["auc"] < 100
    assert grey["ssim"] > 0.8
    assert grey["delta_e"] > 5
    assert grey["blotches"] == pytest.approx(0, abs=1e-3)
    assert 0 < true["blotches"] < 5
    assert grey["delta_cf"] == pytest.approx(true["colourfulness_abs"], abs=0.1)
    assert true["colourfulness_abs"] < true["colourfulness"]
    columns = format_table(table).splitlines()[0]
    assert all(name in columns for name in ("AuC", "SSIM", "ΔE2000", "ΔCF each"))
    narrow = format_table(table, width=60)
    assert max(map(len, narrow.splitlines())) <= 60
    assert narrow.split().count("grey") > 1
    assert sorted(set(narrow.split())) == sorted(set(format_table(table).split()))


def test_the_table_as_csv_and_json():
    table = {
        "grey": dict.fromkeys(("ab_error", "psnr", "auc"), 1.5),
        "true": dict.fromkeys(("ab_error", "psnr", "auc"), float("inf")),
    }
    assert table_csv(table).splitlines()[1:] == ["grey,1.5,1.5,1.5", "true,inf,inf,inf"]
    saved = json.loads(table_json(table, photos=3))
    assert saved["photos"] == 3
    assert saved["table"]["grey"]["psnr"] == 1.5
    assert saved["table"]["true"]["psnr"] is None


def blotches(predicted: torch.Tensor, true: torch.Tensor) -> float:
    measure = Blotches()
    measure.update(predicted, true)
    return measure.compute()


def stripes(first: tuple[float, float], second: tuple[float, float]) -> torch.Tensor:
    """(1, 2, 64, 64): upright stripes, 4 wide, of two colours, so that every window has half of each."""
    even = torch.arange(64) // 4 % 2 == 0
    columns = torch.where(even, torch.tensor(first)[:, None], torch.tensor(second)[:, None])
    return columns[None, :, None, :].expand(1, 2, 64, 64).clone()


EVEN = stripes((20.0, 0.0), (20.0, 0.0))


def test_blotches_by_hand():
    opposite, square = stripes((20.0, 0.0), (-20.0, 0.0)), stripes((20.0, 0.0), (0.0, 20.0))
    assert blotches(opposite, EVEN) == pytest.approx(100)
    assert blotches(square, EVEN) == pytest.approx(100 * (1 - 0.5**0.5))  # |mean| is 20 / √2


def test_one_hue_has_no_blotches_however_its_chroma_changes():
    assert blotches(stripes((40.0, 0.0), (5.0, 0.0)), EVEN) == pytest.approx(0, abs=1e-3)


def test_grey_has_no_blotches():
    assert blotches(torch.zeros(1, 2, 64, 64), EVEN) == 0


def test_blotches_are_looked_for_only_where_the_true_colour_has_one_hue():
    true = stripes((20.0, 0.0), (-20.0, 0.0))
    assert np.isnan(blotches(EVEN, true))  # nowhere
    true[..., 32:] = EVEN[..., 32:]
    assert blotches(true, true) == 0


def test_blotches_pool_all_photos():
    opposite = stripes((20.0, 0.0), (-20.0, 0.0))
    measure = Blotches()
    measure.update(opposite, EVEN)
    measure.update(EVEN, EVEN)
    assert measure.compute() == pytest.approx(50)
    assert measure.compute() == pytest.approx(blotches(torch.cat([opposite, EVEN]), torch.cat([EVEN, EVEN])))


@pytest.fixture
def true_ab(photo) -> torch.Tensor:
    """a* and b* of a real photo, (1, 2, H, W)."""
    return rgb_to_lab(torch.from_numpy(photo).permute(2, 0, 1)[None])[:, 1:]


def clouds(like: torch.Tensor) -> torch.Tensor:
    """Smooth colour noise of standard deviation 1: what blotches look like."""
    noise = F.interpolate(torch.randn(1, 2, 16, 16), like.shape[2:], mode="bicubic")
    return noise / noise.std()


def test_a_factor_leaves_blotches_as_they_are(true_ab):
    guess = true_ab + 5 * clouds(true_ab)
    assert blotches(guess, true_ab) > 0.1
    assert blotches(2.5 * guess, true_ab) == pytest.approx(blotches(guess, true_ab), rel=1e-4)


def test_more_blotches_give_more(true_ab):
    noise = clouds(true_ab)
    values = [blotches(true_ab + strength * noise, true_ab) for strength in (0, 3, 6, 12)]
    assert values == sorted(values)
    assert values[-1] > 3 * values[0]


@pytest.fixture
def painter() -> torch.nn.Module:
    """A generator that paints something."""
    generator = build_generator("chroma_unet", pretrained=False)
    torch.nn.init.normal_(generator.head.weight, std=0.05)
    return generator


@pytest.fixture
def batches(valid_photos) -> list:
    return list(make_dataloaders(valid_photos[:6], valid_photos[:6], 64, 4, device="cpu").valid)


@pytest.mark.parametrize("share", [0.4, 1.7])
def test_the_factor_gives_the_colourfulness(painter, batches, share):
    target = share * measure_generator(painter, batches)["colourfulness"]
    factor = matching_factor(painter, batches, target)
    assert (factor > 1) == (share > 1)
    painter = copy.deepcopy(painter)
    painter.chroma = factor
    scaled = measure_generator(painter, batches)
    assert scaled["colourfulness"] == pytest.approx(target, rel=5e-3)


def test_the_network_runs_once_for_its_factor(painter, batches):
    calls = []
    painter.register_forward_hook(lambda network, *_: calls.append(network.training))
    matching_factor(painter.train(), batches, 20.0)
    assert calls == [False] * len(batches)
    assert painter.training


def test_frozen_norms_stay_frozen_after_a_measurement(painter, batches):
    norms = batch_norms(painter.train())
    for norm in norms[:3]:
        norm.eval()
    measure_generator(painter, batches)
    assert [norm.training for norm in norms] == [False] * 3 + [True] * (len(norms) - 3)


def test_grey_is_matched_by_no_factor_but_0(painter, batches):
    grey = build_generator("chroma_unet", pretrained=False)  # it starts there
    with pytest.raises(ValueError, match="no factor up to 16"):
        matching_factor(grey, batches, 20.0)
    assert matching_factor(painter, batches, 0.0) == 0


def test_a_row_of_equal_colourfulness(painter, batches):
    table = evaluate({"ours": painter}, batches, match=("ours", "true"))
    assert [*table][:3] == ["grey", "mean colour", "ours"]
    assert [*table][4] == "true"
    name = [*table][3]
    assert name.startswith("ours × ")
    assert float(name.removeprefix("ours × ")) > 0
    assert table[name]["colourfulness"] == pytest.approx(table["true"]["colourfulness"], rel=5e-3)


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        (("theirs", "true"), "no weights are called 'theirs'"),
        (("true", "ours"), "no weights are called 'true'"),
        (("ours", "theirs"), "no row of the table is called 'theirs'"),
    ],
)
def test_a_match_with_no_row_is_refused(painter, batches, match, reason):
    with pytest.raises(ValueError, match=reason):
        evaluate({"ours": painter}, batches, match=match)


def test_what_is_not_defined_is_left_empty():
    table = {"grey": {"blotches": float("nan")}, "true": {"blotches": 1.0}}
    assert format_table(table).splitlines()[1].split() == ["grey", "–"]
    assert table_csv(table).splitlines()[1] == "grey,"
    assert json.loads(table_json(table))["table"]["grey"]["blotches"] is None


@pytest.mark.parametrize(("photos", "features"), [(40, 8), (8, 40)])
def test_the_distance_of_features_against_scipy(photos, features):
    """More photos than features, and fewer: then the covariances are singular."""
    rng = np.random.default_rng(0)
    one = rng.normal(size=(photos, features))
    other = 0.5 + rng.normal(size=(photos + 3, features)) @ rng.normal(size=(features, features))
    a, b = np.cov(one.T), np.cov(other.T)
    root = scipy.linalg.sqrtm(scipy.linalg.sqrtm(a) @ b @ scipy.linalg.sqrtm(a)).real
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root)
    found = frechet_distance(torch.from_numpy(one), torch.from_numpy(other))
    assert found == pytest.approx(expected, rel=1e-5)


def test_one_photo_has_no_distance():
    assert np.isnan(frechet_distance(torch.rand(1, 4), torch.rand(3, 4)))


@pytest.fixture(scope="module")
def crowd(valid_photos) -> list[dict]:
    """Twelve photos, one a batch."""
    return list(make_dataloaders(valid_photos[:12], valid_photos[:12], 48, 1, device="cpu").valid)


@pytest.fixture(scope="module")
def two_guesses(crowd) -> tuple[dict, dict]:
    """The rows of two generators, and what makes them."""
    painters = {}
    for seed in (0, 1):
        torch.manual_seed(seed)
        painters[f"seed {seed}"] = build_generator("chroma_unet", pretrained=False)
        torch.nn.init.normal_(painters[f"seed {seed}"].head.weight, std=0.05)
    return evaluate(painters, crowd, frechet=Frechet("cpu"), metrics=ALL), painters


SOURCES = ["lake"] * 5 + ["city"] * 7


def test_the_table_of_a_source_is_that_of_its_photos_alone(crowd, two_guesses):
    rows, painters = two_guesses
    tables = by_source(rows, SOURCES)
    assert list(tables) == ["city", "lake"]
    alone = evaluate(painters, crowd[:5], frechet=Frechet("cpu"), metrics=ALL)
    for name in painters:
        assert tables["lake"][name] == pytest.approx(alone[name], abs=1e-4)


def test_a_photo_that_counts_twice_is_measured_twice(crowd, two_guesses):
    rows, painters = two_guesses
    twice = evaluate(painters, [*crowd, crowd[3]], frechet=Frechet("cpu"), metrics=ALL)
    counts = torch.ones(12)
    counts[3] = 2
    for name in painters:
        assert rows[name].counted(counts) == pytest.approx(twice[name], abs=1e-4)


def test_the_margin_of_a_mean_is_that_of_the_formula(crowd, two_guesses):
    """1.96 standard errors of the paired differences: σ / √n, with the σ of these photos."""
    rows, painters = two_guesses
    each = [
        [measure_generator(painter, [photo])["ab_error"] for photo in crowd] for painter in painters.values()
    ]
    differences = np.subtract(*each)
    difference, margin = leads(*(rows[name] for name in painters), SOURCES)[EVERY]["ab_error"]
    assert difference == pytest.approx(differences.mean(), abs=1e-4)
    assert margin == pytest.approx(1.96 * differences.std() / 12**0.5, rel=0.2)  # 200 draws: ± 5 %


def test_what_photos_add_is_kept_in_few_blocks():
    """Small tensors that stay would keep the heap from giving back the large ones between them."""
    rows, parts, blocks = Rows(), [torch.rand(3, 5) for _ in range(2000)], set()
    for part in parts:
        rows.add(part)
        blocks.add(rows.all().untyped_storage().nbytes())
    assert torch.equal(rows.all(), torch.cat(parts))
    assert len(blocks) <= 4


def test_leads_have_every_source_and_their_seed(two_guesses):
    rows, painters = two_guesses
    one, other = (rows[name] for name in painters)
    found = leads(one, other, SOURCES)
    assert list(found) == [EVERY, "city", "lake"]
    assert list(found["lake"]) == ["ab_error", "auc_balanced", "blotches", "frechet"]
    assert found[EVERY] == leads(one, other, SOURCES)[EVERY]
    assert found[EVERY] != leads(one, other, SOURCES, seed=1)[EVERY]


def test_a_guess_has_no_lead_over_itself(two_guesses):
    row = two_guesses[0]["seed 0"]
    assert set(leads(row, row, SOURCES)[EVERY].values()) == {(0, 0)}


def test_few_photos_prove_no_lead(two_guesses):
    rows, painters = two_guesses
    found = leads(*(rows[name] for name in painters), SOURCES)
    assert np.isnan(found["lake"]["ab_error"][1])
    assert np.isfinite(found[EVERY]["ab_error"][1])


@pytest.mark.parametrize(
    ("photo", "source"),
    [
        ("photos/lake/a_1.jpg", "lake"),
        ("photos/lake/north/1.jpg", "lake"),
        ("photos/coco_000_1.jpg", "coco"),
        ("photos/one.jpg", "photos"),
    ],
)
def test_the_source_of_a_photo(photo, source):
    assert source_of(Path(photo), Path("photos")) == source


def test_a_copy_of_a_row_has_its_values(two_guesses):
    row = two_guesses[0]["grey"]
    assert pickle.loads(pickle.dumps(row)) == row
