"""SVG drawings in the course's one style: boxes, arrows, words."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

INK, BLUE, RED, GREEN, SOFT, PALE = "#333333", "#2c6fbb", "#c0392b", "#2e8b57", "#9aa5b1", "#eef2f6"
Point = tuple[float, float]


class Drawing:
    """A drawing on white, so that it can be read on a dark page, too.

    Args:
        width, height: in pixels.
        alt: text for those who cannot see it.
    """

    def __init__(self, width: int, height: int, alt: str):
        self.width, self.height, self.alt, self._parts = width, height, alt, []

    def add(self, svg: str) -> None:
        """Any other SVG element."""
        self._parts.append(svg)

    def box(
        self, x: float, y: float, width: float, height: float, words: str = "", *,
        fill: str = PALE, edge: str = SOFT, ink: str = INK, size: int = 15,
    ) -> None:  # fmt: skip
        """A rounded box with words in its middle; a line break parts their lines."""
        self.add(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" fill="{fill}" stroke="{edge}"/>'
        )
        self.words(x + width / 2, y + height / 2, words, ink=ink, size=size)

    def words(
        self, x: float, y: float, words: str, *, ink: str = INK, size: int = 15, anchor: str = "middle", bold: bool = False
    ) -> None:  # fmt: skip
        """Words around a point; a line break parts their lines."""
        lines = words.split("\n")
        for i, line in enumerate(lines):
            below = y + (i - (len(lines) - 1) / 2) * size * 1.25 + size * 0.35
            weight = ' font-weight="600"' if bold else ""
            self.add(
                f'<text x="{x:g}" y="{below:g}" font-size="{size}" text-anchor="{anchor}" fill="{ink}"{weight}>'
                f"{escape(line)}</text>"
            )

    def line(
        self, points: Sequence[Point], *, ink: str = INK, width: float = 1.6, dashed: bool = False
    ) -> None:
        """A line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.add(f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="{width}"{dash}/>')

    def arrow(self, points: Sequence[Point], *, ink: str = INK, dashed: bool = False) -> None:
        """A line through points with a head at its end."""
        (x0, y0), (x1, y1) = points[-2:]
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-6)
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        self.line([*points[:-1], (x1 - 6 * dx, y1 - 6 * dy)], ink=ink, dashed=dashed)
        corners = (
            (x1, y1),
            (x1 - 9 * dx - 5 * dy, y1 - 9 * dy + 5 * dx),
            (x1 - 9 * dx + 5 * dy, y1 - 9 * dy - 5 * dx),
        )
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        self.add(f'<polygon points="{path}" fill="{ink}"/>')

    def svg(self) -> str:
        """The whole drawing as SVG."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif">\n'
            f"<title>{escape(self.alt)}</title>\n"
            f'<rect width="{self.width}" height="{self.height}" rx="10" fill="white"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )

    def save(self, path: str | Path) -> None:
        """Write the drawing to an SVG file."""
        Path(path).write_text(self.svg(), encoding="utf-8")
