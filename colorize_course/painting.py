"""Figures of lessons 06 and 07: what generators paint, side by side, over time, and counted."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from colorize_lib.color import AB_SCALE, to_rgb

from .display import INK, SOFT, to_image
from .game import draw_plane

BLUE, ORANGE, PURPLE = "#2c6fbb", "#e08a00", "#7d5ba6"  # to be told apart by everybody
LINES = (BLUE, ORANGE, PURPLE, INK)


def show_columns(L: Tensor, columns: Mapping[str, Tensor], width: float = 8.0) -> None:
    """A photo a row, a painter a column.

    Args:
        L: lightness, (B, 1, H, W), normalised.
        columns: ab by title, each (B, 2, H, W), normalised.
        width: width in inches.
    """
    cell = width / len(columns)
    figure, axes = plt.subplots(
        len(L), len(columns), figsize=(width, cell * len(L) + 0.3), squeeze=False, layout="none"
    )
    figure.subplots_adjust(0, 0, 1, 1 - 0.3 / figure.get_figheight(), wspace=0.03, hspace=0.03)
    for drawn, (name, ab) in zip(axes.T, columns.items(), strict=True):
        drawn[0].set_title(name)
        for ax, photo in zip(drawn, to_rgb(L, ab), strict=True):
            ax.imshow(to_image(photo))
            ax.axis("off")
    plt.show()


def show_film(L: Tensor, films: Mapping[str, Sequence[Tensor]], titles: Sequence[str]) -> None:
    """A training a row, a moment a column: one photo, watched.

    Args:
        L: lightness of the photo, (1, 1, H, W), normalised.
        films: ab (1, 2, H, W) at each moment, by the name of the training.
        titles: a title for each moment.
    """
    figure, axes = plt.subplots(
        len(films), len(titles), figsize=(1.3 * len(titles), 1.35 * len(films) + 0.3), squeeze=False
    )
    for row, (name, frames) in zip(axes, films.items(), strict=True):
        for ax, ab, title in zip(row, frames, titles, strict=True):
            ax.imshow(to_image(to_rgb(L, ab)[0]))
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if ax in axes[0]:
                ax.set_title(title)
        row[0].set_ylabel(name)
    plt.show()


def contact_sheet(L: Tensor, ab: Tensor, columns: int = 4) -> np.ndarray:
    """All photos of a batch in one picture, (rows · H, columns · W, 3) uint8."""
    rgb = to_rgb(L, ab)
    rows = [torch.cat(list(part), dim=2) for part in rgb.split(columns)]
    return to_image(torch.cat(rows, dim=1))


def draw_paths(paths: Mapping[str, Sequence[tuple[float, float]]], stop: tuple[float, float]) -> None:
    """Trainings in the plane of error and colour.

    Args:
        paths: (ab error, colourfulness) after each epoch, from a common start.
        stop: point that gets a ring.  A square marks each end.
    """
    _, ax = plt.subplots(figsize=(6, 3.6))
    for (name, path), colour in zip(paths.items(), LINES, strict=False):
        x, y = zip(*path, strict=True)
        ax.plot(x, y, "-o", markersize=4, color=colour, label=name)
        ax.plot(x[-1], y[-1], "s", markersize=8, color=colour)
    (start,) = {path[0] for path in paths.values()}
    ax.plot(*start, "o", markersize=9, color=INK)
    ax.annotate("start", start, xytext=(9, -14), textcoords="offset points")
    ax.plot(*stop, "o", markersize=16, fillstyle="none", color=INK)
    ax.set(xlabel="ab error, unseen photos", ylabel="colourfulness")
    ax.margins(x=0.15, y=0.15)
    ax.legend(frameon=False)
    plt.show()


def show_histograms(colours: Mapping[str, Tensor]) -> None:
    """How common each a* and each b* is, on a logarithmic axis.

    Args:
        colours: ab by name, each (B, 2, H, W), normalised; the last one is drawn as an area.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 3), sharey=True)
    edges = torch.arange(-80, 81, 4.0)
    *painters, true = colours.items()
    for channel, (ax, label) in enumerate(zip(axes, ("a*: green to red", "b*: blue to yellow"), strict=True)):
        for (name, ab), colour in zip([true, *painters], (SOFT, *LINES), strict=False):
            shares = torch.histogram((AB_SCALE * ab[:, channel]).flatten().cpu().float(), edges).hist
            shares = (shares / shares.sum()).clamp(min=1e-5)
            middle = (edges[1:] + edges[:-1]) / 2
            if name == true[0]:
                ax.fill_between(middle, shares, 1e-5, color=colour, alpha=0.5, label=name)
            else:
                ax.plot(middle, shares, color=colour, linewidth=2, label=name)
        ax.set(xlabel=label, yscale="log", ylim=(1e-5, 1))
    axes[0].set_ylabel("share of the pixels")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(colours))
    plt.show()


