"""Two engines, one picture: PyTorch, and onnxruntime with the graphs and the same file of weights."""

import json
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

onnxruntime = pytest.importorskip("onnxruntime")

from colorize_lib import Colorizer  # noqa: E402
from colorize_lib.checkpoints import load_generator, save_checkpoint  # noqa: E402
from colorize_lib.engines.graphs import DRAWN, GRAPHS, GraphEngine  # noqa: E402
from colorize_lib.engines.pytorch import PyTorchEngine  # noqa: E402
from colorize_lib.models import Unet, build_generator  # noqa: E402
from colorize_lib.photos import open_photo, save_photo  # noqa: E402
from colorize_lib.weights import WEIGHTS, CheckpointError, find_weights, read_file  # noqa: E402

# `colorize …` in a Python that has no PyTorch.
WITHOUT_TORCH = """
import sys
sys.modules.update(dict.fromkeys(("torch", "torchvision", "timm")))
from colorize_lib.cli import main
sys.exit(main(sys.argv[1:]))
"""
SIZES = [(301, 401), (257, 255), (97, 390), (33, 29), (1, 7)]


@pytest.fixture(scope="module")
def graphs():
    return GraphEngine.of(find_weights())


@pytest.fixture(scope="module")
def pytorch():
    return PyTorchEngine(find_weights(), "cpu")


def largest_difference(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return np.abs(a.astype(float) - b).max()


@pytest.mark.parametrize("size", SIZES)
def test_both_give_the_same_picture_of_any_size(graphs, pytorch, photo, size):
    cut = photo[: size[0], : size[1]]
    assert cut.shape[:2] == size
    assert largest_difference(graphs.colour(cut, 1, 256), pytorch.colour(cut, 1, 256)) <= 1


def test_both_give_the_same_pictures_of_ten_photos(graphs, pytorch, valid_photos):
    for i, path in enumerate(valid_photos[:10]):
        cut = open_photo(path)[i:, : -1 - i]
        assert largest_difference(graphs.colour(cut, 1, 256), pytorch.colour(cut, 1, 256)) <= 1, path


@pytest.mark.parametrize(("saturation", "resolution"), [(1.7, 199), (0, 256)])
def test_saturation_and_resolution(graphs, pytorch, photo, saturation, resolution):
    expected = pytorch.colour(photo, saturation, resolution)
    assert largest_difference(graphs.colour(photo, saturation, resolution), expected) <= 1


# What 8 bits round away shows in 16: float32 sums 5 numbers to 1e-6 of themselves, a thousandth of a level of 8 bits.
@pytest.mark.parametrize(
    ("dtype", "top", "bound"),
    [(np.uint16, 65535, 16), (np.float16, 1, 2e-3), (np.float32, 1, 2e-4), (np.float64, 1, 2e-4)],
)
def test_every_depth(graphs, pytorch, photo, dtype, top, bound):
    deep = (photo / 255 * top).astype(dtype)
    coloured = graphs.colour(deep, 1, 256)
    assert coloured.dtype == dtype
    assert largest_difference(coloured, pytorch.colour(deep, 1, 256)) <= bound


def test_grey_and_transparency(graphs, pytorch, photo):
    grey = photo[..., 1:2]
    assert largest_difference(graphs.colour(grey, 1, 256), pytorch.colour(grey, 1, 256)) <= 1
    alpha = np.arange(photo[..., 0].size, dtype=np.uint8).reshape(*photo.shape[:2], 1)
    coloured = graphs.colour(np.concatenate([photo, alpha], axis=2), 1, 256)
    assert np.array_equal(coloured[..., 3:], alpha)
    assert np.array_equal(coloured[..., :3], graphs.colour(photo, 1, 256))


@pytest.mark.parametrize("name", ["l1", "adversarial"])
def test_bundled_weights_start_without_pytorch(name):
    assert isinstance(Colorizer(name).engine, GraphEngine)


def test_the_graph_is_of_the_bundled_network():
    assert read_file(WEIGHTS / "adversarial.safetensors", "np", tensors=False)[0]["config"] == DRAWN["config"]


def test_weights_of_ones_own_run_too_the_factor_for_their_colours_included(tmp_path, photo):
    torch.manual_seed(0)
    own = build_generator("chroma_unet", pretrained=False)
    torch.nn.init.normal_(own.head.weight, std=0.5)
    own.chroma = 0.5
    path = save_checkpoint(tmp_path / "own.safetensors", own)
    colorizer = Colorizer(path, 128)
    assert isinstance(colorizer.engine, GraphEngine)
    expected = colorizer.pytorch.colour(photo, 1, 128)
    assert np.ptp(expected, axis=2).mean() > 20
    assert largest_difference(colorizer(photo), expected) <= 1


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), None])
def test_a_named_cpu_is_no_reason_for_pytorch(device):
    assert isinstance(Colorizer(device=device).engine, GraphEngine)


