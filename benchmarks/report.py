"""Rows of measurements: made, written as text and as a table, and drawn."""

import statistics
from pathlib import Path


def summary(numbers: list[float]) -> dict[str, float]:
    return {"median": statistics.median(numbers), "low": min(numbers), "high": max(numbers)}


def row(
    what: str, unit: str, ours: dict, theirs: dict | None = None, target: float | None = None, **more
) -> dict:
    """One line of the table.  `target`: by what factor ours should be better than theirs.

    Units that end in /s are better when higher, all others when lower.
    """
    line = {"what": what, "unit": unit, "ours": ours, "recipe": theirs, "target": target, **more}
    if theirs:
        ratio = ours["median"] / theirs["median"]
        line["factor"] = ratio if unit.endswith("/s") else 1 / ratio
    return line


def format_value(numbers: dict | None) -> str:
    """A value and its spread, as text."""
    if numbers is None:
        return ""
    median, low, high = (
        f"{numbers[name]:.3g}" if numbers[name] < 1000 else f"{numbers[name]:,.0f}"
        for name in ("median", "low", "high")
    )
    return numbers.get("note", "") + median + (f" ({low} to {high})" if low != high else "")


def format_factor(line: dict) -> tuple[str, str]:
    """By what factor ours is better, and whether the target was met, as texts."""
    if "factor" not in line:
        return "", "missed" if line["target"] else ""
    least = "at least " if line["recipe"].get("note") else ""
    if not line["target"]:
        return f"{least}{line['factor']:.3g} ×", ""
    met = "met" if line["factor"] >= line["target"] else "missed"
    return f"{least}{line['factor']:.3g} ×", f"{line['target']:g} ×: {met}"


def table(results: dict) -> str:
    """The results as a Markdown table."""
    lines = ["| | unit | the tutorial's recipe | this library | better by | target | |", "| --- " * 7 + "|"]
    for line in (line for part in results["parts"].values() for line in part):
        what = line["what"].strip() if line["what"].strip() == line["what"] else f"· {line['what'].strip()}"
        cells = (
            what,
            line["unit"],
            format_value(line["recipe"]),
            format_value(line["ours"]),
            *format_factor(line),
            line.get("note") or (f"{line['memory_gb']:.2f} GB at most" if "memory_gb" in line else ""),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(results: dict, path: Path) -> None:
    """The factors as bars on a logarithmic axis, with the targets as red marks."""
    import matplotlib.pyplot as plt

    from colorize_course.display import ACCENT, INK, SOFT, STYLE

    lines = [
        line for part in results["parts"].values() for line in part if line.get("factor") and line["target"]
    ]
    with plt.rc_context(STYLE | {"svg.hashsalt": "bench"}):
        figure, ax = plt.subplots(figsize=(9, 0.55 * len(lines) + 1.1))
        for y, line in enumerate(reversed(lines)):
            ax.barh(y, line["factor"] - 0.1, left=0.1, height=0.55, color="#2c6fbb")
            least = "≥ " if line["recipe"].get("note") else ""
            ax.text(
                max(line["factor"], line["target"]) * 1.08,
                y,
                f"{least}{line['factor']:.2g} × of {line['target']:g} ×",
                va="center",
                color=INK,
            )
            ax.plot([line["target"]] * 2, [y - 0.38, y + 0.38], color=ACCENT, linewidth=2)
        ax.axvline(1, color=SOFT, linewidth=0.8)
        ax.set(
            xscale="log",
            xlim=(0.25, 4 * max(max(line["factor"], line["target"]) for line in lines)),
            yticks=range(len(lines)),
            yticklabels=[line["what"] for line in reversed(lines)],
            xlabel="times as fast as the tutorial's recipe (red: the target)",
        )
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
