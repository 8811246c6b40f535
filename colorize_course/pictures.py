"""Figures of the first lessons, so that their cells hold the idea and not the plotting."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from colorize_lib.color import AB_SCALE, fit_to_gamut, lab_to_rgb
from colorize_lib.photos import open_photo, resize_photo

from .display import ACCENT, SOFT, show, to_image


def show_lab(rgb: Tensor, lab: Tensor) -> None:
    """A photo, its L*, and its a* and b*, each drawn at one lightness; rgb and lab: (1, 3, H, W)."""
    L, a, b = lab.split(1, dim=1)
    flat, none = torch.full_like(L, 65), torch.zeros_like(L)
    channels = [torch.cat(parts, dim=1) for parts in ([L, none, none], [flat, a, none], [flat, none, b])]
    titles = ["the photo", "L*: dark to light", "a*: green to red", "b*: blue to yellow"]
    show([rgb[0], *(lab_to_rgb(fit_to_gamut(channel))[0] for channel in channels)], titles, width=12)


def show_curve(curve: Callable[[Tensor], Tensor], at: float) -> None:
    """The curve from what a file says to the amount of light, and one point of it."""
    t = torch.linspace(0, 1, 200)
    light = float(curve(torch.tensor(at)))
    _, ax = plt.subplots(figsize=(4.5, 3))
    ax.plot(t, curve(t))
    ax.plot([0, at, at], [light, light, 0], ":", color=SOFT)
    ax.set(xlabel="what the file says", ylabel="amount of light", xlim=(0, 1), ylim=(0, 1))
    plt.show()


def show_swatches(pairs: Tensor, titles: Sequence[str]) -> None:
    """Pairs of colours, (N, 2, 3) RGB, each as two squares side by side."""
    squares = [torch.cat([c[:, None, None].expand(3, 60, 60) for c in pair], dim=2) for pair in pairs]
    show(squares, titles, width=9)


def chroma_by_lightness(lab: Tensor) -> list[float]:
    """Mean chroma of the pixels (3, N) with L* in 0–10, 10–20, …, 90–100."""
    L, chroma = lab[0], lab[1:].norm(dim=0)
    return [chroma[(low <= L) & (low + 10 > L)].mean().item() for low in range(0, 100, 10)]


def show_chroma(values: Sequence[float]) -> None:
    """Ten bars: the mean chroma at each lightness."""
    _, ax = plt.subplots(figsize=(6, 2.6))
    ax.bar(range(5, 100, 10), values, width=8, color=[str(0.1 + 0.08 * i) for i in range(10)], edgecolor=SOFT)
    ax.set(xlabel="L* of the pixel", ylabel="mean chroma", xticks=range(0, 101, 20))
    plt.show()


def ab_plane(L: float, side: int = 220) -> tuple[Tensor, Tensor]:
    """The plane at lightness L: a* to the right, b* upwards, both from -AB_SCALE to AB_SCALE.

    Returns:
        RGB (3, side, side), with a light grey outside the gamut, and the mask of the gamut.
    """
    axis = torch.linspace(-AB_SCALE, AB_SCALE, side)
    b, a = torch.meshgrid(axis.flip(0), axis, indexing="ij")
    lab = torch.stack([torch.full_like(a, L), a, b])[None]
    inside = (fit_to_gamut(lab) == lab).all(dim=1)[0]
    return torch.where(inside, lab_to_rgb(lab)[0], torch.tensor(0.93)), inside


def draw_ab_plane(L: float, ax: Axes) -> None:
    """The plane at lightness L with its axes."""
    ax.imshow(
        to_image(ab_plane(L)[0]), extent=(-AB_SCALE, AB_SCALE, -AB_SCALE, AB_SCALE), interpolation="bilinear"
    )
    ax.axhline(0, color=SOFT, linewidth=0.6)
    ax.axvline(0, color=SOFT, linewidth=0.6)
    ax.set(
        xlabel="a*: green to red",
        ylabel="b*: blue to yellow",
        xticks=range(-100, 101, 50),
        yticks=range(-100, 101, 50),
    )


def ab_plane_picture(L: float) -> np.ndarray:
    """The same as a picture, (H, W, 3) uint8, for a slider."""
    figure = Figure(figsize=(3.6, 3.6), dpi=112)
    draw_ab_plane(L, figure.subplots())
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def show_ab_planes(levels: Sequence[float]) -> None:
    """Some planes side by side."""
    _, axes = plt.subplots(1, len(levels), figsize=(3.1 * len(levels), 3.2), sharey=True)
    for L, ax in zip(levels, axes, strict=True):
        draw_ab_plane(L, ax)
        ax.set(title=f"L* = {L}", ylabel="b*: blue to yellow" if ax is axes[0] else "")
    plt.show()


def thumbnail(photo: Path, side: int = 96) -> np.ndarray:
    """The middle square of a photo, (side, side, 3) uint8."""
    rgb = open_photo(photo, min_side=side)
    height, width, _ = rgb.shape
    cut = min(height, width)
    top, left = (height - cut) // 2, (width - cut) // 2
    return resize_photo(rgb[top : top + cut, left : left + cut], side, side)


def show_crops(
    photo: Tensor, boxes: Sequence[tuple[int, int, int, int]], crops: Sequence[Tensor], titles: Sequence[str]
) -> None:
    """A photo (3, H, W) with numbered boxes (top, left, height, width), and below it the crops."""
    _, ax = plt.subplots(figsize=(5, 4))
    ax.imshow(to_image(photo))
    ax.axis("off")
    for i, (top, left, height, width) in enumerate(boxes):
        ax.add_patch(Rectangle((left, top), width, height, fill=False, color=f"C{i}", linewidth=2))
        right, low = i % 4 in (0, 3), i % 4 in (0, 1)  # another corner each time, so that none hides another
        ha, va = "right" if right else "left", "bottom" if low else "top"
        x, y = left + (width - 6 if right else 6), top + (height - 6 if low else 6)
        ax.text(x, y, str(i + 1), color="white", backgroundcolor=f"C{i}", fontsize=9, ha=ha, va=va)
    plt.show()
    show(crops, titles, width=11)


def show_mean_colours(ab: Tensor, mean: Tensor, L: float = 65) -> None:
    """Each photo's mean colour as a square, from blue to yellow, and the mean of all.

    Args:
        ab: (N, 2), in CIE units.
        mean: (2,), likewise.
        L: lightness to draw them at.
    """
    of_all = lab_to_rgb(fit_to_gamut(torch.tensor([L, *mean.tolist()])[None, :, None, None]))[0]
    ab = ab[ab[:, 1].argsort()]
    columns = -(-len(ab) // 4)
    ab = torch.cat([ab, ab[-1:].expand(columns * 4 - len(ab), 2)])
    lab = torch.cat([torch.full((len(ab), 1), L), ab], dim=1).T.reshape(1, 3, columns, 4).transpose(2, 3)
    rgb = lab_to_rgb(fit_to_gamut(lab))[0]
    _, (each, one) = plt.subplots(1, 2, figsize=(11, 2.2), width_ratios=[columns, 4])
    for ax, squares, title in ((each, rgb, "the mean of each photo"), (one, of_all, "of all")):
        ax.imshow(to_image(squares))
        ax.set_title(title)
        ax.axis("off")
    plt.show()


def show_costs(share: float, first: str, second: str) -> None:
    """What an answer between two colours costs, in absolute and in squared error.

    Args:
        share: share of the first colour; the rest is the second.
        first, second: names of colours that matplotlib knows.
    """
    t = np.linspace(0, 1, 201)  # 0: the second colour, 1: the first
    ends = np.array([to_rgb(name) for name in (second, first)])
    _, axes = plt.subplots(1, 2, figsize=(9, 2.8))
    for ax, power, title in zip(axes, (1, 2), ("absolute error", "squared error"), strict=True):
        cost = share * (1 - t) ** power + (1 - share) * t**power
        best = cost.argmin()
        ax.plot(t, cost, color=SOFT, zorder=0)
        ax.scatter(t[::10], cost[::10], c=(1 - t[::10, None]) * ends[0] + t[::10, None] * ends[1], s=60)
        ax.annotate("smallest", (t[best], cost[best]), (t[best], cost[best] + 0.25), ha="center",
                    arrowprops={"arrowstyle": "->", "color": ACCENT})  # fmt: skip
        ax.set(
            title=title,
            ylim=(0, 0.7),
            xticks=[0, 1],
            xticklabels=[second, first],
            xlim=(-0.1, 1.1),
            ylabel="mean cost",
        )
    plt.show()


def show_ab_histogram(ab: Tensor) -> None:
    """How often each colour occurs, and how strong the colours are.

    Args:
        ab: (2, N), a* and b* in CIE units.
    """
    chroma = ab.norm(dim=0)
    _, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
    sides = [[-AB_SCALE, AB_SCALE]] * 2
    left.hist2d(ab[0].numpy(), ab[1].numpy(), bins=100, range=sides, norm="log", cmap="magma_r")
    left.axhline(0, color=SOFT, linewidth=0.5)
    left.axvline(0, color=SOFT, linewidth=0.5)
    left.set(xlabel="a*: green to red", ylabel="b*: blue to yellow", aspect="equal")
    left.set_title("how often each colour occurs (log scale)")
    right.hist(chroma.numpy(), bins=50, range=(0, 100))
    right.axvline(chroma.median(), color=ACCENT)
    right.set(xlabel="chroma: distance from grey", yticks=[])
    right.set_title(f"half of all pixels are below {chroma.median():.0f}")
    plt.show()
