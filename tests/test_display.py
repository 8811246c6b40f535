"""The lessons' helpers."""

import base64
import io
import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from colorize_course import display
from colorize_course.display.uploads import Uploads
from colorize_lib import data
from colorize_lib.colorizer import Colorizer
from colorize_lib.hints import Hint, HintError
from colorize_lib.models import Unet
from colorize_lib.photos import open_photo


@pytest.fixture(autouse=True)
def headless(monkeypatch):
    monkeypatch.setattr(display.lesson, "set_matplotlib_formats", lambda *_, **__: None)
    matplotlib.use("Agg")
    yield
    plt.close("all")


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3), (2, 1), (1, 2, 1)])
def test_a_picture_of_one_channel_keeps_its_rows_and_columns(shape):
    picture = torch.arange(0.0, 1.0, 1 / 6)[: np.prod(shape)].reshape(shape)
    expected = (picture.numpy().reshape(shape[-2:]) * 255).round()
    assert np.array_equal(display.to_image(picture), expected)


def test_a_picture_of_three_channels_has_them_last():
    picture = torch.arange(3 * 2 * 4, dtype=torch.uint8).reshape(3, 2, 4)
    assert np.array_equal(display.to_image(picture), picture.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("profile", display.PROFILES)
def test_a_profile_picks_its_size(profile, monkeypatch, capsys):
    monkeypatch.setenv("COLORIZE_PROFILE", profile)
    lesson = display.Lesson("Lesson")
    assert lesson.pick("quick", "long", "full") == profile
    assert f"profile {profile}, device" in capsys.readouterr().out


def test_the_default_is_quick_without_a_gpu(monkeypatch):
    monkeypatch.delenv("COLORIZE_PROFILE", raising=False)
    monkeypatch.setattr(display.lesson, "default_device", lambda: data.torch.device("cpu"))
    assert display.Lesson("Lesson").profile == "quick"
    monkeypatch.setattr(display.lesson, "default_device", lambda: data.torch.device("cuda"))
    assert display.Lesson("Lesson").profile == "full"


def test_an_unknown_profile_is_refused(monkeypatch):
    monkeypatch.setenv("COLORIZE_PROFILE", "huge")
    with pytest.raises(ValueError, match="quick, long, full, not 'huge'"):
        display.Lesson("Lesson")


def test_photos_of_the_profiles(monkeypatch, capsys, train_photos, valid_photos, root):
    monkeypatch.delenv("COLORIZE_PHOTOS", raising=False)
    monkeypatch.setenv("COLORIZE_PROFILE", "quick")
    assert display.Lesson("Lesson").photos() == (train_photos, valid_photos)

    monkeypatch.setenv("COLORIZE_PHOTOS", str(root / "data/samples/historic"))
    train, valid = display.Lesson("Lesson").photos()
    assert {photo.parent.name for photo in train} == {"historic"}
    assert valid == valid_photos

    monkeypatch.setenv("COLORIZE_PHOTOS", "no/such/folder")
    assert display.Lesson("Lesson").photos() == (train_photos, valid_photos)
    assert "no/such/folder is not a folder" in capsys.readouterr().out


def test_full_without_a_network_says_so_and_goes_on(monkeypatch, capsys, train_photos):
    def offline(name):
        raise ConnectionError(f"{name} could not be downloaded")

    monkeypatch.setenv("COLORIZE_PROFILE", "full")
    monkeypatch.delenv("COLORIZE_PHOTOS", raising=False)
    monkeypatch.setattr(display.lesson, "fetch_photos", offline)
    train, _ = display.Lesson("Lesson").photos()
    assert train == train_photos
    assert "sample photos alone, because imagenette could not be downloaded" in capsys.readouterr().out


def test_a_drawn_unet_shows_its_numbers():
    display.draw_unet(Unet(downs=6, filters=8).model, size=64)
    numbers = [text.get_text() for text in plt.gca().texts if "²" in text.get_text()]
    assert len(numbers) == 2 * 6 + 1
    assert {"1\n64²", "2\n64²", "8\n32²", "64\n1²"} <= set(numbers)


@pytest.fixture()
def colorizer():
    return Colorizer.from_pretrained(device="cpu")


def send(upload, number: int, name: str, data: bytes, last: bool = True, piece: int = 1 << 19) -> None:
    """Send a file to an upload button, as the browser would."""
    for start in range(0, len(data) or 1, piece):
        about = {"choice": 1, "number": number, "name": name, "start": start}
        about["last"] = last and start + piece >= len(data)
        upload._take(upload, about, [memoryview(data[start : start + piece])])


def choose(box, name: str, data: bytes) -> str:
    """What the box shows when a file is chosen."""
    send(box.children[0], 0, name, data)
    (result,) = box.children[-1].children
    return result.value


def test_files_arrive_whole_in_pieces():
    upload, big = Uploads(), bytes(range(256)) * 100
    send(upload, 0, "big", big, last=False, piece=1000)
    send(upload, 1, "empty", b"", last=False)
    assert upload.files == []
    send(upload, 2, "small", b"abc")
    assert upload.files == [("big", big), ("empty", b""), ("small", b"abc")]


def test_a_choice_that_broke_off_leaves_nothing_in_the_next():
    upload = Uploads()
    send(upload, 0, "lost", b"lost" * 9, last=False)
    send(upload, 1, "lost, too", b"lost", last=False)
    send(upload, 0, "found", b"found")
    assert upload.files == [("found", b"found")]


def downloaded(shown: str) -> bytes:
    return base64.b64decode(re.search(r'<a download="[^"]+" href="data:[\w/]+;base64,([^"]+)"', shown)[1])


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".gif"])
def test_an_uploaded_photo_comes_back_in_colour_and_full_size(colorizer, photo, tmp_path, suffix):
    Image.fromarray(photo[:300, :500]).convert("L").save(source := tmp_path / f"old & grey{suffix}")
    shown = choose(display.colour_uploads(colorizer), source.name, source.read_bytes())
    written = suffix.replace("gif", "png")
    assert f'download="old &amp; grey in colour{written}"' in shown
    assert "500 × 300" in shown
    (coloured := tmp_path / f"new{written}").write_bytes(downloaded(shown))
    expected, found = colorizer(open_photo(source)), open_photo(coloured)
    assert found.shape == (300, 500, 3)
    assert np.abs(found.astype(int) - expected).mean() < 2
    assert shown.count("<img ") == 2
    assert "old &amp; grey" in shown


