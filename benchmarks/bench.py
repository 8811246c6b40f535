"""The library beside the tutorial's recipe (recipe.py), measured side by side in one run.

    make bench                              all parts: more than an hour on two cores
    make bench BENCH_OPTIONS=--quick        all but the course, smaller: under five minutes
    make bench BENCH_OPTIONS="loading cost" some parts

In `importing`, `colour`, `loading`, `training` and `inference` the two take turns, round by round, so that a
busy moment hits both; a value is then the median of its rounds, with the lowest and
the highest in brackets.  The other parts are single runs.  Results go
to build/bench/: results.json after each part, results.md and results.svg at the
end.  A part that is run again replaces its rows there; with another machine or
other photos, choose another --out.
"""

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from PIL import Image
from torch import nn

from colorize_lib import (
    Colorizer,
    build_generator,
    find_photos,
    make_dataloaders,
    open_photo,
    pretrain,
    rgb_to_lab,
    sample_photos,
    save_photo,
)
from colorize_lib.data import PhotoDataset, lab_batch, one_torch_thread
from colorize_lib.devices import default_device
from colorize_lib.files import write_whole
from colorize_lib.metrics import evaluate, measure_generator
from colorize_lib.models import DynamicUnetGenerator, FeatureDiscriminator, PatchDiscriminator
from colorize_lib.photos import resize_photo
from colorize_lib.training import RECIPES, AdversarialTraining, L1Pretraining

sys.path.insert(0, str(Path(__file__).parent))
import recipe
from report import draw, format_factor, format_value, row, summary, table

ROOT = Path(__file__).resolve().parents[1]
SIZE, BATCH = recipe.SIZE, recipe.BATCH_SIZE
GOAL = 0.9  # of grey's ab error
Rows = Iterator[dict]


# Measuring


def take_turns(rounds: int, **contenders: Callable[[], float]) -> dict[str, dict[str, float]]:
    """Call all contenders in turn, `rounds` times: {name: {"median", "low", "high"}} of what they give."""
    values = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            values[name].append(measure())
    return {name: summary(numbers) for name, numbers in values.items()}


def seconds(function: Callable[[], object], device: torch.device) -> float:
    wait = getattr(torch, device.type).synchronize if device.type != "cpu" else lambda: None
    wait()
    started = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - started


def run_measured(command: list[str]) -> tuple[float, float]:
    """Run a command to its end: its seconds, and its peak memory in GB.

    A small process in between starts it: a child's peak begins with its parent's size.
    """
    between = (
        "import resource, subprocess, sys, time; started = time.perf_counter();"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
        "print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", between, *command], stdout=subprocess.PIPE, text=True, check=True
    )
    took, peak = map(float, answer.stdout.split())
    return took, peak * (1 if sys.platform == "darwin" else 1024) / 1e9


# The parts


def loading(options: argparse.Namespace) -> Rows:
    """Photos to normalised Lab batches."""
    photos = options.train[: 160 if options.quick else 1024]
    for photo in photos:
        photo.read_bytes()  # so that no contender pays for the disk
    count = len(photos) // BATCH * BATCH

    def epoch(batches) -> float:
        return count / seconds(lambda: exhaust(batches), options.device)

    def from_files(kept: list) -> None:
        loaders = make_dataloaders(photos, size=SIZE, batch_size=BATCH, device=options.device, keep_grey=True)
        kept.append(loaders.train)
        exhaust(kept[0])

    first, later = {"recipe": [], "ours": []}, {"recipe": [], "ours": []}
    for _ in range(3):
        theirs = recipe.recipe_loader(photos)
        first["recipe"].append(epoch(theirs))
        later["recipe"].append(epoch(theirs))
        ours = []
        first["ours"].append(count / seconds(partial(from_files, ours), options.device))
        ours[0].loader.sampler.set_epoch(1)
        later["ours"].append(epoch(ours[0]))
    for name, times, target in (("first epoch", first, 4), ("later epochs", later, 10)):
        yield row(
            f"photos to Lab batches at {SIZE}², {name}",
            "photos/s",
            summary(times["ours"]),
            summary(times["recipe"]),
            target,
        )
    with one_torch_thread():
        theirs, ours = loading_profile(photos[:64], options.device)
    notes = (", ".join(f"{name} {value:.2f}" for name, value in parts.items()) for parts in (theirs, ours))
    yield row(
        "  a photo's way in one thread",
        "ms",
        summary([sum(ours.values())]),
        summary([sum(theirs.values())]),
        note="recipe: {}; ours: {}".format(*notes),
    )


