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
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.export import Dim

from ..checkpoints import CheckpointError, find_weights, load_pretrained
from ..color import rgb_to_L
from ..colorizer import RESOLUTION, paint, slope_of_colour
from ..files import write_whole
from ..inference import STEPS
from ..models import Generator
from ..models.precision import InFloat32

try:
    import onnx
    import onnxscript  # noqa: F401  # torch exports with it
    from onnx import TensorProto, compose, helper, numpy_helper
except ImportError as error:
    raise ImportError("colorize export needs ONNX: pip install 'colorize_lib[onnx]'") from error

OPSET = 20
GRAPHS = Path(__file__).parent  # what does not depend on the weights, traced by this file
LARGEST = 1 << 16  # pixels a side


class Lightness(nn.Module):
    """(n, W, 4) uint8, () int64 → L (n, w)."""

    def forward(self, photo: Tensor, width: Tensor) -> Tensor:
        L = rgb_to_L(_rgb(photo))
        return F.interpolate(L, (L.shape[2], _size(width)), mode="bilinear", antialias=True)[0, 0]


class Padded(nn.Module):
    """L (1, 1, H, W), sides that are multiples of the generator's → ab as it is painted, without padding and cutting."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.generator = generator

    def forward(self, padded: Tensor) -> Tensor:
        return self.generator.forward_padded(padded) * self.generator.chroma


class Slope(nn.Module):
    """L (1, 1, h, w), ab (1, 2, h, w) → planes (1, 5, h, w): ab, its slope, L."""

    def forward(self, L: Tensor, ab: Tensor) -> Tensor:
        return torch.cat([ab, slope_of_colour(L, ab), L], dim=1)


class Paint(nn.Module):
    """(n, W, 4) uint8, planes (5, h, W), rows (n, h), () → (n, W, 4) uint8."""

    def forward(self, photo: Tensor, planes: Tensor, rows: Tensor, saturation: Tensor) -> Tensor:
        L = rgb_to_L(_rgb(photo))
        near = (rows != 0).any(dim=0).nonzero().flatten()  # the few rows of `planes` that matter to these
        return painted(photo, L, (rows[:, near] @ planes[:, near])[None], saturation)


def painted(photo: Tensor, L: Tensor, planes: Tensor, saturation: Tensor) -> Tensor:
    """(n, W, 4) uint8 with the colours of `planes`, (1, 5, n, W)."""
    ab, slope, blurred = planes.split([2, 2, 1], dim=1)
    rgb = paint(L, ab * saturation, slope * saturation, blurred)
    return torch.cat([(rgb * 255).round().to(torch.uint8)[0].permute(1, 2, 0), photo[..., 3:]], dim=-1)


def export_network(path: str | Path, weights: str | Path = "best", *, half: bool = False) -> dict[str, str]:
    """Write a generator as ONNX: `L` (1, 1, H, W) in [-1, 1] → `ab` (1, 2, H, W), of any H and W.

    L and ab are scaled as in `color`; ab is what `Colorizer` paints, the generator's `chroma` included.

    Args:
        path: file to write; an existing file is replaced.
        weights: name, path or Hub id of weights, as `find_weights` takes it.
        half: store the weights as float16, in half the space; the graph computes in float32. The
            exporter has folded the norms into them, so this changes some 8-bit values: of ten photos, 0.7 %
            by more than 1, the largest by 6.

    Returns:
        The file's metadata: resolution, sha256 (of the weights), config, made_by; values are JSON.

    Raises:
        CheckpointError: if there are no such weights.
        ImportError: without the extra `onnx`.
    """
    generator, about = _load(weights)
    graph = _glue(
        "float[1, 1, height, width] L",
        "float[1, 2, height, width] ab",
        """
        shape = Shape <start = 2> (L)
        """
        + AROUND_NETWORK.replace("SMALL", "L").replace("MULTIPLE", str(generator.multiple)),
    )
    _insert(graph, "network", trace_network(generator))
    _write(graph, Path(path), about, half)
    return about


def export_steps(folder: str | Path, weights: str | Path = "best", *, half: bool = False) -> dict[str, str]:
    """Write the three graphs `STEPS` into a folder, as NAME.onnx: see the table above.

    `lightness` and `paint` are the same for all weights; they come with the library (`trace_paint`
    and `trace_lightness` make them, in minutes).

    Args, returns, raises: as `export_network`.
    """
    generator, about = _load(weights)
    for name in ("lightness", "paint"):
        _write(onnx.load(GRAPHS / f"{name}.onnx"), Path(folder) / f"{name}.onnx", about, half=False)
    graph = _glue(
        "float[H, w] L, int64[2] size, int64 width",
        "float[5, h, W] planes, float[H, h] rows",
        BEFORE_NETWORK
        + AROUND_NETWORK.replace("SMALL", "small").replace("MULTIPLE", str(generator.multiple))
        + AFTER_NETWORK,
    )
    _insert(graph, "network", trace_network(generator))
    _insert(graph, "slope", trace_slope(), {"L": "small", "planes": "planes4"})
    _write(graph, Path(folder) / "colours.onnx", about, half)
    return about


def export_photo(path: str | Path, weights: str | Path = "best", *, half: bool = False) -> dict[str, str]:
    """Write the whole way as one graph, for hosts that have the memory and want one call.

    `photo` (H, W, 4) uint8, `size` (2,) int64, `saturation` () → `coloured` (H, W, 4) uint8.
    `size` is that at which the network sees the photo: `inference.size_seen`.

    Args, returns, raises: as `export_network`.
    """
    with tempfile.TemporaryDirectory(prefix="colorize.") as folder:
        about = export_steps(folder, weights, half=half)
        _write(join_steps(folder), Path(path), about, half=False)
    return about


def join_steps(folder: str | Path) -> onnx.ModelProto:
    """The three graphs of `export_steps` as one: see `export_photo`."""
    graph = _glue(
        "uint8[H, W, 4] photo, int64[2] size, float saturation",
        "uint8[H, W, 4] coloured",
        """
        one = Constant <value_int = 1> ()
        photo_size = Shape(photo)
        width = Gather(photo_size, one)
        small_width = Gather(size, one)
        """,
    )
    lightness, colours, paint = (onnx.load(Path(folder) / f"{name}.onnx") for name in STEPS)
    _insert(graph, "lightness", lightness, {"width": "small_width"})
    _insert(graph, "colours", colours)
    _insert(graph, "paint", paint)
    return graph


# What surrounds a network whose input's sides must be multiples: SMALL, of the size `shape`, to `ab`.
AROUND_NETWORK = """
    multiple = Constant <value_ints = [MULTIPLE]> ()
    almost = Constant <value_ints = [1]> ()
    one_less = Sub(multiple, almost)
    more = Add(shape, one_less)
    blocks = Div(more, multiple)
    padded_size = Mul(blocks, multiple)
    extra = Sub(padded_size, shape)
    no_pad = Constant <value_ints = [0, 0, 0, 0, 0, 0]> ()
    pads = Concat <axis = 0> (no_pad, extra)
    padded = Pad <mode = "edge"> (SMALL, pads)
    from_start = Constant <value_ints = [0, 0]> ()
    sides = Constant <value_ints = [2, 3]> ()
    ab = Slice(padded_ab, from_start, shape, sides)