def a_network_of_another_kind(path):
    return save_checkpoint(path, Unet(filters=4, downs=5))


def test_another_network_is_pytorchs(tmp_path, photo):
    path = a_network_of_another_kind(tmp_path / "weights.safetensors")
    with warnings.catch_warnings(action="error"):
        colorizer = Colorizer(path, 64)
    assert isinstance(colorizer.engine, PyTorchEngine)
    assert colorizer(photo).shape == photo.shape


def test_weights_in_bfloat16_colour_whatever_numpy_makes_of_them(tmp_path, photo):
    path = save_checkpoint(tmp_path / "weights.safetensors", load_generator("l1"), dtype=torch.bfloat16)
    colorizer = Colorizer(path, 64)
    assert largest_difference(colorizer(photo), colorizer.pytorch.colour(photo, 1, 64)) <= 1


def test_without_onnxruntime_pytorch_does(monkeypatch, photo):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    colorizer = Colorizer()
    assert isinstance(colorizer.engine, PyTorchEngine)


def test_an_onnxruntime_that_cannot_is_told_and_pytorch_does(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("Unsupported model IR version: 10, max supported IR version: 9")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fails)
    with pytest.warns(UserWarning, match="onnxruntime cannot be used here .*IR version.* PyTorch is"):
        assert isinstance(Colorizer().engine, PyTorchEngine)


def test_damaged_weights_are_told(tmp_path):
    path = tmp_path / "weights.safetensors"
    content = bytearray(find_weights().read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="do not match their checksum"):
        Colorizer(path)


def test_a_colorizer_can_be_pickled(photo):
    colorizer = Colorizer()
    assert np.array_equal(pickle.loads(pickle.dumps(colorizer))(photo), colorizer(photo))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has none")
def test_a_forked_process_colours():
    """The threads of onnxruntime do not survive a fork."""
    code = (
        "import os, sys, numpy as np; from colorize_lib import Colorizer; colorizer = Colorizer()\n"
        "photo = np.zeros((99, 99, 3), np.uint8); colorizer(photo)\n"
        "child = os.fork()\n"
        "if not child: os._exit(colorizer(photo).shape != photo.shape)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "2"}, timeout=600).returncode == 0


def without_torch(*arguments):
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_loads_no_pytorch(train_photos, tmp_path):
    code = (
        "import sys; from colorize_lib.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(train_photos[0]), "-o", str(tmp_path)]
    assert subprocess.run(command).returncode == 0
    assert (tmp_path / train_photos[0].name).exists()


@pytest.mark.parametrize("bits", [8, 16])
def test_the_command_colours_where_there_is_no_pytorch(photo, tmp_path, bits):
    pixels = photo if bits == 8 else photo.astype(np.uint16) * 257
    source = save_photo(tmp_path / "photo.png", pixels)
    run = without_torch(source, "-o", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    assert np.array_equal(open_photo(tmp_path / "out/photo.png"), Colorizer()(pixels))


def test_the_command_says_what_needs_pytorch(train_photos, tmp_path):
    path = a_network_of_another_kind(tmp_path / "own.safetensors")
    run = without_torch(train_photos[0], "--weights", path, "-o", tmp_path)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "pip install torch torchvision" in line


def test_help_needs_no_pytorch():
    run = without_torch("--help")
    assert run.returncode == 0
    assert "--weights NAME" in run.stdout


def test_doctor_needs_no_pytorch():
    run = without_torch("doctor")
    assert run.returncode == 1
    assert "PyTorch cannot be loaded" in run.stdout
    assert "checksums verified" in run.stdout


def test_the_graph_has_no_weights_of_its_own():
    assert sum(path.stat().st_size for path in GRAPHS.glob("*.onnx")) < 200_000
    assert json.loads((GRAPHS / "colours.json").read_text())["weights"] == DRAWN["weights"]
    assert len(DRAWN["weights"]) > 300
