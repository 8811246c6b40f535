"""Pictures for every position of some knobs: they work in Jupyter and in the rendered page, without a kernel."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from .display.html import KEYS
from .notes import Page

_TURN = """(() => {
  const root = document.currentScript.closest(".knobs"), knobs = [...root.querySelectorAll("input")];
  const frames = [...root.querySelectorAll("img")], says = root.querySelector("[role=status]");
  function place(knob) { return knob.type === "checkbox" ? Number(knob.checked) : Number(knob.value); }
  function show() {
    let at = 0;
    for (const knob of knobs) at = at * Number(knob.dataset.count) + place(knob);
    frames.forEach((frame, i) => frame.style.display = i === at ? "block" : "none");
    if (says) says.textContent = JSON.parse(root.dataset.says)[at];
  }
  knobs.forEach(knob => knob.oninput = show);
  if (root.dataset.click) root.querySelector(".frames").onpointerdown = event => {
    const box = event.currentTarget.getBoundingClientRect(), [wide, high] = JSON.parse(root.dataset.click);
    const at = [(event.clientX - box.left) / (box.width * wide), (event.clientY - box.top) / (box.height * high)];
    if (at.some(part => part > 1)) return;
    knobs.slice(0, 2).forEach((knob, i) => knob.value = Math.min(knob.max, Math.floor(at[i] * knob.dataset.count)));
    show();
  };
  show();
})();"""


def knobs(
    pictures: Sequence[np.ndarray],
    settings: Mapping[str, int],
    alt: str,
    *,
    start: Sequence[int] | None = None,
    says: Sequence[str] = (),
    click: tuple[float, float] | None = None,
    width: int = 520,
) -> Page:
    """One picture for every combination of some settings, and a knob for each setting.

    A setting of two values is a box to tick, one of more is a slider.  Needs no kernel.

    Args:
        pictures: (H, W, 3) uint8, all of one shape; the last setting changes fastest.
        settings: {name: how many values}.
        alt: text for those who cannot see the pictures.
        start: the value of each setting at first; None: 0.
        says: a text for each picture.
        click: share of the width and of the height in which a click sets the first two settings; None: no clicks.
        width: width of the pictures, in pixels.

    Raises:
        ValueError: if the number of pictures does not fit the settings.
    """
    if len(pictures) != math.prod(settings.values()):
        raise ValueError(
            f"{len(pictures)} pictures for {math.prod(settings.values())} combinations of settings"
        )
    start = list(start or [0] * len(settings))
    at = 0
    for value, count in zip(start, settings.values(), strict=True):
        at = at * count + value
    frames = "".join(
        f'<img src="{_data_url(picture)}" alt="{escape(alt)}" style="width:{width}px;max-width:100%;margin:0;'
        f'display:{"block" if i == at else "none"}">'
        for i, picture in enumerate(pictures)
    )
    controls = "".join(
        _knob(name, count, value) for (name, count), value in zip(settings.items(), start, strict=True)
    )
    data = f' data-says="{escape(json.dumps(says, ensure_ascii=False))}"' if says else ""
    data += f' data-click="{escape(json.dumps(click))}"' if click else ""
    status = f'<p role="status" style="margin:6px 0">{escape(says[at])}</p>' if says else ""
    html = (
        f'<div class="knobs"{data} style="font:14px system-ui,sans-serif"><div class="frames" '
        f'style="width:fit-content;max-width:100%{";cursor:crosshair" if click else ""}">{frames}</div>'
        f'<div style="margin:6px 0">{controls}</div>{status}<script>{_TURN}</script></div>'
    )
    return Page(html, f"{alt} (with knobs: {', '.join(settings)})" + (f" {says[at]}" if says else ""))


def film(pictures: Sequence[np.ndarray], unit: str, alt: str, width: int = 520, most: int = 20) -> Page:
    """Pictures that were taken while a network learned, under a slider; the first, before it began.

    Args:
        pictures: (H, W, 3) uint8, one for each `unit`.
        unit: what lies between two pictures, such as "epoch".
        alt: text for those who cannot see them.
        width: width of the pictures, in pixels.
        most: number of pictures to show at most, evenly apart.
    """
    every = -(-len(pictures) // most)
    says = [f"after {i} {unit}{'s' * (i != 1)}" for i in range(0, len(pictures), every)]
    return knobs(pictures[::every], {unit: len(says)}, alt, says=says, width=width)


def _knob(name: str, count: int, value: int) -> str:
    if count == 2:
        kind = f'type="checkbox" {KEYS} data-count="2"{" checked" if value else ""}'
        return f'<label style="margin-right:14px;white-space:nowrap"><input {kind}> {escape(name)}</label>'
    kind = f'type="range" {KEYS} min="0" max="{count - 1}" value="{value}" data-count="{count}" aria-label="{escape(name)}"'
    return f'<label style="display:block">{escape(name)} <input {kind} style="width:240px;vertical-align:middle"></label>'


def _data_url(picture: np.ndarray) -> str:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=70)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
