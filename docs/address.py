"""Sets the repository's address in every file that needs it: links, badges, `git clone`.

python docs/address.py https://github.com/OWNER/NAME

The one place where it is kept is `Repository` in pyproject.toml.
"""

import os
import re
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHAPE = re.compile(r"https://github\.com/([\w.-]+)/([\w-]+)")

# Where an address of ours may stand: {what: the pattern of everything before OWNER/NAME}.
PLACES = {
    "Repository": r'[Rr]epository = \\?"https://github\.com/',
    "repository-code": r"^repository-code: https://github\.com/",
    "git clone": r"git clone https://github\.com/",
    "Colab": r"https://colab\.research\.google\.com/github/",
    "Binder": r"https://mybinder\.org/v2/gh/",
    "Kaggle": r"https://kaggle\.com/kernels/welcome\?src=https://github\.com/",
    "install": r"git\+https://github\.com/",
}
LINK = re.compile(r"(\]\()(?![a-z]+:)([^)\s]+)")  # one that is no address
NAME = r"([\w.-]+/[\w-]+)"
SITE = re.compile(r"https://([\w-]+)\.github\.io/([\w-]+)")  # GitHub Pages


def repository() -> str:
    """The address: https://github.com/OWNER/NAME."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"][
        "Repository"
    ]


def found(text: str) -> list[tuple[str, str]]:
    """Every OWNER/NAME that a text gives as ours, with the place that gives it."""
    sites = [("site", "/".join(match)) for match in SITE.findall(text)]
    return sites + [
        (place, match)
        for place, before in PLACES.items()
        for match in re.findall(before + NAME, text, re.MULTILINE)
    ]


def replace(text: str, name: str) -> str:
    """The text with `name` (OWNER/NAME) in all these places."""
    for before in PLACES.values():
        text = re.sub(f"({before}){NAME}", lambda match: match[1] + name, text, flags=re.MULTILINE)
    owner, project = name.split("/")
    return SITE.sub(f"https://{owner}.github.io/{project}", text)


def absolute(text: str, version: str) -> str:
    """README's text with every link into the repository as an address, for where the repository is not.

    Args:
        text: Markdown of a file in the repository's root.
        version: tag or branch that the links lead to.
    """

    def mend(link: re.Match) -> str:
        path = link[2].partition("#")[0] or "README.md"
        picture = path.endswith((".jpg", ".png", ".svg"))
        kind = "raw" if picture else "tree" if (ROOT / path).is_dir() else "blob"
        target = link[2] if link[2].startswith(path) else path + link[2]
        return f"{link[1]}{repository()}/{kind}/{version}/{target}"

    return LINK.sub(mend, text)


def project_files() -> list[Path]:
    """The project's own files: all but what .gitignore names.  An unpacked source distribution has no git."""
    ignored = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split())]

    def own(names: list[str]) -> list[str]:
        return [name for name in names if not any(fnmatch(name, pattern) for pattern in ignored)]

    paths = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = own(folders)
        paths += [Path(folder, name) for name in own(names)]
    return sorted(paths)


def files() -> list[Path]:
    """The project's files that may hold the address."""
    kinds = {".md", ".toml", ".cff", ".ipynb", ".json", ".yml"}
    return [path for path in project_files() if path.suffix in kinds or path.name == "first_cell.py"]


def main() -> int:
    match = SHAPE.fullmatch(sys.argv[1].removesuffix(".git").rstrip("/")) if len(sys.argv) == 2 else None
    if not match:
        print(__doc__, file=sys.stderr)
        return 2
    for path in files():
        text = path.read_bytes().decode()
        changed = replace(text, f"{match[1]}/{match[2]}")
        if changed != text:
            path.write_bytes(changed.encode())
            print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
