"""Sliders in plain HTML, which need no kernel."""

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO
from uuid import uuid4

import numpy as np
from IPython.display import HTML
from PIL import Image

KEYS = 'data-lm-suppress-shortcuts="true"'  # JupyterLab leaves the arrow keys to an element that says so


def slider(
    pictures: Sequence[np.ndarray], labels: Sequence[str], alt: str, start: int = 0, width: int = 360
) -> HTML:
    """A slider through pictures.  It needs no kernel: it works in Jupyter and in a rendered page, offline.

    Args:
        pictures: (H, W, 3) uint8, all of one shape.
        labels: text for each picture.
        alt: description of the pictures for readers who cannot see them.
        start: index of the picture that is shown first.
        width: width of the pictures, in pixels.
    """
    name = f"slider-{uuid4().hex[:8]}"
    frames = "".join(
        f'<img src="{data_url(picture)}" alt="{escape(alt)}: {escape(label)}" width="{width}" '
        f'style="display:{"block" if i == start else "none"}">'
        for i, (picture, label) in enumerate(zip(pictures, labels, strict=True))
    )
    texts = "".join(
        f'<span style="display:{"inline" if i == start else "none"}">{escape(label)}</span>'
        for i, label in enumerate(labels)
    )
    move = (
        f"for (const part of document.querySelectorAll('#{name} .frames, #{name} .labels'))"
        " [...part.children].forEach((child, i) => child.style.display ="
        " i == this.value ? (child.tagName == 'IMG' ? 'block' : 'inline') : 'none')"
    )
    return HTML(
        f'<div id="{name}" style="font-family:sans-serif"><div class="frames">{frames}</div>'
        f'<input type="range" {KEYS} min="0" max="{len(pictures) - 1}" value="{start}" aria-label="{escape(alt)}" '
        f'oninput="{move}" style="width:{width}px;max-width:100%"><div class="labels">{texts}</div></div>'
    )


def before_after(before: np.ndarray, after: np.ndarray, alt: str, width: int = 480) -> HTML:
    """Two pictures on top of each other, and a slider that moves the edge between them.  It needs no kernel.

    Args:
        before: picture on the left of the edge, (H, W, 3) uint8.
        after: picture on the right of it, of the same shape.
        alt: description of the pictures for readers who cannot see them.
        width: width of the pictures, in pixels.
    """
    name = f"before-after-{uuid4().hex[:8]}"
    move = (
        f"document.querySelector('#{name} .after').style.clipPath = 'inset(0 0 0 ' + this.value + '%)';"
        f"document.querySelector('#{name} .edge').style.left = this.value + '%'"
    )
    image = 'style="display:block;width:100%;max-width:none;margin:0'
    return HTML(
        f'<div id="{name}" style="width:{width}px;max-width:100%">'
        '<div style="position:relative">'
        f'<img src="{data_url(before)}" alt="{escape(alt)}: before" {image}">'
        f'<img class="after" src="{data_url(after)}" alt="{escape(alt)}: after" '
        f'{image};position:absolute;top:0;left:0;clip-path:inset(0 0 0 50%)">'
        '<div class="edge" style="position:absolute;top:0;bottom:0;left:50%;border-left:2px solid white"></div>'
        f'</div><input type="range" {KEYS} min="0" max="100" value="50" step="0.5" aria-label="{escape(alt)}" '
        f'oninput="{move}" style="width:100%;margin:6px 0 0"></div>'
    )


def data_url(picture: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 as the text of an `src` attribute, a JPEG."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=88, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
