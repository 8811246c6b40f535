"""What the lessons ask: each check takes what is right, and says of what is wrong what is wrong with it."""

import ast
import json
import re
from contextlib import suppress
from functools import cache
from io import StringIO
from pathlib import Path
from tokenize import COMMENT, generate_tokens

import numpy as np
import pytest

import colorize_course
from colorize_course import Choice, Number
from colorize_course.checks import judge
from colorize_course.notes import mixed

LESSONS = Path(__file__).resolve().parents[1] / "lessons"
ANSWERS = sorted(path.stem for path in (LESSONS / "solutions/answers").glob("*.py"))
STUB = "there is a gap left, `...`: it is yours to write."
load_answers = cache(colorize_course.load_answers)


@cache
def notebook(lesson: str) -> list[dict]:
    """The cells of a lesson, each with its text and its tags."""
    (path,) = LESSONS.glob(f"{lesson}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        cell | {"text": "".join(cell["source"]), "tags": cell["metadata"].get("tags", [])} for cell in cells
    ]


def turns(lesson: str) -> list[str]:
    return [name.removeprefix("check_") for name in vars(load_answers(lesson)) if name.startswith("check_")]


TURNS = [(lesson, name) for lesson in ANSWERS for name in turns(lesson)]
each_turn = pytest.mark.parametrize("lesson, name", TURNS, ids=lambda value: value)
each_lesson = pytest.mark.parametrize("lesson", ANSWERS)


def defined(source: str) -> list[str]:
    return [node.name for node in ast.parse(source).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]


@cache
def rooms(lesson: str) -> dict[str, dict]:
    """For each turn, what the learner has when it comes: the notebook's imports and definitions so far, no more.

    Earlier turns are the folded solutions.
    """
    space, found, cells = {}, {}, notebook(lesson)
    for i, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        if "turn" in cell["tags"]:
            name = defined(cell["text"])[-1]
            found[name] = dict(space)
            exec(solution(cells[i + 2]["text"]) or "", space)
            space.setdefault(name, getattr(load_answers(lesson), name))
        else:
            for node in ast.parse(cell["text"]).body:
                if is_definition(node):
                    with suppress(NameError):  # a default that the lesson computes
                        exec(compile(ast.Module([node], []), lesson, "exec"), space)
    return found


def is_definition(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):  # a table, such as a matrix
        return ast.unparse(node.value).startswith("torch.tensor(")
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))


def solution(text: str) -> str | None:
    """The Python block under "Solution", as it is folded into the notebook."""
    found = re.search(r"<summary>Solution.+?```python\n(.+?)```", text, re.DOTALL)
    return found[1] if found else None


def turn_of(lesson: str, name: str) -> int:
    cells = notebook(lesson)
    return next(i for i, c in enumerate(cells) if "turn" in c["tags"] and name in defined(c["text"]))


def written(lesson: str, name: str, source: str):
    """What the learner gets who writes this into the cell of the turn."""
    space = {"np": np, **rooms(lesson)[name], "Ours": getattr(load_answers(lesson), name)}
    exec(compile(source, "the learner's cell", "exec"), space)
    return space[name]


@each_turn
def test_our_answer_passes(lesson, name):
    answers = load_answers(lesson)
    assert judge(getattr(answers, f"check_{name}"), getattr(answers, name)) is None


@each_turn
def test_the_stub_does_not(lesson, name):
    stub = written(lesson, name, notebook(lesson)[turn_of(lesson, name)]["text"])
    assert judge(getattr(load_answers(lesson), f"check_{name}"), stub) == STUB


@each_turn
def test_the_folded_solution_runs_in_its_own_notebook(lesson, name):
    source = solution(notebook(lesson)[turn_of(lesson, name) + 2]["text"])
    if source:  # an exercise has its solution in the notebook of solutions
        assert judge(getattr(load_answers(lesson), f"check_{name}"), written(lesson, name, source)) is None


