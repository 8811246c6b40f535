"""The drawings of lessons 03 and 04: python lessons/figures/draw_networks.py writes them beside this file."""

from pathlib import Path

from svg import BLUE, GREEN, INK, PALE, RED, SOFT, Drawing

HERE = Path(__file__).parent
GREY = "#66717d"


def gan_loop() -> Drawing:
    """Generator and judge, each learning from the other."""
    drawing = Drawing(
        920, 270,
        "The loop of a GAN. The generator is given lightness and paints colour. The judge is given lightness with "
        "either the painted or the true colour, and says how real each patch looks. What it says about painted photos "
        "teaches the generator; what it should have said teaches the judge.",
    )  # fmt: skip
    drawing.box(20, 104, 120, 56, "lightness L")
    drawing.box(205, 104, 130, 56, "generator", fill=BLUE, edge=BLUE, ink="white")
    drawing.box(420, 50, 140, 50, "painted colour")
    drawing.box(420, 165, 140, 50, "true colour", fill="#e9f3ec", edge=GREEN)
    drawing.box(640, 104, 120, 56, "judge", fill=RED, edge=RED, ink="white")
    drawing.words(842, 132, "fake … real\nfor each patch", size=14)
    drawing.arrow([(140, 132), (203, 132)])
    drawing.arrow([(335, 120), (375, 75), (418, 75)])
    drawing.arrow([(560, 75), (605, 75), (638, 118)])
    drawing.arrow([(560, 190), (605, 190), (638, 146)])
    drawing.arrow([(760, 132), (790, 132)])
    drawing.arrow([(842, 108), (842, 24), (270, 24), (270, 102)], ink=BLUE, dashed=True)
    drawing.words(556, 13, "“paint so that I say: real”", size=13, ink=BLUE)
    drawing.arrow([(842, 158), (842, 254), (714, 254), (714, 162)], ink=RED, dashed=True)
    drawing.words(700, 254, "“which one was painted?”", size=13, ink=RED, anchor="end")
    drawing.arrow([(80, 160), (80, 230), (680, 230), (680, 162)])
    drawing.words(250, 218, "the judge is given L, too", size=13, ink=GREY)
    return drawing


def patch_logit_map() -> Drawing:
    """A patch of the photo, its logit, and the map of all logits."""
    drawing = Drawing(
        920, 300,
        "From patch to map. Left: a photo of 256 pixels with two overlapping patches of 70 pixels, 8 pixels apart. "
        "Middle: five convolutions, three of stride 2 and two of stride 1. Right: a map of 30 by 30 logits; each patch "
        "has become one number in it, such as +3.1 for real and −2.4 for fake.",
    )  # fmt: skip
    drawing.box(30, 30, 230, 230, "", fill="#dfe6ee")
    drawing.words(145, 282, "the photo and its colours, 256²", size=13, ink=GREY)
    drawing.add(
        f'<rect x="85" y="80" width="63" height="63" fill="{BLUE}" fill-opacity=".25" stroke="{BLUE}" stroke-width="2"/>'
    )
    drawing.add(f'<rect x="92" y="80" width="63" height="63" fill="none" stroke="{RED}" stroke-width="2"/>')
    drawing.words(120, 163, "70 × 70", size=13, ink=BLUE)
    drawing.words(120, 66, "the next: 8 pixels on", size=13, ink=RED)
    for i, (side, name) in enumerate(((128, "÷2"), (90, "÷2"), (62, "÷2"), (58, ""), (54, ""))):
        x = 330 + i * 62
        drawing.box(x, 145 - side / 2, 34, side, "", fill=PALE)
        drawing.words(x + 17, 145 + side / 2 + 14, name, size=12, ink=GREY)
    for i in range(4):
        drawing.arrow([(366 + i * 62, 145), (390 + i * 62, 145)])
    drawing.arrow([(150, 112), (300, 112), (328, 130)], ink=BLUE)
    drawing.words(474, 250, "five convolutions, kernel 4", size=13, ink=GREY)
    left, top, cell = 672, 40, 7
    for row in range(30):
        for column in range(30):
            near = (row - 8) ** 2 + (column - 8) ** 2 < 80
            shade = "#7fbf7b" if near else "#f2c4dc" if row > 18 else "#eef3ee"
            drawing.add(
                f'<rect x="{left + column * cell}" y="{top + row * cell}" width="{cell}" height="{cell}" fill="{shade}" '
                'stroke="white" stroke-width="1"/>'
            )
    drawing.add(
        f'<rect x="{left + 8 * cell}" y="{top + 8 * cell}" width="{cell}" height="{cell}" fill="none" stroke="{BLUE}" stroke-width="2"/>'
    )
    drawing.add(
        f'<rect x="{left + 9 * cell}" y="{top + 8 * cell}" width="{cell}" height="{cell}" fill="none" stroke="{RED}" stroke-width="2"/>'
    )
    drawing.arrow([(612, 145), (650, 145), (left + 8 * cell - 1, top + 8.5 * cell)], ink=BLUE)
    drawing.words(left + 15 * cell, 282, "the map, 30² logits: green real, pink fake", size=13, ink=GREY)
    drawing.words(left + 22 * cell, top + 4 * cell, "+3.1", size=13, ink=INK, bold=True)
    drawing.words(left + 15 * cell, top + 24 * cell, "−2.4", size=13, ink=INK, bold=True)
    drawing.line([(left + 10.4 * cell, top + 8.2 * cell), (left + 19.2 * cell, top + 4.6 * cell)], ink=SOFT)
    return drawing


DRAWINGS = {"gan_loop": gan_loop, "patch_logit_map": patch_logit_map}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        draw().save(HERE / f"{name}.svg")
