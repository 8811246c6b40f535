"""Firefox without a window, steered by its own protocol (Marionette), so that the tests need no driver."""

import json
import socket
import subprocess
import time
from pathlib import Path


class Firefox:
    """A Firefox of its own profile.

    Args:
        program: path of the browser.
        profile: an empty folder.
        **preferences: settings of about:config, with `_` for `.`.
    """

    def __init__(self, program: str, profile: Path, **preferences):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {"marionette.port": port} | {
            name.replace("_", "."): value for name, value in preferences.items()
        }
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in settings.items()]
        (profile / "user.js").write_text("\n".join(lines))
        self.process = subprocess.Popen(
            [program, "--headless", "--marionette", "--no-remote", "--profile", str(profile)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.number, self.socket = 0, self._connect(port)
        self._receive()  # who it is
        self.call("WebDriver:NewSession", capabilities={"alwaysMatch": {}})
        self.call("WebDriver:SetTimeouts", script=300_000, pageLoad=300_000)

    def _connect(self, port: int) -> socket.socket:
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port))
            except OSError:
                assert self.process.poll() is None, "Firefox did not start"
                time.sleep(0.2)

    def _receive(self):
        size = b""
        while (letter := self.socket.recv(1)) != b":":
            assert letter, "Firefox has gone"
            size += letter
        data = b""
        while len(data) < int(size):
            data += self.socket.recv(int(size) - len(data))
        return json.loads(data)

    def call(self, command: str, **parameters):
        self.number += 1
        message = json.dumps([0, self.number, command, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._receive()
        assert error is None, error
        return result

    def go(self, address: str) -> None:
        self.call("WebDriver:Navigate", url=address)

    def run(self, script: str, *arguments):
        """What an asynchronous script returns."""
        wrapped = f"const end = arguments[arguments.length - 1]; (async () => {{ {script} }})().then(end, (e) => end(String(e)));"
        return self.call("WebDriver:ExecuteAsyncScript", script=wrapped, args=[*arguments])["value"]

    def close(self) -> None:
        self.call("Marionette:Quit", flags=["eForceQuit"])
        self.process.wait(60)
        self.socket.close()
