"""A generator, or the whole way from grey photo to colour photo, as ONNX graphs of any size.

The graphs are traced from the very functions that colour a photo in Python, so
there is no second copy of the colour mathematics.  Needs the extra `onnx`.

Three small graphs, `STEPS`, colour a photo of any size in little memory, some rows at
a time; `light.LightColorizer` and the web page call them in this order:

| graph | in | out |
| --- | --- | --- |
| `lightness` | photo (n, W, 4) uint8, width () int64 | L (n, w): the rows' lightness, scaled to that width |
| `colours` | L (H, w), size (2,) int64 = (h, w), width () int64 = W | planes (5, h, W), rows (H, h) |
| `paint` | photo (n, W, 4) uint8, planes (5, h, W), rows (n, h), saturation () | coloured (n, W, 4) uint8 |

A photo is RGBA, as a browser has it; the transparency is passed on.  `planes` are ab, its slope
and the blurred L, scaled up in width; `rows` says how they are scaled up in height.
"""

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.export import Dim

from .checkpoints import find_weights, load_pretrained
from .color import rgb_to_L
from .colorizer import RESOLUTION, paint, scaling_matrix, slope_of_colour
from .files import write_whole
from .models.precision import InFloat32

if TYPE_CHECKING:
    import onnx

OPSET = 20
STEPS = ("lightness", "colours", "paint")
LARGEST = 1 << 16  # pixels a side


class Lightness(nn.Module):
    """(n, W, 4) uint8, () int64 → L (n, w)."""

    def forward(self, photo: Tensor, width: Tensor) -> Tensor:
        L = rgb_to_L(_rgb(photo))
        return F.interpolate(L, (L.shape[2], _size(width)), mode="bilinear", antialias=True)[0, 0]