def loading_profile(photos: list[Path], device: torch.device) -> tuple[dict, dict]:
    """Milliseconds a photo for each step: the recipe's, which recur in every epoch, and ours, of which two do."""

    def each(work: Callable[[], object]) -> float:
        return min(seconds(work, device) for _ in range(3)) / len(photos) * 1000

    opened = [Image.open(photo).convert("RGB") for photo in photos]
    small = [image.resize((SIZE, SIZE), Image.Resampling.BICUBIC) for image in opened]
    theirs = {
        "decode": each(lambda: [Image.open(photo).convert("RGB") for photo in photos]),
        "resize": each(lambda: [image.resize((SIZE, SIZE), Image.Resampling.BICUBIC) for image in opened]),
        "Lab": each(lambda: [recipe.to_lab(image) for image in small]),
    }
    dataset = PhotoDataset(photos, SIZE, augment=True)
    crops = [dataset[1, i] for i in range(len(dataset))]
    batch = torch.stack(crops).to(device)
    store = dataset.squares.shape[-1]
    ours = {
        "decode and scale, once": each(
            lambda: [resize_photo(open_photo(photo, min_side=store), store, store) for photo in photos]
        ),
        "crop": each(lambda: [dataset[1, i] for i in range(len(dataset))]),
        "Lab": each(lambda: lab_batch(batch)),
    }
    return theirs, ours


def exhaust(batches) -> None:
    for _ in batches:
        pass


def colour(options: argparse.Namespace) -> Rows:
    """RGB to Lab beside skimage, photo by photo, and beside kornia; batches of 16 photos at 256², 8 bits."""
    import kornia
    import skimage.color

    batch = torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8, device=options.device)
    photos = [photo.permute(1, 2, 0).contiguous().cpu().numpy() for photo in batch]
    ways = {
        "ours": lambda: rgb_to_lab(batch),
        "skimage": lambda: [skimage.color.rgb2lab(photo) for photo in photos],
        "kornia": lambda: kornia.color.rgb_to_lab(batch.float() / 255),
    }
    contenders = {
        name: partial(lambda way: BATCH / seconds(way, options.device), way) for name, way in ways.items()
    }
    take_turns(1, **contenders)  # warm
    turns = take_turns(3 if options.quick else 9, **contenders)
    yield row("RGB to Lab (the recipe: skimage)", "photos/s", turns["ours"], turns["skimage"], 3)
    yield row("  RGB to Lab with kornia", "photos/s", turns["kornia"])


def importing(options: argparse.Namespace) -> Rows:
    """`import torch, torchvision`, with `import colorize_lib` after it and without; each in a new process."""
    codes = {"without": "import torch, torchvision", "with": "import torch, torchvision, colorize_lib"}
    contenders = {
        name: partial(lambda code: run_measured([sys.executable, "-c", code])[0], code)
        for name, code in codes.items()
    }
    turns = take_turns(3 if options.quick else 5, **contenders)
    yield row("import torch, torchvision", "s", turns["without"])
    yield row("import torch, torchvision, colorize_lib", "s", turns["with"])


def training(options: argparse.Namespace) -> Rows:
    """Training steps at 256², 16 photos a batch."""
    dataset = PhotoDataset(options.train[:BATCH], SIZE)
    batch = lab_batch(torch.stack([dataset[i] for i in range(len(dataset))]).to(options.device))
    stages = {
        "L1 stage": (
            lambda: (build_generator("chroma_unet", pretrained=False, queries=0), None),
            lambda: (DynamicUnetGenerator(pretrained=False), None),
            20,
        ),
        "adversarial stage": (
            lambda: (build_generator("chroma_unet", pretrained=False, queries=0), FeatureDiscriminator()),
            lambda: (DynamicUnetGenerator(pretrained=False), PatchDiscriminator()),
            10,
        ),
    }
    for stage, (our_networks, their_networks, target) in stages.items():
        if options.device.type == "cuda":
            target = 5
        speed, settings = {}, {}
        for name, networks in (("recipe", their_networks), ("ours", our_networks)):
            trial = {
                setting: stepper(networks(), batch, setting)
                for setting in SETTINGS[options.device.type == "cuda"]
            }
            best = max(trial, key=lambda setting: trial[setting]()) if len(trial) > 1 else next(iter(trial))
            speed[name], settings[name] = trial[best], best
        turns = take_turns(1 if options.quick else 3, **speed)
        yield row(
            f"training at {SIZE}², batch {BATCH}, {stage}",
            "photos/s",
            turns["ours"],
            turns["recipe"],
            target,
            settings=settings,
        )


