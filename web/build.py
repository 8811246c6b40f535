"""Put the page together: copies, the runtime from npm, the graphs and the weights.  Nothing is compiled.

python web/build.py NODE_MODULES OUT [--weights NAME]
"""

import argparse
import csv
import hashlib
import json
import re
import shutil
from pathlib import Path

from colorize_lib.engines.export import graph_for
from colorize_lib.engines.graphs import GRAPHS, STEPS
from colorize_lib.inference import MARK, RESOLUTION
from colorize_lib.weights import find_weights, read_file

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "colorize_lib/page"
SAMPLES = ROOT / "data/samples"
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("node_modules", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", default="best", metavar="NAME")
    options = parser.parse_args()

    out = options.out
    for path in PAGE.rglob("*"):
        if path.is_file():
            copy(path, out / path.relative_to(PAGE))
    runtime = options.node_modules / "onnxruntime-web"
    for name in RUNTIME:
        copy(runtime / "dist" / name, out / "vendor" / name)
    copy_samples(out)
    weights = find_weights(options.weights)
    copy_network(weights, out / "model")
    about, _ = read_file(weights, "np", tensors=False)
    config = {
        "engine": "worker",
        "resolution": about["resolution"] or RESOLUTION,
        "samples": True,
        "mark": MARK,
        "steps": STEPS,
        "weights": weights.name,
        "about": about,
    }
    (out / "config.json").write_text(json.dumps(config, indent=2))
    list_for_offline(out)


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def copy_network(weights: Path, out: Path) -> None:
    """The weights as they are, and the graphs, of which one finds its weights in that file."""
    copy(weights, out / weights.name)
    for name in STEPS:
        copy(GRAPHS / f"{name}.onnx", out / f"{name}.onnx")
    (out / "colours.onnx").write_bytes(graph_for(weights).SerializeToString())


def copy_samples(out: Path) -> None:
    """The photos that index.html names, and whose they are."""
    names = sorted(set(re.findall(r'data-sample="samples/([^"]+)"', (PAGE / "index.html").read_text())))
    with (SAMPLES / "ATTRIBUTION.csv").open(newline="", encoding="utf-8") as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    for name in names:
        copy(SAMPLES / rows[name]["file"], out / "samples" / name)
    lines = [f"{name}: {rows[name]['author']}, {rows[name]['licence']}" for name in names]
    (out / "samples/ATTRIBUTION.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def list_for_offline(out: Path) -> None:
    """Tell sw.js what to keep, and a version that changes with any file."""
    names = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file() and p.name != "sw.js")
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode() + (out / name).read_bytes())
    worker = (PAGE / "sw.js").read_text()
    worker = worker.replace("const FILES = [];", f"const FILES = {json.dumps(['./', *names])};")
    (out / "sw.js").write_text(worker.replace("VERSION", digest.hexdigest()[:12]))


if __name__ == "__main__":
    main()
