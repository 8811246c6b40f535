"""Things to play with in the lessons."""

import base64
import json
from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from colorize_lib.color import AB_SCALE, lab_to_rgb, rgb_to_lab

from .display import to_image, to_rgb
from .display.html import KEYS
from .notes import Page

_PICK = """(() => {
  const root = document.currentScript.closest(".pick-pixel"), [height, width] = JSON.parse(root.dataset.shape);
  const bytes = Uint8Array.from(atob(root.dataset.values), c => c.charCodeAt(0));
  const values = new Int16Array(bytes.buffer), [across, down] = root.querySelectorAll("input");
  const image = root.querySelector("img"), mark = root.querySelector(".mark"), swatch = root.querySelector(".swatch");
  function show() {
    const x = Number(across.value), y = height - 1 - Number(down.value);
    const v = values.subarray((y * width + x) * 9, (y * width + x + 1) * 9);
    root.querySelectorAll("td").forEach((cell, i) => {
      cell.textContent = i < 3 ? v[i] : i < 6 ? (v[i] / 1000).toFixed(3) : (v[i] / 10).toFixed(1);
    });
    swatch.style.background = `rgb(${v[0]},${v[1]},${v[2]})`;
    mark.style.left = `${(x + 0.5) / width * 100}%`;
    mark.style.top = `${(y + 0.5) / height * 100}%`;
  }
  across.oninput = down.oninput = show;
  function point(event) {
    const box = image.getBoundingClientRect();
    across.value = Math.floor((event.clientX - box.left) / box.width * width);
    down.value = height - 1 - Math.floor((event.clientY - box.top) / box.height * height);
    show();
  }
  image.onpointerdown = event => { event.preventDefault(); point(event); };
  image.onpointermove = event => event.buttons && point(event);
})();"""