@each_turn
def test_typical_mistakes_do_not(lesson, name):
    answers = load_answers(lesson)
    mistakes = [value for key, value in vars(answers).items() if key.startswith(f"{name}__")]
    assert len(mistakes) >= 2
    for mistake in mistakes:
        wrong = judge(getattr(answers, f"check_{name}"), mistake)
        assert wrong and wrong != STUB, mistake.__name__
        assert len(wrong.split()) >= 5, wrong


def tried(path: Path):
    """The answers of a table; tests/answers/README.md says how one is written."""
    for part in path.read_text(encoding="utf-8").split("## ")[1:]:
        head, *lines = part.split("\n")
        start = head if head.startswith("class") else f"def {head}"
        for row in re.split(r"\n(?=\S)", "\n".join(lines)):
            verdict, code = row.split(" |", 1)
            body = code if code.startswith("\n") else f"\n    return{code}"
            name = re.findall(r"\w+", start)[1]
            yield pytest.param(
                path.stem, name, verdict.strip(), f"{start}:{body}", id=f"{path.stem}-{name}-{verdict}"
            )


TRIED = [
    answer for path in sorted(Path(__file__).with_name("answers").glob("*.txt")) for answer in tried(path)
]


@pytest.mark.parametrize("lesson, name, verdict, source", TRIED)
def test_answers_that_were_tried(lesson, name, verdict, source):
    wrong = judge(getattr(load_answers(lesson), f"check_{name}"), written(lesson, name, source))
    if verdict == "right":
        assert wrong is None
    else:
        assert verdict in str(wrong)


@each_turn
def test_ten_answers_were_tried(lesson, name):
    mistakes = [key for key in vars(load_answers(lesson)) if key.startswith(f"{name}__")]
    verdicts = [answer.values[2] for answer in TRIED if answer.values[:2] == (lesson, name)]
    assert len(mistakes) + len(verdicts) >= 10
    assert verdicts.count("right") >= 2


@each_turn
@pytest.mark.parametrize("lazy", [lambda *given, **_: given[0] if given else 0, lambda *_, **__: 0.6931])
def test_nor_does_what_ignores_the_question(lesson, name, lazy):
    """What gives back its input, and what gives back a constant."""
    assert judge(getattr(load_answers(lesson), f"check_{name}"), lazy)


@each_turn
def test_a_turn_has_its_cells(lesson, name):
    """The stub, the check, and a text with two hints and the solution that is tested here.

    An exercise has a hint at least; its solution is in the notebook of solutions.
    """
    cells = notebook(lesson)
    at = turn_of(lesson, name)
    check, text = cells[at + 1], cells[at + 2]
    assert "check" in check["tags"]
    assert check["text"].strip() == f"{name} = notes.check({name})"
    folded = re.findall(r"<details>(.+?)</details>", text["text"], re.DOTALL)
    if "exercise" in cells[at]["tags"]:
        assert folded
        return
    assert len(folded) >= 3
    assert "olution" in folded[-1]
    shown = solution(text["text"])
    source = (LESSONS / f"solutions/answers/{lesson}.py").read_text(encoding="utf-8")
    (ours,) = [node for node in ast.parse(source).body if getattr(node, "name", None) == name]
    theirs = next(node for node in ast.parse(shown).body if getattr(node, "name", None) == name)
    assert ast.unparse(theirs) == ast.unparse(ours)


@each_lesson
def test_every_stub_is_checked(lesson):
    stubs = [name for c in notebook(lesson) if "turn" in c["tags"] for name in defined(c["text"])]
    assert sorted(stubs) == sorted(turns(lesson))


