"""Lesson 00, the blind test of lesson 08 and the hints of lesson 10 in a real browser, through JupyterLab.

What only a browser can get wrong.

Needs Chromium or Chrome on this machine (Debian: apt install chromium); the test is skipped without.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorize_course.display import blind_test_score
from colorize_lib.photos import open_photo

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LESSON = Path(__file__).resolve().parents[1] / "lessons/00_start_here.ipynb"
TIMEOUT = 300  # seconds, only to end a test that hangs; nothing is judged by its time
BLIND_TEST = """\
from pathlib import Path
from colorize_course.display import blind_test
photo = open_photo("photo.jpg")
blind_test({"one": (photo, colorizer(photo))}, Path("blind_test.csv"))
"""
HINTS = """\
import ipywidgets
from colorize_course.display import hint_box
box, known = hint_box(colorizer, open_photo("photo.jpg")), ipywidgets.Label()
def tell(_):
    known.value = "known: " + ", ".join(f"{hint.x:.2f} {hint.y:.2f} {hint.colour}" for hint in box.hints)
box.observe(tell, "points")
ipywidgets.VBox([box, known])
"""


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab that serves `tmp_path`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--IdentityProvider.token=secret",
               f"--ServerApp.port={port}", f"--ServerApp.root_dir={tmp_path}"]  # fmt: skip
    # Nothing of the user's own JupyterLab: no windows from last time, no settings.
    clean = {**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path / ".config"),
             "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / ".workspaces")}  # fmt: skip
    server = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/api", timeout=60).close()
                break
            except OSError:
                assert server.poll() is None
                time.sleep(0.3)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=TIMEOUT)


def choose(page, file: Path) -> None:
    with page.expect_file_chooser() as choosing:
        page.get_by_role("button", name="Choose photos").click()
    choosing.value.set_files(file)


def point_at_the_photo(page) -> None:
    """Two hints, by the mouse and by the keyboard; one gets another colour, one goes; undo and clear."""
    from playwright.sync_api import expect

    photo, image = page.get_by_label("Photo to point at"), page.get_by_alt_text("coloured with the hints")
    before = image.get_attribute("src")
    box = image.bounding_box()
    photo.click(position={"x": box["width"] / 4, "y": box["height"] / 2})
    expect(image).not_to_have_attribute("src", before, timeout=TIMEOUT * 1000)
    colours = page.get_by_label("Colour of hint")
    expect(colours).to_have_count(1)
    photo.press("ArrowRight")
    photo.press("Enter")
    expect(colours).to_have_count(2)
    colours.first.fill("#00ff00")
    page.get_by_label("Take hint 2 away").click()
    expect(colours).to_have_count(1)
    expect(colours).to_have_value("#00ff00")
    page.get_by_role("button", name="Undo").click()
    expect(colours).to_have_count(2)
    page.get_by_role("button", name="Clear").click()
    expect(colours).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(colours).to_have_count(2)
    known = page.get_by_text("known: 0.25 0.50 #00ff00, 0.52 0.50 #8b1a2b")
    known.wait_for()  # in the kernel


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome (Debian: apt install chromium)")
def test_upload_download_and_blind_test(lab, tmp_path, photo):
    from playwright.sync_api import expect, sync_playwright

    Image.fromarray(photo[:300, :400]).convert("L").save(tmp_path / "grey & old.png")
    Image.fromarray(photo[:300, :400]).save(tmp_path / "photo.jpg")
    more_than_jupyter_takes_at_once = bytes(11 << 20)  # after its end, where nobody looks
    (tmp_path / "big.jpg").write_bytes(
        (tmp_path / "photo.jpg").read_bytes() + more_than_jupyter_takes_at_once
    )
    notebook = json.loads(LESSON.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell |= {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {}
        # The copy for the next lessons goes to the test's own folder.
        cell["source"] = "".join(cell["source"]).replace(
            "keep=MY_PHOTO", 'keep=__import__("pathlib").Path("mine.png")'
        )
    cell = {"cell_type": "code", "execution_count": None, "id": "blind", "metadata": {}, "outputs": []}
    notebook["cells"].append(cell | {"source": BLIND_TEST})
    notebook["cells"].append(cell | {"source": HINTS, "id": "hints"})
    (tmp_path / "widgets.ipynb").write_text(json.dumps(notebook))

    with sync_playwright() as playwright:
        quiet = (
            "--no-sandbox",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        )
        browser = playwright.chromium.launch(executable_path=BROWSER, args=quiet)
        page = browser.new_page(viewport={"width": 1200, "height": 1100})
        page.set_default_timeout(TIMEOUT * 1000)
        page.goto(f"{lab}/lab/tree/widgets.ipynb?token=secret")
        page.get_by_text("(ipykernel) | Idle").wait_for()  # "Run All Cells" does nothing before that
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()

        link = page.locator("a[download]")
        choose(page, tmp_path / "big.jpg")
        expect(link).to_have_text("Download big in colour.jpg", timeout=TIMEOUT * 1000)
        choose(page, tmp_path / "grey & old.png")
        expect(link).to_have_text("Download grey & old in colour.png", timeout=TIMEOUT * 1000)
        with page.expect_download() as arriving:
            link.click()
        arriving.value.save_as(tmp_path / "arrived.png")
        coloured = open_photo(tmp_path / "arrived.png")
        assert coloured.shape == (300, 400, 3)
        assert np.ptp(coloured.astype(int), axis=2).mean() > 3
        assert (tmp_path / "arrived.png").read_bytes() == base64.b64decode(
            link.get_attribute("href").split(",")[1]
        )

        assert open_photo(tmp_path / "mine.png").shape == (300, 400, 3)

        before_after = page.locator('input[type=range][aria-label*="grey & old"]')
        before_after.fill("20")
        assert "20%" in page.locator('img.after[alt*="grey & old"]').get_attribute("style")
        page.screenshot(path=tmp_path / "upload.png")

        page.get_by_role("button", name="the left one is the photo").click()
        verdict = page.get_by_text("times of 1; a coin")
        verdict.wait_for()
        page.screenshot(path=tmp_path / "blind.png")
        assert blind_test_score(tmp_path / "blind_test.csv")[1] == 1
        page.get_by_role("button", name="next").click()
        page.get_by_text("That was all").wait_for()
        point_at_the_photo(page)
        page.screenshot(path=tmp_path / "hints.png")
        browser.close()
