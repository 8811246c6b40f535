"""`make lab` serves the course."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make; on Windows the README does without")
def test_make_lab_opens_the_first_lesson(root, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = (
        f"--no-browser --ServerApp.port={port} --IdentityProvider.token=secret --ServerApp.log_level=INFO"
    )
    bin_folder = Path(sys.prefix) / "bin"
    process = subprocess.Popen(
        ["make", "-o", ".venv/installed", "lab", f"BIN={bin_folder}", f"LAB_OPTIONS={options}"],
        cwd=root, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path)},
    )  # fmt: skip

    def get(path: str) -> tuple[str, bytes]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", headers={"Authorization": "token secret"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.url, answer.read()

    try:
        while True:
            try:
                url, page = get("/")
                break
            except OSError:
                assert process.poll() is None
                time.sleep(0.3)
        first = url.split("/lab/tree/")[1].split("?")[0]
        assert first.startswith("lessons/0")
        assert b"jupyter" in page.lower()
        lesson = json.loads(get(f"/api/contents/{first}")[1])
        assert lesson["content"]["cells"][0]["source"].startswith("# Lesson")
        assert (
            json.loads(get("/api/contents/data/README.md")[1])["name"] == "README.md"
        )  # the lessons link to it
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=300)
