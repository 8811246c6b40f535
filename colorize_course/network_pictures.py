"""Figures of lessons 03 and 04, so that their cells hold the idea and not the plotting."""

import csv
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb as rgb_of
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from colorize_lib.color import AB_SCALE, fit_to_gamut, lab_to_rgb
from colorize_lib.data import sample_photos

from .display import ACCENT, INK, SOFT, draw_unet, show, to_image, to_rgb
from .display.style import BLUE, GREEN

RED, YELLOW = ACCENT, "#e0a030"
OUTDOORS = ("buildings", "landscape", "streets")


def photos_of(subjects: Sequence[str], split: str) -> list[Path]:
    """The sample photos of some subjects, as data/samples/ATTRIBUTION.csv has them.

    Args:
        split: `train` or `val`.
    """
    photos = {photo.name: photo for photo in sample_photos(split)}
    with (next(iter(photos.values())).parents[1] / "ATTRIBUTION.csv").open(
        newline="", encoding="utf-8"
    ) as file:
        names = [Path(row["file"]).name for row in csv.DictReader(file) if row["subject"] in subjects]
    return sorted(photos[name] for name in names if name in photos)


def enlarged(ab: Tensor, L: Tensor) -> Tensor:
    """Small colours under a large lightness, as RGB: (B, 2, h, w) and (B, 1, H, W) to (B, 3, H, W)."""
    return to_rgb(L, F.interpolate(ab, size=L.shape[-2:], mode="bilinear"))


def _place(ax: Axes, picture: Tensor, left: float, bottom: float, width: float, height: float) -> None:
    ax.imshow(
        to_image(picture),
        extent=(left, left + width, bottom, bottom + height),
        aspect="auto",
        cmap="gray",
        zorder=3,
    )


def draw_unet_with_photo(unet: nn.Module, photo: Mapping[str, Tensor]) -> None:
    """The U-Net with a photo going in and its colours coming out.

    Args:
        unet: the outermost block.
        photo: {"L", "ab"} of one photo.
    """
    _, ax = plt.subplots(figsize=(9.6, 4.8))
    draw_unet(unet, 256, ax)
    _place(ax, (photo["L"][0] + 1) / 2, -11.6, -1.1, 2.0, 1.5)
    _place(ax, to_rgb(torch.full_like(photo["L"], 0.3), photo["ab"])[0], 9.6, -1.1, 2.0, 1.5)
    for x, words in ((-10.6, "lightness L\n1 channel"), (10.6, "colour, a* and b*\n2 channels")):
        ax.text(x, -1.25, words, ha="center", va="top", fontsize=10)
    for start, end in ((-9.55, -8.5), (8.5, 9.5)):
        ax.annotate(
            "", (end, 0), (start, 0), arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.6}
        )
    for x, y, colour, words, side in (
        (-8.8, -4.5, BLUE, "down:\nwhat is it?", "right"),
        (8.8, -4.5, RED, "up:\nwhere exactly?", "left"),
        (0, -0.72, GREEN, "skips", "center"),
    ):
        ax.text(x, y, words, color=colour, ha=side, va="center", fontsize=12)
    ax.set(xlim=(-12, 12), ylim=(-8.6, 0.6))
    plt.show()


def draw_nested(stages: Sequence[nn.Module]) -> None:
    """Blocks with one more wrap each, boxes of one size in all."""
    widths = [2.4 + 2 * wraps for wraps in range(len(stages))]
    _, axes = plt.subplots(1, len(stages), figsize=(10.5, 3.0), width_ratios=widths)
    for wraps, (stage, ax) in enumerate(zip(stages, axes, strict=True)):
        side = 2 ** (wraps + 1)
        draw_unet(stage, side, ax, f"takes {side}²" if wraps else f"bottom: takes {side}²")
        ax.set_ylim(-len(stages) - 0.55, 0.55)
    plt.show()


def draw_convolution(patch: Tensor, kernel: Tensor, outputs: Mapping[str, Tensor]) -> None:
    """A picture, a kernel, and what the kernel makes of the picture, as tables of numbers on shades of grey.

    The kernel's first place and what it gives there are framed.

    Args:
        patch: (1, 1, h, h), in [0, 100].
        kernel: (1, 1, k, k).
        outputs: {title: (1, 1, height, width)}; the first one is the convolution without padding.
    """
    side = kernel.shape[-1]
    tables = {"the picture: L*": patch, "the kernel": kernel} | dict(outputs)
    widths = [table.shape[-1] for table in tables.values()]
    _, axes = plt.subplots(1, len(tables), figsize=(12, 2.9), width_ratios=widths)
    for i, (ax, (title, table)) in enumerate(zip(axes, tables.items(), strict=True)):
        values = table[0, 0]
        shades = (values / 100 if i == 0 else 0.5 + values / (2 * values.abs().max())).clamp(0, 1)
        tints = [[str(round(shade, 3)) for shade in row] for row in shades.tolist()]
        _numbers(ax, values, tints, title, zeros=True)
        if i in (0, 2):
            framed = side if i == 0 else 1
            ax.add_patch(Rectangle((0, 0), framed, framed, fill=False, edgecolor=ACCENT, linewidth=2.5))
    plt.show()


