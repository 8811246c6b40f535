"""Downloads from servers that break off, lie, or never end: the right file, or one sentence."""

import dataclasses
import http.server
import io
import random
import re
import socket
import tarfile
import threading
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from colorize_lib import downloads
from colorize_lib.data import fetch_photos
from colorize_lib.downloads import DownloadError, download, fingerprint, unpack

DATA = random.Random(0).randbytes(300_000)
HALF = len(DATA) // 2


class Server(http.server.BaseHTTPRequestHandler):
    """A server that knows Range, and answers each path in its own bad way."""

    ranges: list[str]
    files: dict[str, bytes]

    def do_GET(self):  # noqa: N802
        self.ranges.append(self.headers.get("Range", ""))
        self.start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        getattr(self, "get_" + self.path[1:].partition(".")[0], self.get_sound)()

    def get_sound(self, stop=None, length=None, start=None, **headers):
        data = self.files[self.path[1:]]
        if self.start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = self.start if start is None else start
        self.send_response(206 if self.start else 200)
        length = len(data) - start if length is None else length
        if length != "none":
            self.send_header("Content-Length", str(length))
        if self.start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data[start:stop])

    def get_cut(self):  # at the half, the first time
        self.get_sound(stop=None if self.start else HALF)

    def get_chunks_cut(self):
        self.protocol_version = "HTTP/1.1"
        self.get_sound(stop=0, length="none", Transfer_Encoding="chunked")
        self.wfile.write(b"8000\r\n" + DATA[:100])
        self.close_connection = True

    def get_reset(self):
        self.get_sound(stop=1000)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()
        self.wfile = io.BytesIO()

    def get_longer(self):
        self.get_sound(length=len(DATA) + 5 - self.start)

    def get_shorter(self):
        self.get_sound(length=len(DATA) - 5 - self.start)

    def get_length_in_words(self):
        self.get_sound(length="many")

    def get_no_length(self):
        self.get_sound(length="none")

    def get_negative(self):
        self.get_sound(length=-1)

    def get_other_part(self):
        self.get_sound(start=7 if self.start else 0)

    def get_whole_again(self):  # knows no Range
        self.start = 0
        self.get_sound()

    def get_web_page(self):
        self.start = 0
        self.get_sound(Content_Type="text/html; charset=utf-8")

    def get_loop(self):
        self.send_response(302)
        self.send_header("Location", self.path)
        self.end_headers()

    def get_moved(self):
        self.send_response(302)
        self.send_header("Location", "/file.tgz")
        self.end_headers()

    def get_to_a_file(self):
        self.send_response(302)
        self.send_header("Location", "file:///etc/hostname")
        self.end_headers()

    def get_endless(self):
        self.get_sound(length="none")
        try:
            while True:
                self.wfile.write(bytes(1 << 16))
        except OSError:  # nobody listens any more
            self.close_connection = True

    def get_huge(self):
        self.get_sound(length=1 << 60)

    def get_garbage(self):
        self.wfile.write(b"\0\1\2 no HTTP at all\r\n\r\n")

    def get_silent(self):
        self.close_connection = True

    def get_error(self):
        self.send_error(503)

    def get_dripping(self):
        self.get_sound(stop=0)
        for at in range(self.start, len(DATA), 10_007):
            self.wfile.write(DATA[at : at + 10_007])
            self.wfile.flush()

    def log_message(self, *_):
        pass