def pick_pixel(
    photo: np.ndarray, xyz: Callable[[Tensor], Tensor], lab: Callable[[Tensor], Tensor], across: int = 72
) -> Page:
    """A photo to click at: RGB, XYZ and Lab of the pixel.  Two sliders do the same from the keyboard.

    Needs no kernel once it is shown.

    Args:
        photo: (H, W, 3) uint8; it is made small, so that its pixels can be seen.
        xyz, lab: from RGB (1, 3, H, W) in [0, 1] to (1, 3, H, W).
        across: pixels from left to right.
    """
    height = round(photo.shape[0] * across / photo.shape[1])
    small = np.asarray(Image.fromarray(photo).resize((across, height), Image.Resampling.BOX))
    rgb = torch.from_numpy(small.copy()).permute(2, 0, 1)[None]
    parts = rgb, xyz(rgb / 255) * 1000, lab(rgb / 255) * 10
    values = torch.cat([part.float() for part in parts], dim=1)[0].permute(1, 2, 0).round().to(torch.int16)
    buffer = BytesIO()
    Image.fromarray(small).save(buffer, "PNG")
    first = values[height // 2, across // 2].tolist()
    numbers = [
        *map(str, first[:3]),
        *(f"{v / 1000:.3f}" for v in first[3:6]),
        *(f"{v / 10:.1f}" for v in first[6:]),
    ]
    html = (
        f'<div class="pick-pixel" data-shape="{json.dumps([height, across])}" '
        f'data-values="{base64.b64encode(values.contiguous().numpy().tobytes()).decode()}" '
        'style="display:flex;flex-wrap:wrap;gap:20px;align-items:flex-start;font:14px system-ui,sans-serif">'
        '<div style="position:relative;width:480px;max-width:100%;line-height:0">'
        f'<img alt="A photo with large pixels" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}" '
        'style="width:100%;margin:0;image-rendering:pixelated;cursor:crosshair;touch-action:none">'
        '<div class="mark" style="position:absolute;left:50%;top:50%;width:12px;height:12px;margin:-8px;'
        'border:2px solid white;outline:2px solid black;pointer-events:none"></div></div>'
        f'<div><div class="swatch" style="width:290px;height:46px;background:rgb({first[0]},{first[1]},{first[2]})"></div>'
        f'<table role="status" style="margin:8px 0">{_rows(numbers)}</table>{_ranges(across, height)}</div>'
        f"<script>{_PICK}</script></div>"
    )
    return Page(
        html,
        f"The pixel in the middle: R, G, B {numbers[:3]}, X, Y, Z {numbers[3:6]}, L*, a*, b* {numbers[6:]}",
    )


def _rows(numbers: Sequence[str]) -> str:
    """The rows of the table: RGB, XYZ and Lab."""
    return "".join(
        f'<tr><th scope="row" style="text-align:left">{name}</th>'
        + "".join(
            f'<td style="width:70px;text-align:right">{value}</td>' for value in numbers[3 * i : 3 * i + 3]
        )
        + "</tr>"
        for i, name in enumerate(("R, G, B", "X, Y, Z", "L*, a*, b*"))
    )


def _ranges(width: int, height: int) -> str:
    """The two sliders, which start in the middle."""
    return "".join(
        f'<label style="display:block">{name} <input type="range" {KEYS} min="0" max="{top - 1}" value="{start}" '
        'style="width:200px;vertical-align:middle"></label>'
        for name, top, start in (
            ("left – right", width, width // 2),
            ("down – up", height, height - 1 - height // 2),
        )
    )


def mix_lab(fit_to_gamut: Callable[[Tensor], Tensor], L: float = 60, a: float = 40, b: float = 60) -> Any:
    """Three sliders for L*, a*, b*: what is shown by clipping, and what with less chroma.

    Needs a running kernel.

    Args:
        fit_to_gamut: the learner's or ours, (B, 3, H, W) to the same.
        L, a, b: where the sliders start.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as widgets

    def knob(value: float, low: float, high: float, name: str) -> widgets.FloatSlider:
        return widgets.FloatSlider(value, min=low, max=high, step=1, description=name, readout_format=".0f")

    knobs = knob(L, 0, 100, "L*"), knob(a, -AB_SCALE, AB_SCALE, "a*"), knob(b, -AB_SCALE, AB_SCALE, "b*")
    answer = widgets.HTML()

    def show(_: object = None) -> None:
        answer.value = mixed(fit_to_gamut, *(one.value for one in knobs))

    for one in knobs:
        one.observe(show, "value")
    show()
    return widgets.VBox([*knobs, answer])


def mixed(fit_to_gamut: Callable[[Tensor], Tensor], L: float, a: float, b: float) -> str:
    """HTML: one Lab colour as it is shown by clipping and with less chroma, and what became of its numbers."""
    asked = torch.tensor([L, a, b], dtype=torch.float32)[None, :, None, None]
    ways = {"clipped": lab_to_rgb(asked), "less chroma": lab_to_rgb(fit_to_gamut(asked))}
    inside = (ways["clipped"] - ways["less chroma"]).abs().max() < 1 / 255
    cells = ""
    for name, rgb in ways.items():
        shown = [float(value) for value in rgb_to_lab(rgb).flatten()]
        red, green, blue = (round(float(value) * 255) for value in rgb.flatten())
        cells += (
            f'<div style="margin-right:16px"><div style="width:200px;height:90px;background:rgb({red},{green},{blue})"></div>'
            f"{escape(name)}: L* {shown[0]:.0f}, a* {shown[1]:.0f}, b* {shown[2]:.0f}</div>"
        )
    verdict = (
        "sRGB can show this colour: both ways are the same." if inside else "sRGB cannot show this colour."
    )
    return f'<div style="line-height:1.6"><div style="display:flex;flex-wrap:wrap">{cells}</div><b>{verdict}</b></div>'


def lazy_network(ab: Tensor, L: Tensor, rivals: dict[str, float]) -> Any:
    """Two sliders for the one colour that a lazy network gives to everything: how it looks, and its error.

    Needs a running kernel.

    Args:
        ab: true colours of the photos that it is measured on, (B, 2, H, W), normalised.
        L: of one photo, (1, 1, H, W), normalised, to be looked at.
        rivals: {name: error} to beat.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as widgets

    some = ab[:, :, ::4, ::4]
    knobs = [
        widgets.IntSlider(0, min=-60, max=60, description=name, continuous_update=False)
        for name in ("a*", "b*")
    ]
    picture, answer = widgets.Image(format="png", width=320), widgets.HTML()

    def show(_: object = None) -> None:
        colour = torch.tensor([knob.value / AB_SCALE for knob in knobs])[None, :, None, None]
        buffer = BytesIO()
        rgb = to_rgb(L, colour.expand(1, 2, *L.shape[-2:]))[0]
        Image.fromarray(to_image(rgb)).save(buffer, "PNG")
        picture.value = buffer.getvalue()
        error = (some - colour).abs().mean().item() * AB_SCALE
        others = "".join(f"<br>{escape(name)}: {value:.2f}" for name, value in rivals.items())
        answer.value = f"<b>your colour: {error:.2f}</b>{others}"

    for knob in knobs:
        knob.observe(show, "value")
    show()
    return widgets.VBox([*knobs, picture, answer])