def draw_stamps(picture: Tensor, pattern: Tensor, stamp: Callable) -> None:
    """A transposed convolution of a 2 × 2 picture, stamp by stamp, and their sum; `stamp` is the learner's or ours."""
    colours = [[BLUE, YELLOW], [GREEN, RED]]
    _, axes = plt.subplots(1, 6, figsize=(11, 2.3), width_ratios=[2, 6, 6, 6, 6, 6])
    _numbers(axes[0], picture, colours, "the picture")
    for i, ax in enumerate(axes[1:5]):
        y, x = divmod(i, 2)
        one = torch.zeros_like(picture)
        one[y, x] = picture[y, x]
        stamped = stamp(one, pattern)
        tints = [[colours[y][x] if v else "white" for v in row] for row in stamped.tolist()]
        _numbers(ax, stamped, tints, f"the stamp of pixel {picture[y, x]:g}")
    total = stamp(picture, pattern)
    tints = [["#f3d9a0" if 0 < r < 5 and 0 < c < 5 else "white" for c in range(6)] for r in range(6)]
    _numbers(axes[5], total, tints, "the sum; padding=1 keeps 4 × 4")
    plt.show()


def _numbers(
    ax: Axes, values: Tensor, tints: Sequence[Sequence[str]], title: str, zeros: bool = False
) -> None:
    height, width = values.shape
    for y in range(height):
        for x in range(width):
            tint = tints[y][x]
            ax.add_patch(Rectangle((x, y), 1, 1, facecolor=tint, edgecolor=SOFT, linewidth=0.7))
            if zeros or values[y, x]:
                dark = sum(rgb_of(tint)) < 1.6
                ink = "white" if dark else INK
                ax.text(
                    x + 0.5, y + 0.5, f"{values[y, x]:g}", ha="center", va="center", fontsize=9, color=ink
                )
    ax.set(xlim=(-0.1, width + 0.1), ylim=(height + 0.1, -0.1), aspect="equal")
    ax.set_title(title, fontsize=9)
    ax.axis("off")


def show_fields(photo: Tensor, boxes: Sequence[tuple[int, int, int, int]], first: int = 1) -> None:
    """A photo (3, H, W) with nested boxes (left, top, width, height), numbered from `first`."""
    _, ax = plt.subplots(figsize=(4, 4))
    ax.imshow(to_image(photo))
    for number, (x, y, w, h) in enumerate(boxes, start=first):
        for colour, thick in (("black", 3.4), ("white", 1.6)):
            ax.add_patch(Rectangle((x, y), w, h, fill=False, color=colour, linewidth=thick))
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        edge = y + h * (number % 2)  # above and below by turns: neighbouring numbers do not meet
        ax.text(x + w / 2, edge, str(number), ha="center", va="center", fontsize=10, bbox=box)
    ax.axis("off")
    plt.show()


def show_losses(
    losses: Sequence[float], grey: float, xlabel: str = "step", log: bool = True, **more: Sequence[float]
) -> None:
    """The ab error over the training, beside grey's; further curves by their names."""
    _, ax = plt.subplots(figsize=(7, 2.6))
    curves = {"": losses} | more
    for name, curve in curves.items():
        ax.plot(np.linspace(1, len(losses), len(curve)), curve, label=name.replace("_", " "))
    ax.axhline(grey, color=SOFT, linestyle="--")
    ax.text(len(losses), grey * 1.03, "grey", ha="right", va="bottom", color="#666666")
    ax.set(xlabel=xlabel, ylabel="ab error", yscale="log" if log else "linear")
    if log:
        ax.set(yticks=[2, 5, 10, 20], yticklabels=[2, 5, 10, 20])
        ax.minorticks_off()
    if more:
        ax.legend(frameon=False)
    plt.show()


def show_three(L: Tensor, ab: Tensor, true: Tensor, columns: int = 4, width: float = 6.2) -> None:
    """Photos in columns: grey above, predicted in the middle, true below."""
    pictures, titles = [], []
    for name, colours in (("grey", 0 * true), ("predicted", ab), ("true", true)):
        pictures += list(enlarged(colours, L)[:columns])
        titles += [name] * columns
    show(pictures, titles, columns=columns, width=width)


