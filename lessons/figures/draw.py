"""The lessons' drawings: python lessons/figures/draw.py writes them beside this file."""

import math
from pathlib import Path

from svg import BLUE, GREEN, INK, PALE, RED, SOFT, Drawing

HERE = Path(__file__).parent
LESSONS = {
    "00": "Use it", "01": "Lab colour", "02": "Data", "03": "U-Net", "04": "PatchGAN", "05": "pix2pix",
    "06": "L1 pretraining", "07": "Adversarial training", "08": "Is it any good?", "09": "Your own project",
    "10": "Your colours",
}  # fmt: skip


def course_map(here: str) -> Drawing:
    """The whole system, the part of one lesson marked."""
    drawing = Drawing(
        920, 300,
        f"Map of the course. You are here: lesson {here}, {LESSONS[here]}. A folder of photos becomes batches (02), "
        "which are split into lightness L and colour ab (01). The generator (03, 06) is given L, and hints where somebody "
        "knows a colour (10), and guesses ab. Both together are the coloured photo (00, 09). The judge (04) is given L with one "
        "ab at a time, guessed or true, and says how real it looks; training (05, 07) sends what the losses say back to the "
        "generator. The result is measured (08).",
    )  # fmt: skip

    def place(x: float, y: float, width: float, words: str, *lessons: str) -> None:
        on = here in lessons
        colours = {"fill": RED, "edge": RED, "ink": "white"} if on else {}
        drawing.box(x, y, width, 62, words, **colours)
        number = f"{here} you are here" if on else " · ".join(lessons)
        drawing.words(
            x + (-10 if on else 2),
            y - 11,
            number,
            size=13,
            anchor="start",
            ink=RED if on else "#66717d",
            bold=on,
        )

    place(20, 60, 120, "folder\nof photos", "02")
    place(200, 60, 120, "Lab:\nlight | colour", "01")
    place(400, 60, 130, "generator\nguesses ab", "03", "06", "10")
    place(600, 60, 120, "L and ab\ntogether", "")
    place(780, 60, 120, "photo\nin colour", "00", "09")
    place(400, 208, 130, "judge:\nreal or made?", "04")
    place(600, 208, 120, "losses,\ntraining", "05", "07")
    place(780, 208, 120, "is it\nany good?", "08")

    drawing.arrow([(140, 91), (198, 91)])
    drawing.arrow([(320, 91), (398, 91)])
    drawing.words(358, 78, "L", ink=BLUE, bold=True)
    drawing.arrow([(530, 91), (598, 91)])
    drawing.words(564, 78, "ab", ink=GREEN, bold=True)
    drawing.arrow([(720, 91), (778, 91)])
    drawing.arrow([(360, 91), (360, 226), (398, 226)], ink=BLUE)
    drawing.words(346, 160, "L", ink=BLUE, bold=True)
    drawing.arrow([(260, 122), (260, 254), (398, 254)], ink=GREEN)
    drawing.words(312, 242, "true ab", ink=GREEN, bold=True)
    drawing.arrow([(546, 91), (546, 160), (512, 160), (512, 206)], ink=GREEN)
    drawing.arrow([(530, 239), (598, 239)])
    drawing.arrow([(712, 206), (712, 174), (430, 174), (430, 124)], ink=RED, dashed=True)
    drawing.words(620, 162, "what to do better", size=13, ink=RED)
    drawing.arrow([(890, 122), (890, 206)])
    return drawing


def gauss(wave: float, middle: float, left: float, right: float) -> float:
    return math.exp(-0.5 * ((wave - middle) / (left if wave < middle else right)) ** 2)


def standard_eye(wave: float) -> tuple[float, float, float]:
    """CIE 1931 x, y, z at a wavelength in nm: the fit of Wyman, Sloan and Shirley (JCGT 2013)."""
    x = 1.056 * gauss(wave, 599.8, 37.9, 31.0) + 0.362 * gauss(wave, 442.0, 16.0, 26.7)
    x -= 0.065 * gauss(wave, 501.1, 20.4, 26.2)
    y = 0.821 * gauss(wave, 568.8, 46.9, 40.5) + 0.286 * gauss(wave, 530.9, 16.3, 31.1)
    z = 1.217 * gauss(wave, 437.0, 11.8, 36.0) + 0.681 * gauss(wave, 459.0, 26.0, 13.8)
    return x, y, z


