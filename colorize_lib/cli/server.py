"""`colorize serve`: the web page on this computer, with the Python library behind it.

Listens on the loopback alone by default, keeps nothing, sends nothing anywhere.
Needs the extra `serve` (Starlette and uvicorn).
"""

import asyncio
import errno
import ipaddress
import mimetypes
import os
import socket
import tempfile
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path

from ..colorizer import Colorizer
from ..inference import MARK, reason
from ..photos import SUFFIXES, PhotoError, open_photo, save_photo, writable_path
from .console import say

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import FileResponse, JSONResponse, Response
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles
except ImportError as error:
    raise ImportError(
        "colorize serve needs Starlette and uvicorn: pip install 'colorize_lib[serve]'"
    ) from error

MOST_BYTES = 64 << 20  # of an upload: a camera's JPEG has some 10 MB, a 16-bit TIFF of 10 megapixels 60
MOST_UPLOADS = 4  # in memory at once; the others wait before they are read
PATIENCE = 20  # seconds that an upload may stand still
SLOWEST = 32 << 10  # bytes per second, below which an upload does stand still
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1", "[")  # "[" is how Starlette before 1.0 reads [::1]:8765
PAGE = Path(__file__).resolve().parents[1] / "page"
SAMPLES = Path(__file__).resolve().parents[2] / "data/samples"  # the repository's; a wheel has none


class Refused(Exception):
    """A request that gets one sentence instead of a photo.

    Args:
        sentence: the mistake, and the remedy.
        status: HTTP status.
    """

    def __init__(self, sentence: str, status: int = 400):
        super().__init__(sentence)
        self.status = status


def make_app(
    colorizer: Colorizer,
    most_bytes: int = MOST_BYTES,
    hosts: tuple[str, ...] = LOOPBACK,
    patience: float = PATIENCE,
) -> Starlette:
    """The page as an ASGI application.

    `POST api/colour?name=…&saturation=…&resolution=…` with a photo's bytes answers with the
    photo in colour, in its own format, or with `{"error": "one sentence"}`.

    Args:
        colorizer: colorizer for the photos.
        most_bytes: the largest upload.
        hosts: names by which the page may be called; others are refused, so that no other
            website can reach it by giving itself this computer's address.
        patience: seconds after which an upload that stands still is given up, so that it does
            not keep the place of another.
    """
    room = asyncio.Semaphore(MOST_UPLOADS)
    busy = asyncio.Lock()  # one photo at a time: each takes all cores, or the GPU

    async def colour(request: Request) -> Response:
        refuse_other_websites(request)
        name = Path(request.query_params.get("name", "photo.jpg")).name or "photo.jpg"
        saturation, resolution = settings(request, colorizer.resolution)
        async with room:
            photo = await upload(request, name, most_bytes, patience)
            async with busy:
                coloured, size, kind = await asyncio.to_thread(
                    colour_bytes, colorizer, photo, name, saturation, resolution
                )
        return Response(coloured, media_type=kind, headers={"X-Size": size})

    async def config(request: Request) -> Response:
        about = {"engine": "server", "resolution": colorizer.resolution, "samples": SAMPLES.is_dir()}
        return JSONResponse(about | {"suffixes": sorted(SUFFIXES)})

    routes = [
        Route("/api/colour", colour, methods=["POST"]),
        Route("/config.json", config),
        Route("/samples/{name}", sample),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
        exception_handlers={Refused: in_a_sentence, PhotoError: in_a_sentence, ClientDisconnect: to_nobody},
    )


def in_a_sentence(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, getattr(error, "status", 400))


def to_nobody(request: Request, error: Exception) -> Response:
    """The answer to a page that was closed while it sent a photo."""
    return Response(status_code=400)


def refuse_other_websites(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin and origin.split("//")[-1] != request.headers["host"]:
        raise Refused("another website may not use this page", 403)


def settings(request: Request, resolution: int) -> tuple[float, int]:
    """Saturation and resolution of a request; `resolution` if it names none."""
    try:
        saturation = float(request.query_params.get("saturation", 1))
        resolution = int(request.query_params.get("resolution", resolution))
    except ValueError:
        raise Refused("saturation and resolution are numbers") from None
    if not (0 <= saturation <= 10 and 16 <= resolution <= 2048):
        raise Refused("saturation is between 0 and 10, resolution between 16 and 2048")
    return saturation, resolution


async def upload(request: Request, name: str, most_bytes: int, patience: float) -> bytes:
    """The body of a request; not more of it than `most_bytes` is ever in memory."""
    photo = bytearray()
    deadline = asyncio.get_running_loop().time() + patience
    try:
        async with asyncio.timeout_at(deadline) as limit:
            async for chunk in request.stream():
                photo += chunk
                if len(photo) > most_bytes:
                    raise Refused(
                        f"{name} is larger than {most_bytes >> 20} MB: scale it down, or call `colorize` with it",
                        413,
                    )
                deadline += len(chunk) / SLOWEST  # what arrives buys time for the rest
                limit.reschedule(deadline)
    except TimeoutError:
        raise Refused(f"{name} did not arrive whole: send it again", 408) from None
    return bytes(photo)


async def sample(request: Request) -> Response:
    name = Path(request.path_params["name"]).name
    if name == "ATTRIBUTION.txt":
        return FileResponse(SAMPLES / "ATTRIBUTION.csv", media_type="text/plain")
    path = SAMPLES / "historic" / name
    if not os.path.isfile(path):  # which takes a name of any length
        raise Refused(f"there is no sample called {name}", 404)
    return FileResponse(path)


def colour_bytes(
    colorizer: Colorizer, photo: bytes, name: str, saturation: float, resolution: int
) -> tuple[bytes, str, str]:
    """Colour an image file.

    Returns:
        The file in colour, in the format of `name` (a GIF becomes a PNG) with its EXIF data;
        "WIDTHxHEIGHT"; its media type.

    Raises:
        PhotoError: if it cannot be read; the text names `name`.
        Refused: if it cannot be coloured, because memory runs out, for example.
    """
    with tempfile.TemporaryDirectory(prefix="colorize.") as folder:
        suffix = Path(name).suffix.lower()
        suffix = suffix if suffix in SUFFIXES else ""  # which may be no name for a file
        source = Path(folder) / f"photo{suffix}"
        source.write_bytes(photo)
        target = writable_path(Path(folder) / f"in_colour{suffix}")
        try:
            coloured = colorizer(open_photo(source), saturation=saturation, resolution=resolution)
            save_photo(target, coloured, like=source, mark=MARK)
        except PhotoError as error:
            raise PhotoError(str(error).replace(str(source), name).replace(str(target), name)) from error
        except Exception as error:  # the page waits for a sentence
            raise Refused(f"{name} cannot be coloured ({reason(error)})", 500) from error
        kind = mimetypes.guess_type(target.name)[0] or "application/octet-stream"
        return target.read_bytes(), f"{coloured.shape[1]}x{coloured.shape[0]}", kind


def serve(colorizer: Colorizer, listener: socket.socket, open_browser: bool = False) -> None:
    """Serve the page until Ctrl-C.

    Args:
        colorizer: colorizer for the photos.
        listener: socket of the page's address, as `listen` makes it.
        open_browser: open the page in the browser, too.
    """
    ours, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(ours.partition("%")[0])
    app = make_app(colorizer, hosts=(*LOOPBACK, ours) if address.is_loopback else ("*",))
    if address.is_unspecified:  # every address of this computer: the page is shown at the nearest
        ours = "127.0.0.1" if address.version == 4 else "::1"
    url = f"http://[{ours}]:{port}" if address.version == 6 else f"http://{ours}:{port}"
    say(f"{url}  (Ctrl-C ends it)")
    if open_browser:  # beside us, since some browsers return only when they are closed
        threading.Thread(target=webbrowser.open, args=[url], daemon=True).start()
    with suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that has the port: who connects from now on reaches us, and nobody else's program.

    Raises:
        OSError: if it cannot be had; the text says what helps.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        family, _, _, _, address = min(
            found
        )  # IPv4 first: some computers know localhost as ::1, and lack IPv6
        return socket.create_server(address, family=family)
    except (OSError, UnicodeError) as error:
        code = getattr(error, "errno", None)
        if code == errno.EADDRINUSE:
            sentence = f"port {port} is taken: choose another, --port {port + 1 if port < 65535 else 8766}"
        elif code == errno.EACCES:
            sentence = f"port {port} needs an administrator: choose one above 1023, --port 8765"
        else:
            sentence = f"{host} is no address of this computer ({reason(error)}): leave --host out"
        raise OSError(sentence) from error
