"""The lessons' drawings are those that their code draws."""

import runpy
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

FIGURES = Path(__file__).resolve().parents[1] / "lessons/figures"
sys.path.insert(0, str(FIGURES))  # as when the scripts are run
DRAWINGS = {
    name: draw
    for script in sorted(FIGURES.glob("draw*.py"))
    for name, draw in runpy.run_path(str(script))["DRAWINGS"].items()
}


def test_every_drawing_is_in_the_code():
    assert {path.stem for path in FIGURES.glob("*.svg")} == set(DRAWINGS)


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_as_drawn(name):
    assert (FIGURES / f"{name}.svg").read_text(encoding="utf-8") == DRAWINGS[name]().svg()


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_has_words_for_those_who_cannot_see_it(name):
    root = ElementTree.parse(FIGURES / f"{name}.svg").getroot()
    assert len(root.find("{http://www.w3.org/2000/svg}title").text.split()) > 10