def test_the_knobs_colour_the_upload_again(colorizer, photo, tmp_path):
    Image.fromarray(photo[:128, :128]).save(source := tmp_path / "photo.png")
    box = display.colour_uploads(colorizer)
    first = choose(box, "photo.png", source.read_bytes())
    _, saturation, resolution, results = box.children
    saturation.value = 0.0
    (tmp_path / "grey.png").write_bytes(downloaded(results.children[0].value))
    grey = open_photo(tmp_path / "grey.png").astype(int)
    assert (grey.max(axis=2) - grey.min(axis=2)).max() < 3
    saturation.value = 1.0
    again = results.children[0].value
    assert downloaded(again) == downloaded(first)
    resolution.value = 64
    assert downloaded(results.children[0].value) != downloaded(first)


def test_a_small_copy_of_the_last_upload_is_kept(colorizer, photo, tmp_path):
    Image.fromarray(photo).save(source := tmp_path / "photo.png")
    choose(
        display.colour_uploads(colorizer, tmp_path / "kept" / "last.png"), "photo.png", source.read_bytes()
    )
    assert max(open_photo(tmp_path / "kept" / "last.png").shape) == 512


def test_an_upload_with_a_very_long_name_is_coloured(colorizer, photo, tmp_path):
    Image.fromarray(photo[:64, :64]).save(source := tmp_path / "photo.png")
    shown = choose(display.colour_uploads(colorizer), "x" * 300 + ".png", source.read_bytes())
    assert "<a download=" in shown


@pytest.mark.parametrize("data", [b"", b"This is text."])
def test_a_bad_upload_is_answered_in_one_sentence(colorizer, data):
    shown = choose(display.colour_uploads(colorizer), "<b>bad.jpg", data)
    assert re.fullmatch(r'<p role="alert">&lt;b&gt;bad.jpg is [^<]+</p>', shown)