@each_lesson
def test_guesses_come_before_what_they_are_about(lesson):
    """The question, the buttons, the experiment in one cell or more with folded outputs, the folded explanation."""
    cells, asked = notebook(lesson), []
    for i, cell in enumerate(cells):
        if "predict" in cell["tags"]:
            asked += re.fullmatch(r'notes\.predict\("(.+)"\)', cell["text"].strip()).groups()
            assert "**Predict.**" in cells[i - 1]["text"]
            result = next(j for j in range(i + 1, len(cells)) if cells[j]["cell_type"] == "code")
            answer = next(j for j in range(result, len(cells)) if cells[j]["cell_type"] != "code")
            for cell in cells[result:answer]:
                assert "predicted" in cell["tags"]
                assert cell["metadata"]["jupyter"]["outputs_hidden"] is True
            assert cells[answer]["text"].lstrip().startswith("<details><summary>")
    assert sorted(asked) == sorted(load_answers(lesson).PREDICTIONS)


# Predictions that are still given away, by the rule of the test below. None is to be added: mend one, take it out.
GIVEN_AWAY = {
    "05": {"between", "game", "push", "coin", "unseen", "noise", "heart"},
    "06": {"fastai", "coarse", "catch", "median", "anneal", "classes", "strong"},
    "08": {"grey"},
    "10": {"one point", "few", "fifty", "gold"},
}


@each_lesson
def test_nothing_on_screen_gives_a_prediction_away(lesson):
    """The experiment is on screen with the question: it holds no assert (that comes in a cell after the folded
    answer), and no comment with a word that only the right answer has."""
    cells, found = notebook(lesson), set()
    for i, cell in enumerate(cells):
        if "predict" in cell["tags"]:
            key = re.fullmatch(r'notes\.predict\("(.+)"\)', cell["text"].strip())[1]
            answered = next(
                j for j in range(i, len(cells)) if cells[j]["text"].lstrip().startswith("<details>")
            )
            code = "\n".join(c["text"] for c in cells[i + 1 : answered] if c["cell_type"] == "code")
            told = " ".join(
                token.string for token in generate_tokens(StringIO(code).readline) if token.type == COMMENT
            )
            asserts = any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(code)))
            if asserts or tells(told, load_answers(lesson).PREDICTIONS[key], cells[i - 1]["text"]):
                found.add(key)
    assert found <= GIVEN_AWAY.get(lesson, set())


def words(text: str) -> set[str]:
    return set(re.findall(r"\w{3,}", text.lower()))


def tells(told: str, question: Choice | Number, text: str) -> bool:
    """Has it a word of the right answer that the question has not, and none of the other answers?"""
    if isinstance(question, Number):
        return False
    right = question.options[question.right]
    others = set().union(*(words(option) for option in question.options if option != right))
    return bool(words(told) & (words(right) - words(text) - others)) and not words(told) & (
        others - words(text)
    )


@each_lesson
def test_questions_have_an_answer(lesson):
    answers = load_answers(lesson)
    for question in [*answers.PREDICTIONS.values(), *answers.QUIZ]:
        if isinstance(question, Choice):
            assert 0 <= question.right < len(question.options)
            assert len(question.options) >= 2
            assert len(set(question.options)) == len(question.options)


def test_the_place_of_a_button_does_not_tell_which_is_right():
    """Of all predictions of the course, no place has much more than its share of the right answers."""
    questions = [
        q for lesson in ANSWERS for q in load_answers(lesson).PREDICTIONS.values() if isinstance(q, Choice)
    ]
    for count in {len(question.options) for question in questions}:
        right = [mixed(q).index(q.options[q.right]) for q in questions if len(q.options) == count]
        expected, spread = len(right) / count, (len(right) * (count - 1)) ** 0.5 / count
        assert all(right.count(place) <= expected + 2 * spread + 1 for place in range(count))


@each_lesson
def test_the_quiz(lesson):
    answers, tags = load_answers(lesson), [tag for cell in notebook(lesson) for tag in cell["tags"]]
    assert 6 <= len(answers.QUIZ) <= 8
    assert all(question.why for question in answers.QUIZ)
    rights = {question.right for question in answers.QUIZ if isinstance(question, Choice)}
    assert len(rights) >= 2  # not always the first
    assert tags.count("quiz") == tags.count("summary") == 1
