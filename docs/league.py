"""Takes the rows of the course's table out of the lessons' saved outputs into colorize_course/league.csv.

python docs/league.py
"""

import json
from pathlib import Path

from colorize_course.league import Row, record, rows_in
from colorize_lib.data import sample_photos

ROOT = Path(__file__).resolve().parents[1]
COURSE = len(sample_photos("val"))


def saved_rows() -> list[Row]:
    """Each lesson's own rows, from its saved outputs."""
    rows: dict[tuple[str, str], Row] = {}
    for lesson in sorted((ROOT / "lessons").glob("*.ipynb")):
        cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", ())]
        for row in rows_in("".join("".join(output.get("text", "")) for output in outputs)):
            if row.lesson == lesson.name[:2] and row.photos == COURSE:  # a table on other photos is not kept
                rows[row.lesson, row.painter] = row
    return list(rows.values())


if __name__ == "__main__":
    record(saved_rows())
