"""A generator, or the whole way from grey photo to colour photo, as ONNX graphs of any size.

The graphs are traced from the very functions that colour a photo with PyTorch, so
there is no second copy of the colour mathematics.  Needs the extra `onnx`.

Three small graphs, `STEPS`, colour a photo of any size in little memory, some rows at
a time.  `GraphEngine` and the web page call them in this order:

| graph | in | out |
| --- | --- | --- |
| `lightness` | photo (3, n, W), white (), width () int64 | L (n, w): the rows' lightness, scaled to that width |
| `colours` | L (H, w), size (2,) int64 = (h, w), width () int64 = W | planes (5, h, W), rows (H, h) |
| `paint` | photo (3, n, W), white (), planes (5, h, W), rows (n, h), saturation () | coloured (3, n, W) |

A photo is sRGB, float32 in [0, white].  `planes` are ab, without the generator's `chroma`, its slope
and the blurred L, scaled up in width; `rows` says how they are scaled up in height.
`colours` has no weights of its own: they are external data, by the names that they have in the generator.
"""

import copy
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.export import Dim

from ..checkpoints import load_pretrained
from ..color import rgb_to_L
from ..files import write_whole
from ..inference import RESOLUTION
from ..models import Generator
from ..models.precision import InFloat32
from ..weights import CheckpointError, find_weights, read_file
from .graphs import DRAWN, GRAPHS, STEPS
from .pytorch import paint, slope_of_colour

try:
    import onnx
    from onnx import TensorProto, compose, helper, numpy_helper
    from onnxscript import optimizer
except ImportError as error:
    raise ImportError("colorize export needs ONNX: pip install 'colorize_lib[onnx]'") from error

OPSET = 20
LARGEST = 1 << 16  # pixels a side


class Lightness(nn.Module):
    """(3, n, W), (), () int64 → L (n, w)."""

    def forward(self, photo: Tensor, white: Tensor, width: Tensor) -> Tensor:
        L = rgb_to_L(photo[None] / white)
        return F.interpolate(L, (L.shape[2], _size(width)), mode="bilinear", antialias=True)[0, 0]


class Padded(nn.Module):
    """L (1, 1, H, W), sides that are multiples of the generator's → ab, without padding, cutting and `chroma`."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.generator = generator

    def forward(self, padded: Tensor) -> Tensor:
        return self.generator.forward_padded(padded)


class Slope(nn.Module):
    """L (1, 1, h, w), ab (1, 2, h, w) → planes (1, 5, h, w): ab, its slope, L."""

    def forward(self, L: Tensor, ab: Tensor) -> Tensor:
        return torch.cat([ab, slope_of_colour(L, ab), L], dim=1)


class Paint(nn.Module):
    """(3, n, W), (), planes (5, h, W), rows (n, h), () → (3, n, W)."""

    def forward(
        self, photo: Tensor, white: Tensor, planes: Tensor, rows: Tensor, saturation: Tensor
    ) -> Tensor:
        L = rgb_to_L(photo[None] / white)
        near = (rows != 0).any(dim=0).nonzero().flatten()  # the few rows of `planes` that matter to these
        ab, slope, blurred = (rows[:, near] @ planes[:, near])[None].split([2, 2, 1], dim=1)
        return paint(L, ab * saturation, slope * saturation, blurred)[0] * white


def export_network(path: str | Path, weights: str | Path = "best", *, half: bool = False) -> dict[str, str]:
    """Write a generator as ONNX: `L` (1, 1, H, W) in [-1, 1] → `ab` (1, 2, H, W), of any H and W.

    L and ab are scaled as in `color`; ab is what `Colorizer` paints, the generator's `chroma` included.

    Args:
        path: file to write; an existing file is replaced.
        weights: name, path or Hub id of weights, as `find_weights` takes it.
        half: store the weights as float16, in half the space, as the bundled ones are stored anyway; the graph
            computes in float32.

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
        f"""
        shape = Shape <start = 2> (L)
        {_around_network("L", generator.multiple).replace("ab = Slice", "plain = Slice")}
        chroma = Constant <value_float = {generator.chroma!r}> ()
        ab = Mul(plain, chroma)
        """,
    )
    _insert(graph, "network", trace_network(generator))
    _write(graph, Path(path), about, half)
    return about