@pytest.fixture()
def server(tmp_path):
    """(address, its handler, with the files that it has and the ranges that it was asked for)."""
    handler = type("Handler", (Server,), {"ranges": [], "files": _Same()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", handler
        running.shutdown()


class _Same(dict):
    def __missing__(self, name: str) -> bytes:
        return DATA


def refused(url: str, path: Path, words: str, known: tuple[int, str] | None = None) -> None:
    with pytest.raises(DownloadError, match=re.escape(words)) as caught:
        download(url, path, known)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not path.exists()


@pytest.fixture()
def known(tmp_path) -> tuple[int, str]:
    (right := tmp_path / "right").write_bytes(DATA)
    return fingerprint(right)


@pytest.mark.parametrize("way", ["sound", "no_length", "whole_again", "moved", "dripping"])
def test_what_can_be_had_is_had(server, tmp_path, known, way):
    assert download(f"{server[0]}/{way}.tgz", tmp_path / "file.tgz", known).read_bytes() == DATA
    assert [path.suffix for path in tmp_path.glob("file.tgz.*")] in ([], [".lock"])


def test_an_interrupted_download_is_resumed(server, tmp_path, known):
    url, handler = server
    refused(f"{url}/cut.tgz", tmp_path / "cut.tgz", "call again", known)
    assert (tmp_path / "cut.tgz.part").read_bytes() == DATA[:HALF]
    assert download(f"{url}/cut.tgz", tmp_path / "cut.tgz", known).read_bytes() == DATA
    assert handler.ranges == ["", f"bytes={HALF}-"]


@pytest.mark.parametrize("way", ["sound", "no_length", "whole_again", "dripping"])
def test_a_part_is_completed(server, tmp_path, known, way):
    (tmp_path / "file.tgz.part").write_bytes(DATA[:1000])
    assert download(f"{server[0]}/{way}.tgz", tmp_path / "file.tgz", known).read_bytes() == DATA


def test_a_part_that_is_whole_already_is_taken(server, tmp_path, known):
    (tmp_path / "file.tgz.part").write_bytes(DATA)
    assert download(f"{server[0]}/file.tgz", tmp_path / "file.tgz", known).read_bytes() == DATA


@pytest.mark.parametrize("with_known", [True, False])
def test_a_part_of_another_file_is_deleted(server, tmp_path, known, with_known):
    (part := tmp_path / "file.tgz.part").write_bytes(bytes(len(DATA) + 9))
    refused(f"{server[0]}/file.tgz", tmp_path / "file.tgz", "another file", known if with_known else None)
    assert not part.exists()
    assert download(f"{server[0]}/file.tgz", tmp_path / "file.tgz", known).read_bytes() == DATA


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("cut", "broke off at 150,000 of 300,000 bytes"),
        ("longer", "broke off at 300,000 of 300,005 bytes"),
        ("chunks_cut", "could not be downloaded"),
        ("reset", "call again"),
        ("length_in_words", "could not be downloaded"),
        ("negative", "could not be downloaded"),
        ("web_page", "a web page instead of the file"),
        ("loop", "could not be downloaded"),
        ("to_a_file", "could not be downloaded"),
        ("huge", "make room"),
        ("garbage", "could not be downloaded"),
        ("silent", "could not be downloaded"),
        ("error", "try again later"),
    ],
)
def test_a_bad_answer_is_one_sentence(server, tmp_path, way, words):
    refused(f"{server[0]}/{way}.tgz", tmp_path / "file.tgz", words)


@pytest.mark.parametrize("way", ["longer", "shorter"])
def test_a_length_that_is_not_the_right_files_is_refused_at_once(server, tmp_path, known, way):
    refused(f"{server[0]}/{way}.tgz", tmp_path / "file.tgz", "and the right file 300,000", known)
    assert not (tmp_path / "file.tgz.part").exists()


def test_a_wrong_checksum_is_refused_and_deleted(server, tmp_path, known):
    url, handler = server
    handler.files["file.tgz"] = bytes([DATA[0] ^ 1]) + DATA[1:]
    refused(f"{url}/file.tgz", tmp_path / "file.tgz", "another file than the one that is wanted", known)
    assert not (tmp_path / "file.tgz.part").exists()


def test_another_part_is_not_appended(server, tmp_path):
    (part := tmp_path / "file.tgz.part").write_bytes(DATA[:1000])
    refused(f"{server[0]}/other_part.tgz", tmp_path / "file.tgz", "another part")
    assert part.read_bytes() == DATA[:1000]


@pytest.mark.parametrize("with_known", [True, False])
def test_an_endless_answer_ends(server, tmp_path, known, monkeypatch, with_known):
    monkeypatch.setattr(downloads, "MOST_BYTES", 1 << 20)
    refused(f"{server[0]}/endless.tgz", tmp_path / "file.tgz", "does not end", known if with_known else None)
    assert not (tmp_path / "file.tgz.part").exists()


def test_no_server_at_all(tmp_path):
    refused("http://127.0.0.1:1/file.tgz", tmp_path / "file.tgz", "could not be downloaded")


def test_two_programs_do_not_download_the_same_file(server, tmp_path):
    with FileLock(tmp_path / "file.tgz.lock"):
        refused(f"{server[0]}/file.tgz", tmp_path / "file.tgz", "by another program")
    assert server[1].ranges == []


# Archives


