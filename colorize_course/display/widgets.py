"""Colouring photos of one's own, and telling colours, in a notebook.  Both need a running kernel."""

import base64
import mimetypes
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from colorize_lib.colorizer import Colorizer
from colorize_lib.hints import Hint
from colorize_lib.inference import MARK
from colorize_lib.photos import PhotoError, open_photo, resize_photo, save_photo, writable_path

from .html import before_after


def colour_uploads(colorizer: Colorizer, keep: Path | None = None) -> Any:
    """A button for choosing photos.  Each is shown before | after, with a link to download it in full size.

    It needs a running kernel.  The photos stay on the machine of that kernel.

    Args:
        colorizer: the colorizer to use.
        keep: PNG file for a small copy of the last photo, so that other lessons find it; None keeps none.

    Returns:
        An ipywidgets box: the button, two sliders, and the results below them.
    """
    import ipywidgets as widgets

    from .uploads import Uploads

    upload = Uploads()
    options = {"continuous_update": False, "style": {"description_width": "80px"}}
    saturation = widgets.FloatSlider(1.0, min=0, max=2, step=0.1, description="saturation", **options)
    resolution = widgets.IntSlider(
        colorizer.resolution, min=64, max=512, step=32, description="resolution", **options
    )
    results = widgets.VBox()

    def colour(_: object = None) -> None:
        results.children = [widgets.HTML("colouring …")] if upload.files else []
        chosen = {"saturation": saturation.value, "resolution": resolution.value}
        results.children = [
            widgets.HTML(_coloured_upload(colorizer, name, data, **chosen)) for name, data in upload.files
        ]

    for control, what in ((upload, "files"), (saturation, "value"), (resolution, "value")):
        control.observe(colour, what)
    if keep is not None:

        def keep_last(_: object) -> None:
            for name, data in upload.files[-1:]:
                keep_copy(data, name, keep)

        upload.observe(keep_last, "files")
    return widgets.VBox([upload, saturation, resolution, results])


def hint_box(colorizer: Colorizer, photo: np.ndarray, hints: Sequence[Hint] = ()) -> Any:
    """A photo to point at: each point is a hint of the chosen colour, and the photo is coloured anew.

    It needs a running kernel; without one, a sentence says so.

    Args:
        colorizer: colorizer that takes hints, such as one with the bundled weights.
        photo: photo, (H, W, 3) uint8; at most 640 pixels of it are shown.
        hints: hints to begin with.

    Returns:
        A widget whose `hints` are those that are set now, for `save_hints` and for the photo in its full size.
    """
    from .point_at import HintBox

    return HintBox(colorizer, photo, hints)


def keep_copy(data: bytes, name: str, path: Path, most: int = 512) -> None:
    """Write a small copy of a photo; a file that is no photo is left out.

    Args:
        data: content of the image file.
        name: name of the image file.
        path: PNG file to write; an existing file is replaced.
        most: largest side of the copy, in pixels.
    """
    with TemporaryDirectory() as folder:
        source = _write_upload(folder, name, data)
        try:
            rgb = open_photo(source, min_side=most)
        except PhotoError:
            return
    small = Image.fromarray(rgb)
    small.thumbnail((most, most), Image.Resampling.LANCZOS)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_photo(path, np.asarray(small), overwrite=True)


def _write_upload(folder: str, name: str, data: bytes) -> Path:
    """The upload as a file with its own suffix; its own name may be too long for a file."""
    source = Path(folder) / f"photo{Path(name).suffix[:9]}"
    source.write_bytes(data)
    return source


def _coloured_upload(colorizer: Colorizer, name: str, data: bytes, **options: Any) -> str:
    """HTML: an uploaded photo before | after, and a link to the coloured one; or why it cannot be coloured."""
    with TemporaryDirectory() as folder:
        try:
            source = _write_upload(folder, name, data)
            target = writable_path(source.with_name(f"coloured{source.suffix}"))
            before = open_photo(source)
            after = colorizer(before, **options)
            save_photo(target, after, like=source, mark=MARK)
            encoded = base64.b64encode(target.read_bytes()).decode()
        except Exception as error:  # one upload must not stop the others
            return f'<p role="alert">{escape(_upload_error(error, folder, name))}</p>'
    download = f"{Path(name).stem} in colour{target.suffix}"
    kind = mimetypes.guess_type(target.name)[0] or "application/octet-stream"
    height, width, _ = before.shape
    scale = min(1, 640 / width, 480 / height)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small_before, small_after = (resize_photo(rgb, size[0], size[1]) for rgb in (before, after))
    pictures = before_after(small_before, small_after, name, size[1])
    return (
        f'{pictures.data}<p><a download="{escape(download)}" href="data:{kind};base64,{encoded}" '
        'style="color:#2c6fbb;text-decoration:underline">'
        f"Download {escape(download)}</a>, {width} × {height} pixels</p>"
    )


def _upload_error(error: Exception, folder: str, name: str) -> str:
    """One sentence that calls the upload by its own name, not by that of the temporary file."""
    if not isinstance(error, (PhotoError, ValueError)):
        return f"{name} cannot be coloured ({error})"
    return re.sub(re.escape(folder) + r"[/\\](photo|coloured)[^\s:]*", lambda _: name, str(error))