SETTINGS = {
    False: ("float32",),
    True: ("float32", "bf16", "bf16 channels_last", "bf16 channels_last compile"),
}


def stepper(networks: tuple[nn.Module, nn.Module | None], batch: dict, setting: str) -> Callable[[], float]:
    """A function that makes training steps three times, and gives the photos per second of the fastest.

    The first ones after the other contender's are slow: those have left the caches cold.
    """
    device = batch["L"].device
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")  # there is one for all settings
    networks = [network.to(device).train() for network in networks if network is not None]
    if "channels_last" in setting:
        networks = [network.to(memory_format=torch.channels_last) for network in networks]
        batch = {name: x.to(memory_format=torch.channels_last) for name, x in batch.items()}
    if "compile" in setting:
        networks = [torch.compile(network) for network in networks]
    method = (L1Pretraining if len(networks) == 1 else AdversarialTraining)(*networks)
    steps = 10 if device.type == "cuda" else 1

    def train() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled="bf16" in setting):
            for _ in range(steps):
                method.step(batch, accelerator)

    return lambda: steps * len(batch["L"]) / min(seconds(train, device) for _ in range(3))


def quality(options: argparse.Namespace) -> Rows:
    """Minutes of training until the ab error on unseen photos is 10 % below grey's."""
    count = min(16 if options.quick else 128, len(options.valid))
    seen = random.Random(0).sample(options.valid, count)
    valid = make_dataloaders(options.train[:1], seen, SIZE, 8, device=options.device, keep_grey=True).valid
    grey = evaluate(None, valid)["grey"]["ab_error"]

    def share(generator: nn.Module) -> float:
        return measure_generator(generator, valid)["ab_error"] / grey

    target = 5 if options.device.type == "cuda" else 20
    ours = our_quality(options, share)
    theirs = their_quality(options, share, 0.5 if options.quick else options.minutes)
    at_least = "" if theirs["reached"] else "not reached in "
    line = row(
        f"time to an ab error of {GOAL} of grey's",
        "minutes",
        summary([ours["minutes"]]),
        summary([theirs["minutes"]]),
        target,
        runs={"ours": ours, "recipe": theirs},
        note=f"ours: {ours['steps']} steps at {ours['size']}², {ours['photos']:,} photos, to "
        f"{ours['share']:.3f}; recipe, on "
        f"{theirs['encoder']}: {theirs['steps']} steps at {SIZE}², to {theirs['share']:.3f}",
    )
    line["recipe"]["note"] = at_least
    if not ours["reached"]:
        line["ours"]["note"] = "not reached in "
        line.pop("factor")
    yield line


def our_quality(options: argparse.Namespace, share: Callable[[nn.Module], float]) -> dict:
    """The command's own recipe at a small size, on as many photos as it has time for, decoding included."""
    size = options.our_size
    photos = random.Random(0).sample(options.train, min(options.our_photos, len(options.train)))
    started = time.monotonic()
    loaders = make_dataloaders(photos, size=size, batch_size=BATCH, device=options.device)
    decoding = (time.monotonic() - started) / 60
    torch.manual_seed(0)
    generator = build_generator("chroma_unet", queries=0).to(options.device)
    history = pretrain(generator, loaders, minutes=options.our_minutes, **RECIPES["chroma_unet", "l1"])
    reached = share(AtResolution(generator, size))
    return {
        "minutes": decoding + history[-1]["minutes"],
        "decoding": decoding,
        "size": size,
        "photos": len(photos),
        "share": reached,
        "reached": reached <= GOAL,
        "steps": history[-1]["step"],
    }


