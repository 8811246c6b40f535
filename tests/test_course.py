"""The learner's notes: checks, guesses, the quiz.  In a browser: test_browser.py."""

import random
from html import unescape

import numpy as np
import pytest
import torch

from colorize_course import Choice, Notes, NotYet, Number, expect, expect_not, expect_same, judge, notes

ANSWERS = """
from colorize_course import Choice, Number, expect_same
PREDICTIONS = {"light": Choice("How <much> light?", ["a fifth", "a half"], 0), "photos": Number("How many?", 13, 2)}
QUIZ = [Choice("Is `x` grey?", ["yes", "no"], 1, "It is not."), Number("1 / 8?", 0.125, 0.001)]

def double(x):
    return 2 * x

def check_double(theirs):
    expect_same(theirs(3.0), 6.0, "Twice 3 is 6.")
"""


@pytest.fixture
def lesson(tmp_path, monkeypatch) -> Notes:
    (tmp_path / "77.py").write_text(ANSWERS)
    monkeypatch.setattr(notes, "ANSWERS", tmp_path)
    return Notes("77")


def test_a_right_answer_is_used(lesson, capsys):
    def double(x):
        return x + x

    assert lesson.check(double) is double
    assert capsys.readouterr().out.startswith("✓ double: right!")
    assert "1 of 1" in repr(lesson.summary())


def test_a_wrong_answer_gets_its_sentence_and_ours(lesson, capsys):
    def double(x):
        return x**2

    ours = lesson.check(double)
    assert ours(4.0) == 8.0
    assert "Twice 3 is 6. (The largest difference is 3.)" in capsys.readouterr().out
    assert "0 of 1" in repr(lesson.summary())


@pytest.mark.parametrize("body", ["return ...", "x + ...", "raise NotImplementedError"])
def test_a_stub_is_no_mistake(lesson, capsys, body):
    space = {}
    exec(f"def double(x):\n    {body}", space)
    assert lesson.check(space["double"])(4.0) == 8.0
    assert "it is yours to write" in capsys.readouterr().out


def test_an_error_names_the_line(lesson, capsys):
    def double(x):
        return x.twice()

    lesson.check(double)
    told = capsys.readouterr().out
    assert "It stops with AttributeError" in told
    assert "return x.twice()" in told


def test_an_endless_loop_ends():
    def forever(x):
        while True:
            try:
                x = x + 1
            except Exception:
                x = 0

    assert "does not come to an end" in str(judge(lambda theirs: theirs(1), forever))


def test_what_a_check_asks_with_stays_as_it_is():
    def double(x):
        x *= 2
        return x

    def check(theirs):
        expect_same(theirs(asked), 2 * torch.ones(2), "Twice 1 is 2.")

    asked = torch.ones(2)
    assert str(judge(check, double)).startswith("The result is right, but it changes `x` in place")
    assert torch.equal(asked, torch.ones(2))


def test_a_lost_history_is_a_change():
    def cut(x):
        return x.detach_()

    told = judge(lambda theirs: theirs(torch.ones(2, requires_grad=True) * 2), cut)
    assert "changes `x`" in str(told)


def test_nothing_is_noticed_before_the_check_stumbles_over_it():
    assert "`return` missing" in str(judge(lambda theirs: expect(theirs() > 1, "More."), lambda: None))


def test_an_error_of_the_check_is_not_called_the_learners():
    told = str(judge(lambda theirs: expect(theirs()["L"] > 1, "More."), lambda: 5))
    assert told.startswith("What it returns has another form")


def test_ours_is_not_praised(lesson, capsys):
    def double(x):
        return ...

    ours = lesson.check(double)
    assert lesson.check(ours) is ours
    assert "is ours by now" in capsys.readouterr().out


def test_an_unknown_name_is_an_error(lesson):
    def treble(x):
        return 3 * x

    with pytest.raises(ValueError, match="no turn treble: it has double"):
        lesson.check(treble)


def test_a_lesson_without_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(notes, "ANSWERS", tmp_path)
    with pytest.raises(FileNotFoundError, match="78.py does not exist"):
        Notes("78")


