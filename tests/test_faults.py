"""`colorize` where things go wrong: odd names, old consoles, full disks, sudden ends."""

import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from colorize_course.display.widgets import _coloured_upload
from colorize_lib.checkpoints import save_checkpoint
from colorize_lib.cli import main
from colorize_lib.cli.console import make_printable, say
from colorize_lib.cli.targets import plan
from colorize_lib.colorizer import Colorizer
from colorize_lib.data import sample_photos
from colorize_lib.models import build_generator
from colorize_lib.photos import PhotoError, open_photo, save_photo
from colorize_lib.photos.folders import find_photos, look_through

GREY = np.tile(np.arange(0, 240, 4, dtype=np.uint8), (40, 1))


def picture(path: Path, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(GREY).save(path, **options)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    torch.manual_seed(0)
    generator = build_generator("chroma_unet", pretrained=False)
    torch.nn.init.normal_(generator.head.weight, std=0.1)
    return str(save_checkpoint(tmp_path_factory.mktemp("weights") / "generator.safetensors", generator))


@pytest.fixture()
def colorize(weights, tmp_path):
    """The command, its results in tmp_path / "out" unless said otherwise."""

    def run(*arguments: str | Path, out: Path | str = tmp_path / "out") -> int:
        options = ["-o", str(out), "--weights", weights, "--resolution", "64", "--device", "cpu"]
        return main([*map(str, arguments), *options])

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# Which photos, and where to


@pytest.mark.parametrize("given", ["photos", "./photos", "../{here}/photos", "{root}/photos", "link"])
@pytest.mark.parametrize(
    "out", ["photos/colour", "./photos/../photos/colour", "{root}/photos/colour", "link/colour"]
)
def test_own_work_is_not_coloured_again_whatever_the_spelling(tmp_path, monkeypatch, given, out):
    picture(tmp_path / "photos/a.png")
    picture(tmp_path / "photos/colour/a.png")
    (tmp_path / "link").symlink_to("photos")
    monkeypatch.chdir(tmp_path)
    given, out = (text.format(root=tmp_path, here=tmp_path.name) for text in (given, out))
    work = plan([Path(given)], Path(out))
    assert (work.targets, work.existing) == ({}, 1)


def test_the_folder_itself_as_input_and_the_default_folder(tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    picture(tmp_path / "colorized/a.png")
    monkeypatch.chdir(tmp_path)
    for given in (".", str(tmp_path), f"../{tmp_path.name}"):
        assert plan([Path(given)], Path("colorized")).existing == 1


def test_results_above_the_photos_are_made(tmp_path, monkeypatch):
    photo = picture(tmp_path / "photos/a.png")
    monkeypatch.chdir(tmp_path)
    assert plan([Path("photos")], Path(".")).targets == {Path("photos/a.png"): Path("a.png")}
    assert plan([photo.parent], tmp_path).targets == {photo: tmp_path / "a.png"}


def test_no_photo_is_replaced_by_the_result_of_another(tmp_path):
    one, other = picture(tmp_path / "one/a.png"), picture(tmp_path / "other/a.png")
    for overwrite in (False, True):
        work = plan([one, other], other.parent, overwrite)
        assert work.targets == {}
        assert len(work.failures) == 2


def test_a_photo_given_twice_is_coloured_once(tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    work = plan([Path("a.png"), tmp_path / "a.png", Path(".")], Path("out"))
    assert list(work.targets) == [Path("a.png")]
    assert work.failures == []


def test_linked_folders_are_looked_through_once(tmp_path):
    real = picture(tmp_path / "photos/a.png")
    picture(tmp_path / "elsewhere/b.png")
    (tmp_path / "photos/linked").symlink_to("../elsewhere")
    (tmp_path / "photos/again").symlink_to("../elsewhere")
    (tmp_path / "photos/circle").symlink_to("..")
    found = find_photos(tmp_path / "photos")
    assert real in found
    assert sorted(path.name for path in found) == ["a.png", "b.png"]


def test_files_passed_over_are_counted(tmp_path):
    for name in ("a.jpg", "b.jfif", "c.jpe", "d.jp2", "e.avif", "f.pgm"):
        picture(tmp_path / name)
    for name in ("g.mov", "h.MOV", "notes.txt", "README", ".hidden"):
        (tmp_path / name).write_text("no photo")
    found = look_through(tmp_path)
    assert len(found.photos) == 6
    assert found.others == {".mov": 2, ".txt": 1, "no suffix": 1}


@pytest.mark.parametrize(
    "name", ["@eaDir/a.jpg", "__MACOSX", "$RECYCLE.BIN", "#recycle", "lost+found", "a/@EADIR"]
)
def test_folders_of_the_system_are_no_photos(tmp_path, name):
    photo = picture(tmp_path / "a.jpg")
    picture(tmp_path / name / "thumbnail.jpg")
    assert find_photos(tmp_path) == [photo]
    assert [*plan([tmp_path / "**/*.jpg"], tmp_path / "out").targets] == [photo]


def test_a_photo_needs_no_suffix(tmp_path):
    photo = picture(tmp_path / "IMG_0001", format="JPEG")
    picture(tmp_path / "a.jpg~", format="JPEG")
    (tmp_path / "README").write_text("no photo")
    os.mkfifo(tmp_path / "pipe")  # which would never end
    found = look_through(tmp_path)
    assert found.photos == [photo]
    assert found.others == {"no suffix": 2, ".jpg~": 1}


def test_a_pattern_is_expanded_where_the_shell_does_not(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.png"):
        picture(tmp_path / name)
    assert sorted(p.name for p in plan([tmp_path / "*.jpg"], tmp_path / "out").targets) == ["a.jpg", "b.jpg"]
    picture(tmp_path / "[1].jpg")
    assert [p.name for p in plan([tmp_path / "[1].jpg"], tmp_path / "out").targets] == ["[1].jpg"]


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [(None, ["a.gif.png", "a.jfif", "a.png", "b.png", "c.jpeg"]), (".jpg", ["a.jfif", "a.jpg", "a.png.jpg", "b.jpg", "c.jpeg"]),
     (".tif", ["a.jfif.tif", "a.png.tif", "a.tif", "b.tif", "c.tif"])],
)  # fmt: skip
def test_every_photo_gets_a_name_of_its_own(tmp_path, suffix, expected):
    for name in ("a.gif", "a.jfif", "a.png", "b.pgm", "c.jpeg"):
        picture(tmp_path / "photos" / name)
    work = plan([tmp_path / "photos"], tmp_path / "out", suffix=suffix)
    assert work.failures == []
    assert len(set(work.targets.values())) == 5
    assert sorted(path.name for path in work.targets.values()) == expected


# The command


def test_the_summary_says_what_was_left_out(tmp_path, colorize, capsys):
    images = [Image.fromarray(GREY // part) for part in (1, 2, 3)]
    (tmp_path / "photos").mkdir()
    images[0].save(tmp_path / "photos/pages.tif", save_all=True, append_images=images[1:])
    (tmp_path / "photos/film.mp4").write_bytes(b"no photo")
    assert colorize(tmp_path / "photos") == 0
    said = capsys.readouterr().out
    assert "pages.tif (2 of 3 pages left out)" in said
    assert "1 of them only in part" in said
    assert "1 file passed over for their suffix (1 .mp4)" in said


@pytest.mark.parametrize("name", ["-old.jpg", "-1.png", "--x.png", "-"])
def test_a_file_whose_name_begins_with_a_dash_is_no_option(tmp_path, colorize, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / name, format="PNG")
    assert colorize(name) == 0
    assert len(names(tmp_path / "out")) == 1


@pytest.mark.parametrize(
    ("typed", "meant"), [("trian", "train"), ("eval", "evaluate"), ("Train", "train"), ("train", "train")]
)
def test_a_mistyped_command_colours_nothing(tmp_path, colorize, capsys, monkeypatch, typed, meant):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "photos/a.jpg")
    with pytest.raises(SystemExit, match="2"):
        colorize("--overwrite", typed, "photos")
    assert f"did you mean 'colorize {meant}'?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["-"], ["a.jpg", "-o", "-"]])
def test_a_pipe_is_refused_in_a_sentence(tmp_path, capsys, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "pipes are not taken: save the photo to a file" in capsys.readouterr().err


@pytest.mark.parametrize("option", [[], ["--only-grey"]])
def test_photos_in_colour_are_counted_or_left_out(tmp_path, colorize, capsys, option):
    (tmp_path / "photos").mkdir()
    colour = Image.open(sample_photos("val")[0]).convert("RGB")
    colour.save(tmp_path / "photos/colour.jpg")
    grey = colour.convert("L")
    grey.save(tmp_path / "photos/grey.jpg")
    ImageOps.colorize(grey, "#20120a", "#fff0d0").save(tmp_path / "photos/sepia.jpg")
    assert colorize(tmp_path / "photos", *option) == 0
    said = capsys.readouterr().out
    assert ("1 left out, in colour already" if option else "1 of them in colour already") in said
    assert ("colour.jpg" in names(tmp_path / "out")) == (not option)
    assert "sepia.jpg" in names(tmp_path / "out")


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_transparency_is_kept(tmp_path, colorize, suffix):
    rgba = np.dstack([GREY, GREY, GREY, GREY[::-1] + 3])
    Image.fromarray(rgba).save(tmp_path / f"a.{suffix}", lossless=True)
    assert colorize(tmp_path / f"a.{suffix}") == 0
    with Image.open(tmp_path / f"out/a.{suffix}") as image:
        assert (np.asarray(image.convert("RGBA"))[..., 3] == rgba[..., 3]).all()


def test_every_suffix_is_coloured_and_the_format_can_be_chosen(tmp_path, colorize):
    for name in ("a.jfif", "b.jpe", "c.jp2", "d.avif", "e.pgm"):
        picture(tmp_path / "photos" / name)
    assert colorize(tmp_path / "photos") == 0
    assert names(tmp_path / "out") == ["a.jfif", "b.jpe", "c.png", "d.png", "e.png"]
    assert colorize(tmp_path / "photos", "--format", "webp", out=tmp_path / "webp") == 0
    assert names(tmp_path / "webp") == ["a.webp", "b.webp", "c.webp", "d.webp", "e.webp"]
    with Image.open(tmp_path / "webp/a.webp") as image:
        assert image.format == "WEBP"


def test_results_are_marked_unless_told_otherwise(tmp_path, colorize):
    photo = picture(tmp_path / "a.jpg")
    assert colorize(photo) == 0
    with Image.open(tmp_path / "out/a.jpg") as image:
        assert "colorize_lib" in image.getexif()[0x0131]
    assert colorize(photo, "--no-mark", out=tmp_path / "bare") == 0
    with Image.open(tmp_path / "bare/a.jpg") as image:
        assert len(image.getexif()) == 0


def test_a_photo_above_the_limit_is_named_and_the_limit_can_be_raised(tmp_path, colorize, capsys, recwarn):
    picture(tmp_path / "a.png")
    large = tmp_path / "large.png"
    Image.new("L", (1000, 1000)).save(large)
    assert colorize(tmp_path / "a.png", large, "--max-megapixels", "0.5") == 1
    said = capsys.readouterr().err
    assert "large.png" in said
    assert "--max-megapixels" in said
    assert colorize(large, "--max-megapixels", "1") == 0
    assert not [warning for warning in recwarn if "bomb" in str(warning.message)]


@pytest.mark.parametrize("options", [["--quality", "0"], ["--quality", "101"], ["--saturation", "nan"]])
def test_options_that_no_photo_can_have_stop_at_once(tmp_path, colorize, capsys, options):
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    assert colorize(tmp_path / "a.png", tmp_path / "b.png", *options) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_no_error_of_one_photo_ends_a_folder(tmp_path, colorize, capsys, monkeypatch):
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / "photos" / name)
    colour, calls = Colorizer.__call__, []

    def fail_once(self, photo, **options):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of luck")
        return colour(self, photo, **options)

    monkeypatch.setattr(Colorizer, "__call__", fail_once)
    assert colorize(tmp_path / "photos") == 1
    assert names(tmp_path / "out") == ["a.png", "c.png"]
    said = capsys.readouterr().err
    assert "b.png cannot be coloured (out of luck)" in said


@pytest.mark.parametrize(
    "name", [b"Gro\xdfmutter K\xe4the.jpg", "祖母.jpg".encode(), ("祖" * 83 + "x.jpg").encode()[:255], b"x" * 251 + b".jpg",
             b"-o.jpg", b"a\nb.jpg"],
)  # fmt: skip
def test_odd_and_long_names(tmp_path, colorize, name):
    folder = os.fsencode(tmp_path / "photos")
    os.mkdir(folder)
    picture(tmp_path / "a.jpg").rename(os.fsdecode(folder + b"/" + name))
    assert colorize(tmp_path / "photos") == 0
    assert os.listdir(os.fsencode(tmp_path / "out")) == [name]


def test_names_that_are_too_long_are_told(tmp_path, colorize, capsys):
    assert colorize(tmp_path / ("x" * 300 + ".jpg")) == 2
    assert "xxx" in capsys.readouterr().err


# Printing


@pytest.mark.parametrize(
    "encoding", ["ascii", "cp1252", "cp437", "cp850", "cp932", "koi8-r", "utf-8", "utf-16"]
)
@pytest.mark.parametrize("text", ["ΔE2000 … N² 256 × 256 é 祖母 🎞", "Gro\udcdfmutter"])
def test_every_text_can_be_printed_on_every_console(monkeypatch, encoding, text):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", stream)
    make_printable()
    say(text)
    written = stream.buffer.getvalue()
    assert len(written) > 5
    assert "Gro" not in text or encoding == "utf-16" or written == b"Gro\\xdfmutter\n"


def test_letters_become_the_nearest(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    make_printable()
    say("ΔE2000, N², 2 × 2, é, …, 祖")
    assert stream.buffer.getvalue() == b"dE2000, N2, 2 x 2, e, ..., ?\n"


@pytest.mark.parametrize("command", [[], ["train"], ["evaluate"]])
@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "cp850", "cp932", "ascii"])
def test_help_can_be_read_on_every_console(monkeypatch, encoding, command):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", stream)
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    stream.flush()
    assert stop.value.code == 0
    assert b"usage: colorize" in stream.buffer.getvalue()


class Closed(io.StringIO):
    """A console that nobody reads."""

    def write(self, text: str) -> int:
        raise BrokenPipeError("nobody reads this")


@pytest.mark.parametrize("stream", [Closed(), None])
def test_nobody_needs_to_read(tmp_path, colorize, monkeypatch, stream):
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", stream)
    assert colorize(tmp_path / "a.png", tmp_path / "b.png") == 0
    assert names(tmp_path / "out") == ["a.png", "b.png"]


# Uploads in the notebook


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".jpg", "祖" * 83 + "x.jpg", "a/b.jpg", "no suffix", "a." + "x" * 250, "<b>.jpg"]
)
def test_an_upload_of_any_name_is_shown(weights, tmp_path, name):
    data = picture(tmp_path / "a.jpg").read_bytes()
    shown = _coloured_upload(Colorizer.from_pretrained(weights, resolution=64, device="cpu"), name, data)
    assert "Download" in shown
    assert "<b>" not in shown.split("Download")[1]


def test_an_upload_that_fails_says_which_and_why(weights):
    colorizer = Colorizer.from_pretrained(weights, resolution=64, device="cpu")
    assert "grandmother.jpg is not an image" in _coloured_upload(colorizer, "grandmother.jpg", b"no photo")
    colorizer.engine = None
    data = io.BytesIO()
    Image.fromarray(GREY).save(data, "PNG")
    assert 'role="alert">b.png' in _coloured_upload(colorizer, "b.png", data.getvalue())


# PIL images


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_pil_image_is_coloured_upright(weights, tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = picture(tmp_path / f"sideways.{suffix}", exif=exif)
    colorizer = Colorizer.from_pretrained(weights, resolution=64, device="cpu")
    out, expected = colorizer(Image.open(path)), colorizer(open_photo(path))
    assert np.array_equal(np.asarray(out), expected)
    assert out.getexif().get(0x0112, 1) == 1


# Disks


def test_a_full_disk_leaves_nothing_half_written(tmp_path, weights):
    """The largest file that may be written is set by the system: as with a full disk, a write fails halfway."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    (tmp_path / "photos").mkdir()
    picture(tmp_path / "photos/a.png")
    Image.fromarray(noise).save(tmp_path / "photos/b.png")
    picture(tmp_path / "photos/c.png")
    code = (
        "import resource, sys; from colorize_lib.cli import main; import colorize_lib.colorizer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)); sys.exit(main(sys.argv[1:]))"
    )
    out = tmp_path / "out"
    options = [
        str(tmp_path / "photos"),
        "-o",
        str(out),
        "--weights",
        weights,
        "--resolution",
        "64",
        "--device",
        "cpu",
    ]
    result = subprocess.run([sys.executable, "-c", code, *options], capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert f"{out / 'b.png'} cannot be written" in result.stderr
    assert sorted(os.listdir(out)) == ["a.png", "c.png"]
    assert main(options) == 0
    assert sorted(os.listdir(out)) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")]
)
def test_a_read_only_folder_is_named_in_one_sentence(tmp_path, colorize, capsys, monkeypatch, error):
    def refuse(*_, **__):
        raise error

    photo = picture(tmp_path / "a.png")
    monkeypatch.setattr("os.fsync", refuse)
    assert colorize(photo) == 2
    said = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / 'out/a.png'} cannot be written ({error.strerror})" in said[0]


def test_a_working_directory_that_is_gone_is_told(tmp_path, colorize, capsys, monkeypatch):
    photo = picture(tmp_path / "a.png")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert colorize(photo) == 2
    assert "the working directory does not exist any more" in capsys.readouterr().err


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path, colorize, capsys):
    photo = picture(tmp_path / "a.png")
    (tmp_path / "out").write_text("in the way")
    assert colorize(photo) == 2
    assert "out/a.png cannot be written" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "in the way"


def test_a_side_that_is_too_long_for_a_format_is_told(tmp_path):
    with pytest.raises(PhotoError, match="long.webp cannot be written as WEBP"):
        save_photo(tmp_path / "long.webp", np.zeros((1, 20_000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


# Sudden ends

KILLED = """
import json, os, random, signal, sys
import imagecodecs, tifffile, torch
from PIL import Image
import colorize_lib.cli, colorize_lib.photos, colorize_lib.cli.targets
from colorize_lib.colorizer import Colorizer

outs, killed, weights, photos = json.loads(sys.argv[1]), sys.argv[2] == "killed", sys.argv[3], sys.argv[4]
Image.init()
torch.set_num_threads(1)
ready = Colorizer.from_pretrained(weights, resolution=64, device="cpu")  # once, for all the processes
Colorizer.from_pretrained = classmethod(lambda *_, **__: ready)

def run(out, moment):
    # Colours in a process of its own, which is killed at that call of a function; returns how many there were.
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        os.waitpid(child, 0)
        return int(os.read(reader, 99) or 0)
    count = 0
    def watch(*_):
        nonlocal count
        count += 1
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(watch)
    colorize_lib.cli.main([photos, "-o", out])
    sys.setprofile(None)
    os.write(writer, str(count).encode())
    os._exit(0)

calls = run(outs[0], -1)
for out in outs[1:]:
    run(out, random.Random(out[-1]).randrange(1, calls) if killed else -1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be split")
def test_a_kill_at_any_moment_loses_nothing(tmp_path, weights):
    photos = tmp_path / "photos"
    exif = b"Exif\0\0" + struct.pack(">2sHLHHHLHHL", b"MM", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    for i, suffix in enumerate(("jpg", "png", "tif", "webp", "jpg")):
        picture(photos / f"{i}.{suffix}", exif=exif)
    before = {path: path.read_bytes() for path in photos.iterdir()}
    whole, *cut = outs = [tmp_path / "whole", *(tmp_path / f"cut {i}" for i in range(10))]

    def run(how: str) -> None:
        call = [sys.executable, "-c", KILLED, json.dumps(list(map(str, outs))), how, weights, str(photos)]
        subprocess.run(call, capture_output=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})

    def results(out: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in out.glob("[!.]*")}

    run("killed")
    finished = results(whole)
    assert len(finished) == 5
    assert {path: path.read_bytes() for path in photos.iterdir()} == before
    there = [results(out) for out in cut]
    for found in there:
        assert found.items() <= finished.items()  # whole, or not there
    assert any(len(found) < 5 for found in there)
    assert any(0 < len(found) < 5 for found in there)
    run("rerun")
    for out in cut:
        assert results(out) == finished
    assert {path: path.read_bytes() for path in photos.iterdir()} == before


# Two at once


def test_two_commands_may_write_to_one_folder(tmp_path, colorize, capsys, monkeypatch):
    """The second one runs from its beginning to its end after the first one has planned what it will write."""
    photos, codes = tmp_path / "photos", []
    for i in range(3):
        picture(photos / f"{i}.png")

    def plan_and_let_the_other_run(*given):
        made = plan(*given)
        monkeypatch.undo()
        codes.append(colorize(photos))
        written.update({path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()})
        return made

    written: dict[Path, int] = {}
    monkeypatch.setattr("colorize_lib.cli.targets.plan", plan_and_let_the_other_run)
    codes.append(colorize(photos))
    assert codes == [0, 0]
    assert names(tmp_path / "out") == ["0.png", "1.png", "2.png"]
    assert {path: path.stat().st_mtime_ns for path in written} == written  # not written a second time
    assert "0 photos coloured, 3 there already" in capsys.readouterr().out
