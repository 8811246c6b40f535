"""The exported graphs beside the library: same photos, odd sizes, 8 bits."""

import json

import numpy as np
import pytest

pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from colorize_lib import Colorizer  # noqa: E402
from colorize_lib.checkpoints import CheckpointError, find_weights, read_header, save_checkpoint  # noqa: E402
from colorize_lib.cli import main  # noqa: E402
from colorize_lib.colorizer import size_seen  # noqa: E402
from colorize_lib.export import STEPS, export_network, export_steps, join_steps  # noqa: E402
from colorize_lib.light import LightColorizer  # noqa: E402
from colorize_lib.models import GENERATORS, Unet  # noqa: E402
from colorize_lib.photos import open_photo  # noqa: E402

SIZES = [(301, 401), (257, 255), (97, 390), (33, 29), (1, 7)]


@pytest.fixture(scope="module")
def steps(tmp_path_factory, root):
    """Those of the page, if `make web` has put it together: an export takes minutes."""
    page = root / "build/web/model"
    if (page / "colours.onnx").exists():
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
        assert about["chroma"] == header["chroma"]
        assert about["sha256"] == header["sha256"]


def test_light_refuses_other_arrays(light, photo):
    with pytest.raises(ValueError, match="uint8"):
        light(photo / 255.0)


def test_light_names_a_missing_graph(tmp_path):
    with pytest.raises(FileNotFoundError, match="lightness.onnx is missing"):
        LightColorizer(tmp_path)


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


def test_export_refuses_a_network_whose_output_is_not_ab(tmp_path, monkeypatch):
    monkeypatch.setitem(GENERATORS, "opposite", Opposite)
    generator = Opposite(filters=4, downs=5)
    generator.config = generator.config | {"name": "opposite"}
    weights = save_checkpoint(tmp_path / "opposite.safetensors", generator)
    with pytest.raises(CheckpointError, match="opposite.safetensors cannot be exported"):
        export_network(tmp_path / "opposite.onnx", weights)
