"""Tables of metrics: as text, CSV and JSON."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping

from .measure import METRICS, Table
from .sources import Leads

# Heading and decimals of each column.
_COLUMNS = {name: (metric.heading, metric.decimals) for name, metric in METRICS.items()} | {
    "of_grey": ("of grey's", 3),
    "of_true": ("of true", 3),
    "frechet": ("Fréchet", 2),
    "fid": ("FID", 2),
}
NO_COLOUR = 0.5  # ab error of grey, or colourfulness of the truth, below which a share of it means nothing


def with_shares(table: Table) -> Table:
    """Add two columns to the table of `evaluate`.

    `of_grey`, behind the ab error, is the ab error ÷ that of grey; `of_true`, behind the
    colourfulness, is the colourfulness ÷ that of the true photos.  Both are NaN if the
    true photos have no colour.
    """
    return {name: _row_with_shares(row, table["grey"], table["true"]) for name, row in table.items()}


def _row_with_shares(
    row: Mapping[str, float], grey: Mapping[str, float], true: Mapping[str, float]
) -> dict[str, float]:
    shares = {"ab_error": ("of_grey", grey["ab_error"]), "colourfulness": ("of_true", true["colourfulness"])}
    wider = {}
    for name, value in row.items():
        wider[name] = value
        if name in shares:
            share, whole = shares[name]
            wider[share] = value / whole if whole >= NO_COLOUR else math.nan
    return wider


def format_table(table: Table, width: int | None = None, columns: Iterable[str] = _COLUMNS) -> str:
    """The table as text, one line per row; the columns that all rows have, in the order of the first row.

    Args:
        table: {name: row}, as `evaluate` returns it.
        width: largest width of the text, in characters; a wider table is broken into blocks of columns.
        columns: the columns to show.
    """
    names = max(12, *(len(name) + 1 for name in table))
    first = next(iter(table.values()))
    columns = [name for name in first if name in columns and all(name in row for row in table.values())]
    blocks = _blocks(columns, None if width is None else width - names)
    return "\n\n".join("\n".join(_lines(table, block, names)) for block in blocks)


def _blocks(columns: list[str], room: int | None) -> list[list[str]]:
    """The columns in blocks that are no wider than `room`, at least one column each."""
    blocks, left = [[]], room
    for column in columns:
        if left is not None and blocks[-1] and left < _width(column):
            blocks.append([])
            left = room
        blocks[-1].append(column)
        left = None if left is None else left - _width(column)
    return blocks


def _lines(table: Table, columns: list[str], names: int) -> Iterator[str]:
    yield " " * names + "".join(f"{_COLUMNS[column][0]:>{_width(column)}}" for column in columns)
    for name, row in table.items():
        yield f"{name:<{names}}" + "".join(_cell(column, row[column]) for column in columns)


def _width(column: str) -> int:
    return max(8, len(_COLUMNS[column][0]) + 2)


def _cell(column: str, value: float) -> str:
    text = "–" if math.isnan(value) else f"{value:.{_COLUMNS[column][1]}f}"
    return f"{text:>{_width(column)}}"


def format_leads(leads: Leads) -> str:
    """The leads as text, one line per source: difference ± margin."""
    columns = list(next(iter(leads.values())))
    names = max(12, *(len(name) + 1 for name in leads))
    lines = [" " * names + "".join(f"{_COLUMNS[column][0]:>18}" for column in columns)]
    for source, lead in leads.items():
        lines.append(
            f"{source:<{names}}" + "".join(f"{_lead(column, *lead[column]):>18}" for column in columns)
        )
    return "\n".join(lines)


def _lead(column: str, difference: float, margin: float) -> str:
    decimals = _COLUMNS[column][1]
    return "–" if math.isnan(difference + margin) else f"{difference:+.{decimals}f} ± {margin:.{decimals}f}"


def table_csv(table: Table) -> str:
    """The table as CSV, one line per row; an undefined value (NaN) is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["name", *next(iter(table.values()))], lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {"name": name} | {column: "" if math.isnan(value) else value for column, value in row.items()}
        for name, row in table.items()
    )
    return text.getvalue()


def table_json(table: Table, **about: object) -> str:
    """The table as JSON, under "table", beside the entries of `about`; infinity and NaN become null."""
    return (
        json.dumps(_finite({**about, "table": table}), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def _finite(value: object) -> object:
    """With None in place of infinity and NaN, at any depth."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
