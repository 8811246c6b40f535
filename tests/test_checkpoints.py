"""Weights come back exactly, or one sentence says why not."""

import copy
import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from colorize_lib.checkpoints import (
    build,
    checksum_of,
    load_checkpoint,
    load_generator,
    load_pretrained,
    read_header,
    save_checkpoint,
)
from colorize_lib.colorizer import Colorizer
from colorize_lib.models import GENERATORS, FeatureDiscriminator, PatchDiscriminator, build_generator
from colorize_lib.weights import HUB_FILE, WEIGHTS, CheckpointError, fetch_from_hub, find_weights


@pytest.fixture()
def generator():
    generator = build_generator("chroma_unet", pretrained=False)
    torch.nn.init.normal_(generator.head.weight)
    return generator


@pytest.mark.parametrize(
    "name", ["unet", "dynamic_unet", "chroma_unet", "patchgan", "patchgan spectral", "features"]
)
def test_every_network_comes_back(tmp_path, name):
    if name == "features":
        network = FeatureDiscriminator(width=8)
        x = torch.rand(1, 3, 64, 64)
    elif name.startswith("patchgan"):
        network = PatchDiscriminator(filters=8, norm="spectral" if "spectral" in name else "batch")
        x = torch.rand(1, 3, 64, 64)
    else:
        network = build_generator(name, **({"filters": 4} if name == "unet" else {"pretrained": False}))
        x = torch.rand(1, 1, 64, 64)
    path = save_checkpoint(tmp_path / "weights.safetensors", network, made_by={"epochs": 3})
    again = load_checkpoint(path)
    assert torch.equal(again(x), network.eval()(x))
    assert read_header(path)["made_by"] == {"epochs": 3}


@pytest.mark.parametrize("former", [{}, {"eyes": "tf_efficientnet_lite0"}], ids=["not named", "called eyes"])
def test_an_older_discriminator_keeps_its_backbone(tmp_path, former):
    """Older headers do not name it, or by another word; the oldest were all on EfficientNet-Lite0."""
    older = FeatureDiscriminator(width=8, backbone="tf_efficientnet_lite0")
    older.config = {"name": "feature_discriminator", "width": 8, **former}
    path = save_checkpoint(tmp_path / "weights.safetensors", older)
    again, x = load_checkpoint(path), torch.rand(1, 3, 64, 64)
    assert again.config["backbone"] == "tf_efficientnet_lite0"
    assert torch.equal(again(x), older.eval()(x))
    refuse(path, "not for feature_discriminator", FeatureDiscriminator(width=8))


def test_a_variance_beyond_float16_stays_finite(tmp_path):
    network = build_generator("unet", downs=5, filters=4)
    norm = next(module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d))
    norm.running_var[0] = 100_000.0
    path = save_checkpoint(tmp_path / "half.safetensors", network, dtype=torch.float16)
    variances = [v for k, v in load_checkpoint(path).state_dict().items() if k.endswith("running_var")]
    assert max(v.max().item() for v in variances) == 100_000.0


def test_float16_weights_come_back_as_float32(tmp_path, generator):
    path = save_checkpoint(tmp_path / "half.safetensors", generator, dtype=torch.float16)
    again = load_checkpoint(path)
    assert all(p.dtype == torch.float32 for p in again.parameters())
    x = torch.rand(1, 1, 64, 64)
    assert torch.allclose(again(x), generator.eval()(x), atol=0.05)
    assert path.stat().st_size < 9e6


def refuse(path, match, model=None):
    with pytest.raises(CheckpointError, match=match) as caught:
        load_checkpoint(path, model)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_files_are_refused_in_one_sentence(tmp_path, generator):
    path = save_checkpoint(tmp_path / "weights.safetensors", generator)
    refuse(tmp_path / "nowhere.safetensors", "does not exist")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:-1000])
    refuse(cut, "damaged")
    torch.save(generator.state_dict(), tmp_path / "pickle.pt")
    refuse(tmp_path / "pickle.pt", "not a safetensors file")
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    refuse(tmp_path / "foreign.safetensors", "not saved by colorize_lib")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_utf8_is_not_called_damaged(tmp_path, generator):
    path = save_checkpoint(tmp_path / os.fsdecode(b"Gro\xdfmutter.safetensors"), generator)
    refuse(path, "is no UTF-8, and weights under such a name cannot be read: choose another name")


def test_the_wrong_network_is_refused(tmp_path, generator):
    path = save_checkpoint(tmp_path / "weights.safetensors", generator)
    refuse(path, "not for unet", build_generator("unet", filters=4))
    refuse(path, "widths", build_generator("chroma_unet", pretrained=False, widths=(8, 8, 8)))