@torch.no_grad()
def show_way_down(network: nn.Module, L: Tensor, blocks: Sequence[Any], count: int = 2) -> None:
    """Some channels of what each block's way down makes of a photo: those that vary most from place to place.

    Args:
        L: (1, 1, H, W).
        blocks: the network's `UnetBlock`s, outermost first.
    """
    maps: list[Tensor] = []
    hooks = [
        block.down.register_forward_hook(lambda layer, given, output: maps.append(output[0].cpu()))
        for block in blocks
    ]
    network.eval()(L)
    for hook in hooks:
        hook.remove()
    _, axes = plt.subplots(count, len(maps), figsize=(8.5, 8.5 / len(maps) * count + 0.3))
    for level, (column, values) in enumerate(zip(axes.T, maps, strict=True), start=1):
        for ax, channel in zip(column, values[values.std(dim=(1, 2)).topk(count).indices], strict=True):
            ax.imshow(channel, cmap="gray", interpolation="nearest")
            ax.axis("off")
        column[0].set_title(f"level {level}: {values.shape[-1]}²", fontsize=10)
    plt.show()


def kinds_of(ab: Tensor) -> dict[str, Tensor]:
    """Which pixels of ab (B, 2, H, W) are green, brown (orange to olive), blue, or nearly grey: {name: (B, H, W)}."""
    a, b = ab[:, 0] * AB_SCALE, ab[:, 1] * AB_SCALE
    hue, strength = torch.rad2deg(torch.atan2(b, a)) % 360, torch.hypot(a, b)
    borders = {"green": (105, 180), "brown": (40, 105), "blue": (180, 315)}
    kinds = {name: (low < hue) & (hue < high) & (strength > 5) for name, (low, high) in borders.items()}
    return kinds | {"nearly grey": strength <= 5}