"""

# What `colours` does before it: L is scaled down to `small`.
BEFORE_NETWORK = """
    shape = Identity(size)
    all_of = Constant <value_ints = [0, 1]> ()
    L4 = Unsqueeze(L, all_of)
    ones = Constant <value_ints = [1, 1]> ()
    small_size = Concat <axis = 0> (ones, size)
    small = Resize <mode = "linear", antialias = 1, exclude_outside = 1> (L4, , , small_size)
"""

# And after it: the planes are scaled up in width; `rows` is made, which scales them up in height.
AFTER_NETWORK = """
    first = Constant <value_ints = [0]> ()
    second = Constant <value_ints = [1]> ()
    h = Slice(size, first, second)
    five = Constant <value_ints = [1, 5]> ()
    wide = Unsqueeze(width, first)
    wide_size = Concat <axis = 0> (five, h, wide)
    wide_planes = Resize <mode = "cubic", antialias = 1, exclude_outside = 1, cubic_coeff_a = -0.5> (planes4, , , wide_size)
    planes = Squeeze(wide_planes, first)
    square = Concat <axis = 0> (h, h)
    blank = ConstantOfShape(square)
    eye = EyeLike(blank)
    eye4 = Unsqueeze(eye, all_of)
    L_size = Shape(L)
    H = Slice(L_size, first, second)
    tall_size = Concat <axis = 0> (ones, h, H)
    tall = Resize <mode = "cubic", antialias = 1, exclude_outside = 1, cubic_coeff_a = -0.5> (eye4, , , tall_size)
    tall2 = Squeeze(tall, all_of)
    rows = Transpose <perm = [1, 0]> (tall2)
