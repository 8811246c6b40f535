"""One table through the course: every painter on the same 23 photos, which train nothing in any lesson.

How a lesson adds its row, and shows the table so far (former lessons' rows are in league.csv):

    league = League("03")
    league.add("U-Net, 30 photos", lambda batch: net(batch["L"]), size=64)   # a batch {"L", "ab"} → ab, normalised
    print(league)    # then run the lesson, save it, and `python docs/league.py` takes the row out of its saved output

Three more: `league["grey"].ab_error` is a number to compare with; a painter with hints takes them from `batch["ab"]`;
and `League("03", photos)` is a table of its own on other photos, which is not kept.
"""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize_lib.data import Batch, PhotoDataset, lab_batch, sample_photos
from colorize_lib.metrics import ab_error

RECORD = Path(__file__).with_name("league.csv")
SIDE = 256  # the photos are compared at this size, whatever size a painter is given
HEAD = "lesson  painter                        ab error  better than grey  upside down"
_LINE = re.compile(r"^(\d\d)      (.{1,29}?) +(\d+\.\d\d) +(\d+) of (\d+) +(\d+\.\d\d)$")


@dataclass(frozen=True)
class Row:
    """What a painter reaches.

    Attributes:
        lesson: the lesson that measures it.
        painter: its name, at most 29 characters.
        ab_error: mean absolute error of a* and b*, in CIE units.
        won: photos on which it is nearer to the truth than grey, in this photo's ab error.
        photos: how many there are.
        upside_down: the ab error when it is given the photos upside down.
    """

    lesson: str
    painter: str
    ab_error: float
    won: int
    photos: int
    upside_down: float

    def __str__(self) -> str:
        won = f"{self.won} of {self.photos}"
        return f"{self.lesson}      {self.painter:29s} {self.ab_error:9.2f}  {won:>16s}  {self.upside_down:11.2f}"


class League:
    """The table so far.

    Args:
        lesson: its number, as in `"03"`; the rows of lessons before it are there from the start.
        photos: other photos to compare on, with no rows yet; None: the course's.
        device: device on which the painters are given their batches.
    """

    def __init__(self, lesson: str, photos: Sequence[Path] | None = None, device: torch.device | str = "cpu"):
        self.lesson, self.device = lesson, device
        self.photos = sample_photos("val") if photos is None else photos
        self.rows = [] if photos is not None else [row for row in recorded() if row.lesson < lesson]
        self._batches: dict[int, Batch] = {}

    def batch(self, size: int = SIDE) -> Batch:
        """The photos as squares: {"L": (N, 1, size, size), "ab": (N, 2, size, size)}."""
        if size not in self._batches:
            data = PhotoDataset(self.photos, size)
            self._batches[size] = lab_batch(torch.stack([data[i] for i in range(len(data))]))
        return self._batches[size]

    def add(self, painter: str, paint: Callable[[Batch], Tensor], size: int = SIDE) -> Row:
        """Measure a painter: a row of the table, in the place of one of this name.

        Args:
            painter: name in the table.
            paint: function from a batch to normalised ab, (B, 2, H, W).  It sees a few photos at a time.
            size: side of the squares that it is given; its colours are enlarged to `SIDE`.
        """
        true = self.batch()["ab"]
        error = ab_error(self._guess(paint, size, upside_down=False), true)
        turned = ab_error(self._guess(paint, size, upside_down=True), true)
        won = int((error < ab_error(0 * true, true)).sum())
        row = Row(self.lesson, painter, error.mean().item(), won, len(true), turned.mean().item())
        self.rows = [*(other for other in self.rows if other.painter != painter), row]
        return row

    @torch.no_grad()
    def _guess(self, paint: Callable[[Batch], Tensor], size: int, *, upside_down: bool) -> Tensor:
        """Its ab, upright again."""
        parts = zip(*(values.split(8) for values in self.batch(size).values()), strict=True)
        guesses = []
        for L, ab in parts:
            batch = {"L": L, "ab": ab}
            if upside_down:
                batch = {name: values.flip(2) for name, values in batch.items()}
            guess = paint({name: values.to(self.device) for name, values in batch.items()}).float().cpu()
            guesses.append(guess.flip(2) if upside_down else guess)
        whole = torch.cat(guesses)
        return F.interpolate(whole, (SIDE, SIDE), mode="bilinear", antialias=True)

    def __getitem__(self, painter: str) -> Row:
        return next(row for row in self.rows if row.painter == painter)

    def __str__(self) -> str:
        return "\n".join([HEAD, *map(str, self.rows)])


def rows_in(text: str) -> list[Row]:
    """The rows of the tables in a printed text."""
    found = [match.groups() for match in map(_LINE.match, text.splitlines()) if match]
    return [Row(a, b, float(c), int(d), int(e), float(f)) for a, b, c, d, e, f in found]


def recorded() -> list[Row]:
    """The rows of all lessons, as their saved runs have them (docs/league.py)."""
    with RECORD.open(newline="", encoding="utf-8") as file:
        return [
            Row(a, b, float(c), int(d), int(e), float(f)) for a, b, c, d, e, f in list(csv.reader(file))[1:]
        ]


def record(rows: Sequence[Row]) -> None:
    """Write league.csv."""
    with RECORD.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["lesson", "painter", "ab_error", "won", "photos", "upside_down"])
        writer.writerows(astuple(row) for row in rows)