@pytest.mark.parametrize(
    ("network", "change", "unknown"),
    [
        (build_generator("unet", filters=4), {"dropout": 0.5}, "no option 'dropout' of unet"),
        (PatchDiscriminator(filters=4), {"heads": 2}, "no option 'heads' of patchgan"),
        (PatchDiscriminator(filters=4), {"name": "ddcolor"}, "no network called 'ddcolor'"),
    ],
    ids=["a generator's option", "a discriminator's option", "a network"],
)
def test_weights_of_a_newer_version_are_refused(tmp_path, network, change, unknown):
    network.config = network.config | change
    path = save_checkpoint(tmp_path / "newer.safetensors", network)
    refuse(path, f"needs a newer version of colorize_lib: this version knows {unknown}")


def test_missing_and_surplus_tensors_are_refused(tmp_path, generator):
    path = save_checkpoint(tmp_path / "weights.safetensors", generator)
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    state = safetensors.torch.load_file(path)
    without = {name: tensor for name, tensor in state.items() if name != "head.bias"}
    for changed in (state | {"surplus": torch.zeros(1)}, state | {"head.bias": torch.zeros(5)}, without):
        about = metadata | {"sha256": json.dumps(checksum_of(changed))}
        safetensors.torch.save_file(changed, tmp_path / "changed.safetensors", about)
        refuse(tmp_path / "changed.safetensors", "does not fit chroma_unet")


def changed(path, header=None, state=None):
    """The checkpoint with other entries in its header, or another state; its checksum is right."""
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    state = {**safetensors.torch.load_file(path), **(state or {})}
    about = metadata | {"sha256": json.dumps(checksum_of(state))} | (header or {})
    safetensors.torch.save_file(
        state, path, {key: value for key, value in about.items() if value is not None}
    )
    return path


@pytest.fixture()
def small(tmp_path):
    return save_checkpoint(tmp_path / "weights.safetensors", build_generator("unet", downs=5, filters=4))


@pytest.mark.parametrize(
    "value", [None, "{", "[]", "null", '"x"', "-1", "NaN", "[" * 9000], ids=lambda value: str(value)[:5]
)
@pytest.mark.parametrize("key", ["config", "resolution", "chroma"])
def test_a_header_that_is_not_ours_is_refused(small, key, value):
    if (key, value) in (("resolution", "null"), ("chroma", None)):
        assert load_checkpoint(changed(small, {key: value}))
    else:
        refuse(changed(small, {key: value}), "its header is not as colorize_lib writes it")


@pytest.mark.parametrize("key", ["sha256", "made_by"])
@pytest.mark.parametrize("value", [None, "{"])
def test_a_header_without_its_entries_is_refused(small, key, value):
    refuse(changed(small, {key: value}), "its header is not as colorize_lib writes it")


@pytest.mark.parametrize(
    "options",
    [{"filters": "x"}, {"filters": -1}, {"filters": None}, {"downs": 100_000}, {"filters": 300, "downs": 9}, {"in_channels": 10**12},
     {"name": "chroma_unet", "encoder": "hf-hub:someone/model"}, {"name": "chroma_unet", "encoder": "local-dir:/"}],
)  # fmt: skip
def test_a_header_that_lies_about_the_network_is_refused(small, options):
    config = {} if "encoder" in options else read_header(small)["config"]
    refuse(changed(small, {"config": json.dumps(config | options)}), "network that cannot be built")


def test_no_imagenet_weights_are_looked_for_whatever_the_header_says(small, monkeypatch):
    asked = []

    def note(*given):
        asked.append(given)
        raise ValueError("enough seen")

    monkeypatch.setattr("colorize_lib.models.chroma_unet.build_encoder", note)
    config = {"name": "chroma_unet", "encoder": "resnet18", "pretrained": True}
    refuse(changed(small, {"config": json.dumps(config)}), "enough seen")
    assert asked == [("resnet18", False)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(small, value):
    state = safetensors.torch.load_file(small)
    name = next(name for name in state if name.endswith("weight"))
    state[name].view(-1)[3] = value
    refuse(changed(small, state=state), f"{name} that are infinite or no numbers")


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn, torch.int32, torch.bool])
def test_weights_of_odd_types_are_refused(small, dtype):
    state = safetensors.torch.load_file(small)
    name = next(name for name in state if name.endswith("weight"))
    refuse(changed(small, state={name: state[name].to(dtype)}), f"{dtype} values in {name}")


