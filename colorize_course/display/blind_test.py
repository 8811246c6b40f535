"""A game: which of two pictures is the photo, and which one is coloured?"""

import csv
import random
from collections.abc import Mapping
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from .html import data_url


class BlindTest:
    """Two pictures side by side, one of them a photo, the other coloured.  Which one is the photo?

    It needs a running kernel.  Every answer is added to a file, so that the score
    continues when the game is opened again.

    Args:
        pairs: {name: (the photo, the coloured one)}, (H, W, 3) uint8.
        file: CSV file for the answers; it is made if it is missing.
        seed: random seed for the order and the sides; None draws new ones each time.

    Attributes:
        box: the game, an ipywidgets box.
    """

    def __init__(
        self, pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], file: Path, seed: int | None = None
    ):
        import ipywidgets as widgets

        rng = random.Random(seed)
        self.pairs, self.file = pairs, file
        self.names = rng.sample(sorted(pairs), len(pairs))
        self.photo_on_the_right = {name: rng.random() < 0.5 for name in self.names}
        self.position = -1  # in `names`

        self._verdict, self._pictures = widgets.HTML(), widgets.HTML()
        self._buttons = [
            widgets.Button(description=f"the {side} one is the photo") for side in ("left", "right")
        ]
        for button in self._buttons:
            button.layout.width = "240px"
            button.on_click(lambda button: self.answer(right=button is self._buttons[1]))
        self._next = widgets.Button(description="next")
        self._next.on_click(lambda _: self.ask())
        self.box = widgets.VBox([self._verdict, self._pictures, widgets.HBox(self._buttons), self._next])
        self.ask()

    def ask(self) -> None:
        """Show the next pair, or the final score."""
        self.position += 1
        if self.position >= len(self.names):
            self._verdict.value = f"<p>That was all. {self.score()}</p>"
            self.box.children = [self._verdict]
            return
        name = self.names[self.position]
        pair = self.pairs[name][::-1] if self.photo_on_the_right[name] else self.pairs[name]
        self._pictures.value = "".join(
            f'<img src="{data_url(picture)}" alt="the {side} picture" '
            'style="display:inline-block;width:46%;max-width:380px;margin:0 8px 0 0">'
            for side, picture in zip(("left", "right"), pair, strict=True)
        )
        self._verdict.value = f"<p>{self.position + 1} of {len(self.names)}. Which one is the photo?</p>"
        self._let_answer(True)

    def answer(self, right: bool) -> None:
        """Record an answer (is the photo on the right?) and show whether it was correct."""
        name = self.names[self.position]
        correct = right == self.photo_on_the_right[name]
        self._write(name, correct)
        self._verdict.value = (
            f"<p><b>{'Right' if correct else 'No'}: the {'right' if self.photo_on_the_right[name] else 'left'} one "
            f"is the photo</b> ({escape(name)}). {self.score()}</p>"
        )
        self._let_answer(False)

    def score(self) -> str:
        """The score of all answers in the file, as a sentence."""
        right, total = blind_test_score(self.file)
        return f"You were right {right} times of {total}; a coin would be right half the time."

    def _write(self, name: str, correct: bool) -> None:
        new = not self.file.exists()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["date", "photo", "right"])
            writer.writerow([date.today(), name, int(correct)])

    def _let_answer(self, open_question: bool) -> None:
        for button in self._buttons:
            button.disabled = not open_question
        self._next.disabled = open_question


def blind_test(
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], file: Path, seed: int | None = None
) -> Any:
    """The box of a new `BlindTest`, ready to be shown."""
    return BlindTest(pairs, file, seed).box


def blind_test_score(file: Path) -> tuple[int, int]:
    """(right answers, answers) in the file of a `BlindTest`."""
    if not file.exists():
        return 0, 0
    with file.open(newline="", encoding="utf-8") as lines:
        answers = [int(line["right"]) for line in csv.DictReader(lines)]
    return sum(answers), len(answers)
