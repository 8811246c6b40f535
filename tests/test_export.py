"""What `colorize export` writes, beside the library."""

import shutil

import numpy as np
import pytest
import torch

pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from colorize_lib import Colorizer  # noqa: E402
from colorize_lib.checkpoints import save_checkpoint  # noqa: E402
from colorize_lib.cli import main  # noqa: E402
from colorize_lib.engines.export import export_network, export_photo, graph_for  # noqa: E402
from colorize_lib.inference import size_seen  # noqa: E402
from colorize_lib.models import GENERATORS, Generator, Unet, predict_ab  # noqa: E402
from colorize_lib.weights import CheckpointError, find_weights  # noqa: E402


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.fixture()
def pale(tmp_path):
    torch.manual_seed(0)
    generator = Unet(filters=4, downs=5).eval()
    generator.chroma = 0.5
    return save_checkpoint(tmp_path / "pale.safetensors", generator, resolution=64)


@pytest.mark.parametrize("half", [False, True])
def test_a_network_is_exported_with_the_factor_for_its_colours(tmp_path, pale, half):
    about = export_network(tmp_path / "pale.onnx", pale, half=half)
    assert about["resolution"] == "64"
    L = torch.rand(1, 1, 40, 50) * 2 - 1
    with torch.no_grad():
        expected = predict_ab(Colorizer(pale).generator, {"L": L}).numpy()
    found = session(tmp_path / "pale.onnx").run(["ab"], {"L": L.numpy()})[0]
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6 if not half else 2e-3)


def test_half_is_half_the_size(tmp_path, pale):
    export_network(tmp_path / "whole.onnx", pale)
    export_network(tmp_path / "half.onnx", pale, half=True)
    assert (tmp_path / "half.onnx").stat().st_size < 0.7 * (tmp_path / "whole.onnx").stat().st_size


def test_one_graph_gives_the_librarys_picture(tmp_path, pale, photo):
    export_photo(tmp_path / "photo.onnx", pale)
    cut = photo[:201, :303]
    feeds = {
        "photo": np.pad(cut, ((0, 0), (0, 0), (0, 1)), constant_values=77),
        "size": np.array(size_seen(201, 303, 64)),
        "saturation": np.array(1, np.float32),
    }
    coloured = session(tmp_path / "photo.onnx").run(["coloured"], feeds)[0]
    assert np.abs(coloured[..., :3].astype(int) - Colorizer(pale)(cut)).max() <= 1
    assert (coloured[..., 3] == 77).all()


def test_the_pages_graph_finds_its_weights_in_the_file_of_weights(tmp_path):
    """As onnxruntime reads external data by itself: by file, offset and length."""
    weights = find_weights()
    shutil.copy(weights, tmp_path)
    (tmp_path / "colours.onnx").write_bytes(graph_for(weights).SerializeToString())
    L = np.random.default_rng(0).uniform(-1, 1, (40, 50)).astype(np.float32)
    feeds = {"L": L, "size": np.array([32, 40]), "width": np.array(50)}
    found = session(tmp_path / "colours.onnx").run(["planes"], feeds)[0]
    expected = Colorizer().engine._run("colours", **feeds)[0]
    assert np.array_equal(found, expected)


def test_the_pages_graph_takes_no_other_network(pale):
    with pytest.raises(CheckpointError, match="holds another network"):
        graph_for(pale)


def test_export_overwrites_nothing(tmp_path, capsys):
    (tmp_path / "photo.onnx").write_bytes(b"mine")
    assert main(["export", "--photo", str(tmp_path / "photo.onnx")]) == 2
    assert "exists already" in capsys.readouterr().err


def test_export_asks_what_to_write(capsys):
    assert main(["export"]) == 2
    assert "--onnx FILE" in capsys.readouterr().err


class Opposite(Unet):
    """A network whose output is not ab itself."""

    def to_ab(self, output):
        return -output


class OnlyForward(Unet):
    """A network that pads its input in a way of its own."""

    forward_padded = Generator.forward_padded


@pytest.mark.parametrize(
    ("network", "reason"),
    [(Opposite, "only a network from L to ab can"), (OnlyForward, "OnlyForward has no method")],
)
def test_export_refuses_a_network_that_it_cannot_trace(tmp_path, monkeypatch, network, reason):
    monkeypatch.setitem(GENERATORS, "other", network)
    generator = network(filters=4, downs=5)
    generator.config = generator.config | {"name": "other"}
    weights = save_checkpoint(tmp_path / "other.safetensors", generator)
    with pytest.raises(CheckpointError, match=f"other.safetensors cannot be exported: {reason}"):
        export_network(tmp_path / "opposite.onnx", weights)
