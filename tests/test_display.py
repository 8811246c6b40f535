"""The lessons' helpers."""

import matplotlib
import matplotlib.pyplot as plt
import pytest

from colorize_lib import data, display
from colorize_lib.models import Unet


@pytest.fixture(autouse=True)
def headless(monkeypatch):
    monkeypatch.setattr(display, "set_matplotlib_formats", lambda *_, **__: None)
    matplotlib.use("Agg")
    yield
    plt.close("all")


@pytest.mark.parametrize("profile", display.PROFILES)
def test_a_profile_picks_its_size(profile, monkeypatch, capsys):
    monkeypatch.setenv("COLORIZE_PROFILE", profile)
    lesson = display.Lesson("Lesson")
    assert lesson.pick("quick", "long", "full") == profile
    assert f"profile {profile}, device" in capsys.readouterr().out


def test_the_default_is_quick_without_a_gpu(monkeypatch):
    monkeypatch.delenv("COLORIZE_PROFILE", raising=False)
    monkeypatch.setattr(display, "default_device", lambda: data.torch.device("cpu"))
    assert display.Lesson("Lesson").profile == "quick"
    monkeypatch.setattr(display, "default_device", lambda: data.torch.device("cuda"))
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
    assert {photo.parent.name for photo in train} == {"historic"} and valid == valid_photos

    monkeypatch.setenv("COLORIZE_PHOTOS", "no/such/folder")
    assert display.Lesson("Lesson").photos() == (train_photos, valid_photos)
    assert "no/such/folder is not a folder" in capsys.readouterr().out


def test_full_without_a_network_says_so_and_goes_on(monkeypatch, capsys, train_photos):
    def offline(name):
        raise ConnectionError(f"{name} could not be downloaded")

    monkeypatch.setenv("COLORIZE_PROFILE", "full")
    monkeypatch.delenv("COLORIZE_PHOTOS", raising=False)
    monkeypatch.setattr(display, "fetch_photos", offline)
    train, _ = display.Lesson("Lesson").photos()
    assert train == train_photos
    assert "sample photos alone, since imagenette could not be downloaded" in capsys.readouterr().out


def test_a_drawn_unet_shows_its_numbers():
    display.draw_unet(Unet(downs=6, filters=8).model, size=64)
    numbers = [text.get_text() for text in plt.gca().texts if "²" in text.get_text()]
    assert len(numbers) == 2 * 6 + 1
    assert {"1\n64²", "2\n64²", "8\n32²", "64\n1²"} <= set(numbers)
