"""Guesses and the quiz in a real browser, in a page without a kernel.

Needs Chromium or Chrome on this machine (Debian: apt install chromium); the tests are skipped without.
"""

import shutil

import pytest

from colorize_course import Notes, load_answers
from colorize_course.notes import Choice

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="needs Chromium or Chrome (Debian: apt install chromium)"
)
LESSON = "01"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with a guess, its experiment, the quiz and the summary of a lesson."""
    from playwright.sync_api import sync_playwright

    notes = Notes(LESSON)
    cells = [
        f'<div class="jp-Cell celltag_predict">{notes.predict("chroma")._repr_html_()}</div>',
        '<div class="jp-Cell celltag_predicted"><div class="jp-Cell-outputWrapper">bars</div></div>',
        f'<div class="jp-Cell celltag_predict">{notes.predict("half")._repr_html_()}</div>',
        f'<div class="jp-Cell">{notes.quiz()._repr_html_()}</div>',
        f'<div class="jp-Cell">{notes.summary()._repr_html_()}</div>',
    ]
    path = tmp_path_factory.mktemp("page") / "lesson.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><body>{''.join(cells)}", encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        page.errors = errors
        yield page
        browser.close()


def test_the_output_waits_for_the_guess(page):
    assert page.locator(".jp-Cell-outputWrapper").is_hidden()
    assert "Your guesses: none yet" in page.locator("[data-kind=summary] [role=status]").inner_text()
    button = page.get_by_role("button", name="in the middle")
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator(".jp-Cell-outputWrapper").is_visible()
    assert "Your guesses: 1 of 1 right" in page.locator("[data-kind=summary] [role=status]").inner_text()


def test_a_guess_is_still_there_when_the_page_is_opened_again(page):
    page.get_by_role("button", name="near white").click()
    page.reload()
    assert page.get_by_role("button", name="near white").get_attribute("aria-pressed") == "true"
    assert "Your guesses: 0 of 1 right" in page.locator("[data-kind=summary] [role=status]").inner_text()
    assert "It is: in the middle" in page.locator("[data-kind=summary] li").inner_text()


def test_a_number_is_a_guess(page):
    box, said = (page.locator(f"[data-kind=predict] {what}") for what in ("input", "[role=status]"))
    box.fill("a lot")
    page.get_by_role("button", name="This is my guess").click()
    assert "A number, please" in said.last.inner_text()
    box.fill("24,5 %")
    box.press("Enter")
    assert "Noted" in said.last.inner_text()
    page.reload()
    assert box.input_value() == "24,5 %"
    assert "Your guesses: 1 of 2 right" in page.locator("[data-kind=summary] [role=status]").inner_text()
    assert "You said: 24,5 %. It is: 21" in page.locator("[data-kind=summary] li").first.inner_text()


def test_the_quiz_is_marked(page):
    questions, items = load_answers(LESSON).QUIZ, page.locator("[data-kind=quiz] li")
    for i, question in enumerate(questions):
        if isinstance(question, Choice):
            items.nth(i).locator("input").nth(question.right if i else 0).check()
        else:
            items.nth(i).locator("input").fill(f"{question.right:g}".replace(".", ",") if i else "1000")
    page.get_by_role("button", name="Mark my answers").click()
    marks = items.locator("b").all_inner_texts()
    assert marks == ["✗ not quite"] + ["✓ right"] * (len(questions) - 1)
    assert items.nth(0).locator("details").get_attribute("open") is not None
    assert (
        f"Your quiz: {len(questions) - 1} of {len(questions)}"
        in page.locator("[data-kind=summary]").inner_text()
    )
    assert page.errors == []
