"""Figures of lesson 05, so that its cells hold the idea and not the plotting."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from colorize_lib.color import AB_SCALE, fit_to_gamut, lab_to_rgb
from colorize_lib.data import Batch, EpochSampler, LabLoader

from .display import ACCENT, INK, SOFT, to_image, to_rgb

BLUE, RED, AMBER = "#2c6fbb", ACCENT, "#e0a030"
EDGE = 88  # of the a*b* planes
LIGHTNESS = 62

Box = tuple[float, float, str, str | None]


def draw_step(
    title: str, boxes: Mapping[str, Box], forward: Sequence, backward: Sequence, colour: str
) -> None:
    """A flow chart: boxes {key: (x, y, text, colour)}; arrows as pairs of keys, or (key, key, bend)."""
    _, ax = plt.subplots(figsize=(9, 2.5))
    patches = {
        key: ax.text(
            x, y, words, ha="center", va="center", color="white" if fill else INK, linespacing=1.3,
            bbox={"boxstyle": "round,pad=0.5", "facecolor": fill or "#eef1f4", "edgecolor": "none"},
        ).get_bbox_patch()
        for key, (x, y, words, fill) in boxes.items()
    }  # fmt: skip
    for ink, arrows, usual in ((SOFT, forward, 0.0), (colour, backward, -0.3)):
        for start, end, *bend in arrows:
            ax.annotate(
                "", boxes[end][:2], boxes[start][:2],
                arrowprops={
                    "arrowstyle": "-|>", "color": ink, "linewidth": 1.6, "shrinkA": 3, "shrinkB": 3,
                    "patchA": patches[start], "patchB": patches[end],
                    "connectionstyle": f"arc3,rad={bend[0] if bend else usual}",
                },
            )  # fmt: skip
    ax.set(xlim=(-0.5, 7.5), ylim=(-0.4, 1.6), title=title)
    ax.axis("off")
    plt.show()


def draw_discriminator_step() -> None:
    """Where the gradient flows while the discriminator learns."""
    boxes = {
        "L": (0, 0.6, "L", None),
        "G": (1.3, 0.6, "generator", BLUE),
        "fake": (3.4, 0.05, "L, fake ab\ndetached", None),
        "real": (3.4, 1.15, "L, true ab", None),
        "D": (5.4, 0.6, "discriminator", RED),
        "loss": (7, 0.6, "loss D", None),
    }
    forward = [("L", "G"), ("G", "fake"), ("fake", "D"), ("real", "D"), ("D", "loss")]
    draw_step("The discriminator's step", boxes, forward, [("loss", "D", -0.6)], RED)


def draw_generator_step() -> None:
    """Where the gradient flows while the generator learns."""
    boxes = {
        "L": (0, 0.6, "L", None),
        "G": (1.3, 0.6, "generator", BLUE),
        "fake": (2.9, 0.6, "fake ab", None),
        "D": (4.9, 1.25, "discriminator\nholds still", "#b0706a"),
        "L1": (4.9, -0.05, "λ · L1 to true ab", None),
        "loss": (7, 0.6, "loss G", None),
    }
    forward = [
        ("L", "G"), ("L", "D", -0.2), ("G", "fake"), ("fake", "D"), ("fake", "L1"), ("D", "loss"), ("L1", "loss")
    ]  # fmt: skip
    backward = [
        ("loss", "D", 0.35), ("D", "fake", 0.35), ("loss", "L1", -0.35), ("L1", "fake", -0.35), ("fake", "G", -0.7)
    ]  # fmt: skip
    draw_step("The generator's step", boxes, forward, backward, BLUE)


def plane(side: int = 160) -> Tensor:
    """The colours of the a*b* plane at one lightness, (3, side, side), b* upwards; muted where no screen has them."""
    values = torch.linspace(-EDGE, EDGE, side)
    b, a = torch.meshgrid(values.flip(0), values, indexing="ij")
    lab = torch.stack([torch.full_like(a, LIGHTNESS), a, b])[None]
    rgb = lab_to_rgb(fit_to_gamut(lab))[0]
    return 0.25 + 0.75 * rgb  # paler than the paints, so that ink can be read on it


def paint(ab: Tensor) -> Tensor:
    """The RGB, (3,), of a colour (a*, b*)."""
    lab = torch.tensor([LIGHTNESS, *ab.tolist()])[None, :, None, None]
    return lab_to_rgb(fit_to_gamut(lab))[0, :, 0, 0]


def draw_plane(
    ax: Axes, title: str, photos: Tensor | None = None, *,
    path: Tensor | None = None, end: Tensor | None = None, points: Tensor | None = None, judge: nn.Module | None = None,
) -> None:  # fmt: skip
    """One game on the a*b* plane.

    Args:
        photos: (N, 2), a* and b* of true colours: grey dots.
        path: (N, 2), where a generator went: a line from the white ring.
        end: (2,), the colour to show as a swatch.
        points: (N, 2), colours of a generator with noise: black dots; colours beyond the edge are drawn on it.
        judge: function from a*, b* over `AB_SCALE` to a logit; drawn is where it says "half" (solid) and "four fifths" (dotted).
    """
    ax.imshow(to_image(plane()), extent=(-EDGE, EDGE, -EDGE, EDGE), interpolation="bilinear")
    if photos is not None:
        ax.scatter(*photos.T, s=9, color="white", edgecolor=INK, linewidth=0.5, zorder=2)
    if judge is not None:
        values = torch.linspace(-EDGE, EDGE, 90)
        b, a = torch.meshgrid(values, values, indexing="ij")
        with torch.no_grad():
            says = torch.sigmoid(judge(torch.stack([a, b], dim=-1).flatten(0, 1) / AB_SCALE)).view(a.shape)
        ax.contour(values, values, says, [0.5, 0.8], colors=[INK, INK], linestyles=["-", ":"], linewidths=1.4)
    if path is not None:
        ax.plot(*path.T, color="black", linewidth=1.1, zorder=3)
        ax.plot(*path[0], "o", color="white", markeredgecolor="black", markersize=7, zorder=4)
    if points is not None:
        ax.scatter(*points.clamp(2 - EDGE, EDGE - 2).T, s=7, color="black", zorder=3)
    if end is not None:
        swatch = ax.inset_axes((0.03, 0.03, 0.24, 0.24))
        swatch.imshow(to_image(paint(end)[:, None, None].expand(3, 4, 4)))
        swatch.set(xticks=[], yticks=[])
        swatch.spines[:].set(visible=True, color="white", linewidth=2)
    ax.set(
        xlim=(-EDGE, EDGE),
        ylim=(-EDGE, EDGE),
        xlabel="a*: green to red",
        xticks=[-50, 0, 50],
        yticks=[-50, 0, 50],
    )
    ax.set_title(title, fontsize=12)


def show_planes(games: Mapping[str, dict[str, Any]], photos: Tensor | None = None) -> None:
    """Some games side by side: {title: arguments of `draw_plane`}."""
    figure, axes = plt.subplots(1, len(games), figsize=(2.4 * len(games), 2.85), sharey=True, squeeze=False)
    for ax, (title, game) in zip(axes[0], games.items(), strict=True):
        draw_plane(ax, title, **{"photos": photos, **game})
    axes[0, 0].set_ylabel("b*: blue to yellow")
    plt.show()


def show_best_judge(x: Tensor, worlds: Mapping[str, tuple[Tensor, Tensor, Tensor, Tensor]]) -> None:
    """How common each b* is among photos and fakes, and below it what the best and a learned judge say.

    Args:
        x: b*.
        worlds: {title: (real, fake, the best judge, the learned judge)}.
    """
    figure, axes = plt.subplots(
        2, len(worlds), figsize=(4.0 * len(worlds), 3.6), sharex=True, sharey="row", squeeze=False
    )
    for (above, below), (title, (real, fake, best, learned)) in zip(axes.T, worlds.items(), strict=True):
        above.fill_between(x, real, color=BLUE, alpha=0.55, label="photos, p")
        above.fill_between(x, fake, color=AMBER, alpha=0.55, label="fakes, q")
        above.set(title=title, yticks=[])
        below.axhline(0.5, color=SOFT, linewidth=1)
        below.plot(x, best, color=INK, linewidth=1.5, label="the best: p / (p + q)")
        below.plot(x[::6], learned[::6], "o", color=RED, markersize=4, label="the learned one")
        below.set(xlabel="b*", ylim=(-0.05, 1.05), yticks=[0, 0.5, 1])
    axes[1, 0].set_ylabel("it says “real”")
    for row in axes[:, -1]:
        row.legend(frameon=False, fontsize=10, loc="center left", bbox_to_anchor=(1, 0.5))
    plt.show()


def draw_batches(loader: LabLoader, count: int) -> Iterator[Batch]:
    """So many training batches, epoch after epoch, each with a new order and new crops."""
    for epoch in range(-(-count // len(loader))):
        if isinstance(sampler := loader.loader.sampler, EpochSampler):
            sampler.set_epoch(epoch)
        yield from islice(loader, count - epoch * len(loader))


def show_grid(rows: Mapping[str, Sequence[Tensor]], titles: Sequence[str] = (), width: float = 8.0) -> None:
    """Rows of pictures, each (3, H, W) in [0, 1], with the rows' names at their left and titles above."""
    columns = max(len(row) for row in rows.values())
    cell = (width - 1.3) / columns
    height = cell * len(rows) + 0.3 * bool(titles)
    figure, axes = plt.subplots(len(rows), columns, figsize=(width, height), squeeze=False)
    for line, (name, row) in zip(axes, rows.items(), strict=True):
        for ax, picture in zip(line, row, strict=False):
            ax.imshow(to_image(picture), interpolation="lanczos")
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=12, labelpad=8)
    for ax, title in zip(axes[0], titles, strict=False):
        ax.set_title(title, fontsize=12)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    plt.show()