def what_became(true: Tensor, painted: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Print what became of the truly green, brown and blue pixels; gives their mean a* and b*, true and painted."""
    kinds, means = kinds_of(painted), {}
    print("truly    pixels    mean a*, b*     painted" + "".join(f"{'→ ' + name:>14s}" for name in kinds))
    for name, where in list(kinds_of(true).items())[:3]:
        means[name] = tuple(AB_SCALE * ab.movedim(1, -1)[where].mean(dim=0) for ab in (true, painted))
        told = "".join("    ({:3.0f}, {:3.0f})".format(*mean.tolist()) for mean in means[name])
        shares = "".join(f"{kind[where].float().mean():14.0%}" for kind in kinds.values())
        print(f"{name:6s}{where.sum():9,d}{told}{shares}")
    return means


def show_bars(groups: Mapping[str, Mapping[str, float]], baselines: Mapping[str, float], ylabel: str) -> None:
    """Bars side by side, a panel for each group, with a dashed line for its baseline."""
    _, axes = plt.subplots(1, len(groups), figsize=(9, 2.5))
    for ax, (title, bars) in zip(axes, groups.items(), strict=True):
        ax.bar(list(bars), list(bars.values()), color=[SOFT if name == "none" else BLUE for name in bars])
        ax.axhline(baselines[title], color=ACCENT, linestyle="--")
        ax.text(-0.4, baselines[title], "grey", color=ACCENT, va="bottom")
        ax.set_ylim(0, 1.18 * max(baselines[title], *bars.values()))
        ax.set(title=title, xlabel="skip that is cut", ylabel=ylabel)
    plt.show()


# --- Lesson 04


def show_one_colour(ab: Tensor, lightness: float) -> dict[str, Tensor]:
    """Pixels of one lightness on the a*b* plane, in their own colours, and the one colour that costs L1 the least.

    Args:
        ab: (2, N), in CIE units.
        lightness: L* to draw them at.

    Returns:
        Candidates: grey, the most frequent colour (in squares of 4 × 4), the mean and the median.
    """
    squares, counts = (ab / 4).round().unique(dim=1, return_counts=True)
    median = ab.median(dim=1).values
    candidates = {
        "grey": ab.new_zeros(2),
        "the most frequent": 4 * squares[:, counts.argmax()],
        "the mean": ab.mean(dim=1),
        "the median": median,
    }
    cost = [(ab - point[:, None]).abs().mean() for point in (candidates["grey"], median)]
    _, (plane, swatches) = plt.subplots(1, 2, figsize=(9, 3.9), width_ratios=[1.15, 1])
    lab = torch.cat([torch.full_like(ab[:1], lightness), ab])[None, :, None]
    plane.scatter(*ab, c=lab_to_rgb(fit_to_gamut(lab))[0, :, 0].T.numpy(), s=9, linewidths=0)
    plane.plot(
        *median, "o", markersize=17, markerfacecolor=_colour(median, lightness), markeredgecolor="black"
    )
    plane.annotate("the median", median, (-75, 60), arrowprops={"arrowstyle": "->"}, fontsize=12)
    plane.axhline(0, color=SOFT, linewidth=0.6)
    plane.axvline(0, color=SOFT, linewidth=0.6)
    plane.set(
        xlim=(-80, 80), ylim=(-80, 80), xlabel="a*: green to red", ylabel="b*: blue to yellow", aspect="equal"
    )
    some = ab[:, torch.linspace(0, ab.shape[1] - 1, 40).long()]
    for i, point in enumerate(some.T):
        swatches.add_patch(Rectangle((i % 8, 2 + i // 8), 0.94, 0.94, color=_colour(point, lightness)))
    swatches.add_patch(Rectangle((0, 0), 7.94, 1.6, color=_colour(median, lightness)))
    swatches.text(
        3.97,
        0.8,
        f"one colour for all: costs {cost[1]:.1f}, grey {cost[0]:.1f}",
        ha="center",
        va="center",
        color="white",
    )
    swatches.set(xlim=(0, 8), ylim=(0, 7.2), title="forty of these pixels, and what L1 paints")
    swatches.axis("off")
    plt.show()
    return candidates


def _colour(point: Tensor, lightness: float) -> np.ndarray:
    lab = torch.tensor([lightness, *point.tolist()], dtype=torch.float32)[None, :, None, None]
    return lab_to_rgb(fit_to_gamut(lab)).flatten().numpy()


def show_verdicts(
    photos: Tensor, maps: Tensor, titles: Sequence[str], columns: int = 4, limit: float | None = None
) -> None:
    """Photos above, and below each the same photo in grey with the judge's map laid over it.

    Args:
        photos: (N, 3, H, W) RGB, as the judge saw them.
        maps: (N, 1, h, w) logits.
        limit: end of the colour scale; None: from the maps.
    """
    limit = limit or maps.abs().quantile(0.95).item()
    rows = -(-len(photos) // columns)
    side = 7.3 / columns
    size = (8.2, rows * (2 * side + 0.35))
    _, axes = plt.subplots(2 * rows, columns, figsize=size, squeeze=False)
    figure = axes[0, 0].figure
    image = None
    for i in range(rows * columns):
        above, below = axes[2 * (i // columns), i % columns], axes[2 * (i // columns) + 1, i % columns]
        for ax in (above, below):
            ax.axis("off")
        if i >= len(photos):
            continue
        picture = to_image(photos[i])
        size = picture.shape[0]
        above.imshow(picture)
        above.set_title(titles[i], fontsize=10)
        below.imshow(picture.mean(axis=2), cmap="gray", vmin=-60, vmax=320)
        smooth = F.interpolate(maps[i : i + 1].cpu(), size=size, mode="bilinear")[0, 0]
        image = below.imshow(smooth, cmap="PiYG", vmin=-limit, vmax=limit, alpha=0.62)
        below.contour(smooth, levels=[0], colors="black", linewidths=0.8)
    figure.colorbar(image, ax=axes, shrink=0.4, label="logit: fake ← 0 → real", aspect=30)
    plt.show()


def photo_and_map(photo: Tensor, logits: Tensor, limit: float, side: int = 144) -> np.ndarray:
    """A photo (3, H, W) and, beside it, in grey under the judge's map (1, h, w): (side, 2 side, 3) uint8."""
    picture = to_image(F.interpolate(photo[None], size=(side, side), mode="area")[0])
    smooth = F.interpolate(logits[None].cpu(), size=picture.shape[0], mode="bilinear")[0, 0].numpy()
    tint = plt.get_cmap("PiYG")((smooth / limit + 1) / 2)[..., :3] * 255
    pale = picture.mean(axis=2, keepdims=True) * 0.67 + 42
    return np.concatenate([picture, (0.38 * pale + 0.62 * tint).round().astype(np.uint8)], axis=1)


@torch.no_grad()
def holes(judge: nn.Module, L: Tensor, ab: Tensor, hole: int, places: int, limit: float) -> list[np.ndarray]:
    """A photo with a grey hole in each of `places`² places, column by column, beside the judge's map.

    Args:
        L, ab: (1, 1, H, H) and (1, 2, H, H).
        hole: side of the hole, in pixels.
        limit: end of the colour scale.
    """
    looks = []
    corners = [round(place * (L.shape[-1] - hole) / (places - 1)) for place in range(places)]
    for x, y in product(corners, corners):
        pale = ab.clone()
        pale[..., y : y + hole, x : x + hole] = 0
        logits = judge.eval()(torch.cat([L, pale], dim=1))[0]
        looks.append(photo_and_map(to_rgb(L, pale)[0], logits, limit))
    return looks


def show_patches(photo: Tensor, strength: Tensor, corner: tuple[int, int], field: int, step: int) -> None:
    """Three of the judge's patches on a photo, one cut out, and how strongly each pixel of it counts."""
    top, left = corner
    picture = to_image(photo)
    _, (whole, patch, weight) = plt.subplots(1, 3, figsize=(9, 3.2))
    whole.imshow(picture)
    for rows, columns, colour in ((0, 0, "white"), (0, 1, "#f4d35e"), (-8, -8, "#7fd0ff")):
        x, y = left + step * columns, top + step * rows
        for ink, thick in (("black", 3.6), (colour, 1.8)):
            whole.add_patch(Rectangle((x, y), field, field, fill=False, color=ink, linewidth=thick))
    patch.imshow(picture[top : top + field, left : left + field])
    weight.imshow(strength[top : top + field, left : left + field], cmap="magma")
    for ax, title in (
        (whole, "three of the patches"),
        (patch, "what one logit sees"),
        (weight, "how strongly"),
    ):
        ax.set_title(title)
        ax.axis("off")
    plt.show()


def show_generator_losses(curves: Mapping[str, Callable[[Tensor], Tensor]]) -> None:
    """Losses of the generator over the judge's logit, and their slopes."""
    logits = torch.linspace(-6, 6, 241)
    _, (left, right) = plt.subplots(1, 2, figsize=(10, 3.3), sharex=True)
    for name, loss in curves.items():
        points = logits.clone().requires_grad_()
        values = torch.stack([loss(point) for point in points])
        (slope,) = torch.autograd.grad(values.sum(), points)
        style = {"linestyle": "--"} if "(1 − D)" in name else {}
        left.plot(logits, values.detach(), label=name, linewidth=2, **style)
        right.plot(logits, slope, label=name, linewidth=2, **style)
    for ax in (left, right):
        ax.axvspan(-6, -2, color="#f6e3e0", zorder=0)
        ax.text(-5.9, 0.98, "caught", transform=ax.get_xaxis_transform(), color=ACCENT, va="top")
        ax.set(xlabel="the judge's logit for a painted patch")
        ax.axhline(0, color=SOFT, linewidth=0.8)
    left.set(title="the generator's loss", ylim=(-6.5, 8))
    right.set(title="its slope: how hard the generator is pushed", ylim=(-1.4, 0.4))
    left.legend(frameon=False, fontsize=9)
    plt.show()


def show_clouds(kinds: Mapping[str, Sequence[Tensor]], titles: Sequence[str]) -> list[float]:
    """Two kinds of photos as clouds of dots, in the two channels in which they differ most at first.

    Args:
        kinds: {name: one (B, C, h, w) for each title}; two names.
        titles: titles of the panels.

    Returns:
        How far the clouds' means are from each other, in each panel.
    """
    means = [values[0].mean(dim=(0, 2, 3)) for values in kinds.values()]
    spread = next(iter(kinds.values()))[0].std(dim=(0, 2, 3))
    two = ((means[0] - means[1]).abs() / spread).topk(2).indices
    _, axes = plt.subplots(1, len(titles), figsize=(10, 3.4))
    distances = []
    for panel, (ax, title) in enumerate(zip(axes, titles, strict=True)):
        clouds = {
            name: values[panel][:, two].movedim(1, -1).reshape(-1, 2)[::23].cpu()
            for name, values in kinds.items()
        }
        for (name, dots), colour in zip(clouds.items(), (GREEN, "#6b7280"), strict=True):
            ax.scatter(*dots.T, s=7, color=colour, alpha=0.35, linewidths=0, label=name)
        centres = [dots.mean(dim=0) for dots in clouds.values()]
        for centre, colour in zip(centres, (GREEN, "#6b7280"), strict=True):
            ax.plot(*centre, "P", color=colour, markeredgecolor="black", markersize=12)
        distances.append((centres[0] - centres[1]).norm().item())
        ax.axhline(0, color=SOFT, linewidth=0.6)
        ax.axvline(0, color=SOFT, linewidth=0.6)
        ax.set(xlabel="one channel", ylabel="another" if ax is axes[0] else "")
        ax.set_title(title, fontsize=11)
    axes[0].legend(frameon=False, markerscale=3)
    plt.show()
    return distances