@pytest.mark.parametrize("place", [0.2, 0.5, 0.999])
def test_one_flipped_bit_is_found(tmp_path, generator, place):
    path = save_checkpoint(tmp_path / "weights.safetensors", generator, dtype=torch.float16)
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)
    refuse(path, "do not match their checksum")


def test_one_load_opens_the_file_once(tmp_path, generator, monkeypatch):
    path = save_checkpoint(tmp_path / "weights.safetensors", generator, resolution=192)
    opened = []

    def safe_open(name, **options):
        opened.append(name)
        return safetensors.safe_open(name, **options)

    monkeypatch.setattr("colorize_lib.weights.safe_open", safe_open)
    _, header = load_pretrained(path)
    assert opened == [path]
    assert header["resolution"] == 192


def test_the_header_names_the_resolution(tmp_path, generator):
    path = save_checkpoint(tmp_path / "weights.safetensors", generator, resolution=192)
    assert read_header(path)["resolution"] == 192
    assert len(read_header(path)["sha256"]) == 64


def test_loading_into_a_network(tmp_path, generator):
    path = save_checkpoint(tmp_path / "weights.safetensors", generator)
    other = build_generator("chroma_unet", pretrained=False)
    assert load_checkpoint(path, other) is other
    assert torch.equal(other.head.weight, generator.head.weight)
    with pytest.raises(TypeError, match="Linear has no `config`"):
        save_checkpoint(tmp_path / "x.safetensors", torch.nn.Linear(1, 1))


def test_weights_are_found_by_name_folder_and_path(tmp_path):
    assert find_weights("l1") == WEIGHTS / "l1.safetensors"
    assert find_weights("best") == WEIGHTS / "adversarial.safetensors"
    (tmp_path / HUB_FILE).touch()
    assert find_weights(tmp_path) == tmp_path / HUB_FILE
    assert find_weights(tmp_path / "other.safetensors") == tmp_path / "other.safetensors"


@pytest.mark.parametrize("name", ["best", "l1", "adversarial"])
def test_a_bundled_name_may_be_a_path_as_the_command_line_gives_it(name):
    assert find_weights(Path(name)) == find_weights(name)


@pytest.fixture()
def fetched(monkeypatch):
    """The repositories that are asked for on the hub."""
    asked = []
    monkeypatch.setattr("colorize_lib.weights.fetch_from_hub", asked.append)
    return asked


@pytest.mark.parametrize("written", ["hf-hub:{}", "https://huggingface.co/{}", "https://huggingface.co/{}/"])
@pytest.mark.parametrize("name", ["some-one/colours_1", "some.one/colours-v1.0"])
def test_an_id_of_the_hub_is_fetched(fetched, written, name):
    find_weights(written.format(name))
    assert fetched == [name]


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:colours", "hf-hub:a/b/c"])
def test_what_is_no_id_of_the_hub_is_not_asked_for(fetched, name):
    with pytest.raises(CheckpointError, match=f"'{name}' is no id of a Hugging Face Hub repository"):
        find_weights(name)


def test_a_bare_id_of_the_hub_is_fetched_with_a_sentence(fetched):
    with pytest.warns(DeprecationWarning, match="no folder 'someone' here: write hf-hub:someone/colours.v2"):
        find_weights("someone/colours.v2")
    assert fetched == ["someone/colours.v2"]


def test_a_mistyped_path_in_a_folder_that_is_there_is_not_sent_to_the_hub(fetched, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "gan").mkdir(parents=True)
    find_weights("runs/gam")
    assert fetched == []


@pytest.mark.parametrize("path", ["a/b/c", "a/b.safetensors", "colours", "/a/b", "some one/colours"])
def test_a_path_is_no_id_of_the_hub(path):
    assert find_weights(path) == Path(path)


@pytest.fixture()
def fetch(small, monkeypatch):
    """`fetch_from_hub`, where the hub's cache holds the small network as a plain file, as it does on Windows."""
    answers = {("someone/colours", HUB_FILE): str(small)}
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *asked: answers[asked])
    return fetch_from_hub


def test_the_file_of_the_repository_is_asked_for(fetch, small):
    assert fetch("someone/colours") == small


def flip_a_bit_of_the_weights(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    "change", [flip_a_bit_of_the_weights, lambda data: data[:-9], lambda data: b"somebody's speech model"]
)
def test_nothing_is_deleted_in_a_cache_that_others_share(fetch, small, change):
    """It may be a valid file of another program."""
    small.write_bytes(found := change(small.read_bytes()))
    with pytest.raises(CheckpointError, match=re.escape(str(small))):
        load_generator(fetch("someone/colours"))
    assert small.read_bytes() == found


