"""Makes the bundled weights anew: `make weights PHOTOS=…`, or python colorize_lib/weights/make.py PHOTOS.

PHOTOS holds train/ and val/, folders of colour photos.  The stages follow each
other, each a `colorize train` in a folder of its own under --out; an interrupted
one is resumed when the command is given again, a finished one is not repeated.
The cards beside this file describe the photos behind the bundled weights, and where
their training differed from this.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import torch

from colorize_lib import load_checkpoint, save_checkpoint
from colorize_lib.checkpoints import read_header

# Each stage: its name, the stage whose weights it starts from, its options.  The epochs are those of the bundled
# weights, made on two CPU cores.  L1 first without colour queries, which makes its steps cheaper; then with them.
STAGES = {
    "l1": [
        ("l1_112", None, "--queries 0 --size 112 --batch-size 32 --epochs 5"),
        (
            "l1_128",
            "l1_112",
            "--size 128 --batch-size 32 --epochs 6 --min-scale 0.25 --lr 2e-3 --encoder-lr 6e-4",
        ),
        (
            "l1_192",
            "l1_128",
            "--size 192 --batch-size 24 --epochs 1.4 --min-scale 0.25 --lr 1e-3 --encoder-lr 3e-4",
        ),
        (
            "queries_128",
            "l1_192",
            "--queries 24 --size 128 --batch-size 32 --epochs 4.4 --min-scale 0.25 --lr 2e-3 "
            "--encoder-lr 6e-4",
        ),
        (
            "queries_192",
            "queries_128",
            "--size 192 --batch-size 24 --epochs 1.2 --min-scale 0.35 --lr 8e-4 --encoder-lr 2.4e-4",
        ),
    ],
    "adversarial": [
        (
            "adversarial_192",
            "queries_192",
            "--stage adversarial --discriminator features --lambda-l1 30 --chroma 1.1 "
            "--size 192 --batch-size 12 --epochs 0.6 --min-scale 0.3 --encoder-lr 5e-5",
        ),
    ],
}
# A GPU trains at the resolution of use from the start, and longer.  These have not been run.
GPU_STAGES = {
    "l1": [("l1_256", None, "--size 256 --batch-size 64 --epochs 30 --min-scale 0.25")],
    "adversarial": [
        (
            "adversarial_256",
            "l1_256",
            "--stage adversarial --discriminator features --lambda-l1 30 --chroma 1.1 "
            "--size 256 --batch-size 32 --epochs 2 --min-scale 0.25 --encoder-lr 5e-5",
        ),
    ],
}


def run(name: str, start: str | None, options: str, photos: Path, out: Path) -> None:
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
    command += ["--from", str(out / start)] if start else []
    command += ["--resume"] if folder.is_dir() else []
    print(f"{name}: {' '.join(command[1:])}", flush=True)
    done = subprocess.run(command).returncode
    if done not in (0, 1):  # 1: some photos were left out
        sys.exit(f"{name} stopped: give the same command again to resume it")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="a folder with train/ and val/")
    parser.add_argument("--out", type=Path, default=Path("runs/weights"))
    options = parser.parse_args()
    for weights, stages in (GPU_STAGES if torch.cuda.is_available() else STAGES).items():
        for name, start, settings in stages:
            run(name, start, f"{settings} --mixed-precision bf16", options.photos, options.out)
        last = options.out / stages[-1][0] / "generator.safetensors"
        header = read_header(last)
        file = options.out / f"{weights}.safetensors"
        save_checkpoint(
            file, load_checkpoint(last), dtype=torch.float16, resolution=256, made_by=header["made_by"]
        )
        print(f"{weights}: {file}")


if __name__ == "__main__":
    main()
