"""The web page in a real browser, alone and behind `colorize serve`: what a visitor does, and what may go wrong.

Needs Chromium or Chrome (Debian: apt install chromium), and for the page alone `make web`; skipped without.
The last tests need Firefox (Debian: apt install firefox-esr).
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
from firefox import Firefox
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from colorize_lib import Colorizer
from colorize_lib.inference import MARK
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
    from colorize_lib.cli.server import make_app

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
    settle(page)


def settle(page):
    """Wait until no photo is at work."""
    page.locator(".card").first.wait_for()
    page.wait_for_function("!document.querySelector('.card.working')")


def test_five_photos(visit, files, colorizer, tmp_path):
    page, address, asked = visit
    drop(page, list(files.values()))
    assert "4 of 5 photos in colour, 1 could not be coloured." in page.locator("#summary").text_content()
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
            throw(page, "drop", "text/plain", "no photo")
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
    throw(page, "drop", "text/plain", "no photo")
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


# --- what a browser lacks, what does not arrive, what is no photo ----------


@pytest.fixture
def alone(browser, page_alone):
    """Calls up the page alone: code in front of its worker or behind it, and what becomes of requests."""
    contexts = []

    def visit(before="", behind="", routes=(), ready=True):
        context = browser.new_context(service_workers="block", accept_downloads=True)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        worker = before + (PAGE / "worker.js").read_text(encoding="utf-8") + behind
        page.route("**/worker.js", lambda route: route.fulfill(body=worker, content_type="text/javascript"))
        for pattern, handle in dict(routes).items():
            page.route(pattern, handle)
        page.goto(page_alone)
        if ready:
            page.locator("html[data-ready]").wait_for(state="attached")
        return page

    yield visit
    for context in contexts:
        context.close()


def told(page):
    """The sentences of the photos."""
    return page.locator(".card .about").all_text_contents()


def throw(page, event, kind, text):
    """Drop or paste what is no file."""
    transfer = (
        {"drop": "dataTransfer", "paste": "clipboardData"}[event],
        {"drop": "Drag", "paste": "Clipboard"}[event],
    )
    page.evaluate(
        f"""([kind, text]) => {{
            const {transfer[0]} = new DataTransfer();
            {transfer[0]}.setData(kind, text);
            document.body.dispatchEvent(new {transfer[1]}Event("{event}", {{ {transfer[0]}, bubbles: true }}));
        }}""",
        [kind, text],
    )


NOISE = """
const get = OffscreenCanvasRenderingContext2D.prototype.getImageData;
OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...place) {
  const picture = get.apply(this, place);
  return picture.data.forEach((_, i, data) => { if (i % 4 < 3) data[i] = Math.random() * 256; }), picture;
};
"""


@pytest.mark.parametrize(
    ("lack", "sentence"),
    [
        ("delete self.OffscreenCanvas;", "it has no OffscreenCanvas): take"),
        ("OffscreenCanvas.prototype.getContext = () => null;", "OffscreenCanvas draws no photos): take"),
        (NOISE, "hides the pixels of photos from pages (protection against fingerprinting): allow"),
        ("delete self.WebAssembly;", "WebAssembly, which this page computes with, is switched off"),
        ("WebAssembly.Module = class { constructor() { throw new Error(); } };", "is switched off"),
        ("WebAssembly.validate = () => false;", "has no SIMD): take"),
    ],
    ids=["no canvas", "no drawing", "invented pixels", "no WebAssembly", "forbidden by a policy", "no SIMD"],
)
def test_what_a_browser_lacks_is_said(alone, files, lack, sentence):
    page = alone(lack + "\n")
    drop(page, [files["grey.jpg"]])
    assert sentence in told(page)[0]


def test_a_worker_that_does_not_start_is_said_at_each_photo(alone, files):
    page = alone(routes={"**/worker.js": lambda route: route.abort()})
    drop(page, [files["grey.jpg"], files["turned.jpg"]])
    assert ["could not be started" in sentence for sentence in told(page)] == [True, True]


@pytest.fixture
def broken_once(alone, files):
    """The page, and the sentence of its first photo, for which the model did not arrive."""
    missing = iter([True])
    page = alone(
        routes={
            "**/model/colours.onnx": lambda route: (
                route.abort() if next(missing, False) else route.continue_()
            )
        }
    )
    drop(page, [files["grey.jpg"]])
    return page, told(page)[0]


def test_after_a_broken_download_all_is_well_again(broken_once, files):
    page, sentence = broken_once
    assert "check your connection, then try again" in sentence
    drop(page, [files["turned.jpg"]])
    assert page.locator(".card.done").count() == 1
    page.get_by_role("button", name="Try grey.jpg again").click()
    settle(page)
    assert page.locator(".card.done").count() == 2


def test_what_breaks_at_one_photo_does_not_break_the_others(alone, files):
    page = alone(
        """
        const decode = self.createImageBitmap;
        self.createImageBitmap = (file) => {
          if (file.name === "turned.jpg") throw new RangeError("Array buffer allocation failed");
          return decode(file);
        };
        """
    )
    drop(page, [files["turned.jpg"], files["grey.jpg"]])
    assert "turned.jpg could not be coloured (memory runs out): close other tabs" in told(page)[0]
    assert page.locator(".card.done").count() == 1


def test_colours_are_kept_for_the_last_photos_alone(alone, tmp_path, photo):
    for n in range(5):
        Image.fromarray(photo[n : n + 90, :120]).save(tmp_path / f"{n}.png")
    # In a photo of 120 × 90: 5 planes of 222 rows, and 222 weights for each of its own.
    most = 3 * 4 * (5 * 222 * 120 + 222 * 90)
    with_less = (PAGE / "worker.js").read_text(encoding="utf-8").replace(
        "= 48e6", f"= {most}"
    ) + "self.seen = seen;"
    page = alone(
        routes={"**/worker.js": lambda route: route.fulfill(body=with_less, content_type="text/javascript")}
    )
    drop(page, sorted(tmp_path.glob("*.png")))
    kept = "[...self.seen.values()].reduce((sum, { planes, rows }) => sum + planes.byteLength + rows.byteLength, 0)"
    assert 0 < page.workers[0].evaluate(kept) <= most
    page.locator("#saturation").fill("0")
    page.locator("#saturation").dispatch_event("change")
    settle(page)
    assert page.locator(".card.done").count() == 5
    assert 0 < page.workers[0].evaluate(kept) <= most


def test_a_folder_dropped(visit, files, tmp_path):
    page, _, _ = visit
    folder = tmp_path / "album"
    for place in ("1961", "@eaDir", ".hidden", "__MACOSX"):
        (folder / place).mkdir(parents=True)
        (folder / place / f"{place}.jpg").write_bytes(files["grey.jpg"].read_bytes())
    (folder / "b.jpg").write_bytes(files["turned.jpg"].read_bytes())
    (folder / "letter.txt").write_text("Dear all")
    where = page.locator("#drop").bounding_box()
    place = {"x": where["x"] + 9, "y": where["y"] + 9}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
    page.locator(".card").nth(1).wait_for()
    settle(page)
    assert page.locator(".card.done .name").all_text_contents() == ["1961.jpg", "b.jpg"]
    assert page.inner_text("#notice") == "2 photos in album, left out: 1 other file."


@pytest.mark.parametrize(
    ("event", "kind", "text"),
    [("drop", "text/uri-list", "https://example.org/old.jpg"), ("paste", "text/plain", "an old photo")],
)
def test_what_is_no_file_is_said(visit, event, kind, text):
    page, _, _ = visit
    throw(page, event, kind, text)
    assert "save the picture first" in page.inner_text("#notice")


def test_names_in_the_zip_differ_not_in_case_alone(visit, files, tmp_path):
    page, _, _ = visit
    names = ["a.png", "A.png", "a in colour (2).png"]
    paths = [tmp_path / str(n) / name for n, name in enumerate(names)]
    for path in paths:
        path.parent.mkdir()
        Image.open(files["half there.png"]).crop((0, 0, 40, 30)).save(path)
    drop(page, paths)
    with page.expect_download() as arriving:
        page.get_by_role("button", name="Download all").click()
    arriving.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert len({name.lower() for name in archive.namelist()}) == 3


def test_the_page_from_the_disk_says_what_it_needs(browser, page_alone):
    page = browser.new_page()
    page.goto((PAGE / "index.html").as_uri())
    page.locator("#notice").wait_for()
    assert "it needs a web server: run python3 -m http.server" in page.inner_text("#notice")
    page.close()


def test_a_page_that_is_not_whole_says_so(alone):
    page = alone(routes={"**/config.json": lambda route: route.abort()}, ready=False)
    page.get_by_text("could not be loaded whole (config.json)").wait_for()


def test_a_page_that_runs_says_nothing(visit):
    page, _, _ = visit
    assert page.inner_text("#notice") == ""


def test_a_sample_that_does_not_arrive_is_said(alone):
    page = alone(routes={"**/samples/*": lambda route: route.fulfill(status=404)})
    page.locator("[data-sample]").first.click()
    page.get_by_text("castle_clinton_1961.jpg could not be loaded: check your connection").wait_for()


def test_serve_that_has_ended_is_said(browser, page_served, files):
    page = browser.new_page()
    page.route("**/api/colour*", lambda route: route.abort())
    page.goto(page_served)
    page.locator("html[data-ready]").wait_for(state="attached")
    drop(page, [files["grey.jpg"]])
    assert "see that it still runs, then try again" in told(page)[0]
    page.unroute("**/api/colour*")
    page.get_by_role("button", name="Try grey.jpg again").click()
    settle(page)
    assert page.locator(".card.done").count() == 1
    page.close()


# --- what a file says beside its pixels ------------------------------------

CAPTION, DATE = "Großmutter am See".encode(), "1961:05:04 10:00:00"
RATING = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    + (
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
        ' xmp:Rating="5" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
)
PRINTED_BY = b"\x1c\x02\x78\x00\x07A. Lake"  # IPTC: the writer of the caption


@pytest.fixture(scope="module")
def carried(browser, page_alone, photo, tmp_path_factory):
    """Photos of each format with all that they can say, through the page: {name: (the opened result, its sentence)}."""
    if not (PAGE / "sw.js").exists():
        pytest.skip("needs the page: make web")
    folder = tmp_path_factory.mktemp("told")
    small = Image.fromarray(photo[:60, :80])
    exif = Image.Exif()
    exif[0x010E], exif[0x0132], exif[0x0112] = CAPTION, DATE, 6
    exif.get_ifd(0x8769)[0xA002] = 80  # the width of the pixels as they lie
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(PRINTED_BY).to_bytes(4, "big") + PRINTED_BY
    options = {"exif": exif, "xmp": RATING.encode(), "dpi": (600, 300), "comment": b"scanned by Ann"}
    plain = small.copy()
    small.save(folder / "a.jpg", **options)
    head, rest = (folder / "a.jpg").read_bytes()[:2], (folder / "a.jpg").read_bytes()[2:]
    (folder / "a.jpg").write_bytes(head + b"\xff\xed" + (len(iptc) + 2).to_bytes(2, "big") + iptc + rest)
    texts = PngInfo()
    texts.add_text("Author", "Ann")
    texts.add_itxt("XML:com.adobe.xmp", RATING)
    small.save(folder / "b.png", exif=exif, dpi=(600, 300), pnginfo=texts)
    small.save(folder / "c.webp", exif=exif, xmp=RATING.encode())
    Image.fromarray(np.full((40, 50), 30000, np.uint16)).save(folder / "deep.png")
    exif[0x0131] = "Scanner 3"
    plain.save(folder / "scanner.jpg", exif=exif)
    data = bytearray((folder / "scanner.jpg").read_bytes())
    place = data.index(b"Exif\0\0") + 6
    data[place + 4 : place + 8] = b"\xff\xff\xff\x0f"  # the first directory lies far outside
    (folder / "damaged.jpg").write_bytes(data)
    cut = b"Photoshop 3.0\x008BIM\x04\x04\xff" + bytes(9)  # a name of 255 letters, which are not there
    data = (folder / "scanner.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(
        data[:2] + b"\xff\xed" + (len(cut) + 2).to_bytes(2, "big") + cut + data[2:]
    )
    plain.save(folder / "silent.gif")
    context = browser.new_context(accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(page_alone)
    page.locator("html[data-ready]").wait_for(state="attached")
    drop(page, sorted(folder.iterdir()))
    found = {}
    for card in page.locator(".card").all():
        name = card.locator(".name").text_content()
        with page.expect_download() as arriving:
            card.locator(".save").click()
        arriving.value.save_as(folder / f"{name}.out")
        found[name] = Image.open(folder / f"{name}.out"), card.locator(".about").text_content()
        found[name][0].load()
    yield found
    context.close()


@pytest.fixture(params=["a.jpg", "b.png", "c.webp"])
def result(carried, request):
    return carried[request.param][0]


def test_the_date_is_kept(result):
    assert result.getexif()[0x0132] == DATE


def test_the_caption_is_kept(result):
    assert result.getexif()[0x010E].encode("latin1") == CAPTION


def test_the_result_is_turned_as_the_browser_shows_it(result):
    """Chromium turns no WebP: its result has to be turned by others, as the original has."""
    expected = ((80, 60), 6) if result.format == "WEBP" else ((60, 80), None)
    assert (result.size, result.getexif().get(0x0112)) == expected


def test_the_size_is_that_of_the_result(result):
    assert result.getexif().get_ifd(0x8769)[0xA002] == result.width


def test_the_note_says_that_it_was_coloured(result):
    assert result.getexif()[0x0131] == MARK


def test_xmp_is_kept_without_the_orientation(result):
    xmp = result.info["xmp"].decode()
    assert 'xmp:Rating="5"' in xmp
    assert "tiff:Orientation" not in xmp


@pytest.mark.parametrize("name", ["a.jpg", "b.png"])
def test_the_resolution_is_kept_and_turned(carried, name):
    assert carried[name][0].info["dpi"] == pytest.approx((300, 600), abs=0.01)


def test_comments_and_iptc_data_are_kept(carried):
    image = carried["a.jpg"][0]
    assert image.info["comment"] == b"scanned by Ann"
    assert image.info["photoshop"][0x0404] == PRINTED_BY


def test_texts_of_a_png_are_kept(carried):
    assert carried["b.png"][0].text["Author"] == "Ann"


def test_the_scanners_name_stays_beside_the_note(carried):
    exif = carried["scanner.jpg"][0].getexif()
    assert (exif[0x0131], exif[0x000B]) == ("Scanner 3", MARK)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("deep.png", "8 bits per channel, the original has 16"),
        ("damaged.jpg", "without the original's EXIF data, which is damaged"),
        ("cut.jpg", "without the original's date and captions, which are damaged"),
        ("silent.gif", "without the original's date and captions"),
    ],
)
def test_what_cannot_be_kept_is_said(carried, name, sentence):
    assert sentence in carried[name][1]


# --- Firefox -----------------------------------------------------------------

FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
COLOUR = """
  const until = async (found) => { while (!found()) await new Promise((resume) => setTimeout(resume, 100)); };
  await until(() => "ready" in document.documentElement.dataset);
  const dataTransfer = new DataTransfer(), bytes = Uint8Array.from(arguments[0]);
  dataTransfer.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
  await until(() => document.querySelector(".card.done:not(.working), .card.failed"));
  const blob = await fetch(document.querySelector(".save").href).then((answer) => answer.blob()).catch(() => new Blob());
  const about = document.querySelector(".about").textContent, shown = document.querySelector(".after");
  await shown.decode().catch(() => {});
  return [about, shown.naturalWidth, [...new Uint8Array(await blob.arrayBuffer())]];
"""


@pytest.fixture
def firefox(tmp_path):
    """Calls up Firefox with its settings."""
    if FIREFOX is None:
        pytest.skip("needs Firefox (Debian: apt install firefox-esr)")
    begun = []

    def begin(**preferences):
        begun.append(Firefox(FIREFOX, tmp_path, **preferences))
        return begun[0]

    yield begin
    begun[0].close()


def test_firefox_colours_a_photo(firefox, address, files, colorizer):
    browser = firefox()
    browser.go(address)
    about, shown, coloured = browser.run(COLOUR, list(files["turned.jpg"].read_bytes()))
    assert "without" not in about
    assert shown == 401
    found = np.asarray(Image.open(io.BytesIO(bytes(coloured))).convert("RGB")).astype(int)
    assert np.abs(found - colorizer(open_photo(files["turned.jpg"]))).mean() < 4  # compressed anew


def test_firefox_that_hides_pixels_is_told(firefox, page_alone, files):
    browser = firefox(privacy_resistFingerprinting=True)
    browser.go(page_alone)
    assert "protection against fingerprinting" in browser.run(COLOUR, list(files["grey.jpg"].read_bytes()))[0]


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