class Colours(nn.Module):
    """L (H, w), (h, w), W → planes (5, h, W), rows (H, h)."""

    def __init__(self, generator: nn.Module, chroma: float):
        super().__init__()
        self.generator = generator
        self.chroma = chroma

    def forward(self, L: Tensor, size: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        height = _size(size[0])
        small = F.interpolate(L[None, None], (height, _size(size[1])), mode="bilinear", antialias=True)
        planes = F.interpolate(self.planes(small), (height, _size(width)), mode="bicubic", antialias=True)
        return planes[0], scaling_matrix(height, L.shape[0])

    def planes(self, small: Tensor) -> Tensor:
        """(1, 1, h, w) → (1, 5, h, w)"""
        ab = self.generator(small) * self.chroma
        return torch.cat([ab, slope_of_colour(small, ab), small], dim=1)


class Paint(nn.Module):
    """(n, W, 4) uint8, planes (5, h, W), rows (n, h), () → (n, W, 4) uint8."""

    def forward(self, photo: Tensor, planes: Tensor, rows: Tensor, saturation: Tensor) -> Tensor:
        L = rgb_to_L(_rgb(photo))
        near = (rows != 0).any(dim=0).nonzero().flatten()  # the few rows of `planes` that matter to these
        return painted(photo, L, (rows[:, near] @ planes[:, near])[None], saturation)


class WholePhoto(nn.Module):
    """(H, W, 4) uint8, (h, w), () → (H, W, 4) uint8: the three steps in one."""

    def __init__(self, generator: nn.Module, chroma: float):
        super().__init__()
        self.colours = Colours(generator, chroma)

    def forward(self, photo: Tensor, size: Tensor, saturation: Tensor) -> Tensor:
        L = rgb_to_L(_rgb(photo))
        small = F.interpolate(L, (_size(size[0]), _size(size[1])), mode="bilinear", antialias=True)
        planes = self.colours.planes(small)
        planes = F.interpolate(planes, L.shape[2:], mode="bicubic", antialias=True)
        return painted(photo, L, planes, saturation)


def painted(photo: Tensor, L: Tensor, planes: Tensor, saturation: Tensor) -> Tensor:
    """(n, W, 4) uint8 with the colours of `planes`, (1, 5, n, W)."""
    ab, slope, blurred = planes.split([2, 2, 1], dim=1)
    rgb = paint(L, ab * saturation, slope * saturation, blurred)
    return torch.cat([(rgb * 255).round().to(torch.uint8)[0].permute(1, 2, 0), photo[..., 3:]], dim=-1)


def export_network(path: str | Path, weights: str | Path = "best", *, half: bool = False) -> dict[str, str]:
    """Write a generator as ONNX: `L` (1, 1, H, W) in [-1, 1] → `ab` (1, 2, H, W), of any H and W.

    L and ab are scaled as in `color`; ab comes as the generator gives it, without the factor
    `chroma` of the metadata.

    Args:
        path: where to; an existing file is replaced.
        weights: what `find_weights` takes.
        half: store the weights as float16; they are computed with in float32.

    Returns:
        The file's metadata: resolution, chroma, sha256 (of the weights), config, made_by; values are JSON.

    Raises:
        CheckpointError: if there are no such weights.
        ImportError: without the extra `onnx`.
    """
    generator, about = _load(weights)
    height, width = Dim("height", min=1, max=LARGEST), Dim("width", min=1, max=LARGEST)
    traced = _trace(exportable(generator), {"L": torch.rand(1, 1, 77, 45)}, ["ab"], {"L": {2: height, 3: width}})
    _write(traced, Path(path), about, half)
    return about


def export_photo(path: str | Path, weights: str | Path = "best", *, half: bool = False) -> dict[str, str]:
    """Write the whole way as one ONNX graph, for hosts that have the memory and want one call.

    `photo` (H, W, 4) uint8, `size` (2,) int64, `saturation` () → `coloured` (H, W, 4) uint8.
    `size` is that at which the network sees the photo: `colorizer.size_seen`.

    Args, returns, raises: as `export_network`.
    """
    generator, about = _load(weights)
    height, width = Dim("height", min=1, max=LARGEST), Dim("width", min=1, max=LARGEST)
    inputs = {"photo": _photo(77, 45), "size": torch.tensor([40, 24]), "saturation": torch.tensor(1.0)}
    traced = _trace(
        WholePhoto(exportable(generator), json.loads(about["chroma"])),
        inputs,
        ["coloured"],
        {"photo": {0: height, 1: width}, "size": {}, "saturation": {}},
    )
    _write(traced, Path(path), about, half)
    return about


def export_steps(folder: str | Path, weights: str | Path = "best", *, half: bool = True) -> dict[str, str]:
    """Write the three graphs `STEPS` into a folder: NAME.onnx each; see the table above.

    Args, returns, raises: as `export_network`.
    """
    generator, about = _load(weights)
    n, height, width = (Dim(name, min=1, max=LARGEST) for name in ("n", "height", "width"))
    h, w = Dim("h", min=1, max=LARGEST), Dim("w", min=1, max=LARGEST)
    traced = {
        "lightness": _trace(
            Lightness(), {"photo": _photo(20, 31), "width": torch.tensor(17)}, ["L"],
            {"photo": {0: n, 1: width}, "width": {}},
        ),
        "colours": _trace(
            Colours(exportable(generator), json.loads(about["chroma"])),
            {"L": torch.rand(200, 45), "size": torch.tensor([67, 45]), "width": torch.tensor(134)},
            ["planes", "rows"],
            {"L": {0: height, 1: w}, "size": {}, "width": {}},
        ),
        "paint": _trace(
            Paint(),
            {"photo": _photo(20, 31), "planes": torch.rand(5, 13, 31), "rows": torch.rand(20, 13),
             "saturation": torch.tensor(1.0)},
            ["coloured"],
            {"photo": {0: n, 1: width}, "planes": {1: h, 2: width}, "rows": {0: n, 1: h}, "saturation": {}},
        ),
    }  # fmt: skip
    for name in STEPS:
        _write(traced[name], Path(folder) / f"{name}.onnx", about, half)
    return about


def _load(weights: str | Path) -> tuple[nn.Module, dict[str, str]]:
    path = find_weights(weights)
    generator, header = load_pretrained(path)
    about = header | {"resolution": header["resolution"] or RESOLUTION, "weights": path.stem}
    return generator, {key: json.dumps(value) for key, value in about.items()}


def _trace(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], sizes: dict) -> "onnx.ModelProto":
    """Trace a module for every size; the values of `inputs` do not matter, the names of its arguments do."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError("exporting needs ONNX: pip install 'colorize_lib[onnx]'") from error
    with torch.no_grad():
        program = torch.export.export(
            module.eval(), (), inputs, dynamic_shapes=sizes, prefer_deferred_runtime_asserts_over_guards=True
        )
        return torch.onnx.export(
            program, input_names=list(inputs), output_names=outputs, opset_version=OPSET, verbose=False
        ).model_proto


def _write(model: "onnx.ModelProto", path: Path, about: dict[str, str], half: bool) -> None:
    import onnx

    onnx.helper.set_model_props(model, about)
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]  # where in which file each was traced
    if half:
        _halve(model.graph)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, model.SerializeToString())


def _halve(graph: "onnx.GraphProto") -> None:
    """Store the large float32 weights as float16; a runtime widens them once, when it loads the graph."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for i, tensor in enumerate(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype == "float32" and values.size >= 256:
            stored = f"{tensor.name}.float16"
            graph.initializer[i].CopyFrom(numpy_helper.from_array(values.astype("float16"), stored))
            casts.append(helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _photo(height: int, width: int) -> Tensor:
    return torch.zeros(height, width, 4, dtype=torch.uint8)


def _rgb(photo: Tensor) -> Tensor:
    """(n, W, 4) → (1, 3, n, W), of RGBA."""
    return photo.index_select(-1, torch.arange(3)).permute(2, 0, 1)[None]


class SameConv2d(nn.Conv2d):
    """TensorFlow's `same` padding where the input's sides are multiples of the stride: it does not depend on them."""

    def forward(self, x: Tensor) -> Tensor:
        (across, down) = (size - stride for size, stride in zip(self.kernel_size, self.stride, strict=True))
        before = (down // 2, down - down // 2, across // 2, across - across // 2)
        return self._conv_forward(F.pad(x, before), self.weight, self.bias)


def exportable(generator: nn.Module) -> nn.Module:
    """A copy that computes the same, of layers that can be traced for every size in little time."""
    generator = copy.deepcopy(generator).cpu().eval().to(memory_format=torch.contiguous_format)
    for module in generator.modules():
        if isinstance(module, Conv2dSame):  # run_padded makes all sides multiples of all strides
            module.__class__ = SameConv2d
        elif isinstance(module, InFloat32):
            module.__class__ = nn.Conv2d
    return generator


def _size(size: Tensor) -> int:
    size = size.item()
    torch._check(size >= 1)
    torch._check(size <= LARGEST)
    return size