def read(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_photo_to_point_at_is_coloured_as_the_hints_say(colorizer, photo):
    box = display.hint_box(colorizer, photo[:96, :128])
    assert np.array_equal(read(box.picture), colorizer(photo[:96, :128]))
    box.points = [{"x": 0.25, "y": 1, "colour": "#8b1a2b"}]  # 1 is the lower edge, and no pixel
    assert box.hints == [Hint(0.25, 1.0, "#8b1a2b")]
    assert np.array_equal(read(box.picture), colorizer(photo[:96, :128], hints=box.hints))
    box.points = []
    assert np.array_equal(read(box.picture), colorizer(photo[:96, :128]))


def test_it_begins_with_hints_in_pixels_and_names_and_ab(colorizer, photo):
    hints = [Hint(0, 3, "red"), Hint(0.5, 0.5, (0.0, 0.0))]
    box = display.hint_box(colorizer, photo[:8, :10], hints)
    assert [hint.pixel(10, 8) for hint in box.hints] == [(0, 3), (5, 4)]
    assert box.points[0]["colour"] == "#ff0000"
    assert len(set(box.points[1]["colour"][i : i + 2] for i in (1, 3, 5))) == 1  # a grey


def test_what_is_shown_is_small(photo):
    box = display.hint_box(lambda rgb, hints: rgb, np.zeros((50, 1280, 3), np.uint8))
    assert read(box.picture).shape == (25, 640, 3)


def test_a_hint_that_cannot_be_used_is_answered_in_a_sentence(photo):
    def refuse(rgb, hints):
        if hints:
            raise HintError("these weights take no hints")
        return rgb

    box = display.hint_box(refuse, photo[:8, :8])
    before = box.picture
    box.points = [{"x": 0.5, "y": 0.5, "colour": "#ff0000"}]
    assert box.said == "these weights take no hints"
    assert box.picture == before
    box.points = []
    assert box.said == ""


def test_without_widgets_a_photo_to_point_at_says_what_it_needs(photo):
    assert "JupyterLab" in repr(display.hint_box(lambda rgb, hints: rgb, photo[:8, :8]))


def test_before_and_after_lie_on_each_other(photo):
    html = display.before_after(photo, 255 - photo, "a bird <here>").data
    assert html.count("<img ") == 2
    assert 'alt="a bird &lt;here&gt;: before"' in html
    assert 'type="range"' in html
    assert "<script" not in html


def test_the_blind_test_keeps_the_score(photo, tmp_path):
    kept = tmp_path / "new" / "blind_test.csv"
    pairs = {f"<{name}>": (photo, 255 - photo) for name in "abc"}
    assert display.blind_test_score(kept) == (0, 0)
    for sitting, always in enumerate((0, 1)):  # the left one, then the right one; the seed puts them alike
        box = display.blind_test(pairs, kept, seed=0)
        verdict, pictures, buttons, onward = box.children
        for number in range(1, 4):
            assert f"{number} of 3" in verdict.value
            assert pictures.value.count("<img ") == 2
            assert onward.disabled
            assert not buttons.children[0].disabled
            before = display.blind_test_score(kept)
            buttons.children[always].click()
            right, total = display.blind_test_score(kept)
            assert total == before[1] + 1
            assert ("Right:" in verdict.value) == (right > before[0])
            assert f"{right} times of {total}" in verdict.value
            assert "&lt;" in verdict.value
            assert buttons.children[0].disabled
            onward.click()
        assert "That was all" in box.children[0].value
        assert len(box.children) == 1
        assert display.blind_test_score(kept)[1] == 3 * (sitting + 1)
    assert display.blind_test_score(kept) == (3, 6)  # the two sittings gave opposite answers
    assert kept.read_text().splitlines()[0] == "date,photo,right"


def test_a_blind_test_can_be_played_without_its_buttons(photo, tmp_path):
    game = display.BlindTest({"one": (photo, 255 - photo)}, tmp_path / "answers.csv", seed=0)
    game.answer(right=game.photo_on_the_right["one"])
    assert display.blind_test_score(tmp_path / "answers.csv") == (1, 1)
    assert game.score().startswith("You were right 1 times of 1")
    game.ask()
    assert len(game.box.children) == 1
