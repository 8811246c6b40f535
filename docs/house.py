"""Draws docs/house.svg: the modules of colorize_lib, each above all that it imports.

python docs/house.py
"""

import ast
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "colorize_lib"
PICTURE = ROOT / "docs/house.svg"

WIDTH, HEIGHT, GAP = 176, 32, 12  # of a box without its imports; between two boxes
LINE = 14  # height of a line of imports
MOST = 4  # boxes on one line


def imports() -> dict[str, set[str]]:
    """The modules and packages of colorize_lib, and which others each of them imports, anywhere in its code."""
    files = {path.stem: [path] for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")}
    files |= {path.parent.name: sorted(path.parent.rglob("*.py")) for path in PACKAGE.glob("*/__init__.py")}
    used = {
        name: {other for path in paths for other in _imported(path)} & files.keys() - {name}
        for name, paths in files.items()
    }
    return {name: used[name] for name in sorted(used)}


def _imported(path: Path) -> set[str]:
    """The names below colorize_lib in a file's relative imports."""
    depth = len(path.relative_to(PACKAGE).parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return found


def floors(used: dict[str, set[str]]) -> list[list[str]]:
    """The modules by floors, the ground floor first: each stands one above the highest that it imports.

    Raises:
        ValueError: if modules import one another in a circle.
    """
    level: dict[str, int] = {}
    while len(level) < len(used):
        ready = [name for name in used if name not in level and used[name] <= level.keys()]
        if not ready:
            raise ValueError(f"a circle of imports among {', '.join(sorted(used.keys() - level.keys()))}")
        for name in ready:
            level[name] = 1 + max((level[other] for other in used[name]), default=-1)
    return [sorted(name for name in used if level[name] == floor) for floor in range(max(level.values()) + 1)]


def direct(used: dict[str, set[str]]) -> dict[str, set[str]]:
    """The imports that no other import implies: enough to see who stands on whom."""

    def below(name: str) -> set[str]:
        return used[name].union(*(below(other) for other in used[name]))

    return {
        name: {other for other in others if not any(other in below(third) for third in others - {other})}
        for name, others in used.items()
    }


def draw(used: dict[str, set[str]]) -> str:
    """The house as SVG: a box for each module, in it the modules that it stands on."""
    lines = [
        floor[start : start + MOST]
        for floor in reversed(floors(used))
        for start in range(0, len(floor), MOST)
    ]
    stands_on = {name: textwrap.wrap(", ".join(sorted(others)), 27) for name, others in direct(used).items()}
    heights = [HEIGHT + LINE * max(len(stands_on[name]) for name in line) for line in lines]
    width = max(map(len, lines)) * (WIDTH + GAP) + GAP
    height = sum(heights) + len(lines) * GAP + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" text-anchor="middle">',
        f'<rect width="{width}" height="{height}" rx="8" fill="#fbfaf7"/>',
    ]
    y = GAP
    for line, high in zip(lines, heights, strict=True):
        left = (width - len(line) * (WIDTH + GAP) + GAP) / 2
        for column, name in enumerate(line):
            x = left + column * (WIDTH + GAP)
            parts.append(
                f'<rect x="{x:g}" y="{y}" width="{WIDTH}" height="{high}" rx="5" fill="#e3edf7" stroke="#2c6fbb"/>'
                f'<text x="{x + WIDTH / 2:g}" y="{y + 21}" font-size="15" font-weight="600" fill="#1b2733">{name}</text>'
            )
            for i, others in enumerate(stands_on[name]):
                parts.append(
                    f'<text x="{x + WIDTH / 2:g}" y="{y + 38 + LINE * i}" font-size="12" fill="#52606d">{others}</text>'
                )
        y += high + GAP
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    PICTURE.write_text(draw(imports()), encoding="utf-8", newline="\n")
    print(f"written: {PICTURE}")


if __name__ == "__main__":
    main()
