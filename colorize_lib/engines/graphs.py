"""Predict and paint with onnxruntime, without PyTorch: three graphs that `export` traced, and a file of weights.

There is no colour mathematics here, and no second copy of the weights: the graph of the network has
none of its own, and is given those of the safetensors file when it is loaded.
"""

import json
import os
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..inference import NO_NUMBERS, RESOLUTION, reason, size_seen, with_less_memory
from ..weights import read_file, read_weights

if TYPE_CHECKING:
    import onnxruntime

GRAPHS = Path(__file__).parent
STEPS = ("lightness", "colours", "paint")  # in the order of their use
DRAWN = json.loads(
    (GRAPHS / "colours.json").read_text()
)  # the network that `colours` computes, its weights' names
BAND = 1 << 18  # pixels at a time


class GraphEngine:
    """Colours arrays with weights of the bundled network, on the CPU.  `GraphEngine.of` makes it.

    Args:
        path: file of the weights.
        header: its header.
        weights: its weights, float32, by name.
    """

    def __init__(self, path: Path, header: dict, weights: dict[str, np.ndarray]):
        self.path = path
        self.resolution = header["resolution"] or RESOLUTION
        self.chroma = header["chroma"]
        self._weights = weights
        self._former = []  # sessions of a parent process, whose end would wait for threads that are not here
        self._open()

    @classmethod
    def of(cls, path: Path) -> "GraphEngine | None":
        """The engine for a file of weights; None if it takes PyTorch to use them.

        Raises:
            CheckpointError: if the file is missing or damaged.
        """
        try:
            import onnxruntime  # noqa: F401
        except ImportError:
            return None
        if read_file(path, "np", tensors=False)[0]["config"] != DRAWN["config"]:
            return None
        try:
            header, stored = read_weights(path)
        except TypeError:  # a type that NumPy does not have
            return None
        weights = {name: stored[name].astype(np.float32) for name in DRAWN["weights"]}
        if not all(np.isfinite(values).all() for values in weights.values()):
            return None
        try:
            return cls(path, header, weights)
        except Exception as error:  # onnxruntime's own, of many classes
            warnings.warn(f"onnxruntime cannot be used here ({reason(error)}): PyTorch is", stacklevel=3)
            return None

    def __reduce__(self):  # for processes that are spawned: a session of onnxruntime cannot be pickled
        return type(self).of, (self.path.absolute(),)

    def colour(self, photo: np.ndarray, saturation: float, resolution: int) -> np.ndarray:
        """(H, W, 1, 3 or 4), uint8, uint16 or floats in [0, 1] → the same type in colour, (H, W, 3 or 4)."""
        if os.getpid() != self._process:  # onnxruntime's threads do not survive a fork
            self._former.append(self._sessions)
            self._open()
        out = np.empty((*photo.shape[:2], max(photo.shape[2], 3)), photo.dtype)
        out[..., 3:] = photo[..., 3:]
        height, width = photo.shape[:2]
        whole = photo.dtype.kind == "u"
        white = np.float32(np.iinfo(photo.dtype).max if whole else 1)
        step = max(1, BAND // width)
        bands = [slice(top, top + step) for top in range(0, height, step)]

        def at(resolution: int) -> list[np.ndarray]:
            size = np.array(size_seen(height, width, resolution))
            seen = [
                self._run("lightness", photo=_planes(photo[band]), white=white, width=size[1])
                for band in bands
            ]
            return self._run(
                "colours", L=np.concatenate([L for (L,) in seen]), size=size, width=np.array(width)
            )

        planes, rows = with_less_memory(at, resolution)
        if not np.isfinite(planes).all():
            raise ValueError(NO_NUMBERS)
        strength = np.float32(saturation * self.chroma)
        for band in bands:
            paint = partial(self._run, "paint", photo=_planes(photo[band]), white=white, saturation=strength)
            (rgb,) = paint(planes=planes, rows=rows[band])
            out[band, :, :3] = np.moveaxis(np.rint(rgb, out=rgb) if whole else rgb, 0, 2)
        return out

    def _open(self) -> None:
        """Load the graphs."""
        self._sessions = {name: self._session(name) for name in STEPS}
        self._process = os.getpid()

    def _session(self, step: str) -> "onnxruntime.InferenceSession":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)  # 0: all cores
        if step == "colours":
            values = map(onnxruntime.OrtValue.ortvalue_from_numpy, self._weights.values())
            options.add_external_initializers(list(self._weights), list(values))
        return onnxruntime.InferenceSession(
            GRAPHS / f"{step}.onnx", options, providers=["CPUExecutionProvider"]
        )

    def _run(self, step: str, **feeds: Any) -> list[np.ndarray]:
        outputs = self._sessions[step].run(None, {name: np.asarray(value) for name, value in feeds.items()})
        return [np.asarray(output) for output in outputs]


def _planes(photo: np.ndarray) -> np.ndarray:
    """Pixels as the graphs take them: (3, n, W) float32."""
    grey = photo.shape[2] == 1
    planes = np.moveaxis(photo[..., :3], 2, 0).astype(np.float32, order="C")
    return planes.repeat(3, axis=0) if grey else planes
