"""`colorize serve` without a browser: uploads at once and uploads that stall are counted; what is printed and opened."""

import asyncio
import errno
import socket
import threading

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

import uvicorn  # noqa: E402

from colorize_lib.cli import main  # noqa: E402
from colorize_lib.cli import server as module  # noqa: E402
from colorize_lib.cli.server import MOST_UPLOADS, SLOWEST, listen, make_app, serve  # noqa: E402
from colorize_lib.photos import save_photo  # noqa: E402

VISITORS = 12


class Inverter:
    """In place of a `Colorizer`: what it does with the photo does not matter here."""

    resolution = 64

    def __call__(self, photo, saturation, resolution):
        return 255 - photo


@pytest.fixture
def body(tmp_path):
    return save_photo(tmp_path / "photo.png", np.zeros((8, 8, 3), np.uint8)).read_bytes()


def request(method, path, host="localhost", query=b""):
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": query, "headers": [(b"host", host.encode())], "scheme": "http",
        "http_version": "1.1", "server": ("localhost", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip


async def answer(app, scope, receive):
    """The status of an answer."""
    statuses = []

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


async def upload(app, *chunks, between=None):
    """The status of the answer to a photo that is sent in chunks; None: the last never comes."""
    left = [*chunks]

    async def receive():
        if len(left) < len(chunks) and between:
            await between()
        chunk = left.pop(0)
        if chunk is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    return await answer(app, request("POST", "/api/colour", query=b"name=photo.png"), receive)


@pytest.fixture
def visits(body):
    """Twelve uploads at once: the statuses of the answers, and the most bodies that were being read or kept."""
    app, inside, most = make_app(Inverter()), 0, 0

    async def visit():
        nonlocal inside, most

        async def enter():
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)

        status = await upload(app, body[:9], body[9:], between=enter)
        inside -= 1
        return status

    async def all_at_once():
        return await asyncio.gather(*(visit() for _ in range(VISITORS)))

    return asyncio.run(all_at_once()), most


def test_all_visitors_get_their_photo(visits):
    assert visits[0] == [200] * VISITORS


def test_few_uploads_are_in_memory_at_once(visits):
    assert visits[1] <= MOST_UPLOADS


def test_uploads_that_stall_make_room_for_others(body):
    app = make_app(Inverter(), patience=0.05)

    async def all_at_once():
        return await asyncio.gather(
            *(upload(app, body[:9], None) for _ in range(MOST_UPLOADS)), upload(app, body)
        )

    assert asyncio.run(all_at_once()) == [408] * MOST_UPLOADS + [200]


def test_a_slow_upload_that_goes_on_is_no_stalled_one(body):
    app = make_app(Inverter(), patience=0.05)
    long = body + bytes(100 * SLOWEST)  # buys 100 seconds
    assert asyncio.run(upload(app, long, b"", between=lambda: asyncio.sleep(0.2))) == 200


@pytest.fixture
def served(monkeypatch):
    """Calls `serve`, without the server itself: gives the port that it had, the app, and what was opened."""
    seen, opened = {}, threading.Event()
    monkeypatch.setattr(module.webbrowser, "open", lambda url: (seen.update(opened=url), opened.set()))

    def run(server, sockets):
        seen.update(app=server.config.app, port=sockets[0].getsockname()[1])
        opened.wait(30)

    monkeypatch.setattr(uvicorn.Server, "run", run)

    def call(host="127.0.0.1", port=0):
        with listen(host, port) as listener:
            serve(Inverter(), listener, open_browser=True)
        return seen

    return call


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("[::1]", "[::1]")],
)  # fmt: skip
def test_the_address_printed_and_opened_is_the_one_that_listens(served, capsys, host, shown):
    if ":" in host:
        needs_ipv6()
    seen = served(host)
    address = f"http://{shown}:{seen['port']}"
    assert seen["opened"] == address
    assert capsys.readouterr().out.startswith(f"{address} ")


def needs_ipv6():
    try:
        listen("::1", 0).close()
    except OSError:
        pytest.skip("this computer has no IPv6")


def test_a_taken_port_is_neither_printed_nor_opened(served, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(module.webbrowser, "open", opened.append)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=rf"port {port} is taken: choose another, --port \d+"):
            served(port=port)
    assert capsys.readouterr().out == ""
    assert opened == []


def test_a_port_for_administrators_has_a_remedy(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(OSError, match="port 80 needs an administrator: choose one above 1023"):
        listen("127.0.0.1", 80)


@pytest.mark.parametrize("host", ["192.0.2.1", "a" * 70 + ".example"])
def test_an_address_of_another_computer_has_a_remedy(host):
    with pytest.raises(OSError, match="is no address of this computer .*: leave --host out"):
        listen(host, 0)


@pytest.mark.parametrize("port", ["65536", "99999", "-1", "80x", "1e3", "²", ""])
def test_what_is_no_port_is_refused(port, capsys):
    with pytest.raises(SystemExit):
        main(["serve", f"--port={port}"])
    assert "a port is a number from 1 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(
    ("called", "status"),
    [("127.0.0.1:8765", 200), ("localhost:8765", 200), ("[::1]:8765", 200), ("elsewhere.example:8765", 400)],
)
def test_other_names_than_this_computers_are_refused(served, host, called, status):
    if host == "::1":
        needs_ipv6()
    app = served(host)["app"]
    assert asyncio.run(answer(app, request("GET", "/config.json", called), None)) == status


def test_the_page_is_in_the_package():
    assert (module.PAGE / "index.html").is_file()
