"""The words of the course: each is linked where lessons 00 to 02 first use it in their text."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "glossary.md"
WORDS = re.findall(r"^### (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
LINK = re.compile(r"\[([^]]+)\]\(\.\./docs/glossary\.md#([^)]+)\)")
# Not read as text: code, formulas, pictures, other links, headings, tables, captions, and what is folded.
SKIPPED = re.compile(
    r"<details>.*?</details>|```.*?```|`[^`]*`|\$[^$]+\$|!\[[^]]*\]\([^)]*\)"
    r"|\[[^]]*\]\((?!\.\./docs/glossary)[^)]*\)|^#.*?$|^\|.*?$|^\*[^*\n][^\n]*\*$|<[^>]+>",
    re.DOTALL | re.MULTILINE,
)


def slug(word: str) -> str:
    return re.sub(r"[^\w\- ]", "", word.lower()).replace(" ", "-")


def prose(cell: dict, word: str) -> str:
    """The text of a cell, with what is skipped blanked out, and links of other words, so that places stay as they are."""
    text = "".join(cell["source"])
    if cell["cell_type"] != "markdown" or text.startswith(("# ", "## Recap", "## Exercises")):
        return ""
    text = SKIPPED.sub(lambda match: " " * len(match[0]), text)
    return LINK.sub(lambda link: link[0] if link[2] == slug(word) else " " * len(link[0]), text)


def first_use(word: str) -> tuple[str, int, re.Match] | None:
    """The lesson, the cell, and where in it."""
    pattern = re.compile(rf"(?<![\w-]){re.escape(word)}s?(?![\w-])", re.IGNORECASE)
    for lesson in sorted((ROOT / "lessons").glob("0[0-2]_*.ipynb")):
        for i, cell in enumerate(json.loads(lesson.read_text(encoding="utf-8"))["cells"]):
            if found := pattern.search(prose(cell, word)):
                return lesson.name, i, found
    return None


def linked() -> list[str]:
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "lessons").glob("0[0-2]_*.ipynb"))]
    return [anchor for text in texts for _, anchor in LINK.findall(text)]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_linked_where_it_is_first_used(word):
    found = first_use(word)
    if found:
        _, _, match = found
        around = match.string[match.start() - 1 : match.end() + 40]
        assert around.startswith("[") and f"](../docs/glossary.md#{slug(word)})" in around


def test_no_word_is_linked_twice():
    assert sorted(linked()) == sorted(set(linked()))


def test_links_lead_to_words():
    assert set(linked()) <= set(map(slug, WORDS))


def test_a_word_is_explained_in_one_or_two_sentences():
    parts = PAGE.read_text(encoding="utf-8").split("\n### ")[1:]
    for part in parts:
        text = part.split("\n## ")[0].split("\n", 1)[1].strip()
        assert "\n" not in text
        assert 5 <= len(text.split()) <= 40, text
        assert re.search(r"\(\d\d\)\.$", text), text
