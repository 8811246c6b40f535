"""Matplotlib's figures in a notebook: sharp on a dense screen, and small in the file."""

import io

from matplotlib.figure import Figure

WIDE = 50_000  # bytes: a figure that is larger is saved with less quality


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

    def drawn(figure: Figure, **options) -> bytes:
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=dots * times, bbox_inches="tight", **options)
        return buffer.getvalue()

    def size_on_page(data: bytes) -> dict[str, int]:
        width, height = Image.open(io.BytesIO(data)).size
        return {"width": round(width / times), "height": round(height / times)}

    def jpeg(figure: Figure) -> tuple[bytes, dict[str, int]]:
        for quality in (85, 75, 65):
            data = drawn(
                figure, format="jpeg", pil_kwargs={"quality": quality, "optimize": True, "progressive": True}
            )
            if len(data) < WIDE:
                break
        return data, size_on_page(data)

    formatters = shell.display_formatter.formatters
    for formatter in formatters.values():
        formatter.pop(Figure, None)
    formatters["image/jpeg"].for_type(Figure, jpeg)
