"""Trains the bundled weights again: `make weights PHOTOS=…`, or python tools/make_weights.py PHOTOS.

PHOTOS holds train/ and val/, folders of colour photos.  The stages follow each
other, each a `colorize train` in a folder of its own under --out; an interrupted
one is resumed when the command is given again, a finished one is not repeated.
The cards beside this file describe the photos behind the bundled weights, and where
their training differed from this.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from colorize_lib.checkpoints import load_generator, read_header, save_checkpoint
from colorize_lib.models import ChromaUnet

AWAY_AND_AT_HOME = {"queries_192": 0.7, "l1_192": 0.3}
LAST = {"queries_192b": 0.5, "queries_192": 0.38, "l1_192": 0.12}
COLOURS = {
    "l1": 1.0,
    "adversarial": 1.26,
}  # factors that become part of the weights, and so are measured, too
CHROMA = {"l1": 1.3, "adversarial": 1.0}  # factors in the header: the generators' `chroma`

# Each stage: its name; what it starts from: nothing, a stage, or a mean of stages, {name: share}; its options, or None
# for the mean alone.  The epochs are those of the bundled weights, made on two CPU cores.  L1 first without colour
# queries, which makes its steps cheaper; then with them.
STAGES = {
    "l1": [
        ("l1_112", None, "--queries 0 --size 112 --batch-size 32 --epochs 5"),
        ("l1_128", "l1_112", "--size 128 --batch-size 32 --epochs 6 --min-scale 0.25 --lr 2e-3 --encoder-lr 6e-4"),
        ("l1_192", "l1_128", "--size 192 --batch-size 24 --epochs 1.4 --min-scale 0.25 --lr 1e-3 --encoder-lr 3e-4"),
        ("queries_128", "l1_192", "--queries 24 --size 128 --batch-size 32 --epochs 4.4 --min-scale 0.25 --lr 2e-3 "
         "--encoder-lr 6e-4"),
        ("queries_192", "queries_128", "--size 192 --batch-size 24 --epochs 1.2 --min-scale 0.35 --lr 8e-4 "
         "--encoder-lr 2.4e-4"),
        ("queries_192b", AWAY_AND_AT_HOME, "--size 192 --batch-size 24 --epochs 1 --min-scale 0.35 --lr 8e-4 --encoder-lr 2.4e-4"),
        ("l1_mean", LAST, None),
    ],
    "adversarial": [
        ("adversarial_192", "l1_mean", "--stage adversarial --discriminator features --lambda-l1 30 --vivid 1 "
         "--chroma 1.1 --size 192 --batch-size 12 --epochs 0.36 --min-scale 0.3 --encoder-lr 5e-5"),
        ("adversarial_mean", {"adversarial_192": 0.7, "l1_mean": 0.3}, None),
    ],
}  # fmt: skip
# A GPU trains at the resolution of use from the start, and longer.  These have not been run.
GPU_STAGES = {
    "l1": [("l1_256", None, "--size 256 --batch-size 64 --epochs 30 --min-scale 0.25")],
    "adversarial": [
        ("adversarial_256", "l1_256", "--stage adversarial --discriminator features --lambda-l1 30 --vivid 1 "
         "--chroma 1.1 --size 256 --batch-size 32 --epochs 2 --min-scale 0.25 --encoder-lr 5e-5"),
        ("adversarial_mean", {"adversarial_256": 0.7, "l1_256": 0.3}, None),
    ],
}  # fmt: skip


def mean_of(shares: Mapping[str, float], out: Path) -> Path:
    """Write the weighted mean of several stages' generators, and return its file.

    Networks that were trained from one another lie in one valley of the loss, so the mean of
    their weights is a good network, too, between theirs: Wortsman et al., Robust fine-tuning of
    zero-shot models, CVPR 2022.

    Args:
        shares: {stage: share}; the shares add up to 1.  A stage without colour queries gets the first
            one's, with no effect on its output.
        out: folder of the stages.
    """
    files = {name: out / name / "generator.safetensors" for name in shares}
    first, *_ = files.values()
    generator = load(first)
    states = {name: weights(file, generator) for name, file in files.items()}
    mean = {
        key: sum(share * states[name][key] for name, share in shares.items())
        if weight.is_floating_point()
        else weight
        for key, weight in generator.state_dict().items()
    }
    generator.load_state_dict(mean)
    file = out / "means" / f"{'_'.join(f'{share:g}_{name}' for name, share in shares.items())}.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(file, generator, made_by=read_header(first)["made_by"] | {"mean_of": dict(shares)})
    return file


def load(file: Path) -> ChromaUnet:
    generator = load_generator(file)
    if not isinstance(generator, ChromaUnet):
        raise TypeError(f"{file} holds a {type(generator).__name__}: a stage trains a ChromaUnet")
    return generator


@torch.no_grad()
def with_colours(generator: ChromaUnet, factor: float) -> ChromaUnet:
    """Multiply the colours that a generator paints, in place: its last layer is linear."""
    for parameter in generator.head.parameters():
        parameter.mul_(factor)
    return generator


def weights(file: Path, like: ChromaUnet) -> dict[str, torch.Tensor]:
    """A stage's weights, with colour queries if the generator `like` has some."""
    generator = load(file)
    if generator.queries is not None or like.queries is None:
        return generator.state_dict()
    generator.add_queries(like.config["queries"])
    queries = {key: weight for key, weight in like.state_dict().items() if key.startswith("queries.")}
    return generator.state_dict() | queries


def run(name: str, start: Path | None, options: str, photos: Path, out: Path) -> None:
    """Train one stage, or resume it."""
    folder = out / name
    command = [
        sys.executable,
        "-m",
        "colorize_lib",
        "train",
        str(photos / "train"),
        "--valid",
        str(photos / "val"),
    ]
    command += ["--out", str(folder), "--cache", str(out / "cache"), *options.split()]
    command += ["--from", str(start)] if start else []
    command += ["--resume"] if folder.is_dir() else []
    print(f"{name}: {' '.join(command[1:])}", flush=True)
    done = subprocess.run(command).returncode
    if done not in (0, 1):  # 1: some photos were left out
        sys.exit(f"{name} stopped: give the same command again to resume it")


def make(
    name: str, start: str | Mapping[str, float] | None, options: str | None, photos: Path, out: Path
) -> None:
    """Make one stage: the mean that it starts from, then its training."""
    file = mean_of(start, out) if isinstance(start, Mapping) else out / start if start else None
    if options is not None:
        run(name, file, f"{options} --mixed-precision bf16", photos, out)
    elif file:
        (out / name).mkdir(exist_ok=True)
        file.replace(out / name / "generator.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="a folder with train/ and val/")
    parser.add_argument("--out", type=Path, default=Path("runs/weights"))
    options = parser.parse_args()
    for weights, stages in (GPU_STAGES if torch.cuda.is_available() else STAGES).items():
        for name, start, settings in stages:
            make(name, start, settings, options.photos, options.out)
        last = options.out / stages[-1][0] / "generator.safetensors"
        file = options.out / f"{weights}.safetensors"
        made_by = read_header(last)["made_by"]
        generator = with_colours(load(last), COLOURS[weights])
        generator.chroma = CHROMA[weights]
        save_checkpoint(file, generator, dtype=torch.float16, resolution=256, made_by=made_by)
        print(f"{weights}: {file}")


if __name__ == "__main__":
    main()
