"""Writes the lessons' minutes, as each lesson gives them, into README's table, and their sum below it.

python docs/minutes.py
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
ROW = re.compile(r"^(\| \d\d \| \[[^]]+\]\()(lessons/\w+\.ipynb)(\) \| )[^|]*( \|)", re.MULTILINE)
SUM = re.compile(r"about [\d½]+ hours in all")


def minutes(lesson: Path) -> int:
    """The first number of minutes in a lesson's line **Time**."""
    cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return int(re.search(r"\*\*Time\*\*: about (\d+) minutes", text)[1])


def with_minutes(readme: str) -> str:
    """README with the lessons' minutes, and their sum in half hours."""
    total = sum(minutes(ROOT / lesson) for _, lesson, _, _ in ROW.findall(readme))
    halves = round(total / 30)
    hours = f"{halves // 2}{'½' if halves % 2 else ''}"
    text = ROW.sub(lambda row: f"{row[1]}{row[2]}{row[3]}{minutes(ROOT / row[2])}{row[4]}", readme)
    return SUM.sub(f"about {hours} hours in all", text)


if __name__ == "__main__":
    README.write_text(with_minutes(README.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