def cones(wave: float) -> tuple[float, float, float]:
    """Long, middle and short cones: Hunt, Pointer and Estévez's mixture of x, y, z."""
    x, y, z = standard_eye(wave)
    return 0.3897 * x + 0.6890 * y - 0.0787 * z, -0.2298 * x + 1.1834 * y + 0.0464 * z, z


def eye_to_lab() -> Drawing:
    """From the eye's cones over X, Y and Z to L*, a* and b*."""
    drawing = Drawing(
        920, 290,
        "From the eye to Lab in four steps. Three kinds of cones answer to long, middle and short waves of light. "
        "A standard eye mixes them into three curves: Y, how light it looks, X, which also answers to red, and Z, to blue. "
        "The cube root follows the eye's answer. L* is Y; a* is X against Y, red against green; b* is Y against Z, "
        "yellow against blue.",
    )  # fmt: skip

    def curves(
        x: float, title: str, sees, names: str, inks: tuple[str, str, str], tops: tuple[int, ...]
    ) -> None:
        drawing.words(x + 105, 26, title, bold=True)
        drawing.line([(x, 200), (x + 210, 200)], ink=SOFT)
        waves = range(390, 701, 5)
        tallest = [max(sees(wave)[i] for wave in waves) for i in range(3)]
        for i, (ink, name, top) in enumerate(zip(inks, names.split(), tops, strict=True)):
            points = [
                (x + (wave - 390) / 310 * 210, 200 - sees(wave)[i] / tallest[i] * 115) for wave in waves
            ]
            drawing.line(points, ink=ink, width=2.4)
            drawing.words(x + (top - 390) / 310 * 210, 68, name, ink=ink, bold=True, size=14)
        for part in range(42):  # the colours of the spectrum, roughly
            hue = 275 - 275 * min(1, max(0, part / 41 * 1.12 - 0.06))
            drawing.add(
                f'<rect x="{x + part * 5}" y="203" width="5.4" height="10" fill="hsl({hue:.0f} 75% 52%)"/>'
            )
        drawing.words(x, 226, "short waves", size=12, anchor="start", ink="#66717d")
        drawing.words(x + 210, 226, "long", size=12, anchor="end", ink="#66717d")

    rgb = RED, GREEN, BLUE
    curves(20, "three kinds of cones", cones, "long middle short", rgb, (612, 525, 440))
    curves(285, "a standard eye", standard_eye, "X Y Z", rgb, (605, 545, 445))
    drawing.arrow([(240, 140), (275, 140)])
    drawing.arrow([(505, 140), (540, 140)])
    drawing.words(597, 26, "as the eye answers", bold=True)
    drawing.line([(550, 200), (645, 200)], ink=SOFT)
    drawing.line([(550, 200), (550, 85)], ink=SOFT)
    drawing.line(
        [(550 + 95 * t / 50, 200 - 112 * (t / 50) ** (1 / 3)) for t in range(51)], ink=INK, width=2.4
    )
    drawing.words(597, 226, "light → cube root", size=12, ink="#66717d")
    drawing.arrow([(655, 140), (690, 140)])
    drawing.words(805, 26, "L*, a*, b*", bold=True)
    drawing.box(700, 62, 205, 42, "L*: Y,  dark … light", fill=PALE)
    drawing.box(700, 116, 205, 42, "a*: X − Y,  green … red", fill="#fbeeec")
    drawing.box(700, 170, 205, 42, "b*: Y − Z,  blue … yellow", fill="#eaf1f9")
    drawing.words(
        460, 266, "Each curve is drawn with its highest point at the same height.", size=13, ink="#66717d"
    )
    return drawing


DRAWINGS = {f"map_{lesson}": lambda lesson=lesson: course_map(lesson) for lesson in LESSONS} | {
    "eye_to_lab": eye_to_lab,
}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        draw().save(HERE / f"{name}.svg")