def filmstrip(L: Tensor, frames: Mapping[str, Mapping[int, Tensor]], true: Tensor) -> None:
    """How one photo is painted while networks learn.

    Args:
        L: (1, 1, H, W).
        frames: {row: {step: ab (1, 2, H, W)}}.
        true: ab (1, 2, H, W), the last column.
    """
    steps = next(iter(frames.values()))
    rows = {name: [to_rgb(L, ab)[0] for ab in [*row.values(), true]] for name, row in frames.items()}
    show_grid(rows, [*(f"step {step}" for step in steps), "true"])


def show_logits(judges: Mapping[str, Mapping[str, Tensor]]) -> None:
    """For each judge, the logits of groups of photos as strips of dots: {title: {group: logits}}."""
    figure, axes = plt.subplots(
        1, len(judges), figsize=(4.3 * len(judges), 2.5), sharex=True, sharey=True, squeeze=False
    )
    for ax, (title, groups) in zip(axes[0], judges.items(), strict=True):
        for i, (_name, logits) in enumerate(groups.items()):
            colour = BLUE if i % 2 == 0 else AMBER
            jitter = torch.linspace(-0.25, 0.25, len(logits))
            ax.scatter(logits, jitter - i, s=16, color=colour, alpha=0.7, marker="o" if i % 2 == 0 else "s")
            ax.plot([logits.mean()] * 2, [-i - 0.38, -i + 0.38], color=INK, linewidth=2)
        ax.axvline(0, color=SOFT, linewidth=1)
        ax.set(title=title, xlabel="logit: fake ← 0 → real", yticks=[-i for i in range(len(groups))])
        ax.set_yticklabels(groups)
    plt.show()
