"""The panels, plots and sliders of the lessons.  The only module that needs matplotlib and IPython."""

import base64
import csv
import mimetypes
import os
import random
import time
from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from io import BytesIO
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image
from torch import Tensor, nn

from .color import to_rgb
from .colorizer import Colorizer
from .data import fetch_photos, sample_photos
from .devices import default_device
from .figures import sharp_figures
from .folders import find_photos
from .photos import PhotoError, open_photo, resize_photo, save_photo, writable_path

INK, ACCENT, SOFT = "#333333", "#c0392b", "#9aa5b1"
STYLE = {
    "figure.dpi": 80, "savefig.bbox": "tight", "figure.constrained_layout.use": True,
    "font.size": 11, "axes.titlesize": 11, "axes.edgecolor": SOFT, "axes.labelcolor": INK,
    "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False,
    "axes.prop_cycle": plt.cycler(color=["#2c6fbb", ACCENT, "#2e8b57", "#e0a030", "#7d5ba6", SOFT]),
}  # fmt: skip


PROFILES = ("quick", "long", "full")


class Lesson:
    """A lesson's size and its stopwatch.

    Reads COLORIZE_PROFILE, and sets the figure style.  Prints what the saved
    outputs come from: profile, device, versions, date.

    - `quick`, the default without a GPU: at most a minute and a half on two cores.
    - `long`: the same photos, for as long as a patient reader without a GPU waits.
    - `full`, the default with a GPU: thousands of photos, and the article's schedule.

    Attributes:
        profile: one of these.
        device: where the lesson computes.

    Raises:
        ValueError: for another profile.
    """

    def __init__(self, title: str):
        self.title, self.device, self._start = title, default_device(), time.monotonic()
        profile = os.environ.get("COLORIZE_PROFILE") or ("quick" if self.device.type == "cpu" else "full")
        if profile not in PROFILES:
            raise ValueError(f"COLORIZE_PROFILE is one of {', '.join(PROFILES)}, not '{profile}'")
        self.profile = profile
        plt.rcParams.update(STYLE)
        set_matplotlib_formats("jpeg")
        sharp_figures(STYLE["figure.dpi"])
        torch.manual_seed(0)
        print(f"{title}: profile {profile}, device {self.device}, torch {torch.__version__}, {date.today()}")

    def pick(self, quick: Any, long: Any, full: Any) -> Any:
        """The one of the three values that belongs to the profile."""
        return {"quick": quick, "long": long, "full": full}[self.profile]

    def photos(self) -> tuple[list[Path], list[Path]]:
        """Photos to train on, and photos to validate with.

        Validation is always on the sample photos.  Training is on them, too, or on
        the folder that COLORIZE_PHOTOS names; in the full profile on Imagenette,
        which is downloaded once.  Where that fails, a sentence says so.
        """
        train, valid = sample_photos("train"), sample_photos("val")
        try:
            if folder := os.environ.get("COLORIZE_PHOTOS"):
                train = find_photos(folder)
            elif self.profile == "full":
                train = fetch_photos("imagenette")
        except OSError as error:
            print(f"Trained on the sample photos alone, since {error}")
        return train, valid

    def end(self) -> None:
        """Print how long the lesson took, from its first cell to here."""
        print(f"{self.title}: {(time.monotonic() - self._start) / 60:.1f} minutes")