def test_a_check_leaves_the_random_numbers_alone():
    torch.manual_seed(3), random.seed(3)
    wanted = torch.rand(1).item(), random.random()
    torch.manual_seed(3), random.seed(3)
    judge(lambda theirs: theirs(), lambda: (torch.rand(9), random.random()))
    assert (torch.rand(1).item(), random.random()) == wanted


def test_expect():
    expect(True, "fine")
    with pytest.raises(NotYet, match="A sentence."):
        expect(False, "A sentence.")


@pytest.mark.parametrize(
    "theirs, sentence",
    [
        (None, "nothing. Is the `return` missing"),
        ("six", "type str; a tensor"),
        (torch.ones(2).mean, "parentheses"),
        (np.ones(2), "type ndarray; a tensor"),
        (torch.ones(3), r"shape \(3,\); \(2,\)"),
        (torch.tensor([1.0, float("nan")]), "nan or inf"),
        (torch.tensor([1.0, 1.01]), "Off. .The largest difference is 0.01"),
    ],
)
def test_expect_same_says_what_differs(theirs, sentence):
    with pytest.raises(NotYet, match=sentence):
        expect_same(theirs, torch.ones(2), "Off.")


@pytest.mark.parametrize("number", [2, 2.0, True + 1, np.float32(2), np.array(2.0), torch.tensor(2.0)])
def test_a_number_may_come_from_numpy(number):
    expect_same(number, 2.0, "Off.")


@pytest.mark.parametrize("theirs", [np.ones(2), torch.ones(1)])
def test_a_number_is_one(theirs):
    with pytest.raises(NotYet, match="a single number was expected"):
        expect_same(theirs, 1.0, "Off.")


def test_expect_not_names_a_mistake():
    expect_not(torch.ones(2), torch.zeros(2), "Zero.")
    expect_not(torch.ones(2), torch.ones(3), "Three.")
    with pytest.raises(NotYet, match="^One.$"):
        expect_not(torch.ones(2), torch.ones(2), "One.")


def test_expect_same_allows_a_rounding():
    expect_same(torch.tensor([1.0, 1.00001]), torch.ones(2), "Off.")


def test_a_guess_is_readable_without_a_kernel(lesson):
    page = lesson.predict("light")
    assert "a fifth" in repr(page)
    assert "a half" in repr(page)
    assert 'aria-label="How &lt;much&gt; light?"' in page._repr_html_()
    assert page._repr_html_().count("<button") == 2


def test_a_guess_may_be_a_number(lesson):
    page = lesson.predict("photos")
    assert repr(page) == "Your guess: a number"
    assert page._repr_html_().count('type="text"') == 1
    assert "13" not in page._repr_html_().replace(
        page._repr_html_().split("<style>")[1].split("</style>")[0], ""
    )


def test_the_summary_knows_what_is_right_whatever_the_order_of_the_buttons(lesson):
    html = unescape(lesson.summary()._repr_html_())
    assert '"right": "a fifth"' in html
    assert '"right": 13, "within": 2' in html


def test_buttons_keep_their_order_and_lose_none():
    choices = [Choice(f"{i}?", ["a", "b", "c"], 0) for i in range(20)]
    assert all(notes.mixed(choice) == notes.mixed(choice) for choice in choices)
    assert {tuple(sorted(notes.mixed(choice))) for choice in choices} == {("a", "b", "c")}
    assert {notes.mixed(choice).index("a") for choice in choices} == {0, 1, 2}


def test_the_quiz_is_readable_without_a_kernel(lesson):
    html = lesson.quiz()._repr_html_()
    assert "<code>x</code>" in html
    assert html.count('type="radio"') == 2
    assert html.count('type="text"') == 1
    assert html.count("<details>") == 2  # the answers are folded


def test_an_answer_ends_in_one_full_stop():
    question = Choice("Better?", ["Yes.", "no"], 0, "It is.")
    assert "</summary>Yes. It is.</details>" in Notes("00")._question(0, question)


def test_a_question_has_its_answer_among_its_options():
    assert Choice("?", ["a", "b"], 1).right in (0, 1)
    assert Number("?", 2.5).within == 0


def test_what_a_lesson_writes_lies_in_build_wherever_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(notes, "BUILD", tmp_path / "repository/build")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (notes.lesson_folder("02") / "phone.jpg").touch()
    assert (tmp_path / "repository/build/lesson_02/phone.jpg").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []
