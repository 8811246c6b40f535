"""Variants of known faults: captions of every format, odd names, odd numbers, odd uploads, what is taken for weights."""

import asyncio
import io
import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from colorize_lib.checkpoints import CheckpointError, find_weights, load_checkpoint
from colorize_lib.cli import main
from colorize_lib.cli.console import say
from colorize_lib.cli.targets import plan
from colorize_lib.colorizer import Colorizer
from colorize_lib.data import PhotoDataset
from colorize_lib.inference import MOST_RESOLUTION, check_resolution, colour_many
from colorize_lib.models import build_generator
from colorize_lib.photos import PhotoError, open_photo, save_photo
from colorize_lib.training import AdversarialTraining, fit

GREY = np.tile(np.arange(0, 240, 4, dtype=np.uint8), (40, 1))
RGB = np.stack([GREY, GREY[:, ::-1], np.full_like(GREY, 90)], axis=-1)
CAPTION = "Großmutter, 祖母"
XMP = f"<x:xmpmeta><rdf:RDF><dc:title>{CAPTION}</dc:title></rdf:RDF></x:xmpmeta>".encode()
IPTC = b"\x1c\x02\x78" + struct.pack(">H", len(CAPTION.encode())) + CAPTION.encode()  # 2:120, the caption
RESOURCE = b"8BIM\x04\x04\0\0" + struct.pack(">L", len(IPTC)) + IPTC


def picture(path: Path, array: np.ndarray = GREY, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def exif() -> bytes:
    block = Image.Exif()
    block[0x010E] = "Grandmother"
    return block.tobytes()


def copied(path: Path, suffix: str) -> Image.Image:
    """A copy of a photo, opened, with the photo's captions."""
    image = Image.open(save_photo(path.with_name(f"copy.{suffix}"), RGB, like=path))
    image.load()
    return image


# Captions of every format


@pytest.mark.parametrize("source", ["jpg", "gif"])
def test_a_comment_becomes_a_text_of_a_png(tmp_path, source):
    path = picture(tmp_path / f"photo.{source}", comment=CAPTION.encode())
    assert copied(path, "png").text["Comment"] == CAPTION


def test_a_comment_that_is_no_utf8_becomes_a_text_too(tmp_path):
    path = picture(tmp_path / "photo.jpg", comment="Großmutter".encode("latin-1"))
    assert copied(path, "png").text["Comment"] == "Großmutter"


def segments(path: Path, kind: int) -> list[bytes]:
    """The bodies of all segments of a kind in a JPEG."""
    data, at, found = path.read_bytes(), 2, []
    while data[at + 1] != 0xDA:  # the pixels
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == kind:
            found.append(data[at + 4 : end])
        at = end
    return found


def test_the_texts_of_a_png_become_comments_of_a_jpeg(tmp_path):
    texts = PngInfo()
    texts.add_text("Comment", "of 1943")
    texts.add_itxt("Title", CAPTION)
    copied(picture(tmp_path / "photo.png", pnginfo=texts), "jpg")
    assert segments(tmp_path / "copy.jpg", 0xFE) == [b"of 1943", f"Title: {CAPTION}".encode()]


def test_every_comment_of_a_jpeg_is_kept(tmp_path):
    data = picture(tmp_path / "photo.jpg").read_bytes()
    both = b"".join(b"\xff\xfe" + struct.pack(">H", 2 + len(text)) + text for text in (b"one", b"other"))
    (tmp_path / "photo.jpg").write_bytes(data[:20] + both + data[20:])
    copied(tmp_path / "photo.jpg", "jpg")
    assert segments(tmp_path / "copy.jpg", 0xFE) == [b"one", b"other"]


def test_a_comment_that_is_too_long_for_a_segment_takes_two(tmp_path):
    copied(picture(tmp_path / "photo.gif", comment=b"grandmother " * 9000), "jpg")
    assert b"".join(segments(tmp_path / "copy.jpg", 0xFE)) == b"grandmother " * 9000


def raw_profiles(folder: Path, **profiles: bytes) -> Path:
    """A PNG with profiles as ImageMagick writes them."""
    texts = PngInfo()
    for name, data in profiles.items():
        texts.add_text(f"Raw profile type {name}", f"\n{name}\n{len(data):8}\n{data.hex()}\n", zip=True)
    return picture(folder / "photo.png", pnginfo=texts)


@pytest.mark.parametrize("name", ["exif", "APP1"])
def test_exif_data_that_imagemagick_wrote_into_a_png_are_kept(tmp_path, name):
    assert copied(raw_profiles(tmp_path, **{name: exif()}), "jpg").getexif()[0x010E] == "Grandmother"


@pytest.mark.parametrize(("name", "head"), [("xmp", b""), ("APP1", b"http://ns.adobe.com/xap/1.0/\0")])
def test_xmp_data_that_imagemagick_wrote_into_a_png_are_kept(tmp_path, name, head):
    assert copied(raw_profiles(tmp_path, **{name: head + XMP}), "jpg").info["xmp"] == XMP


def test_iptc_captions_of_a_png_are_kept(tmp_path):
    path = raw_profiles(tmp_path, iptc=RESOURCE)
    assert copied(path, "jpg").info["photoshop"][0x0404] == IPTC
    assert RESOURCE.hex() in copied(path, "png").text["Raw profile type iptc"]


def test_iptc_captions_of_a_jpeg_are_kept_in_a_png(tmp_path):
    data, body = (
        picture(tmp_path / "photo.jpg").read_bytes(),
        b"Photoshop 3.0\0" + RESOURCE + bytes(len(IPTC) % 2),
    )
    segment = b"\xff\xed" + struct.pack(">H", 2 + len(body)) + body
    (tmp_path / "photo.jpg").write_bytes(data[:20] + segment + data[20:])
    assert RESOURCE.hex() in copied(tmp_path / "photo.jpg", "png").text["Raw profile type iptc"]


def test_a_damaged_profile_of_a_png_loses_no_other(tmp_path):
    texts = PngInfo()
    texts.add_text("Raw profile type exif", "\nexif\n 10\nno digits")
    texts.add_text("Title", "Grandmother")
    path = picture(tmp_path / "photo.png", pnginfo=texts, dpi=(300, 300))
    assert copied(path, "png").text["Title"] == "Grandmother"
    assert round(copied(path, "jpg").info["dpi"][0]) == 300


def test_exif_data_of_a_png_with_a_head_that_does_not_belong_there_are_kept(tmp_path):
    data, body = picture(tmp_path / "photo.png").read_bytes(), b"eXIf" + exif()
    assert body.startswith(b"eXIfExif\0\0")
    chunk = struct.pack(">L", len(body) - 4) + body + struct.pack(">L", zlib.crc32(body))
    (tmp_path / "photo.png").write_bytes(data[:33] + chunk + data[33:])
    assert copied(tmp_path / "photo.png", "png").getexif()[0x010E] == "Grandmother"


@pytest.mark.parametrize("large", [False, True])
def test_the_captions_of_a_jpeg_2000_are_kept(tmp_path, large):
    path = picture(tmp_path / "photo.jp2")
    boxes = {"be7acfcb97a942e89c71999491e3afac": XMP, "33c7a4d2b81d4723a0baf1a3e097ad38": IPTC,
             "4a706754696666457869662d3e4a5032": exif()[6:]}  # fmt: skip
    for uuid, data in boxes.items():
        body = bytes.fromhex(uuid) + data
        head = (
            struct.pack(">L4sQ", 1, b"uuid", 16 + len(body))
            if large
            else struct.pack(">L4s", 8 + len(body), b"uuid")
        )
        with path.open("ab") as file:
            file.write(head + body)
    copy = copied(path, "jpg")
    assert copy.info["xmp"] == XMP
    assert copy.info["photoshop"][0x0404] == IPTC
    assert copy.getexif()[0x010E] == "Grandmother"


def test_the_captions_of_a_photoshop_file_are_kept(tmp_path):
    resources = b"".join(b"8BIM" + struct.pack(">HHL", number, 0, len(data)) + data + bytes(len(data) % 2)
                         for number, data in ((0x0404, IPTC), (0x0422, exif()[6:]), (0x0424, XMP)))  # fmt: skip
    head = struct.pack(">4sH6xHLLHHL", b"8BPS", 1, 3, 40, 60, 8, 3, 0) + struct.pack(">L", len(resources))
    path = tmp_path / "photo.psd"
    path.write_bytes(head + resources + struct.pack(">LH", 0, 0) + RGB.transpose(2, 0, 1).tobytes())
    copy = copied(path, "jpg")
    assert copy.info["xmp"] == XMP
    assert copy.info["photoshop"][0x0404] == IPTC
    assert copy.getexif()[0x010E] == "Grandmother"


# What the system says is no fault of the photo


def test_a_link_to_itself_is_not_called_a_damaged_photo(tmp_path):
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    with pytest.raises(PhotoError, match=r"loop.jpg cannot be read \(Too many levels"):
        open_photo(tmp_path / "loop.jpg")


def test_a_photo_below_a_photo_is_not_called_damaged(tmp_path):
    picture(tmp_path / "a.jpg")
    with pytest.raises(PhotoError, match=r"b.jpg cannot be read \(Not a directory"):
        open_photo(tmp_path / "a.jpg/b.jpg")


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "a\0.png"])
def test_a_name_that_no_disk_takes_is_told_with_a_remedy(tmp_path, name):
    with pytest.raises(PhotoError, match="cannot be written"):
        save_photo(tmp_path / name, RGB)


def test_a_link_to_nothing_is_not_replaced(tmp_path):
    (tmp_path / "a.png").symlink_to("gone.png")
    with pytest.raises(FileExistsError):
        save_photo(tmp_path / "a.png", RGB)
    assert (tmp_path / "a.png").is_symlink()


# Names and places


@pytest.mark.parametrize("arguments", [[""], ["a.jpg", "-o", ""], ["a.jpg", "--weights", ""]])
def test_an_empty_name_is_not_the_working_directory(tmp_path, monkeypatch, capsys, arguments):
    picture(tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(arguments)
    assert "an empty name" in capsys.readouterr().err
    assert os.listdir() == ["a.jpg"]


def test_an_address_is_no_file(capsys):
    with pytest.raises(SystemExit):
        main(["https://example.org/a.jpg"])
    assert "https://example.org/a.jpg is an address" in capsys.readouterr().err


def test_a_home_that_the_shell_did_not_write_out_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # on Windows
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "~/photos", "--weights", "l1"]) == 2
    assert f"{tmp_path / 'photos'} is not a folder" in capsys.readouterr().err


def test_a_pattern_in_a_folder_whose_name_looks_like_one(tmp_path):
    photo = picture(tmp_path / "[1943]/a.jpg")
    assert list(plan([tmp_path / "[1943]/*.jpg"], tmp_path / "out").targets) == [photo]


def test_results_among_the_photos_are_refused_in_every_format(tmp_path):
    picture(tmp_path / "a.jpg")
    work = plan([tmp_path], tmp_path, suffix=".png")
    assert work.targets == {}
    assert "choose another DIR" in work.failures[0]


class Fake:
    """In place of a `Colorizer`: every photo stays as it is."""

    resolution = 64

    def __call__(self, photo, **options):
        return photo

    def many(self, photos, *, failures=None, progress=False, max_pixels=0, **options):
        return colour_many(self, photos, failures=failures)


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_two_results_in_one_place_are_told_and_the_first_stays(tmp_path, monkeypatch, capsys, options):
    """A link makes one place of two, as a disk does that takes a.jpg and A.jpg for the same."""
    monkeypatch.setattr(Colorizer, "from_pretrained", lambda *_, **__: Fake())
    for name, light in (("one", 1), ("other", 2)):
        picture(tmp_path / f"photos/{name}/a.png", GREY // light)
    (tmp_path / "out/one").mkdir(parents=True)
    (tmp_path / "out/other").symlink_to("one")
    assert main([str(tmp_path / "photos"), "-o", str(tmp_path / "out"), "--device", "cpu", *options]) == 1
    assert "the coloured version of another photo" in capsys.readouterr().err
    assert (open_photo(tmp_path / "out/one/a.png")[..., 0] == GREY).all()


def test_a_name_does_not_steer_the_terminal():
    stream = io.StringIO()
    say("\x1b[31mred\r\x9bx.jpg\tand\nmore", stream)
    assert stream.getvalue() == "\\x1b[31mred\\x0d\\x9bx.jpg\tand\nmore\n"


# Numbers


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-1"])
def test_a_limit_of_pixels_that_is_none_is_refused_at_once(tmp_path, capsys, value):
    assert main([str(picture(tmp_path / "a.png")), "--max-megapixels", value]) == 2
    assert "--max-megapixels" in capsys.readouterr().err


def test_a_resolution_of_0_is_not_the_default():
    with pytest.raises(ValueError, match="a resolution of 0"):
        Colorizer.from_pretrained("l1", resolution=0, device="cpu")


@pytest.mark.parametrize("resolution", [MOST_RESOLUTION + 1, 10**400])
def test_a_resolution_beyond_all_memory_is_refused(resolution):
    with pytest.raises(ValueError, match="cannot be used"):
        check_resolution(resolution)


def test_an_error_of_a_hundred_lines_becomes_one():
    failures = []

    def fail(photo):
        raise RuntimeError("no memory\nframe #0\nframe #1" + "x" * 1000)

    assert list(colour_many(fail, [GREY], failures=failures)) == []
    assert failures[0].endswith("cannot be coloured (no memory)")


@pytest.mark.parametrize("quality", [0, -5, 101, float("nan")])
def test_a_quality_that_is_none_is_not_blamed_on_the_format(tmp_path, quality):
    with pytest.raises(PhotoError, match="take 1 to 100"):
        save_photo(tmp_path / "a.jpg", RGB, quality=quality)


@pytest.mark.parametrize("side", [0, -1, float("nan")])
def test_a_photo_is_not_read_at_a_side_of_nothing(tmp_path, side):
    with pytest.raises(ValueError, match="shows nothing"):
        open_photo(picture(tmp_path / "a.png"), min_side=side)


@pytest.mark.parametrize("options", [{"size": 0}, {"size": -1}, {"scale": (0, 1)}, {"scale": (2, 1)}, {"scale": (0.5, 2)},
                                     {"scale": (float("nan"), 1)}])  # fmt: skip
def test_a_data_set_of_nothing_is_refused(tmp_path, options):
    with pytest.raises(ValueError, match="take"):
        PhotoDataset([picture(tmp_path / "a.png")], **options)


@pytest.mark.parametrize("name", ["lambda_l1", "vivid", "chroma"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_weights_of_losses_that_are_none_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is"):
        AdversarialTraining(torch.nn.Conv2d(1, 2, 1), torch.nn.Conv2d(3, 1, 1), **{name: value})


@pytest.mark.parametrize(
    "options", [{"save_minutes": float("nan")}, {"save_minutes": -1}, {"validate_every": 0}]
)
def test_a_rhythm_that_is_none_is_refused(options):
    with pytest.raises(ValueError, match="(save_minutes|validate_every) is .*: take"):
        fit(None, None, **options)


@pytest.mark.parametrize("count", [0, -1])
def test_colour_queries_are_one_or_more(count):
    generator = build_generator("chroma_unet", pretrained=False, queries=0)
    with pytest.raises(ValueError, match="take 1 or more"):
        generator.add_queries(count)


@pytest.mark.parametrize("seed", ["-1", "99999999999999999999"])
def test_a_seed_that_is_none_is_named(tmp_path, capsys, seed):
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "run"), "--seed", seed]) == 2
    assert f"--seed {seed}" in capsys.readouterr().err


@pytest.mark.parametrize("name", [".", "in_the_way/table"])
def test_a_table_that_cannot_be_written_is_told_before_anything_is_measured(
    tmp_path, monkeypatch, capsys, name
):
    (tmp_path / "in_the_way").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("colorize_lib.weights.find_weights", lambda *_: pytest.fail("too late"))
    assert main(["evaluate", ".", "--frechet", "none", "-o", name]) == 2
    assert name.split("/")[0] in capsys.readouterr().err


# Arrays