def to_image(picture: Tensor | np.ndarray) -> np.ndarray:
    """One picture as matplotlib wants it.

    Args:
        picture: (3, H, W) or (1, H, W) tensor in [0, 1] or uint8, or an array (H, W[, 3]).

    Returns:
        (H, W, 3) or (H, W) uint8.
    """
    if isinstance(picture, Tensor):
        picture = picture.detach().cpu().movedim(0, -1).squeeze(-1).numpy()
    if picture.dtype != np.uint8:
        picture = (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
    return picture


def show(
    pictures: Sequence[Tensor | np.ndarray],
    titles: Sequence[str] = (),
    *,
    columns: int | None = None,
    width: float = 10.0,
    suptitle: str | None = None,
) -> None:
    """Show pictures in a grid.

    Args:
        pictures: anything that `to_image` takes; of one shape, or nearly.
        titles: one per picture, or none.
        columns: pictures per row; None: all in one row.
        width: of the figure, in inches.
    """
    images = [to_image(picture) for picture in pictures]
    columns = columns or len(images)
    rows = -(-len(images) // columns)
    cell = width / columns
    tallest = max(image.shape[0] / image.shape[1] for image in images)
    height = rows * (cell * tallest + (0.3 if titles else 0.05)) + (0.3 if suptitle else 0)
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False)
    for i, ax in zip(count(), axes.flat):
        ax.axis("off")
        if i < len(images):
            ax.imshow(images[i], cmap="gray", vmin=0, vmax=255)
        if i < len(titles):
            ax.set_title(titles[i])
    if suptitle:
        figure.suptitle(suptitle)
    plt.show()


def show_panels(L: Tensor, predicted: Tensor, true: Tensor, width: float = 8.0) -> None:
    """Rows of grey | predicted | true.

    Args:
        L: (B, 1, H, W); predicted, true: ab, (B, 2, H, W); all normalised.
    """
    columns = [to_rgb(L, ab) for ab in (torch.zeros_like(true), predicted, true)]
    pictures = [column[i] for i in range(len(L)) for column in columns]
    show(pictures, ["grey", "predicted", "true"], columns=3, width=width)


def draw_unet(block: nn.Module, size: int, ax: plt.Axes | None = None, title: str = "") -> None:
    """Draw nested `UnetBlock`s: the way down on the left, the way up on the right, skips across.

    Args:
        block: the outermost one to draw; what lies below it is drawn with it.
        size: the side of its input, in pixels.
        ax: where to draw; None: a new figure.
    """
    blocks = []
    while hasattr(block, "below"):
        blocks.append(block)
        block = block.below
    depth = len(blocks)
    if ax is None:
        _, ax = plt.subplots(figsize=(11, 0.62 * depth + 0.8))

    def box(x: float, y: float, channels: int, side: int, colour: str) -> None:
        ax.add_patch(plt.Rectangle((x - 0.42, y - 0.34), 0.84, 0.68, color=colour, alpha=0.9, linewidth=0))
        ax.text(
            x, y, f"{channels}\n{side}²", ha="center", va="center", fontsize=8, color="white", linespacing=1
        )

    def arrow(start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 1.2})

    for i, one in enumerate(blocks):
        x, y, side = depth - i, -i, size >> i
        down, up = (next(m for m in part if hasattr(m, "kernel_size")) for part in (one.down, one.up))
        frame = (-x - 0.47, -depth - 0.42), 2 * x + 0.94, depth - i + 0.84
        ax.add_patch(plt.Rectangle(*frame, fill=False, color=SOFT, linewidth=0.8))
        box(-x, y, down.in_channels, side, "#2c6fbb")
        box(x, y, up.out_channels, side, ACCENT)
        arrow((-x, y - 0.34), (1 - x - 0.1 * (x == 1), y - 0.66), "#2c6fbb")
        arrow((x - 1 + 0.1 * (x == 1), y - 0.66), (x, y - 0.34), ACCENT)
        if not one.outermost:
            arrow((-x + 0.42, y), (x - 0.42, y), "#2e8b57")
        if i == depth - 1:
            box(0, y - 1, down.out_channels, side // 2, INK)
    ax.set(xlim=(-depth - 0.6, depth + 0.6), ylim=(-depth - 0.55, 0.55), title=title)
    ax.axis("off")


def slider(
    pictures: Sequence[np.ndarray], labels: Sequence[str], alt: str, start: int = 0, width: int = 360
) -> HTML:
    """A slider through pictures that needs no kernel: it works in Jupyter and in the rendered page, offline.

    Args:
        pictures: (H, W, 3) uint8, all of one shape.
        labels: the text beside each.
        alt: what the pictures show, for those who cannot see them.
        start: the one that is shown first.
        width: in pixels.
    """
    name = f"slider-{uuid4().hex[:8]}"
    frames = "".join(
        f'<img src="{_data_url(picture)}" alt="{escape(alt)}: {escape(label)}" width="{width}" '
        f'style="display:{"block" if i == start else "none"}">'
        for i, (picture, label) in enumerate(zip(pictures, labels, strict=True))
    )
    texts = "".join(
        f'<span style="display:{"inline" if i == start else "none"}">{escape(label)}</span>'
        for i, label in enumerate(labels)
    )
    move = (
        f"for (const part of document.querySelectorAll('#{name} .frames, #{name} .labels'))"
        " [...part.children].forEach((child, i) => child.style.display ="
        " i == this.value ? (child.tagName == 'IMG' ? 'block' : 'inline') : 'none')"
    )
    return HTML(
        f'<div id="{name}" style="font-family:sans-serif"><div class="frames">{frames}</div>'
        f'<input type="range" min="0" max="{len(pictures) - 1}" value="{start}" aria-label="{escape(alt)}" '
        f'oninput="{move}" style="width:{width}px"><div class="labels">{texts}</div></div>'
    )


def before_after(before: np.ndarray, after: np.ndarray, alt: str, width: int = 480) -> HTML:
    """Two pictures on top of each other, and a slider that moves the edge between them; needs no kernel.

    Args:
        before, after: (H, W, 3) uint8, of one shape; `after` is right of the edge.
        alt: what the pictures show, for those who cannot see them.
        width: in pixels.
    """
    name = f"before-after-{uuid4().hex[:8]}"
    move = (
        f"document.querySelector('#{name} .after').style.clipPath = 'inset(0 0 0 ' + this.value + '%)';"
        f"document.querySelector('#{name} .edge').style.left = this.value + '%'"
    )
    image = f'style="display:block;width:{width}px;max-width:none;margin:0'
    return HTML(
        f'<div id="{name}" style="width:{width}px">'
        '<div style="position:relative">'
        f'<img src="{_data_url(before)}" alt="{escape(alt)}: before" {image}">'
        f'<img class="after" src="{_data_url(after)}" alt="{escape(alt)}: after" '
        f'{image};position:absolute;top:0;left:0;clip-path:inset(0 0 0 50%)">'
        '<div class="edge" style="position:absolute;top:0;bottom:0;left:50%;border-left:2px solid white"></div>'
        f'</div><input type="range" min="0" max="100" value="50" step="0.5" aria-label="{escape(alt)}" '
        f'oninput="{move}" style="width:{width}px;margin:6px 0 0"></div>'
    )


def colour_uploads(colorizer: Colorizer) -> Any:
    """A button to choose photos with; each is shown before | after, with a link to download it, full size.

    Needs a running kernel.  Nothing leaves the machine that it runs on.

    Args:
        colorizer: what colours them.

    Returns:
        An ipywidgets box: the button, two knobs, and the results below them.
    """
    import ipywidgets as widgets

    upload = widgets.FileUpload(accept="image/*,.tif,.tiff", multiple=True, description="Choose photos")
    upload.layout.width = "180px"
    knob = {"continuous_update": False, "style": {"description_width": "80px"}}
    saturation = widgets.FloatSlider(1.0, min=0, max=2, step=0.1, description="saturation", **knob)
    resolution = widgets.IntSlider(
        colorizer.resolution, min=64, max=512, step=32, description="resolution", **knob
    )
    results = widgets.VBox()

    def colour(_: object = None) -> None:
        results.children = [widgets.HTML("colouring …")] if upload.value else []
        results.children = [
            widgets.HTML(
                _coloured_upload(
                    colorizer, file["name"], bytes(file["content"]),
                    saturation=saturation.value, resolution=resolution.value,
                )
            )
            for file in upload.value
        ]  # fmt: skip

    for control in (upload, saturation, resolution):
        control.observe(colour, "value")
    return widgets.VBox([upload, saturation, resolution, results])


def _coloured_upload(colorizer: Colorizer, name: str, data: bytes, **options: Any) -> str:
    """HTML: an uploaded photo before | after, and the link to the coloured one; or why there is none."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / Path(name).name
        source.write_bytes(data)
        target = writable_path(source.with_name(f"{source.stem} in colour{source.suffix}"))
        try:
            before = open_photo(source)
            after = colorizer(before, **options)
            save_photo(target, after, like=source)
        except (PhotoError, ValueError) as error:
            return f'<p role="alert">{escape(str(error).replace(f"{source.parent}{os.sep}", ""))}</p>'
        encoded = base64.b64encode(target.read_bytes()).decode()
    kind = mimetypes.guess_type(target.name)[0] or "application/octet-stream"
    height, width, _ = before.shape
    scale = min(1, 640 / width, 480 / height)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    pictures = before_after(*(resize_photo(rgb, *size) for rgb in (before, after)), name, size[1])
    return (
        f'{pictures.data}<p><a download="{escape(target.name)}" href="data:{kind};base64,{encoded}" '
        'style="color:#2c6fbb;text-decoration:underline">'
        f"Download {escape(target.name)}</a>, {width} × {height} pixels</p>"
    )


def blind_test(
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], kept: Path, seed: int | None = None
) -> Any:
    """A game: two pictures side by side, one of them a photo, the other coloured.  Which is the photo?

    Needs a running kernel.  Every answer is added to a file, so that the score goes on
    when the game is opened again.

    Args:
        pairs: {name: (the photo, the coloured one)}, (H, W, 3) uint8.
        kept: a CSV file for the answers; it is made when it is missing.
        seed: of the order and the sides; None: others each time.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as widgets

    rng = random.Random(seed)
    names = rng.sample(sorted(pairs), len(pairs))
    flipped = {name: rng.random() < 0.5 for name in names}
    waiting, shown = list(names), ""
    pictures = widgets.HTML()
    buttons = [widgets.Button(description=f"the {side} one is the photo") for side in ("left", "right")]
    onward = widgets.Button(description="next")
    verdict = widgets.HTML()

    def ask(_: object = None) -> None:
        nonlocal shown
        if not waiting:
            verdict.value = f"<p>That was all. {_score(kept)}</p>"
            box.children = [verdict]
            return
        shown = waiting.pop(0)
        two = pairs[shown][::-1] if flipped[shown] else pairs[shown]
        pictures.value = "".join(
            f'<img src="{_data_url(picture)}" alt="the {side} picture" '
            'style="display:inline-block;width:46%;max-width:380px;margin:0 8px 0 0">'
            for side, picture in zip(("left", "right"), two, strict=True)
        )
        verdict.value = f"<p>{len(names) - len(waiting)} of {len(names)}. Which one is the photo?</p>"
        for button in buttons:
            button.disabled = False
        onward.disabled = True

    def answer(button: widgets.Button) -> None:
        correct = (button is buttons[1]) == flipped[shown]
        new = not kept.exists()
        kept.parent.mkdir(parents=True, exist_ok=True)
        with kept.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [["date", "photo", "right"]] * new + [[date.today(), shown, int(correct)]]
            )
        said = "Right" if correct else "No"
        side = "right" if flipped[shown] else "left"
        verdict.value = f"<p><b>{said}: the {side} one is the photo</b> ({escape(shown)}). {_score(kept)}</p>"
        for button in buttons:
            button.disabled = True
        onward.disabled = False

    for button in buttons:
        button.layout.width = "240px"
        button.on_click(answer)
    onward.on_click(ask)
    box = widgets.VBox([verdict, pictures, widgets.HBox(buttons), onward])
    ask()
    return box


def blind_test_score(kept: Path) -> tuple[int, int]:
    """(right answers, answers) in the file of a `blind_test`."""
    if not kept.exists():
        return 0, 0
    with kept.open(newline="", encoding="utf-8") as file:
        answers = [int(line["right"]) for line in csv.DictReader(file)]
    return sum(answers), len(answers)


def _score(kept: Path) -> str:
    right, total = blind_test_score(kept)
    return f"You were right {right} times of {total}; a coin would be right half the time."


def _data_url(picture: np.ndarray) -> str:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=88, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
