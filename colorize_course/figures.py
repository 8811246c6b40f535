"""Matplotlib's figures in a notebook: sharp on a dense screen, and small in the file."""

import io

from matplotlib.figure import Figure

MOST = 70_000  # bytes: a figure that is larger is saved with less quality, then with fewer dots
TRIES = (1.0, 85), (1.0, 75), (1.0, 65), (0.75, 75), (0.75, 60)  # share of the dots, JPEG quality


def sharp_figures(dots: int = 80, times: float = 2.0) -> None:
    """Show figures as JPEG with `times` as many dots as they take on the page.

    Does nothing outside of a notebook.

    Args:
        dots: dots per inch, on the page.
        times: 2 for a dense screen.
    """
    from IPython import get_ipython
    from PIL import Image

    shell = get_ipython()
    if shell is None:
        return

    def jpeg(figure: Figure) -> tuple[bytes, dict[str, int]]:
        drawn = io.BytesIO()  # once: drawing takes far longer than packing
        figure.savefig(
            drawn, format="png", dpi=dots * times, bbox_inches="tight", pil_kwargs={"compress_level": 1}
        )
        whole = Image.open(drawn).convert("RGB")
        width, height = round(whole.width / times), round(whole.height / times)
        for share, quality in TRIES:
            data = io.BytesIO()
            small = whole.resize(
                (round(whole.width * share), round(whole.height * share)), Image.Resampling.LANCZOS
            )
            small.save(data, "JPEG", quality=quality, optimize=True, progressive=True)
            if data.tell() < MOST:
                break
        return data.getvalue(), {"width": width, "height": height}

    formatters = shell.display_formatter.formatters
    for formatter in formatters.values():
        formatter.pop(Figure, None)
    formatters["image/jpeg"].for_type(Figure, jpeg)