@pytest.mark.parametrize(
    "array", [(RGB.astype(np.uint16) * 257).astype(">u2"), (RGB / 255).astype(">f4")], ids=["u2", "f4"]
)
def test_the_order_of_bytes_does_not_matter(array):
    colorizer = Colorizer(torch.nn.Conv2d(1, 2, 1), 32, "cpu")
    colorizer.generator.forward = lambda L: torch.full((len(L), 2, *L.shape[2:]), 0.1)
    native = array.astype(array.dtype.newbyteorder("="))
    assert np.array_equal(colorizer(array), colorizer(native))


@pytest.mark.parametrize("photo", [RGB.tolist(), None, Image.fromarray(RGB)], ids=["list", "None", "image"])
def test_what_is_no_array_is_not_saved(tmp_path, photo):
    with pytest.raises(PhotoError, match="expected .H, W, 3 or 4. pixels"):
        save_photo(tmp_path / "a.png", photo)


def test_a_device_that_is_not_there_is_one_sentence():
    with pytest.raises(ValueError, match="no device 'gpu'"):
        Colorizer(torch.nn.Conv2d(1, 2, 1), 64, "gpu")


# Weights


@pytest.mark.parametrize(
    "path", ["runs/colours.pth", "runs/colours.onnx", "../colours", "./colours", "-x/y", "~/colours"]
)
def test_what_can_be_no_id_is_a_path(path):
    assert find_weights(path) == Path(path)


def test_weights_without_a_name_are_not_those_of_the_working_directory():
    with pytest.raises(CheckpointError, match="no name"):
        find_weights("")


def archive() -> bytes:
    data = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, data)
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [(archive(), "a pickle of PyTorch"), (pickle.dumps({"a": 1}), "a pickle"), (b"<!doctype html><html>", "a web page"),
     (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull")],
    ids=["torch", "pickle", "page", "lfs"],
)  # fmt: skip
def test_what_is_taken_for_weights_is_named(tmp_path, data, what):
    path = tmp_path / "colours.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=what):
        load_checkpoint(path)


@pytest.mark.parametrize("first", [b"PK", b"\x80", b"<"])
def test_a_cut_file_whose_length_looks_like_another_kind_is_called_cut(tmp_path, first):
    path = tmp_path / "colours.safetensors"
    path.write_bytes(first.ljust(8, b"\0") + b'{"__metadata__":')
    with pytest.raises(CheckpointError, match="damaged, cut off"):
        load_checkpoint(path)


def test_a_folder_is_not_called_missing_weights(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder without generator.safetensors"):
        load_checkpoint(tmp_path)


# Uploads

serve = pytest.importorskip("colorize_lib.cli.server") if pytest.importorskip("starlette") else None


class Broken(Fake):
    def __call__(self, photo, **options):
        raise MemoryError


def answer(path="/api/colour", query=b"name=photo.png", method="POST", colorizer=None, messages=None):
    """(status, body) of a request."""
    data = io.BytesIO()
    Image.fromarray(RGB).save(data, "PNG")
    messages = messages or [{"type": "http.request", "body": data.getvalue()}]
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query,
        "headers": [(b"host", b"localhost")], "scheme": "http", "http_version": "1.1", "server": ("localhost", 80),
        "client": ("127.0.0.1", 1),
    }  # fmt: skip
    sent = []

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(serve.make_app(colorizer or Fake())(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


@pytest.mark.parametrize("name", [b"a.j%00pg", b"a." + b"x" * 300, b"a.%0d%0aX", b"..", b"a.%2f"])
def test_an_upload_whose_suffix_is_none_comes_back_as_png(name):
    status, body = answer(query=b"name=" + name)
    assert status == 200
    assert body.startswith(b"\x89PNG")


def test_a_photo_that_cannot_be_coloured_is_told_to_the_page():
    status, body = answer(colorizer=Broken())
    assert status == 500
    assert body == b'{"error":"photo.png cannot be coloured (MemoryError)"}'


def test_a_sample_of_any_name_is_looked_for():
    assert answer(f"/samples/{'x' * 400}", method="GET")[0] == 404


def test_a_page_that_is_closed_while_it_sends_is_no_error():
    messages = [{"type": "http.request", "body": b"\x89PNG", "more_body": True}, {"type": "http.disconnect"}]
    assert answer(messages=messages)[0] == 400
