"""The web page in a real browser, alone and behind `colorize serve`: what a visitor does, and what may go wrong.

Needs Chromium or Chrome (Debian: apt install chromium), and for the page alone `make web`; skipped without.
"""

import functools
import http.server
import io
import shutil
import socket
import threading
import time
import zipfile
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from colorize_lib import Colorizer
from colorize_lib.photos import open_photo

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "build/web"
AXE = ROOT / "build/npm/node_modules/axe-core/axe.min.js"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")
PATIENCE = 300_000  # milliseconds; a test waits for what it waits for, not for a clock

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="needs Chromium or Chrome (Debian: apt install chromium)"
)


@pytest.fixture(scope="module")
def colorizer():
    return Colorizer.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def files(tmp_path_factory, photo):
    """Five files, one of them broken; names → paths."""
    folder = tmp_path_factory.mktemp("photos")
    small = Image.fromarray(photo[:301, :401])
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter
    small.rotate(90, expand=True).save(folder / "turned.jpg", exif=exif, quality=95)
    with_alpha = small.copy()
    with_alpha.putalpha(
        Image.fromarray(np.where(np.arange(401) < 200, 255, 0).astype(np.uint8)[None].repeat(301, 0))
    )
    with_alpha.save(folder / "half there.png")
    small.convert("L").save(folder / "grey.jpg", quality=95)
    small.save(folder / "photo.webp", lossless=True)
    (folder / "broken.jpg").write_bytes(b"no photo at all")
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def page_alone():
    if not (PAGE / "sw.js").exists():
        pytest.skip("needs the page: make web")
    handler = functools.partial(Quiet, directory=PAGE)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def page_served(colorizer):
    uvicorn = pytest.importorskip("uvicorn")
    from colorize_lib.serve import make_app

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(make_app(colorizer), port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(params=["page_alone", "page_served"])
def address(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def visit(browser, address):
    """(page, its address, every address that was asked for)."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    asked = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(address)
    page.locator("html[data-ready]").wait_for(state="attached")
    yield page, address, asked
    context.close()


def drop(page, paths):
    page.set_input_files("#files", paths)
    count = page.locator(".card").count()
    page.wait_for_function(
        f"document.querySelectorAll('.card.done:not(.working), .card.failed').length === {count}"
    )


def test_five_photos(visit, files, colorizer, tmp_path):
    page, address, asked = visit
    drop(page, list(files.values()))
    assert "4 of 5 photos in colour, 1 could not be read." in page.locator("#summary").text_content()
    broken = page.locator(".card.failed .about")
    assert broken.count() == 1
    assert "broken.jpg" in broken.text_content()
    assert "save it" in broken.text_content()

    split = page.get_by_label("grey.jpg: before and in colour")
    split.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert split.input_value() == "48"
    assert split.get_attribute("aria-valuetext") == "48% before"
    assert "--at: 48%" in page.locator(".card:has-text('grey.jpg') .pair").get_attribute("style")

    with page.expect_download() as arriving:
        page.get_by_role("button", name="Download all").click()
    arriving.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        got = {
            name: np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
            for name in archive.namelist()
        }
    stems = {name.split(".")[0]: name for name in files if name != "broken.jpg"}
    assert {name.split(" in colour.")[0]: name.split(".")[-1] for name in got} == {
        stem: name.split(".")[-1] for stem, name in stems.items()
    }
    for stem, name in stems.items():
        expected = colorizer(open_photo(files[name])).astype(int)
        found = got[f"{stem} in colour.{name.split('.')[-1]}"].astype(int)
        assert found.shape == expected.shape
        difference = np.abs(found - expected)
        if name.endswith(".png"):
            assert difference.max() <= 1
        else:  # compressed anew
            assert difference.mean() < 4, name

    assert all(url.startswith((address, f"blob:{address}", "data:")) for url in asked), asked


def test_saturation_0_is_grey_and_is_asked_for_once_more(visit, files, tmp_path):
    page, _, _ = visit
    drop(page, [files["half there.png"]])
    page.locator("#saturation").fill("0")
    page.locator("#saturation").dispatch_event("change")
    page.locator(".card.done:not(.working)").wait_for()
    with page.expect_download() as arriving:
        page.locator(".save").click()
    arriving.value.save_as(tmp_path / "grey.png")
    assert np.ptp(open_photo(tmp_path / "grey.png").astype(int), axis=2).max() <= 1


def test_accessible(visit, files):
    if not AXE.exists():
        pytest.skip("needs axe-core: make web")
    page, _, _ = visit
    for step in ("empty", "full"):
        if step == "full":
            drop(page, [files["grey.jpg"], files["broken.jpg"]])
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found = page.evaluate("axe.run()")["violations"]
            serious = [
                (rule["id"], [n["html"] for n in rule["nodes"]])
                for rule in found
                if rule["impact"] in ("serious", "critical")
            ]
            assert not serious, (step, scheme)


@pytest.mark.parametrize("width", [390, 1280])
def test_no_sideways_scroll(visit, files, width):
    page, _, _ = visit
    page.set_viewport_size({"width": width, "height": 800})
    drop(page, [files["grey.jpg"], files["broken.jpg"]])
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_page_works_offline_once_loaded(browser, page_alone, files):
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(page_alone)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    context.set_offline(True)
    page.reload()
    page.locator("html[data-ready]").wait_for(state="attached")
    drop(page, [files["grey.jpg"]])
    assert page.locator(".card.done").count() == 1
    context.close()


def test_serve_says_what_is_wrong(page_served):
    from urllib.error import HTTPError
    from urllib.request import Request

    def post(query="name=a.jpg", body=b"x", **headers):
        with pytest.raises(HTTPError) as error:
            urlopen(Request(f"{page_served}api/colour?{query}", body, headers, method="POST"))
        return error.value.code, error.value.read().decode()

    assert post()[0] == 400
    assert "a.jpg is not an image" in post()[1]
    assert post(body=b"")[0] == 400
    assert post("name=a.jpg&saturation=high")[0] == 400
    assert post(Origin="http://elsewhere.example")[0] == 403
    assert post(Host="elsewhere.example")[0] == 400
    assert post(body=bytes((64 << 20) + 1))[0] == 413
