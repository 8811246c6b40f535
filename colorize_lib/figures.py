"""Matplotlib's figures in a notebook: sharp on a dense screen, and small in the file."""

import io

from matplotlib.figure import Figure

MOST = 70_000  # bytes: a figure that is larger is saved with less quality, then with fewer dots
TRIES = (1.0, 85), (1.0, 75), (1.0, 65), (0.75, 75), (0.75, 60)  # share of the dots, JPEG quality


def sharp_figures(dots: int = 80, times: float = 2.0) -> None:
    """Show figures as JPEG with `times` as many dots as they take on the page.

    Does nothing outside of a notebook.

    Args:
        dots: per inch, on the page.
        times: 2 for a dense screen.
    """
    from IPython import get_ipython
    from PIL import Image

    shell = get_ipython()
    if shell is None:
        return

    def drawn(figure: Figure, dpi: float, quality: int) -> bytes:
        buffer = io.BytesIO()
        how = {"format": "jpeg", "dpi": dpi, "bbox_inches": "tight", "pil_kwargs": {"quality": quality}}
        figure.savefig(buffer, **how)
        return buffer.getvalue()

    def jpeg(figure: Figure) -> tuple[bytes, dict[str, int]]:
        for share, quality in TRIES:
            data = drawn(figure, dots * times * share, quality)
            if len(data) < MOST:
                break
        width, height = Image.open(io.BytesIO(data)).size
        return data, {"width": round(width / times / share), "height": round(height / times / share)}

    formatters = shell.display_formatter.formatters
    for formatter in formatters.values():
        formatter.pop(Figure, None)
    formatters["image/jpeg"].for_type(Figure, jpeg)