"""


def trace_network(generator: Generator) -> onnx.ModelProto:
    """`padded` (1, 1, H, W) → `padded_ab` (1, 2, H, W), for sides that are multiples of the generator's."""
    multiple = generator.multiple
    height, width = (multiple * Dim(name, min=1, max=LARGEST // multiple) for name in ("rows", "columns"))
    example = {"padded": torch.rand(1, 1, 3 * multiple, 5 * multiple)}
    sizes = {"padded": {2: height, 3: width}}
    return _trace(Padded(exportable(generator)), example, ["padded_ab"], sizes)


def trace_slope() -> onnx.ModelProto:
    h, w = Dim("h", min=1, max=LARGEST), Dim("w", min=1, max=LARGEST)
    example = {"L": torch.rand(1, 1, 5, 7), "ab": torch.rand(1, 2, 5, 7)}
    return _trace(Slope(), example, ["planes"], {"L": {2: h, 3: w}, "ab": {2: h, 3: w}})


def trace_lightness() -> onnx.ModelProto:
    n, width = (Dim(name, min=1, max=LARGEST) for name in ("n", "width"))
    example = {"photo": _photo(20, 31), "width": torch.tensor(17)}
    return _trace(Lightness(), example, ["L"], {"photo": {0: n, 1: width}, "width": {}})


def trace_paint() -> onnx.ModelProto:
    n, width, h = (Dim(name, min=1, max=LARGEST) for name in ("n", "width", "h"))
    example = {
        "photo": _photo(20, 31),
        "planes": torch.rand(5, 13, 31),
        "rows": torch.rand(20, 13),
        "saturation": torch.tensor(1.0),
    }
    sizes = {"photo": {0: n, 1: width}, "planes": {1: h, 2: width}, "rows": {0: n, 1: h}, "saturation": {}}
    return _trace(Paint(), example, ["coloured"], sizes)


def _glue(inputs: str, outputs: str, nodes: str) -> onnx.ModelProto:
    """A graph in ONNX's textual syntax; what is missing is `_insert`ed."""
    opsets = f'<ir_version: 10, opset_import: ["" : {OPSET}], producer_name: "colorize_lib">'
    return onnx.parser.parse_model(f"{opsets} graph ({inputs}) => ({outputs}) {{ {nodes} }}")


def _insert(
    model: onnx.ModelProto, name: str, part: onnx.ModelProto, wires: dict[str, str] | None = None
) -> None:
    """Put the nodes and weights of `part` into a graph; its inputs and outputs are joined by name, or as `wires` says."""
    ends = [*part.graph.input, *part.graph.output]
    outer = {end.name: (wires or {}).get(end.name, end.name) for end in ends}
    inner = compose.add_prefix(part, f"{name}/").graph
    before = [
        helper.make_node("Identity", [outer[end.name]], [f"{name}/{end.name}"]) for end in part.graph.input
    ]
    after = [
        helper.make_node("Identity", [f"{name}/{end.name}"], [outer[end.name]]) for end in part.graph.output
    ]
    graph = model.graph
    graph.initializer.extend(inner.initializer)
    nodes = _in_order(
        [*graph.node, *before, *inner.node, *after], {i.name for i in (*graph.input, *graph.initializer)}
    )
    del graph.node[:]
    graph.node.extend(nodes)


def _in_order(nodes: list, known: set[str]) -> list:
    """Nodes, each after those whose outputs it takes, as ONNX asks; what is yet to be inserted comes last."""
    ordered = []
    while nodes:
        ready = [node for node in nodes if all(not name or name in known for name in node.input)]
        if not ready:
            return ordered + nodes
        ordered += ready
        known |= {name for node in ready for name in node.output}
        nodes = [node for node in nodes if node not in ready]
    return ordered


def _load(weights: str | Path) -> tuple[Generator, dict[str, str]]:
    path = find_weights(weights)
    generator, header = load_pretrained(path)
    kind = type(generator)
    if kind.to_ab is not Generator.to_ab or kind.inputs is not Generator.inputs:
        raise CheckpointError(
            f"{path} cannot be exported: only a network from L to ab can, and {kind.__name__} is none"
        )
    if kind.forward_padded is Generator.forward_padded:
        raise CheckpointError(f"{path} cannot be exported: {kind.__name__} has no method forward_padded")
    about = header | {"resolution": header["resolution"] or RESOLUTION, "weights": path.stem}
    del about["chroma"]  # it is in the graph
    return generator, {key: json.dumps(value) for key, value in about.items()}


def _trace(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], sizes: dict) -> onnx.ModelProto:
    """Trace a module for every size; the values of `inputs` do not matter, the names of its arguments do."""
    with torch.no_grad():
        program = torch.export.export(
            module.eval(), (), inputs, dynamic_shapes=sizes, prefer_deferred_runtime_asserts_over_guards=True
        )
        onnx_program = torch.onnx.export(
            program, input_names=list(inputs), output_names=outputs, opset_version=OPSET, verbose=False
        )
    return onnx_program.model_proto  # pyright: ignore[reportOptionalMemberAccess]  # None only for a file


def _write(model: onnx.ModelProto, path: Path, about: dict[str, str], half: bool) -> None:
    onnx.helper.set_model_props(model, about)
    for part in (
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.initializer,
        *model.graph.input,
        *model.graph.output,
    ):
        del part.metadata_props[:]  # where in which file each was traced
    if half:
        _halve(model.graph)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, model.SerializeToString())


def _halve(graph: onnx.GraphProto) -> None:
    """Store the large float32 weights as float16; a runtime widens them once, when it loads the graph."""
    casts = []
    for i, tensor in enumerate(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype == "float32" and values.size >= 256:
            name, stored = tensor.name, f"{tensor.name}.float16"
            graph.initializer[i].CopyFrom(numpy_helper.from_array(values.astype("float16"), stored))
            casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
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


def exportable(generator: Generator) -> Generator:
    """A copy that computes the same, of layers that can be traced for every size in little time."""
    generator = copy.deepcopy(generator).cpu().eval().to(memory_format=torch.contiguous_format)
    for module in generator.modules():
        if isinstance(module, Conv2dSame):  # run_padded makes all sides multiples of all strides
            module.__class__ = SameConv2d
        elif isinstance(module, InFloat32):
            module.__class__ = nn.Conv2d  # pyright: ignore[reportAttributeAccessIssue]  # its own base class
    return generator


def _size(size: Tensor) -> int:
    value = size.item()
    torch._check(value >= 1)
    torch._check(value <= LARGEST)
    return value  # pyright: ignore[reportReturnType]  # an int, or a symbol for one while a graph is traced