def export_photo(path: str | Path, weights: str | Path = "best", *, half: bool = False) -> dict[str, str]:
    """Write the whole way as one graph.

    `photo` (H, W, 4) uint8, `size` (2,) int64, `saturation` () → `coloured` (H, W, 4) uint8.
    `size` is that at which the network sees the photo: `inference.size_seen`.  Transparency is passed on.

    Args, returns, raises: as `export_network`.
    """
    generator, about = _load(weights)
    graph = _glue(
        "uint8[H, W, 4] photo, int64[2] size, float saturation",
        "uint8[H, W, 4] coloured",
        f"""
        one = Constant <value_int = 1> ()
        photo_size = Shape(photo)
        width = Gather(photo_size, one)
        small_width = Gather(size, one)
        nothing = Constant <value_ints = [0]> ()
        three = Constant <value_ints = [3]> ()
        four = Constant <value_ints = [4]> ()
        last = Constant <value_ints = [2]> ()
        rgb = Slice(photo, nothing, three, last)
        floats = Cast <to = 1> (rgb)
        levels = Transpose <perm = [2, 0, 1]> (floats)
        white = Constant <value_float = 255.0> ()
        chroma = Constant <value_float = {generator.chroma!r}> ()
        strength = Mul(saturation, chroma)
        rounded = Round(painted)
        planar = Cast <to = 2> (rounded)
        painted_rgb = Transpose <perm = [1, 2, 0]> (planar)
        alpha = Slice(photo, three, four, last)
        coloured = Concat <axis = 2> (painted_rgb, alpha)
        """,
    )
    lightness, paint = (onnx.load(GRAPHS / f"{name}.onnx") for name in ("lightness", "paint"))
    _insert(graph, "lightness", lightness, {"photo": "levels", "width": "small_width"})
    _insert(graph, "colours", trace_colours(generator))
    _insert(graph, "paint", paint, {"photo": "levels", "saturation": "strength", "coloured": "painted"})
    _write(graph, Path(path), about, half)
    return about


def _around_network(small: str, multiple: int) -> str:
    """What surrounds a network whose input's sides must be multiples: `small`, of the size `shape`, to `ab`."""
    return f"""
    multiple = Constant <value_ints = [{multiple}]> ()
    almost = Constant <value_ints = [1]> ()
    one_less = Sub(multiple, almost)
    more = Add(shape, one_less)
    blocks = Div(more, multiple)
    padded_size = Mul(blocks, multiple)
    extra = Sub(padded_size, shape)
    no_pad = Constant <value_ints = [0, 0, 0, 0, 0, 0]> ()
    pads = Concat <axis = 0> (no_pad, extra)
    padded = Pad <mode = "edge"> ({small}, pads)
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
    """`padded` (1, 1, H, W) → `padded_ab` (1, 2, H, W), for sides that are multiples of the generator's.

    Its weights are the generator's, untouched and under their names: PyTorch's own optimizer folds norms into them.
    """
    multiple = generator.multiple
    height, width = (multiple * Dim(name, min=1, max=LARGEST // multiple) for name in ("rows", "columns"))
    example = {"padded": torch.rand(1, 1, 3 * multiple, 5 * multiple)}
    sizes = {"padded": {2: height, 3: width}}
    traced = _trace(Padded(exportable(generator)), example, ["padded_ab"], sizes, optimize=False)
    weights = list(traced.graph.initializer)
    as_inputs = [helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in weights]
    del traced.graph.initializer[:]
    traced.graph.input.extend(as_inputs)  # which no optimizer touches
    model = optimizer.optimize(traced)
    del model.graph.input[1:]
    model.graph.initializer.extend(weights)
    return model


def trace_slope() -> onnx.ModelProto:
    h, w = Dim("h", min=1, max=LARGEST), Dim("w", min=1, max=LARGEST)
    example = {"L": torch.rand(1, 1, 5, 7), "ab": torch.rand(1, 2, 5, 7)}
    return _trace(Slope(), example, ["planes"], {"L": {2: h, 3: w}, "ab": {2: h, 3: w}})


def trace_lightness() -> onnx.ModelProto:
    n, width = (Dim(name, min=1, max=LARGEST) for name in ("n", "width"))
    example = {"photo": torch.zeros(3, 20, 31), "white": torch.tensor(255.0), "width": torch.tensor(17)}
    return _trace(Lightness(), example, ["L"], {"photo": {1: n, 2: width}, "white": {}, "width": {}})


def trace_paint() -> onnx.ModelProto:
    n, width = (Dim(name, min=1, max=LARGEST) for name in ("n", "width"))
    h = Dim("h", min=1, max=LARGEST)
    example = {
        "photo": torch.zeros(3, 20, 31),
        "white": torch.tensor(255.0),
        "planes": torch.rand(5, 13, 31),
        "rows": torch.rand(20, 13),
        "saturation": torch.tensor(1.0),
    }
    sizes = {"photo": {1: n, 2: width}, "planes": {1: h, 2: width}, "rows": {0: n, 1: h}}
    return _trace(Paint(), example, ["coloured"], sizes | {"white": {}, "saturation": {}})


def trace_colours(generator: Generator) -> onnx.ModelProto:
    graph = _glue(
        "float[H, w] L, int64[2] size, int64 width",
        "float[5, h, W] planes, float[H, h] rows",
        BEFORE_NETWORK + _around_network("small", generator.multiple) + AFTER_NETWORK,
    )
    _insert(graph, "network", trace_network(generator))
    _insert(graph, "slope", trace_slope(), {"L": "small", "planes": "planes4"})
    return graph


def write_graphs(generator: Generator, folder: Path = GRAPHS) -> None:
    """Write the graphs of `GraphEngine`: of `colours` no weights, only their names."""
    made = {"lightness": trace_lightness(), "colours": trace_colours(generator), "paint": trace_paint()}
    for name in STEPS:
        _check(made[name])
        if name == "colours":
            about = {"config": generator.config, "weights": give_weights_away(made[name].graph, generator)}
            write_whole(folder / "colours.json", json.dumps(about, indent=1).encode())
        write_whole(folder / f"{name}.onnx", made[name].SerializeToString())


def give_weights_away(graph: onnx.GraphProto, generator: Generator) -> list[str]:
    """Make a generator's weights external data, under their own names; where they lie is said on loading.

    Returns:
        Their names, without those that are of no use to what is painted.
    """
    own = {f"network/generator.{name}": name for name in generator.state_dict()}
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    given = [tensor for tensor in kept if tensor.name in own]
    for tensor in given:
        size = len(tensor.raw_data)
        tensor.name = own[tensor.name]
        tensor.ClearField("raw_data")
        place_weights(tensor, "weights", 0, size)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = own.get(name, name)
    return [tensor.name for tensor in given]


def place_weights(tensor: onnx.TensorProto, file: str, offset: int, length: int) -> None:
    """Say that a tensor's values are `length` bytes of a file, from an offset on."""
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in {"location": file, "offset": offset, "length": length}.items():
        tensor.external_data.add(key=key, value=str(value))


