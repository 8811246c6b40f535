"""Writes the lessons' minutes, as each lesson gives them, into README's table, and their sum below it.

It also prints what it counts: 150 words or 10 lines of code a minute, 6 minutes for each "Your turn".

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


def counted(lesson: Path) -> int:
    """Minutes for a lesson without its exercises: to read what is not a hint, to write, and 4 for the quiz."""
    cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
    words = lines = turns = 0
    for cell in cells:
        text, tags = "".join(cell["source"]), cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code" and "importlib.util" not in text:  # the cell that installs
            turns += "turn" in tags and "exercise" not in tags
            lines += len([line for line in text.splitlines() if line.strip()])
        elif cell["cell_type"] == "markdown":
            read = re.sub(r"<details><summary>(Hint|Solution).+?</details>", "", text, flags=re.DOTALL)
            words += len(read.split("## Exercises")[0].split())
    return round(words / 150 + lines / 10 + 6 * turns + 4)


def with_minutes(readme: str) -> str:
    """README with the lessons' minutes, and their sum in half hours."""
    total = sum(minutes(ROOT / lesson) for _, lesson, _, _ in ROW.findall(readme))
    halves = round(total / 30)
    hours = f"{halves // 2}{'½' if halves % 2 else ''}"
    text = ROW.sub(lambda row: f"{row[1]}{row[2]}{row[3]}{minutes(ROOT / row[2])}{row[4]}", readme)
    return SUM.sub(f"about {hours} hours in all", text)


if __name__ == "__main__":
    for path in sorted((ROOT / "lessons").glob("*.ipynb")):
        print(f"{path.stem}: says {minutes(path)} minutes, counted {counted(path)}")
    README.write_text(with_minutes(README.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
