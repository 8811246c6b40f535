"""Still pictures: grids, panels and the drawing of a U-Net."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from .style import ACCENT, BLUE, GREEN, INK, SOFT


def to_image(picture: Tensor | np.ndarray) -> np.ndarray:
    """Convert a picture to the form that matplotlib takes.

    Args:
        picture: (3, H, W), (1, H, W) or (H, W) tensor in [0, 1] or uint8, or an array (H, W[, 3]).

    Returns:
        (H, W, 3) or (H, W) uint8.
    """
    if isinstance(picture, Tensor):
        if picture.ndim == 3:
            picture = picture[0] if len(picture) == 1 else picture.movedim(0, -1)
        picture = picture.detach().cpu().numpy()
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
        pictures: anything that `to_image` takes; all of about the same shape.
        titles: a title for each picture, or none.
        columns: number of pictures per row; None puts all in one row.
        width: width of the figure, in inches.
        suptitle: title of the whole figure.
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


def draw_unet(block: nn.Module, size: int, ax: Axes | None = None, title: str = "") -> None:
    """Draw nested `UnetBlock`s: the way down on the left, the way up on the right, skips across.

    Args:
        block: the outermost block; the blocks inside it are drawn, too.
        size: side of its input, in pixels.
        ax: axes to draw on; None makes a new figure.
        title: title of the drawing.
    """
    blocks: list[Any] = []
    level: Any = block
    while hasattr(level, "below"):
        blocks.append(level)
        level = level.below
    depth = len(blocks)
    if ax is None:
        _, ax = plt.subplots(figsize=(11, 0.62 * depth + 0.8))

    def box(x: float, y: float, channels: int, side: int, colour: str) -> None:
        ax.add_patch(Rectangle((x - 0.42, y - 0.34), 0.84, 0.68, color=colour, alpha=0.9, linewidth=0))
        ax.text(
            x, y, f"{channels}\n{side}²", ha="center", va="center", fontsize=8, color="white", linespacing=1
        )

    def arrow(start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 1.2})

    for i, level in enumerate(blocks):
        x, y, side = depth - i, -i, size >> i
        down, up = (next(m for m in part if hasattr(m, "kernel_size")) for part in (level.down, level.up))
        frame = (-x - 0.47, -depth - 0.42), 2 * x + 0.94, depth - i + 0.84
        ax.add_patch(Rectangle(*frame, fill=False, color=SOFT, linewidth=0.8))
        box(-x, y, down.in_channels, side, BLUE)
        box(x, y, up.out_channels, side, ACCENT)
        arrow((-x, y - 0.34), (1 - x - 0.1 * (x == 1), y - 0.66), BLUE)
        arrow((x - 1 + 0.1 * (x == 1), y - 0.66), (x, y - 0.34), ACCENT)
        if not level.outermost:
            arrow((-x + 0.42, y), (x - 0.42, y), GREEN)
        if i == depth - 1:
            box(0, y - 1, down.out_channels, side // 2, INK)
    ax.set(xlim=(-depth - 0.6, depth + 0.6), ylim=(-depth - 0.55, 0.55), title=title)
    ax.axis("off")
