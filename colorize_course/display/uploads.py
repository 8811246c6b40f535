"""A button for choosing files in a notebook, of any size.  See uploads.js."""

from pathlib import Path
from typing import Any

import anywidget
import traitlets


class Uploads(anywidget.AnyWidget):
    """A button that fetches files from the reader's browser, piece by piece.

    ipywidgets' own sends a file as one message, which ends the connection where it
    is above the server's limit, without a word.

    Attributes:
        files: the names and contents of the files that were chosen last.
    """

    _esm = Path(__file__).with_name("uploads.js")
    accept = traitlets.Unicode("image/*,.heic,.heif,.tif,.tiff").tag(sync=True)
    files = traitlets.List()

    def __init__(self, **options: Any):
        super().__init__(**options)
        self._arriving: list[tuple[str, bytearray]] = []
        self.on_msg(self._take)

    def _take(self, _: object, piece: dict[str, Any], buffers: list[memoryview]) -> None:
        """Keep a piece, and say so; `files` changes with the last one."""
        number = piece["number"]
        if piece["start"] == 0:  # of its file; files come one after the other
            self._arriving[number:] = [(piece["name"], bytearray())]
        self._arriving[number][1].extend(buffers[0])
        self.send({"arrived": piece["choice"]})
        if piece["last"]:
            arrived, self._arriving = self._arriving, []
            self.files = [(name, bytes(content)) for name, content in arrived]