class AtResolution(nn.Module):
    """A generator that looks at what it was trained on, as in `Colorizer`: ab is scaled up afterwards."""

    def __init__(self, generator: nn.Module, size: int):
        super().__init__()
        self.generator, self.size = generator, (size, size)

    def forward(self, L: torch.Tensor) -> torch.Tensor:
        small = F.interpolate(L, size=self.size, mode="bilinear", antialias=True, align_corners=False)
        return F.interpolate(self.generator(small), size=L.shape[-2:], mode="bilinear", align_corners=False)


def their_quality(options: argparse.Namespace, share: Callable[[nn.Module], float], limit: float) -> dict:
    """The recipe until it is there, or until the limit, in minutes; looked at from time to time, off the clock."""
    torch.manual_seed(0)
    generator, encoder = recipe.recipe_generator()
    generator.to(options.device).train()
    method = L1Pretraining(generator, lr=recipe.LEARNING_RATE)
    accelerator = Accelerator(cpu=options.device.type == "cpu")
    batches = endless(recipe.recipe_loader(options.train))
    spent, looked, curve, steps = 0.0, 0.0, [], 0
    while True:

        def step():
            batch = {name: x.to(options.device) for name, x in next(batches).items()}
            method.step(batch, accelerator)

        spent += seconds(step, options.device) / 60
        steps += 1
        if spent >= limit or spent - looked >= limit / 6:
            looked = spent
            curve.append((spent, share(generator)))
            print(f"  the recipe after {spent:.1f} minutes: {curve[-1][1]:.3f} of grey's", flush=True)
            if curve[-1][1] <= GOAL or spent >= limit:
                break
    return {
        "minutes": spent,
        "share": curve[-1][1],
        "reached": curve[-1][1] <= GOAL,
        "steps": steps,
        "curve": curve,
        "encoder": encoder,
    }


def endless(loader) -> Iterator[dict]:
    while True:
        yield from loader


def inference(options: argparse.Namespace) -> Rows:
    """One photo: 12 megapixels in ours, 256² in the recipe."""
    photo = open_photo(options.valid[0])
    large = resize_photo(photo, 3000, 4000)
    small = Image.fromarray(photo)
    colorizer = Colorizer.from_pretrained(device=options.device)
    generator = DynamicUnetGenerator(pretrained=False).to(options.device).eval()
    contenders = {
        "recipe": lambda: seconds(
            lambda: recipe.recipe_colour(generator, small, options.device), options.device
        ),
        "ours": lambda: seconds(lambda: colorizer(large), options.device),
        "ours at 256²": lambda: seconds(lambda: colorizer(small), options.device),
    }
    take_turns(1, **contenders)  # warm
    turns = take_turns(3 if options.quick else 7, **contenders)
    yield row(
        f"a photo in colour: 12 megapixels here, {SIZE}² there", "s", turns["ours"], turns["recipe"], 0.5
    )
    yield row(
        f"a photo in colour: its own {small.width} × {small.height} here, {SIZE}² there",
        "s",
        turns["ours at 256²"],
        turns["recipe"],
    )


def cost(options: argparse.Namespace) -> Rows:
    """How time and memory of the command `colorize` grow, its start included."""
    command = [sys.executable, "-m", "colorize_lib", "--device", str(options.device)]
    photo = open_photo(options.valid[0])
    with TemporaryDirectory() as folder:
        folder = Path(folder)
        sides = {1: (866, 1155), 4: (1732, 2309), 12: (3000, 4000), 50: (6124, 8165), 100: (8660, 11547)}
        for megapixels, side in sides.items():
            if options.quick and megapixels > 12:
                break
            file = folder / f"{megapixels}.jpg"
            save_photo(file, resize_photo(photo, *side))
            took, memory = run_measured([*command, str(file), "-o", str(folder / "out")])
            yield row(
                f"colorize, one photo of {megapixels} megapixels", "s", summary([took]), memory_gb=memory
            )
        for count in (10, 100, 1000)[: 1 if options.quick else 3]:
            many = folder / f"folder_{count}"
            many.mkdir()
            for i, source in enumerate(islice(cycle(sample_photos()), count)):
                shutil.copy(source, many / f"{i:04d}{source.suffix}")
            took, memory = run_measured([*command, str(many), "-o", str(folder / f"out_{count}")])
            yield row(f"colorize, a folder of {count} photos", "s", summary([took]), memory_gb=memory)