def show_maps(
    L: Tensor, rows: Mapping[str, tuple[Tensor, Tensor]], label: str, *, low: float, high: float, cmap: str
) -> None:
    """Photos above, a map of each below, for each name: its ab and its map.

    Args:
        L: lightness, (B, 1, H, W), normalised.
        rows: (ab (B, 2, H, W), map (B, h, w)) by name.
        label: meaning of the map's colours.
        low, high: the ends of its scale.
        cmap: matplotlib's name of a colour map.
    """
    figure, axes = plt.subplots(
        2 * len(rows), len(L), figsize=(1.4 * len(L) + 1.2, 2.75 * len(rows) + 0.3), squeeze=False
    )
    drawn = None
    for i, (name, (ab, values)) in enumerate(rows.items()):
        above, below = axes[2 * i], axes[2 * i + 1]
        for j, (photo, map_) in enumerate(zip(to_rgb(L, ab), values, strict=True)):
            above[j].imshow(to_image(photo))
            drawn = below[j].imshow(map_.cpu(), cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
            for ax in (above[j], below[j]):
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
        above[0].set_ylabel(name)
    figure.colorbar(drawn, ax=axes[:, -1].tolist(), label=label, shrink=0.6)  # pyright: ignore[reportArgumentType]
    plt.show()


def show_rates(tops: Mapping[str, float], schedule: Callable[[float], float]) -> None:
    """The learning rate of each group over a training: its top rate times the schedule."""
    progress = torch.linspace(0, 1, 101).tolist()
    _, ax = plt.subplots(figsize=(7, 2.2))
    for (name, top), colour in zip(tops.items(), LINES, strict=False):
        ax.plot(progress, [top * schedule(p) for p in progress], color=colour, label=name)
    ax.set(xlabel="share of the training", ylabel="learning rate")
    ax.legend(frameon=False)
    plt.show()


def draw_errors(histories: Mapping[str, Sequence[Mapping[str, float]]], grey: float) -> None:
    """The ab error on unseen photos over the epochs, and grey's as a dashed line."""
    _, ax = plt.subplots(figsize=(7, 2.8))
    for (name, history), colour in zip(histories.items(), LINES, strict=False):
        points = [(row["epoch"], row["valid_ab_error"]) for row in history if "valid_ab_error" in row]
        ax.plot(*zip((0, grey), *points, strict=True), "-o", markersize=4, color=colour, label=name)
    ax.axhline(grey, color=SOFT, linestyle="--", label="grey")
    ax.set(xlabel="epoch", ylabel="ab error, unseen photos")
    ax.legend(frameon=False, ncols=3)
    plt.show()


def show_answers(swatches: Tensor, shares: Sequence[float]) -> None:
    """The best answers of two losses, (2, N, 2) a* and b*, for N shares of red."""
    plane = swatches.permute(2, 0, 1)[None] / AB_SCALE
    _, ax = plt.subplots(figsize=(9, 2.2))
    ax.imshow(to_image(to_rgb(torch.zeros(1, 1, *plane.shape[-2:]), plane)[0]), aspect="auto")
    ax.set(yticks=[0, 1], yticklabels=["L1", "L2"], xticks=range(len(shares)), xlabel="share of red pixels")
    ax.set_xticklabels([f"{share:.0%}" for share in shares])
    ax.set_xticks([i + 0.5 for i in range(len(shares) - 1)], minor=True)
    ax.tick_params(length=0, which="both")
    ax.grid(which="minor", color="white", linewidth=3)
    plt.show()


def plane_picture(title: str, photos: Tensor, path: Tensor) -> np.ndarray:
    """A colour's way over the a*b* plane, (N, 2), and its end: a picture, (H, W, 3) uint8, for a slider."""
    figure = Figure(figsize=(3.6, 3.8), dpi=80)
    ax = figure.subplots()
    draw_plane(ax, title, photos, path=path, end=path[-1])
    ax.plot(*path[-1], "o", color="black", markersize=7, zorder=5)
    ax.set_ylabel("b*: blue to yellow")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def show_strength(true: Sequence[float], predicted: Sequence[float]) -> None:
    """The mean predicted chroma in groups of pixels, over their true chroma."""
    _, ax = plt.subplots(figsize=(5.5, 3.2))
    ax.plot([0, 85], [0, 85], color=SOFT, linestyle="--")
    ax.text(62, 68, "perfect", color=INK, ha="right")
    ax.plot(true, predicted, "-o", color=BLUE)
    ax.set(xlabel="true chroma", ylabel="mean predicted chroma")
    plt.show()
