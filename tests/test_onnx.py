"""The exported graphs beside the library: same photos, odd sizes, 8 bits."""

import io
import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from colorize_lib import Colorizer  # noqa: E402
from colorize_lib.checkpoints import CheckpointError, find_weights, read_header, save_checkpoint  # noqa: E402
from colorize_lib.cli import main  # noqa: E402
from colorize_lib.graphs.export import STEPS, export_network, export_steps, join_steps  # noqa: E402
from colorize_lib.graphs.light import LightColorizer  # noqa: E402
from colorize_lib.inference import size_seen  # noqa: E402
from colorize_lib.models import GENERATORS, Generator, Unet, predict_ab  # noqa: E402
from colorize_lib.photos import open_photo, save_photo  # noqa: E402

# `colorize …` in a Python that has no PyTorch.
WITHOUT_TORCH = """
import sys
sys.modules.update(dict.fromkeys(("torch", "torchvision", "timm")))
from colorize_lib.cli import main
sys.exit(main(sys.argv[1:]))
"""
SIZES = [(301, 401), (257, 255), (97, 390), (33, 29), (1, 7)]


def weights_of(steps):
    """The checksum of the weights in the graphs of a folder."""
    model = onnx.load(steps / "colours.onnx", load_external_data=False)
    return json.loads({entry.key: entry.value for entry in model.metadata_props}["sha256"])


@pytest.fixture(scope="module")
def steps(tmp_path_factory, root):
    """Those of the page, if `make web` has put it together with the weights of today: an export takes minutes."""
    page = root / "build/web/model"
    if (page / "colours.onnx").exists() and weights_of(page) == read_header(find_weights())["sha256"]:
        return page
    folder = tmp_path_factory.mktemp("steps")
    export_steps(folder)
    return folder


@pytest.fixture(scope="module")
def light(steps):
    return LightColorizer(steps)


@pytest.fixture(scope="module")
def colorizer():
    return Colorizer.from_pretrained(device="cpu")


def largest_difference(a: np.ndarray, b: np.ndarray) -> int:
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b.astype(int)).max()


@pytest.mark.parametrize("size", SIZES)
def test_steps_give_the_librarys_picture(light, colorizer, photo, size):
    cut = photo[: size[0], : size[1]]
    assert cut.shape[:2] == size
    assert largest_difference(light(cut), colorizer(cut)) <= 1


def test_steps_give_the_librarys_pictures_of_ten_photos(light, colorizer, valid_photos):
    for i, path in enumerate(valid_photos[:10]):
        cut = open_photo(path)[i:, : -1 - i]
        assert largest_difference(light(cut), colorizer(cut)) <= 1, path


def test_saturation_and_resolution(light, colorizer, photo):
    options = {"saturation": 1.7, "resolution": 199}
    assert largest_difference(light(photo, **options), colorizer(photo, **options)) <= 1
    assert largest_difference(light(photo, saturation=0), colorizer(photo, saturation=0)) <= 1


def test_one_graph_gives_the_librarys_picture(steps, colorizer, photo):
    cut = photo[:201, :303]
    session = onnxruntime.InferenceSession(join_steps(steps).SerializeToString())
    feeds = {
        "photo": np.pad(cut, ((0, 0), (0, 0), (0, 1)), constant_values=255),
        "size": np.array(size_seen(201, 303, colorizer.resolution)),
        "saturation": np.array(1, np.float32),
    }
    assert largest_difference(session.run(["coloured"], feeds)[0][..., :3], colorizer(cut)) <= 1


def test_transparency_is_passed_on(light, photo):
    alpha = np.arange(photo[..., 0].size, dtype=np.uint8).reshape(*photo.shape[:2], 1)
    coloured = light(np.concatenate([photo, alpha], axis=2))
    assert np.array_equal(coloured[..., 3:], alpha)
    assert np.array_equal(coloured[..., :3], light(photo))


def test_metadata_says_what_the_weights_header_says(steps):
    header = read_header(find_weights())
    for name in STEPS:
        model = onnx.load(steps / f"{name}.onnx")
        about = {p.key: json.loads(p.value) for p in model.metadata_props}
        assert about["resolution"] == header["resolution"]
        assert about["sha256"] == header["sha256"]


def test_light_refuses_other_arrays(light, photo):
    with pytest.raises(ValueError, match="uint8"):
        light(photo / 255.0)


def test_light_can_be_pickled(light, photo):
    assert np.array_equal(pickle.loads(pickle.dumps(light))(photo), light(photo))


@pytest.mark.parametrize("shape", ["(H, W)", "(H, W, 1)"])
def test_light_colours_grey_arrays(light, photo, shape):
    grey = photo[..., 1] if shape == "(H, W)" else photo[..., 1:2]
    assert np.array_equal(light(grey), light(photo[..., 1:2].repeat(3, axis=2)))


def test_light_colours_pil_images(light, photo):
    image = Image.fromarray(photo)
    image.putalpha(100)
    coloured = light(image)
    assert np.array_equal(np.array(coloured.convert("RGB")), light(photo))
    assert coloured.getchannel("A").getextrema() == (100, 100)


def test_light_colours_uploads(light, train_photos):
    assert np.array_equal(light(io.BytesIO(train_photos[0].read_bytes())), light(train_photos[0]))


@pytest.mark.parametrize("photo", [None, 1, [1, 2]])
def test_light_refuses_what_is_no_photo(light, photo):
    with pytest.raises(ValueError, match=f"got {type(photo).__name__}"):
        light(photo)


def test_light_names_a_missing_graph(tmp_path):
    with pytest.raises(FileNotFoundError, match="lightness.onnx is missing"):
        LightColorizer(tmp_path)


