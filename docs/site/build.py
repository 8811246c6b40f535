"""Writes the website: python docs/site/build.py DIR

The pages are files of the repository, at their own paths: the README as the front
page, the lessons with their saved outputs, the weights' cards, the benchmark.  They
are gathered in DIR-source and changed in five ways only:

- a link to what is no page here goes to the repository;
- a picture in a notebook gets its caption as its alternative text;
- a notebook's line of links that open it elsewhere becomes buttons;
- a live control, which needs a running notebook, is replaced by a note;
- a page for each module of the library, filled from its docstrings, is added.

Nothing is run, nothing is downloaded, and a warning of Sphinx is an error.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import address  # noqa: E402
import house  # noqa: E402

SECTIONS = {
    "The course": ["lessons/[0-9]*.ipynb", "docs/glossary.md"],
    "How to": ["docs/install.md", "docs/photos.md", "docs/own_project.md"],
    "The library": [],  # from the docstrings
    "Weights and numbers": [
        "colorize_lib/weights/README.md",
        "colorize_lib/weights/[!R]*.md",
        "docs/training/README.md",
        "benchmarks/README.md",
        "data/README.md",
    ],
    "Solutions": ["lessons/solutions/*.ipynb"],
    "The project": ["CONTRIBUTING.md", "CHANGELOG.md"],
}
LIVE = "application/vnd.jupyter.widget-view+json"
NOTE = "<p class='live'>In the notebook, there is a control here that you can use.</p>"
BADGES = re.compile(r"^\[Open in Colab\].*\n\n", re.MULTILINE)  # every lesson's page has buttons for them
LINK = re.compile(r"(\]\(|(?:src|href)=\")([^)\"\s]+)")


def sections() -> dict[str, list[str]]:
    """The pages that are files of the repository, in the order of reading."""
    return {
        title: [path.relative_to(ROOT).as_posix() for glob in globs for path in sorted(ROOT.glob(glob))]
        for title, globs in SECTIONS.items()
    }


def new_links(text: str, page: str, pages: set[str]) -> tuple[str, set[str]]:
    """A page's text with its links mended, and the files that it shows or offers.

    Args:
        text: Markdown.
        page: its path in the repository.
        pages: the paths of all pages.
    """
    files = set()

    def mend(match: re.Match) -> str:
        before, link = match.groups()
        target, mark, anchor = link.partition("#")
        if re.match(r"[a-z]+:|#|$", link) or not target:
            return match[0]
        path = _resolve(PurePosixPath(page).parent / target)
        if path == "README.md":
            up = "../" * (len(PurePosixPath(page).parts) - 1)
            return f"{before}{up}index.md{mark}{anchor}"
        if path in pages:
            return match[0]
        if path.endswith((".jpg", ".png", ".svg")):
            files.add(path)
            return match[0]
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{before}{address.repository()}/{kind}/main/{path}{mark}{anchor}"

    return LINK.sub(mend, text), files


def _resolve(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


def new_notebook(notebook: dict, page: str, pages: set[str]) -> tuple[dict, set[str]]:
    """A notebook with its links mended, its pictures described, and its controls replaced; and the files it shows."""
    files: set[str] = set()
    cells = notebook["cells"]
    for cell, after in zip(cells, [*cells[1:], {}], strict=True):
        if cell["cell_type"] == "markdown":
            text, more = new_links("".join(cell["source"]), page, pages)
            cell["source"] = BADGES.sub("", text)
            files |= more
        elif cell["metadata"].get("jupyter", {}).get("outputs_hidden"):
            cell["metadata"].setdefault("tags", []).append("hide-output")  # guess first, then open it
        for output in cell.get("outputs", []):
            if LIVE in output.get("data", {}):
                output["data"] = {"text/html": NOTE, "text/plain": "a control"}
            elif any(kind.startswith("image/") for kind in output.get("data", {})):
                cell["metadata"]["mystnb"] = {"image": {"alt": caption("".join(after.get("source", [])))}}
    notebook["metadata"].pop("widgets", None)
    return notebook, files


def caption(text: str) -> str:
    """The first paragraph of a cell of Markdown, as plain words."""
    plain = re.sub(r"\]\([^)]*\)|[*`\\\[\]]", "", text.split("\n\n")[0])
    return " ".join(plain.split()) or "A picture, described in the text below"


def contents(title: str, pages: list[str]) -> str:
    """A hidden table of contents: it makes the sidebar, and the links to the next and the previous page."""
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", ""])


def reference(source: Path) -> list[str]:
    """Write a page for each module of the library, the ground floor first; returns their paths."""
    folder = source / "library"
    folder.mkdir()
    pages = []
    for name in (name for floor in house.floors(house.imports()) for name in floor):
        package = ROOT / "colorize_lib" / name
        inside = sorted(path.stem for path in package.glob("*.py") if not path.stem.startswith("_"))
        lines = [f"# {name}", ""]
        for module in [name, *(f"{name}.{part}" for part in inside)]:
            lines += [f"## {module}", ""] if module != name else []
            lines += ["```{eval-rst}", f".. automodule:: colorize_lib.{module}", "   :members:"]
            lines += [
                "   :ignore-module-all:",
                "```",
                "",
            ]  # what a package only passes on stands with its module
        (folder / f"{name}.md").write_text("\n".join(lines), encoding="utf-8")
        pages.append(f"library/{name}.md")
    return pages


def gather(source: Path) -> None:
    """Write all pages, and the pictures on them, below `source`."""
    chosen = sections()
    pages = {page for group in chosen.values() for page in group}
    front, files = new_links((ROOT / "README.md").read_text(encoding="utf-8"), "README.md", pages)
    for page in sorted(pages):
        target = source / page
        target.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / page).read_text(encoding="utf-8")
        if page.endswith(".ipynb"):
            notebook, more = new_notebook(json.loads(text), page, pages)
            text = json.dumps(notebook, ensure_ascii=False)
        else:
            text, more = new_links(text, page, pages)
        target.write_text(text, encoding="utf-8")
        files |= more
    for file in files:
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, source / file)
    chosen["The library"] = reference(source)
    (source / "index.md").write_text(
        front + "".join(contents(title, group) for title, group in chosen.items()), encoding="utf-8"
    )


def main(out: Path) -> int:
    source = out.with_name(f"{out.name}-source")
    for folder in (source, out):
        shutil.rmtree(folder, ignore_errors=True)
    source.mkdir(parents=True)
    gather(source)
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-b", "html"]
    code = subprocess.run([*command, "-c", str(ROOT / "docs/site"), str(source), str(out)]).returncode
    web = ROOT / "build/web"
    if code == 0 and web.is_dir():
        shutil.copytree(web, out / "try")
    return code


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve()))