def tgz(members: dict[str, bytes], **changes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_is_unpacked_without_the_folder_around_it(tmp_path):
    (archive := tmp_path / "a.tgz").write_bytes(tgz({"a/one.txt": b"1", "a/b/two.txt": b"2"}))
    folder = unpack(archive, tmp_path / "data/a")
    assert (folder / "one.txt").read_bytes() == b"1"
    assert (folder / "b/two.txt").read_bytes() == b"2"
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["../out.txt", "/tmp/out.txt", "a/../../out.txt", "..\\out.txt", "C:\\out.txt", "C:out.txt"])  # fmt: skip
def test_no_file_leaves_its_folder(tmp_path, name):
    (archive := tmp_path / "a.tgz").write_bytes(tgz({"a/one.txt": b"1", name: b"2"}))
    before = set(tmp_path.rglob("*"))
    with pytest.raises(OSError, match="would lie outside its folder") as caught:
        unpack(archive, tmp_path / "data/a")
    assert str(archive) in str(caught.value)
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "data"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_left_out(tmp_path, kind):
    with tarfile.open(archive := tmp_path / "a.tgz", "w:gz") as tar:
        link = tarfile.TarInfo("a/link")
        link.type, link.linkname = kind, "/etc/passwd"
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("a/file"))
    assert [path.name for path in unpack(archive, tmp_path / "a").iterdir()] == ["file"]


@pytest.mark.parametrize("tenth", range(1, 10))
def test_an_archive_that_is_cut_off_leaves_nothing(tmp_path, tenth):
    data = tgz({f"a/{i}.txt": random.Random(i).randbytes(2000) for i in range(20)})
    (archive := tmp_path / "a.tgz").write_bytes(data[: len(data) * tenth // 10])
    with pytest.raises(OSError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "data/a")
    assert list((tmp_path / "data").iterdir()) == []


def test_what_is_no_archive_is_one_sentence(tmp_path):
    for content in (b"", b"<html>", bytes(2000)):
        (archive := tmp_path / "a.tgz").write_bytes(content)
        with pytest.raises(OSError, match="cannot be unpacked"):
            unpack(archive, tmp_path / "data/a")


# Data sets


@pytest.fixture()
def tiny(server, tmp_path, train_photos, monkeypatch):
    """The address of an archive with three photos."""
    monkeypatch.setenv("FASTAI_HOME", str(tmp_path / "home"))
    external = pytest.importorskip("fastai.data.external")
    external.fastai_cfg.cache_clear()
    server[1].files["tiny.tgz"] = tgz({f"tiny/train/{p.name}": p.read_bytes() for p in train_photos[:3]})
    yield f"{server[0]}/tiny.tgz"
    external.fastai_cfg.cache_clear()


def test_fetch_photos_to_fastais_place(tiny, server, tmp_path, train_photos):
    from fastai.data.external import untar_data

    photos = fetch_photos("imagenette", url=tiny)
    assert [p.name for p in photos] == [p.name for p in train_photos[:3]]
    assert all(str(p).startswith(str(tmp_path / "home")) for p in photos)
    assert fetch_photos("imagenette", url=tiny) == photos
    assert len(server[1].ranges) == 1  # the second call downloads nothing
    assert photos[0].is_relative_to(untar_data(tiny))  # nor does fastai, after it
    assert len(server[1].ranges) == 1
    with pytest.raises(ValueError, match="choose from imagenette, coco_sample"):
        fetch_photos("nonsense")


def test_an_archive_that_fastai_knows_is_checked(tiny, tmp_path, monkeypatch):
    import fastdownload.core

    monkeypatch.setattr(fastdownload.core, "read_checks", lambda _: {tiny: (7, "0" * 32)})
    with pytest.raises(DownloadError, match="and the right file 7"):
        fetch_photos("imagenette", url=tiny)


def test_an_older_archive_that_was_cut_off_is_downloaded_anew(tiny, server, tmp_path, monkeypatch):
    import fastdownload.core

    (right := tmp_path / "right").write_bytes(server[1].files["tiny.tgz"])
    monkeypatch.setattr(fastdownload.core, "read_checks", lambda _: {tiny: fingerprint(right)})
    (archive := tmp_path / "home/archive/tiny.tgz").parent.mkdir(parents=True)
    archive.write_bytes(right.read_bytes()[:1000])
    assert len(fetch_photos("imagenette", url=tiny)) == 3


# ImageNet's weights


@pytest.mark.parametrize("way", ["web_page", "chunks_cut", "length_in_words", "garbage"])
def test_a_generator_without_its_imagenet_weights_says_so(server, tmp_path, monkeypatch, way):
    dynamic_unet = pytest.importorskip("colorize_lib.models.dynamic_unet")
    weights = dynamic_unet.ResNet18_Weights.IMAGENET1K_V1
    address = f"{server[0]}/{way}.resnet18-f37072fd.pth"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(weights, "_value_", dataclasses.replace(weights.value, url=address))
    with pytest.warns(UserWarning, match="could not be downloaded .* RANDOM weights"):
        assert not dynamic_unet._resnet18(True)[1]
    assert list((tmp_path / "checkpoints").glob("*.pth")) == []