def course(options: argparse.Namespace) -> Rows:
    """All lessons, one after the other, in the profile `quick`."""
    os.environ["COLORIZE_PROFILE"] = "quick"
    total = 0.0
    with TemporaryDirectory() as folder:
        for lesson in sorted((ROOT / "lessons").glob("*.ipynb")):
            took, _ = run_measured(
                [
                    sys.executable,
                    "-m",
                    "jupyter",
                    "nbconvert",
                    "--log-level=ERROR",
                    "--execute",
                    "--to=notebook",
                    f"--output-dir={folder}",
                    str(lesson),
                ]
            )
            total += took
            yield row(f"  {lesson.stem}, profile quick", "s", summary([took]))
    yield row("the whole course, profile quick", "minutes", summary([total / 60]))


PARTS = {
    part.__name__: part for part in (importing, colour, loading, training, inference, cost, quality, course)
}


# The machine


def machine(device: torch.device) -> dict:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else None
    packages = ("torch", "torchvision", "fastai", "timm", "scikit-image", "Pillow", "numpy", "accelerate")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "date": date.today().isoformat(),
    }


def commit() -> str | None:
    """Which version was measured; None outside of a repository."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def parse() -> argparse.Namespace:
    """The options, with the device and the photos in place of their names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, fewer photos, without the course")
    parser.add_argument("--photos", type=Path, help="photos to train on (default: the sample photos)")
    parser.add_argument("--valid", type=Path, help="photos to validate with (default: the sample photos)")
    parser.add_argument(
        "--minutes", type=float, default=30, help="when to stop the recipe in `quality` (default: 30)"
    )
    parser.add_argument(
        "--our-minutes", type=float, default=0.5, help="how long ours trains there (default: 0.5)"
    )
    parser.add_argument("--our-size", type=int, default=96, help="at which size (default: 96)")
    parser.add_argument("--our-photos", type=int, default=2048, help="on how many photos (default: 2048)")
    parser.add_argument("--device", help="cpu, cuda, mps (default: the fastest that is there)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench", help="(default: build/bench)")
    options = parser.parse_args()
    unknown = set(options.parts) - PARTS.keys()
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    try:
        options.device = default_device(options.device)
        options.train = find_photos(options.photos) if options.photos else sample_photos("train")
        options.valid = find_photos(options.valid) if options.valid else sample_photos("val")
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return options


def measure(part: str, options: argparse.Namespace) -> list[dict]:
    """The rows of a part, each printed as soon as it is there."""
    print(f"{part}: {PARTS[part].__doc__}", flush=True)
    lines = []
    for line in PARTS[part](options):
        lines.append(line)
        said = f"  {line['what'].strip()}: {format_value(line['ours'])} {line['unit']}"
        if line["recipe"]:
            said += f", the recipe {format_value(line['recipe'])}: {' '.join(format_factor(line)).strip()}"
        print(said, flush=True)
    return lines


def main() -> None:
    options = parse()
    chosen = options.parts or [name for name in PARTS if not (options.quick and name == "course")]
    warnings.filterwarnings("ignore", category=FutureWarning)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "results.json"
    results = {"parts": {}}
    if options.parts and file.exists():
        results = json.loads(file.read_text(encoding="utf-8"))
    results |= {
        "machine": machine(options.device),
        "device": str(options.device),
        "quick": options.quick,
        "photos": {"train": len(options.train), "valid": len(options.valid)},
    }
    for name in chosen:
        results["parts"][name] = measure(name, options)
        results.setdefault("commits", {})[name] = commit()
        results["parts"] = {part: results["parts"][part] for part in PARTS if part in results["parts"]}
        write_whole(file, json.dumps(results, indent=2, ensure_ascii=False).encode())
    write_whole(options.out / "results.md", (table(results) + "\n").encode())
    if any(line.get("factor") and line["target"] for part in results["parts"].values() for line in part):
        draw(results, options.out / "results.svg")
    print(table(results))
    print(f"written: {file}, results.md and results.svg beside it")


if __name__ == "__main__":
    main()
