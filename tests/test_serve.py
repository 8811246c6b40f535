"""`colorize serve` under load: how many uploads are in memory at once is counted, without a network."""

import asyncio

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from colorize_lib.photos import save_photo  # noqa: E402
from colorize_lib.serve import MOST_UPLOADS, make_app  # noqa: E402

VISITORS = 12


class Inverter:
    """In place of a `Colorizer`: what it does with the photo does not matter here."""

    resolution = 64

    def __call__(self, photo, saturation, resolution):
        return 255 - photo


@pytest.fixture
def visits(tmp_path):
    """Twelve uploads at once: the statuses of the answers, and the most bodies that were being read or kept."""
    body = save_photo(tmp_path / "photo.png", np.zeros((8, 8, 3), np.uint8)).read_bytes()
    app, inside, most, statuses = make_app(Inverter()), 0, 0, []
    scope = {
        "type": "http", "method": "POST", "path": "/api/colour", "raw_path": b"/api/colour", "root_path": "",
        "query_string": b"name=photo.png", "headers": [(b"host", b"localhost")], "scheme": "http",
        "http_version": "1.1", "server": ("localhost", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip

    async def visit():
        sent = False

        async def receive():
            nonlocal inside, most, sent
            if sent:
                return {"type": "http.disconnect"}
            sent = True
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            nonlocal inside
            if message["type"] == "http.response.start":
                inside -= 1
                statuses.append(message["status"])

        await app(dict(scope), receive, send)

    async def all_at_once():
        await asyncio.gather(*(visit() for _ in range(VISITORS)))

    asyncio.run(all_at_once())
    return statuses, most


def test_all_visitors_get_their_photo(visits):
    assert visits[0] == [200] * VISITORS


def test_few_uploads_are_in_memory_at_once(visits):
    assert visits[1] <= MOST_UPLOADS