def test_a_config_without_a_name_is_refused():
    with pytest.raises(CheckpointError, match="this version knows no network called 'None'"):
        build({}, GENERATORS)


def test_a_chroma_of_0_is_a_factor(small):
    assert read_header(changed(small, {"chroma": "0"}))["chroma"] == 0


def test_an_infinite_variance_of_an_older_file_becomes_finite(small):
    state = safetensors.torch.load_file(small)
    name = next(name for name in state if name.endswith("running_var"))
    state[name][0] = float("inf")
    variance = load_checkpoint(changed(small, state=state)).state_dict()[name]
    assert variance[0] == torch.finfo(torch.float32).max


def test_a_variance_that_is_no_number_is_refused(small):
    state = safetensors.torch.load_file(small)
    name = next(name for name in state if name.endswith("running_var"))
    state[name][0] = float("nan")
    refuse(changed(small, state=state), f"{name} that are infinite or no numbers")


@pytest.fixture()
def hub(tmp_path, generator):
    """A server that answers as the Hugging Face Hub does, for one file of one repository."""
    data = save_checkpoint(tmp_path / "generator.safetensors", generator).read_bytes()

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self, body=False):
            if self.path != "/someone/colours/resolve/main/generator.safetensors":
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("ETag", '"abc"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def do_GET(self):
            self.do_HEAD(body=True)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_weights_from_the_hub(hub, tmp_path):
    code = "import sys; from colorize_lib.weights import find_weights; print(find_weights(sys.argv[1]))"

    def fetch(repository, **more):
        env = (
            os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "0"} | more
        )
        return subprocess.run(
            [sys.executable, "-c", code, repository], capture_output=True, text=True, env=env
        )

    found = fetch("hf-hub:someone/colours")
    path = found.stdout.strip()
    assert load_checkpoint(path).config["name"] == "chroma_unet", found.stderr
    assert fetch("hf-hub:someone/colours", HF_HUB_OFFLINE="1").stdout.strip() == path  # once is enough
    for missing in (fetch("hf-hub:someone/nothing"), fetch("hf-hub:someone/else", HF_HUB_OFFLINE="1")):
        error = missing.stderr.strip().splitlines()[-1]
        assert "CheckpointError: generator.safetensors could not be fetched" in error
        assert "check the name, or the path if you meant one" in error


def compiled(network: nn.Module) -> nn.Module:
    return torch.compile(network, backend="eager")


def parts_wrapped(network: nn.Module) -> nn.Module:
    """As those do who compile or spread a part alone."""
    network.model.down, network.model.up = compiled(network.model.down), nn.DataParallel(network.model.up)
    return network


WRAPPINGS = {
    "compile": compiled,
    "DataParallel": nn.DataParallel,
    "AveragedModel": AveragedModel,
    "compile of DataParallel": lambda network: compiled(nn.DataParallel(network)),
    "DataParallel of compile": lambda network: nn.DataParallel(compiled(network)),
    "parts": parts_wrapped,
}


@pytest.fixture()
def plain(small):
    return load_generator(small)


@pytest.fixture(params=WRAPPINGS)
def wrapped(request, plain):
    return WRAPPINGS[request.param](copy.deepcopy(plain))


def test_a_wrapped_network_saves_what_everybody_can_load(wrapped, small, tmp_path):
    assert read_header(save_checkpoint(tmp_path / "wrapped.safetensors", wrapped)) == read_header(small)


def test_weights_are_loaded_into_a_wrapped_network(wrapped, small, tmp_path):
    for value in wrapped.parameters():
        value.data.zero_()
    load_checkpoint(small, wrapped)
    assert read_header(save_checkpoint(tmp_path / "wrapped.safetensors", wrapped)) == read_header(small)


def test_a_wrapped_network_colours_as_it_does_alone(wrapped, plain, photo):
    """It is given L and its output is read as the generator itself says."""
    colours = [
        Colorizer(network, resolution=32, device="cpu")(photo[:64, :64]) for network in (wrapped, plain)
    ]
    np.testing.assert_array_equal(*colours)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "_orig_mod.module.", "module._orig_mod."])
def test_weights_whose_names_have_the_prefixes_of_wrappers_are_loaded(small, plain, prefix):
    """Versions before 0.2 wrote them."""
    state = {prefix + name: value for name, value in safetensors.torch.load_file(small).items()}
    with safetensors.safe_open(small, framework="pt") as file:
        header = file.metadata() | {"sha256": json.dumps(checksum_of(state))}
    safetensors.torch.save_file(state, small, header)
    assert load_generator(small).state_dict().keys() == plain.state_dict().keys()
