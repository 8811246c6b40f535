"""A learner's notes on one lesson: guesses, functions, a quiz."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from .checks import judge

ANSWERS = Path(__file__).resolve().parents[1] / "lessons" / "solutions" / "answers"
BUILD = Path(__file__).resolve().parents[1] / "build"
MY_PHOTO = BUILD / "my_photo.png"  # the learner's own, from lesson 00
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Choice:
    """A question with some answers to choose from.

    Attributes:
        asks: the question.
        options: the answers.
        right: the place of the right one, from 0.
        why: a sentence or two, shown when the question has been marked.
    """

    asks: str
    options: Sequence[str]
    right: int
    why: str = ""


@dataclass(frozen=True)
class Number:
    """A question whose answer is a number.

    Attributes:
        asks: the question.
        right: the number.
        within: the difference that still counts as right.
        why: explanation, shown with the answer.
    """

    asks: str
    right: float
    within: float = 0.0
    why: str = ""


class Page:
    """Something to look at: HTML, and a text for where there is none."""

    def __init__(self, html: str, text: str):
        self.html, self.text = html, text

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def lesson_folder(lesson: str) -> Path:
    """A folder for what a lesson writes, in build/ of the repository, whatever the working directory is.

    Args:
        lesson: the lesson's number, such as "02".
    """
    folder = BUILD / f"lesson_{lesson}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return Path(os.path.relpath(folder))  # short, where a sentence names it
    except ValueError:  # on another drive
        return folder


def my_photo(otherwise: Path) -> Path:
    """The photo that the learner chose in lesson 00; another where there is none."""
    return MY_PHOTO if MY_PHOTO.exists() else otherwise


def load_answers(lesson: str) -> ModuleType:
    """What a lesson asks, with the answers: lessons/solutions/answers/`lesson`.py.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    path = ANSWERS / f"{lesson}.py"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist: the lessons' answers come with the project's repository"
        )
    spec: Any = spec_from_file_location(f"answers_{lesson}", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Notes:
    """The notes on one lesson.

    Args:
        lesson: its number, as in `"01"`.

    Raises:
        FileNotFoundError: if the lesson has no file of answers.
    """

    def __init__(self, lesson: str):
        self.lesson, self._answers = lesson, load_answers(lesson)
        self.turns = {
            name.removeprefix("check_"): False for name in vars(self._answers) if name.startswith("check_")
        }

    def predict(self, key: str) -> Page:
        """A guess: buttons, or a box for a number.  The browser keeps it, and `summary` says whether it was right."""
        question = self._answers.PREDICTIONS[key]
        if isinstance(question, Number):
            ways = '<input type="text" inputmode="decimal" size="8" aria-label="Your number"> <button type="button">This is my guess</button>'
            asks, text = "Type a number", "a number"
        else:
            options = mixed(question)
            ways = "".join(
                f'<button type="button" aria-pressed="false">{_code(option)}</button>' for option in options
            )
            asks, text = "Choose one", "  |  ".join(options)
        body = (
            f'<div role="group" aria-label="{escape(question.asks)}">{ways}</div>'
            f'<p role="status">What do you think? {asks}, then run the next cell.</p>'
        )
        return _page("predict", body, f"Your guess: {text}", {"key": f"{self.lesson}/{key}"})

    def check(self, theirs: Any) -> Any:
        """Judge what the learner wrote, and say so in a sentence.

        Args:
            theirs: a function or a class; its name says which turn it is.

        Returns:
            `theirs` if it passes, else our solution, so that the lesson runs in any case.
        """
        name = theirs.__name__
        if name not in self.turns:
            raise ValueError(f"Lesson {self.lesson} has no turn {name}: it has {', '.join(self.turns)}")
        ours = getattr(self._answers, name)
        if theirs is ours:
            print(f"{name} is ours by now: run the cell with yours again, then this one.")
            return ours
        wrong = judge(getattr(self._answers, f"check_{name}"), theirs)
        self.turns[name] = wrong is None
        if wrong is None:
            print(f"✓ {name}: right! From here on the lesson uses yours.")
            return theirs
        print(f"→ {name}: {wrong}\n  Until then the lesson uses ours. Hints are below.")
        return ours

    def quiz(self) -> Page:
        """The questions of the lesson, marked on the spot."""
        questions = self._answers.QUIZ
        items = "".join(self._question(i, question) for i, question in enumerate(questions))
        body = f'<ol>{items}</ol><button type="button">Mark my answers</button><p role="status"></p>'
        text = "\n".join(f"{i + 1}. {question.asks}" for i, question in enumerate(questions))
        return _page("quiz", body, text, {"key": f"{self.lesson}/quiz"})

    def _question(self, i: int, question: Choice | Number) -> str:
        name = f"quiz-{self.lesson}-{i}"
        if isinstance(question, Number):
            right, data = f"{question.right:g}", {"right": question.right, "within": question.within}
            ways = f'<label><input type="text" inputmode="decimal" size="8" name="{name}" aria-label="Your number"></label>'
        else:
            right, data = question.options[question.right], {"right": question.right}
            ways = "".join(
                f'<label><input type="radio" name="{name}" value="{j}"> {_code(option)}</label>'
                for j, option in enumerate(question.options)
            )
        attributes = "".join(f' data-{key}="{value}"' for key, value in data.items())
        stop = "" if right.endswith((".", "?", "!", "…")) else "."
        answer = f"<details><summary>Answer</summary>{_code(right)}{stop} {_code(question.why)}</details>"
        return f"<li{attributes}><span>{_code(question.asks)}</span> <b></b>{ways}{answer}</li>"

    def summary(self) -> Page:
        """How often the guesses were right, which functions are the learner's own, and the quiz's marks."""
        predictions = [
            {"key": f"{self.lesson}/{key}", "asks": _code(question.asks)} | _marks(question)
            for key, question in self._answers.PREDICTIONS.items()
        ]
        mine = [name for name, passed in self.turns.items() if passed]
        turns = f"Your turns: {len(mine)} of {len(self.turns)} run with your code." if self.turns else ""
        if mine:
            turns += f" ({', '.join(mine)})"
        body = (
            '<p role="status">Your guesses and your quiz are counted here once the cells above have been run.</p>'
            f"<p>{turns}</p><ul></ul>"
        )
        data = {"key": f"{self.lesson}/quiz", "predictions": json.dumps(predictions)}
        return _page("summary", body, turns, data)


def mixed(choice: Choice) -> list[str]:
    """The answers in an order that follows from the texts alone, so that the place of the right one tells nothing."""
    return sorted(choice.options, key=lambda option: sha256(f"{choice.asks}/{option}".encode()).digest())


def _marks(question: Choice | Number) -> dict[str, Any]:
    """What a guess is compared with, and what is shown when it is wrong."""
    if isinstance(question, Number):
        return {"right": question.right, "within": question.within, "answer": f"{question.right:g}"}
    right = question.options[question.right]
    return {"right": right.replace("`", ""), "answer": _code(right)}  # a button's text has no backticks


def _page(kind: str, body: str, text: str, data: dict[str, str]) -> Page:
    """A part of the page with its style and its script: each output works on its own."""
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    return Page(
        f'<div class="colorize-course" data-kind="{kind}"{attributes}>'
        f"<style>{style}</style>{body}<script>{script}</script></div>",
        text,
    )


def _code(text: str) -> str:
    """Escaped, with what stands between backticks as code."""
    parts = escape(text, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
