"""What the lessons ask: each check takes our answer, and refuses the stub and the typical mistakes."""

import ast
import json
import re
from pathlib import Path

import pytest

from colorize_lib.course import Choice, load_answers
from colorize_lib.course.checks import judge

LESSONS = Path(__file__).resolve().parents[1] / "lessons"
ANSWERS = sorted(path.stem for path in (LESSONS / "solutions/answers").glob("*.py"))
STUB = "there is a gap left, `...`: it is yours to write."


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


def stub_of(lesson: str, name: str):
    """The stub as the notebook defines it, with the notebook's imports and our answers around it."""
    space = dict(vars(load_answers(lesson)))
    for cell in notebook(lesson):
        if cell["cell_type"] != "code":
            continue
        for node in ast.walk(ast.parse(cell["text"])):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                exec(compile(ast.Module([node], []), lesson, "exec"), space)
        if "turn" in cell["tags"] and name in defined(cell["text"]):
            exec(cell["text"], space)
            return space[name]
    raise AssertionError(f"lesson {lesson} has no cell with the tag `turn` that defines {name}")


@each_turn
def test_our_answer_passes(lesson, name):
    answers = load_answers(lesson)
    assert judge(getattr(answers, f"check_{name}"), getattr(answers, name)) is None


@each_turn
def test_the_stub_does_not(lesson, name):
    assert judge(getattr(load_answers(lesson), f"check_{name}"), stub_of(lesson, name)) == STUB


@each_turn
def test_typical_mistakes_do_not(lesson, name):
    answers = load_answers(lesson)
    mistakes = [value for key, value in vars(answers).items() if key.startswith(f"{name}__")]
    assert len(mistakes) >= 2
    for mistake in mistakes:
        wrong = judge(getattr(answers, f"check_{name}"), mistake)
        assert wrong and wrong != STUB, mistake.__name__
        assert len(wrong.split()) >= 5, wrong


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
    at = next(i for i, c in enumerate(cells) if "turn" in c["tags"] and name in defined(c["text"]))
    check, text = cells[at + 1], cells[at + 2]
    assert "check" in check["tags"]
    assert check["text"].strip() == f"{name} = notes.check({name})"
    folded = re.findall(r"<details>(.+?)</details>", text["text"], re.DOTALL)
    if "exercise" in cells[at]["tags"]:
        assert folded
        return
    assert len(folded) >= 3
    assert "olution" in folded[-1]
    (shown,) = re.findall(r"```python\n(.+?)```", folded[-1], re.DOTALL)
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
    """The question, the buttons, the experiment with its output folded, and the folded explanation."""
    cells, asked = notebook(lesson), []
    for i, cell in enumerate(cells):
        if "predict" in cell["tags"]:
            asked += re.fullmatch(r'notes\.predict\("(.+)"\)', cell["text"].strip()).groups()
            assert "**Predict.**" in cells[i - 1]["text"]
            result = next(j for j in range(i + 1, len(cells)) if cells[j]["cell_type"] == "code")
            assert "predicted" in cells[result]["tags"]
            assert cells[result]["metadata"]["jupyter"]["outputs_hidden"] is True
            assert cells[result + 1]["text"].lstrip().startswith("<details><summary>")
    assert sorted(asked) == sorted(load_answers(lesson).PREDICTIONS)


@each_lesson
def test_questions_have_an_answer(lesson):
    answers = load_answers(lesson)
    for question in [*answers.PREDICTIONS.values(), *answers.QUIZ]:
        if isinstance(question, Choice):
            assert 0 <= question.right < len(question.options)
            assert len(question.options) >= 2
            assert len(set(question.options)) == len(question.options)


@each_lesson
def test_the_quiz(lesson):
    answers, tags = load_answers(lesson), [tag for cell in notebook(lesson) for tag in cell["tags"]]
    assert 6 <= len(answers.QUIZ) <= 8
    assert all(question.why for question in answers.QUIZ)
    rights = {question.right for question in answers.QUIZ if isinstance(question, Choice)}
    assert len(rights) >= 2  # not always the first
    assert tags.count("quiz") == tags.count("summary") == 1
