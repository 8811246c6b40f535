"""The title picture of lesson 05: python lessons/figures/choice.py cuts it out of the lesson's saved run."""

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
SHOWN = 0, 2  # of the five rows of the coin world: L1 alone, with a judge


def coin_world() -> Image.Image:
    """The lesson's picture of its coin world, as it was saved."""
    cells = json.loads((HERE.parent / "05_pix2pix.ipynb").read_text(encoding="utf-8"))["cells"]
    (cell,) = (cell for cell in cells if "coins = {" in "".join(cell["source"]))
    (jpeg,) = (out["data"]["image/jpeg"] for out in cell["outputs"] if "image/jpeg" in out.get("data", {}))
    return Image.open(io.BytesIO(base64.b64decode(jpeg)))


if __name__ == "__main__":
    picture = np.asarray(coin_world())
    height, width, _ = picture.shape
    rows = [picture[height * row // 5 : height * (row + 1) // 5, width * 3 // 20 :] for row in SHOWN]
    Image.fromarray(np.concatenate(rows)).save(HERE / "05_choice.jpg", quality=90)
