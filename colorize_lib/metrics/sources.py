"""Photos by their sources, and whether a lead is more than chance."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from .measure import Row, Table

LEAD_COLUMNS = ("ab_error", "auc_balanced", "blotches", "frechet", "fid")
EVERY = "all photos"  # the line of all sources together
FEWEST = 10  # photos of a source that has a margin: fewer say too little about photos that are not here
RESAMPLES = 200  # a margin from so many is right to about 5 %

Leads = dict[str, dict[str, tuple[float, float]]]  # {source: {column: (difference, margin)}}


def source_of(photo: Path, folder: Path) -> str:
    """Where a photo comes from: its subfolder of `folder`, or what its name has before the first `_`.

    A photo in `folder` itself whose name has no `_` comes from `folder`.
    """
    below = photo.relative_to(folder).parts
    if len(below) > 1:
        return below[0]
    prefix, underscore, _ = photo.name.partition("_")
    return prefix if underscore else folder.resolve().name


def by_source(rows: Mapping[str, Row], sources: Sequence[str]) -> dict[str, Table]:
    """A table for each source.

    Args:
        rows: the table of `evaluate`.
        sources: the source of each photo, in the order in which they were measured.
    """
    return {
        source: {name: row.counted(_counts(photos, len(sources))) for name, row in rows.items()}
        for source, photos in _photos(sources).items()
    }


def leads(one: Row, other: Row, sources: Sequence[str], seed: int = 0) -> Leads:
    """How far one guess is ahead of another, with a 95 % interval: difference ± margin.

    The photos are drawn anew, with replacement, as many as there are (the bootstrap;
    Efron, 1979), both guesses on the same ones: what makes a photo hard for both
    cancels.  The margin is 1.96 standard deviations of the differences.  Their mean is not
    used: photos that are drawn twice raise every Fréchet distance.

    Args:
        one, other: rows of the table of `evaluate`.
        sources: the source of each photo, in the order in which they were measured.
        seed: random seed of the draws.

    Returns:
        The differences one − other of `LEAD_COLUMNS`, over all photos and for each source; the
        margin of fewer than 10 photos is NaN.
    """
    columns = [column for column in LEAD_COLUMNS if column in one]

    def difference(counts: Tensor) -> Tensor:
        values = [row.counted(counts, columns) for row in (one, other)]
        return torch.tensor([values[0][column] - values[1][column] for column in columns])

    def lead(photos: Tensor) -> dict[str, tuple[float, float]]:
        rng = torch.Generator().manual_seed(seed)
        draws = torch.randint(len(photos), (RESAMPLES, len(photos)), generator=rng)
        spread = torch.stack([difference(_counts(photos[draw], len(sources))) for draw in draws]).std(dim=0)
        margins = 1.96 * spread if len(photos) >= FEWEST else torch.full_like(spread, math.nan)
        found = zip(difference(_counts(photos, len(sources))).tolist(), margins.tolist(), strict=True)
        return dict(zip(columns, found, strict=True))

    every = {EVERY: torch.arange(len(sources))}
    return {source: lead(photos) for source, photos in (every | _photos(sources)).items()}


def _photos(sources: Sequence[str]) -> dict[str, Tensor]:
    """The indices of the photos of each source."""
    return {
        source: torch.tensor([i for i, each in enumerate(sources) if each == source])
        for source in sorted(set(sources))
    }


def _counts(photos: Tensor, total: int) -> Tensor:
    """How often each of `total` photos is among these."""
    return torch.bincount(photos, minlength=total)