def graph_for(weights: Path) -> onnx.ModelProto:
    """`colours` for a program that loads external data by itself, as the page does: beside the very file of `weights`.

    Raises:
        CheckpointError: for weights of another network than the graph's.
    """
    if read_file(weights, "np", tensors=False)[0]["config"] != DRAWN["config"]:
        raise CheckpointError(
            f"{weights} holds another network than the bundled one, and the graph computes that"
        )
    with weights.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        stored = json.loads(file.read(size))
    model = onnx.load(GRAPHS / "colours.onnx", load_external_data=False)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            begin, end = stored[tensor.name]["data_offsets"]
            place_weights(tensor, weights.name, 8 + size + begin, end - begin)
            if stored[tensor.name]["dtype"] == "F16":
                name, tensor.name = tensor.name, f"{tensor.name}.float16"
                tensor.data_type = TensorProto.FLOAT16
                casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    _put_first(model.graph, casts)
    return model


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


def _trace(
    module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], sizes: dict, optimize: bool = True
) -> onnx.ModelProto:
    """Trace a module for every size; the values of `inputs` do not matter, the names of its arguments do."""
    with torch.no_grad():
        program = torch.export.export(
            module.eval(), (), inputs, dynamic_shapes=sizes, prefer_deferred_runtime_asserts_over_guards=True
        )
        onnx_program = torch.onnx.export(
            program,
            input_names=list(inputs),
            output_names=outputs,
            opset_version=OPSET,
            verbose=False,
            optimize=optimize,
        )
    return onnx_program.model_proto  # pyright: ignore[reportOptionalMemberAccess]  # None only for a file


def _write(model: onnx.ModelProto, path: Path, about: dict[str, str], half: bool) -> None:
    onnx.helper.set_model_props(model, about)
    if half:
        _halve(model.graph)
    _check(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, model.SerializeToString())


def _check(model: onnx.ModelProto) -> None:
    """Check a graph, and take out of it where in which file each part was traced, and what a runtime finds by itself."""
    graph = model.graph
    del graph.value_info[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.checker.check_model(model)


def _halve(graph: onnx.GraphProto) -> None:
    """Store the large float32 weights as float16; a runtime widens them once, when it loads the graph."""
    casts = []
    for i, tensor in enumerate(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype == "float32" and values.size >= 256 and abs(values).max() < 65504:
            name, stored = tensor.name, f"{tensor.name}.float16"
            graph.initializer[i].CopyFrom(numpy_helper.from_array(values.astype("float16"), stored))
            casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    _put_first(graph, casts)


def _put_first(graph: onnx.GraphProto, first: list[onnx.NodeProto]) -> None:
    nodes = [*first, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


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