def test_light_colours_a_file(light, train_photos):
    assert np.array_equal(light(train_photos[0]), light(open_photo(train_photos[0])))


@pytest.mark.parametrize("options", [{"saturation": -1}, {"saturation": float("nan")}, {"resolution": 0}])
def test_light_refuses_what_the_library_refuses(light, colorizer, photo, options):
    with pytest.raises(ValueError) as expected:
        colorizer(photo, **options)
    with pytest.raises(ValueError) as found:
        light(photo, **options)
    assert str(found.value) == str(expected.value)


def test_light_names_a_damaged_graph(steps, tmp_path):
    shutil.copytree(steps, tmp_path / "graphs")
    (tmp_path / "graphs/paint.onnx").write_bytes(b"no graph")
    with pytest.raises(ValueError, match="paint.onnx cannot be loaded"):
        LightColorizer(tmp_path / "graphs")


@pytest.mark.parametrize("newer", [{"ir_version": 99}, {"opset": 99}], ids=str)
def test_light_names_an_onnxruntime_that_is_too_old(steps, tmp_path, newer):
    shutil.copytree(steps, tmp_path / "graphs")
    model = onnx.load(tmp_path / "graphs/lightness.onnx")
    model.ir_version = newer.get("ir_version", model.ir_version)
    model.opset_import[0].version = newer.get("opset", model.opset_import[0].version)
    onnx.save(model, tmp_path / "graphs/lightness.onnx")
    with pytest.raises(ImportError, match="1.18 or newer.: pip install --upgrade onnxruntime"):
        LightColorizer(tmp_path / "graphs")


def test_light_names_the_folder_of_other_graphs(steps, tmp_path):
    shutil.copytree(steps, tmp_path / "graphs")
    model = onnx.load(tmp_path / "graphs/colours.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "graphs/colours.onnx")
    with pytest.raises(ValueError, match="holds other graphs"):
        LightColorizer(tmp_path / "graphs")


def test_command_with_graphs_gives_the_librarys_picture(steps, colorizer, train_photos, tmp_path):
    call = [str(train_photos[0]), "--graphs", str(steps), "--format", "png", "--saturation", "1.3"]
    assert main([*call, "--resolution", "199", "-o", str(tmp_path)]) == 0
    coloured = open_photo(tmp_path / f"{train_photos[0].stem}.png")
    expected = colorizer(open_photo(train_photos[0]), saturation=1.3, resolution=199)
    assert largest_difference(coloured, expected) <= 1


def test_command_with_graphs_skips_and_counts_as_with_weights(steps, train_photos, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    shutil.copy(train_photos[0], tmp_path / "photos/one.jpg")
    (tmp_path / "photos/broken.jpg").write_bytes(b"no photo at all")
    call = [str(tmp_path / "photos"), "--graphs", str(steps), "-o", str(tmp_path / "out")]
    assert main(call) == 1
    said = capsys.readouterr()
    assert "1 photo coloured" in said.out
    assert "1 skipped" in said.out
    assert "broken.jpg is not an image" in said.err
    assert main(call) == 1
    assert "1 there already" in capsys.readouterr().out


def test_command_with_graphs_refuses_16_bits(steps, photo, tmp_path, capsys):
    scan = save_photo(tmp_path / "scan.png", photo.astype(np.uint16) * 257)
    assert main([str(scan), "--graphs", str(steps), "-o", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "scan.png cannot be coloured (it has 16 bits" in line
    assert not list((tmp_path / "out").glob("*"))


def test_graphs_exclude_weights_and_a_device(steps, train_photos, tmp_path, capsys):
    call = [str(train_photos[0]), "--graphs", str(steps), "-o", str(tmp_path)]
    with pytest.raises(SystemExit):
        main([*call, "--weights", "l1"])
    assert "not allowed with argument" in capsys.readouterr().err
    assert main([*call, "--device", "cpu"]) == 2
    assert "leave out --device" in capsys.readouterr().err


def without_torch(*arguments):
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_command_colours_where_there_is_no_torch(steps, light, train_photos, tmp_path):
    run = without_torch(train_photos[0], "--graphs", steps, "--format", "png", "-o", tmp_path)
    assert run.returncode == 0, run.stderr
    coloured = open_photo(tmp_path / f"{train_photos[0].stem}.png")
    assert np.array_equal(coloured, light(train_photos[0]))


def test_command_without_torch_and_graphs_says_what_helps(train_photos, tmp_path):
    run = without_torch(train_photos[0], "-o", tmp_path)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert "pip install torch torchvision, or colour with --graphs" in line


def test_help_needs_no_torch():
    run = without_torch("--help")
    assert run.returncode == 0
    assert "--graphs DIR" in run.stdout


def test_doctor_needs_no_torch():
    run = without_torch("doctor")
    assert run.returncode == 1
    assert "PyTorch cannot be loaded" in run.stdout


def test_export_overwrites_nothing(steps, capsys):
    assert main(["export", "--steps", str(steps)]) == 2
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


def test_a_network_is_exported_with_the_factor_for_its_colours(tmp_path):
    generator = Unet(filters=4, downs=5).eval()
    generator.chroma = 0.5
    weights = save_checkpoint(tmp_path / "pale.safetensors", generator)
    export_network(tmp_path / "pale.onnx", weights)
    session = onnxruntime.InferenceSession(tmp_path / "pale.onnx", providers=["CPUExecutionProvider"])
    L = torch.rand(1, 1, 40, 50) * 2 - 1
    with torch.no_grad():
        expected = predict_ab(generator, {"L": L}).numpy()
    assert session.run(["ab"], {"L": L.numpy()})[0] == pytest.approx(expected, rel=1e-3, abs=1e-6)
