"""The website: built without a warning, whole, and fit for a phone."""

import importlib.util
import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

AXE = Path(__file__).resolve().parents[1] / "build/npm/node_modules/axe-core/axe.min.js"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LESSONS = sorted((Path(__file__).resolve().parents[1] / "lessons").glob("*.ipynb"))
NEEDED = ("sphinx", "myst_nb", "furo", "sphinx_copybutton", "latex2mathml")

pytestmark = [
    pytest.mark.skipif(not all(map(importlib.util.find_spec, NEEDED)), reason='needs pip install ".[site]"'),
    pytest.mark.timeout(3600),
]


class Page(HTMLParser):
    """What a page links to, shows, and can be linked at."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def links(self) -> list[str]:
        return [attrs[key] for _, attrs in self.tags for key in ("href", "src") if key in attrs]

    def anchors(self) -> set[str]:
        return {attrs[key] for _, attrs in self.tags for key in ("id", "name") if key in attrs}


@pytest.fixture(scope="module")
def site(root, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site") / "html"
    run = subprocess.run([sys.executable, root / "docs/site/build.py", out], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    return out


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    """All pages but those of the web app, which has tests of its own."""
    return {
        path: Page(path) for path in sorted(site.rglob("*.html")) if "try" not in path.relative_to(site).parts
    }


@pytest.fixture
def build(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "docs/site")
    return importlib.import_module("build")


def test_there_is_a_page_for_every_lesson_and_its_solutions(site, root):
    expected = {
        path.relative_to(root).with_suffix(".html") for path in (root / "lessons").rglob("[0-9]*.ipynb")
    }
    assert {path for path in expected if not (site / path).exists()} == set()


def test_there_is_a_page_for_every_module(site, build):
    expected = {f"{name}.html" for name in build.house.imports()}
    assert {path.name for path in (site / "library").glob("*.html")} == expected


def test_public_functions_are_on_their_pages(site):
    assert 'id="colorize_lib.color.rgb_to_lab"' in (site / "library/color.html").read_text(encoding="utf-8")


def test_links_within_the_site_lead_somewhere(pages):
    broken = []
    for path, page in pages.items():
        for link in page.links():
            parts = urlsplit(link)
            if parts.scheme or not link or link.startswith("//"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                broken.append(f"{path.name}: {link}")
            elif (
                parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors()
            ):
                broken.append(f"{path.name}: {link} (no such anchor)")
    assert broken == []


def test_every_picture_has_words(pages):
    silent = [
        f"{path.name}: {attrs.get('src', '')[:60]}"
        for path, page in pages.items()
        for tag, attrs in page.tags
        if tag == "img" and not attrs.get("alt", "").strip()
    ]
    assert silent == []


def test_nothing_is_fetched_from_elsewhere(pages):
    foreign = [
        f"{path.name}: {attrs.get('src') or attrs.get('href')}"
        for path, page in pages.items()
        for tag, attrs in page.tags
        if (tag in ("script", "img", "iframe") and attrs.get("src", "").startswith(("http", "//")))
        or (
            tag == "link"
            and attrs.get("rel") != "canonical"
            and attrs.get("href", "").startswith(("http", "//"))
        )
    ]
    assert foreign == []


@pytest.mark.parametrize(
    ("lesson", "following"), zip(LESSONS, LESSONS[1:], strict=False), ids=lambda path: path.stem
)
def test_a_lesson_leads_to_the_next(site, lesson, following):
    page = Page(site / "lessons" / f"{lesson.stem}.html")
    assert [attrs["href"] for _, attrs in page.tags if attrs.get("class") == "next-page"] == [
        f"{following.stem}.html"
    ]


def test_a_link_to_what_is_no_page_goes_to_the_repository(build):
    text, _ = build.new_links("[code](../colorize_lib/color.py) [all](solutions)", "lessons/x.ipynb", set())
    home = build.address.repository()
    assert text == f"[code]({home}/blob/main/colorize_lib/color.py) [all]({home}/tree/main/lessons/solutions)"


def test_a_link_to_the_readme_goes_to_the_front_page(build):
    text, _ = build.new_links("[x](../README.md#the-lessons)", "lessons/x.ipynb", set())
    assert text == "[x](../index.md#the-lessons)"


def test_a_link_to_a_page_stays(build):
    text, _ = build.new_links("[x](y.ipynb#z)", "lessons/x.ipynb", {"lessons/y.ipynb"})
    assert text == "[x](y.ipynb#z)"


def test_a_picture_comes_along(build):
    _, files = build.new_links("![A map](figures/map_00.svg)", "lessons/x.ipynb", set())
    assert files == {"lessons/figures/map_00.svg"}


def test_the_links_that_open_a_notebook_elsewhere_stand_on_its_page_once(build):
    text = "# Lesson\n\n[Open in Colab](x) · [Open in Binder](y)\n\nWords."
    cell = {"cell_type": "markdown", "source": text, "metadata": {}}
    notebook, _ = build.new_notebook({"cells": [cell], "metadata": {}}, "lessons/x.ipynb", set())
    assert notebook["cells"][0]["source"] == "# Lesson\n\nWords."


def test_a_caption_becomes_the_alternative_text_and_a_control_a_note(build):
    picture = {"output_type": "display_data", "data": {"image/png": ""}}
    control = {"output_type": "display_data", "data": {build.LIVE: {}}}
    code = {"cell_type": "code", "source": "", "metadata": {}, "outputs": [picture, control]}
    caption = {
        "cell_type": "markdown",
        "source": "*A **red** bird, [on a twig](http://x).*\n\nMore.",
        "metadata": {},
    }
    notebook, _ = build.new_notebook({"cells": [code, caption], "metadata": {}}, "lessons/x.ipynb", set())
    assert notebook["cells"][0]["metadata"]["mystnb"]["image"]["alt"] == "A red bird, on a twig."
    assert build.NOTE in json.dumps(notebook["cells"][0]["outputs"][1])


@pytest.mark.skipif(
    BROWSER is None or not AXE.exists(), reason="needs Chromium or Chrome, and axe-core: make web"
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["index", "lessons/01_lab_colour", "library/color", "colorize_lib/weights/l1"]
)
def test_accessible(site, name, scheme):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(color_scheme=scheme)
        page.set_default_timeout(600_000)
        page.goto((site / f"{name}.html").as_uri())
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run()")["violations"]
        browser.close()
    serious = {rule["id"] for rule in found if rule["impact"] in ("serious", "critical")}
    assert serious == set()


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome (Debian: apt install chromium)")
def test_no_page_is_wider_than_a_phone(pages):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_default_timeout(600_000)
        widths = {}
        for path in pages:
            page.goto(path.as_uri())
            widths[path.name] = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert {name: width for name, width in widths.items() if width > 390} == {}
