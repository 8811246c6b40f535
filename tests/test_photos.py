"""Every kind of file that people have, and every kind of broken one."""

import io
import os
import shutil
import struct
import sys
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import png
import pytest
import skimage.color
import tifffile
import torch
from PIL import ExifTags, Image, ImageCms, ImageOps

from colorize_lib.files import write_whole
from colorize_lib.photos import (
    SUFFIXES,
    PhotoError,
    open_photo,
    read_photo,
    resize_photo,
    save_photo,
    to_8_bit,
    writable_path,
)


@pytest.fixture()
def picture(photo) -> Image.Image:
    return Image.fromarray(photo).resize((90, 60))


def close(a: np.ndarray, b: np.ndarray, mean: float) -> bool:
    return a.shape == b.shape and np.abs(a.astype(float) - b.astype(float)).mean() < mean


@pytest.mark.parametrize(
    ("suffix", "options", "error"),
    [(".jpg", {"quality": 95}, 4), (".png", {}, 0.01), (".tif", {}, 0.01), (".webp", {"lossless": True}, 0.01),
     (".bmp", {}, 0.01), (".gif", {}, 20)],
)  # fmt: skip
def test_formats(tmp_path, picture, suffix, options, error):
    picture.save(path := tmp_path / f"photo{suffix}", **options)
    rgb = open_photo(path)
    assert rgb.dtype == np.uint8
    assert close(rgb, np.asarray(picture), error)


def test_a_photo_that_needs_another_package_names_it(tmp_path, photo, monkeypatch):
    save_photo(tmp_path / "scan.png", photo.astype(np.uint16) * 257)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(PhotoError, match="scan.png needs one more package.*pip install imagecodecs"):
        open_photo(tmp_path / "scan.png")


# Four quarters of one colour each, 96 × 64, written by pillow-heif; its EXIF data say that it lies on its side, but in
# HEIC only the file's own rotation counts (ISO/IEC 23008-12), and it has none.
HEIC = Path(__file__).with_name("quarters.heic")


def test_heic(tmp_path):
    pytest.importorskip("pi_heif")
    rgb = open_photo(HEIC).astype(int)
    assert rgb.shape == (64, 96, 3)
    quarters = [rgb[16, 24], rgb[16, 72], rgb[48, 24], rgb[48, 72]]
    expected = [(100, 30, 20), (20, 45, 100), (200, 60, 40), (40, 90, 200)]
    assert np.abs(np.array(quarters) - expected).max() <= 4


def test_heic_passes_on_its_exif_data_but_for_the_orientation(tmp_path):
    pytest.importorskip("pi_heif")
    target = save_photo(tmp_path / "photo.jpg", open_photo(HEIC), like=HEIC)
    assert dict(Image.open(target).getexif()) == {ExifTags.Base.Make: "A phone"}


def test_heic_without_its_package_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    shutil.copy(HEIC, tmp_path / "phone.jpg")  # the content counts, not the name
    with pytest.raises(PhotoError, match="phone.jpg is a HEIC photo.*pip install pi-heif"):
        open_photo(tmp_path / "phone.jpg")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_modes(tmp_path, picture, mode):
    if mode == "I;16":
        image = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    else:
        image = picture.convert(mode)
    image.save(path := tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png"))
    rgb = open_photo(path)
    grey = mode in ("L", "LA", "I;16")
    expected = np.asarray(
        (picture if mode in ("RGBA", "CMYK") else picture.convert("L") if grey else image).convert("RGB")
    )
    if mode == "I;16":
        assert rgb.dtype == np.uint16
        rgb = to_8_bit(rgb)
    assert close(rgb, expected, 3 if mode == "CMYK" else 0.01)


def test_cmyk_jpeg(tmp_path, picture):
    picture.convert("CMYK").save(path := tmp_path / "photo.jpg", quality=95)
    assert close(open_photo(path), np.asarray(picture), 5)


def test_transparency_is_laid_on_white(tmp_path):
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 4, 8))
    image.save(path := tmp_path / "photo.png")
    rgb = open_photo(path)
    assert (rgb[:, :4] == (0, 0, 255)).all()
    assert (rgb[:, 4:] == 255).all()
    image.convert("P").save(
        path := tmp_path / "palette.gif", transparency=image.convert("P").getpixel((7, 0))
    )
    assert (open_photo(path)[:, 4:] == 255).all()


def test_animated_gif_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(path := tmp_path / "photo.gif", save_all=True, append_images=frames[1:])
    assert (open_photo(path) == (255, 0, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_exif_orientation(tmp_path, picture, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(
        path := tmp_path / f"photo{suffix}", exif=exif, **({"quality": 95} if suffix == ".jpg" else {})
    )
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(open_photo(path), expected)


def test_colour_profile_is_converted(tmp_path, picture):
    """A photo in a foreign colour space looks as before once it is sRGB again."""
    profile = _swapped_profile()
    there = ImageCms.profileToProfile(picture, ImageCms.createProfile("sRGB"), profile, outputMode="RGB")
    assert not close(np.asarray(there), np.asarray(picture), 2)
    there.save(path := tmp_path / "photo.png", icc_profile=profile.tobytes())
    assert close(open_photo(path), np.asarray(picture), 1.5)


def _swapped_profile() -> ImageCms.ImageCmsProfile:
    """sRGB's profile with its green and blue colorants exchanged: a valid one, far from sRGB."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    for i in range(count):
        entry = 132 + 12 * i
        if data[entry : entry + 4] == b"gXYZ":
            green = entry
        if data[entry : entry + 4] == b"bXYZ":
            blue = entry
        if data[entry : entry + 4] == b"desc":
            start = int.from_bytes(data[entry + 4 : entry + 8], "big")
            size = int.from_bytes(data[entry + 8 : entry + 12], "big")
    data[green : green + 4], data[blue : blue + 4] = b"bXYZ", b"gXYZ"
    text = bytes(data[start : start + size]).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    data[start : start + size] = text.replace(b"sRGB", b"swap")
    return ImageCms.ImageCmsProfile(io.BytesIO(bytes(data)))


def test_broken_profile_is_ignored(tmp_path, picture):
    picture.save(path := tmp_path / "photo.png", icc_profile=b"not a profile")
    assert np.array_equal(open_photo(path), np.asarray(picture))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_survive(tmp_path, suffix):
    rgb = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    path = save_photo(tmp_path / f"photo{suffix}", rgb)
    back = open_photo(path)
    assert back.dtype == np.uint16
    assert np.array_equal(back, rgb)
    with Image.open(path) as image:  # others can read it too
        assert close(np.asarray(image), to_8_bit(rgb), 1)
    assert open_photo(path, min_side=20).dtype == np.uint8


def test_large_photos_are_decoded_small(tmp_path, photo):
    large = Image.fromarray(photo).resize((1600, 1200))
    for suffix in (".jpg", ".png"):
        large.save(path := tmp_path / f"photo{suffix}")
        assert open_photo(path).shape == (1200, 1600, 3)
        small = open_photo(path, min_side=256)
        assert small.shape == (300, 400, 3)
        assert close(small, resize_photo(np.asarray(large), 300, 400), 3)
        assert open_photo(path, min_side=2000).shape == (1200, 1600, 3)


BROKEN = {
    "empty.jpg": (b"", "empty"),
    "text.jpg": (b"This is no photo at all.", "not an image"),
    "random.png": (bytes(range(256)) * 4, "not an image"),
    "vector.webp": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_named_in_one_sentence(tmp_path, name):
    data, reason = BROKEN[name]
    (tmp_path / name).write_bytes(data)
    check_error(tmp_path / name, reason)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_truncated_files_are_named(tmp_path, picture, suffix):
    picture.save(path := tmp_path / f"photo{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    check_error(path, "damaged|not an image")


def test_missing_files_and_folders_are_named(tmp_path):
    check_error(tmp_path / "nowhere.jpg", "does not exist")
    check_error(tmp_path, "folder")


def test_floating_point_is_refused(tmp_path):
    tifffile.imwrite(path := tmp_path / "photo.tif", np.random.rand(8, 8).astype(np.float32))
    check_error(path, "floating-point")


def check_error(path: Path, reason: str) -> None:
    with pytest.raises(PhotoError, match=reason) as caught:
        open_photo(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text


def test_saving_never_overwrites(tmp_path, photo):
    path = save_photo(tmp_path / "new folder" / "photo.png", photo)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="photo.png"):
        save_photo(path, photo // 2)
    assert path.read_bytes() == before
    save_photo(path, photo // 2, overwrite=True)
    assert np.array_equal(open_photo(path), photo // 2)
    with pytest.raises(PhotoError, match="cannot write '.xyz'"):
        save_photo(tmp_path / "photo.xyz", photo)


def test_saving_is_whole_or_not_at_all(tmp_path, photo, monkeypatch):
    path = save_photo(tmp_path / "photo.png", photo)

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, b"half")
    assert np.array_equal(open_photo(path), photo)
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("target", [".jpg", ".png", "16.png", ".webp", ".tif", "16.tif"])
def test_exif_is_kept_but_for_the_orientation(tmp_path, picture, source, target):
    exif = Image.Exif()
    exif[271], exif[306], exif[0x0112] = "A camera", "1936:01:02 03:04:05", 6
    exif.get_ifd(ExifTags.IFD.Exif)[0x829D] = 2.8  # the f-number
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    picture.save(source := tmp_path / f"photo{source}", exif=exif)
    upright = open_photo(source)
    deep = upright.astype(np.uint16) * 257 if "16" in target else upright
    saved = save_photo(tmp_path / f"copy{target}", deep, like=source)
    with Image.open(saved) as image:
        found = image.getexif()
        assert (found[271], found[306]) == ("A camera", "1936:01:02 03:04:05")
        assert 0x0112 not in found
        if ".tif" not in source.suffix + target:  # Pillow writes no such parts into a TIFF
            assert found.get_ifd(ExifTags.IFD.Exif)[0x829D] == 2.8
            assert found.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
    again = open_photo(saved)
    assert again.shape == upright.shape
    assert again.dtype == deep.dtype
    if source.suffix != ".jpg" and "tif" in target or "png" in target:
        assert np.array_equal(again, deep)


def test_every_sample_photo_opens(root):
    paths = [p for p in (root / "data/samples").rglob("*") if p.suffix in SUFFIXES]
    assert len(paths) == 118
    for path in paths:
        assert torch.from_numpy(open_photo(path)).float().std() > 10, path


def test_16_bit_transparency_is_laid_on_white(tmp_path):
    rgba = np.full((4, 6, 4), 65535, dtype=np.uint16)
    rgba[..., :3], rgba[:, 3:, 3] = (1000, 2000, 3000), 0
    with (path := tmp_path / "photo.png").open("wb") as file:
        png.Writer(6, 4, greyscale=False, alpha=True, bitdepth=16).write(file, rgba.reshape(4, -1))
    rgb = open_photo(path)
    assert rgb.dtype == np.uint16
    assert (rgb[:, :3] == (1000, 2000, 3000)).all()
    assert (rgb[:, 3:] == 65535).all()
    with path.open("wb") as file:
        png.Writer(6, 4, greyscale=True, alpha=True, bitdepth=16).write(file, rgba[..., 2:].reshape(4, -1))
    rgb = open_photo(path)
    assert rgb.shape == (4, 6, 3)
    assert (rgb[:, :3] == 3000).all()
    assert (rgb[:, 3:] == 65535).all()


def test_pngs_that_note_fewer_significant_bits_are_not_darkened(tmp_path):
    """Their sBIT chunk says how deep the source was; the values use all 16 bits nevertheless."""
    rgb = np.full((4, 6, 3), 60000, dtype=np.uint16)
    save_photo(path := tmp_path / "photo.png", rgb)
    data = path.read_bytes()
    chunk = b"sBIT" + bytes([12, 12, 12])
    with_sbit = data[:33] + (3).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[33:]
    path.write_bytes(with_sbit)
    assert (open_photo(path) == 60000).all()


def test_tiff_with_white_at_zero(tmp_path):
    grey = np.arange(0, 60000, 1000, dtype=np.uint16).reshape(6, 10)
    tifffile.imwrite(path := tmp_path / "photo.tif", 65535 - grey, photometric="miniswhite")
    assert (open_photo(path)[..., 0] == grey).all()


def test_malformed_exif_does_not_stop_the_saving(tmp_path, picture):
    picture.save(source := tmp_path / "photo.jpg", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01")
    assert open_photo(save_photo(tmp_path / "copy.jpg", open_photo(source), like=source)).shape == (60, 90, 3)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((0, 5, 3), np.uint8), ((4, 5), np.uint8), ((4, 5, 2), np.uint8), ((4, 5, 3), np.float32), ((4, 5, 3), np.int16)],
)  # fmt: skip
def test_only_pictures_are_written(tmp_path, shape, dtype):
    with pytest.raises(PhotoError, match=r"expected \(H, W, 3 or 4\) pixels, uint8 or uint16, got \("):
        save_photo(tmp_path / "photo.png", np.zeros(shape, dtype))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "writable"), [("a.JPG", "a.JPG"), ("a.tiff", "a.tiff"), ("a.gif", "a.png"), ("a", "a.png")]
)
def test_the_suffix_of_a_format_that_cannot_be_written_becomes_png(name, writable):
    assert writable_path(name) == Path(writable)


def with_chunks(pixels: np.ndarray, chunks: dict[bytes, bytes]) -> bytes:
    """A PNG of 8 or 16 bits with more chunks behind its header."""
    data = imagecodecs.png_encode(pixels)
    more = (struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
            for kind, body in chunks.items())  # fmt: skip
    return data[:33] + b"".join(more) + data[33:]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    "chunks",
    [{b"gAMA": 1.0}, {b"gAMA": 1 / 1.8}, {b"gAMA": 1 / 2.2}, {b"gAMA": 0.0}, {b"gAMA": 1.0, b"sRGB": b"\0"}],
    ids=str,
)
def test_a_png_is_read_by_its_gamma(tmp_path, chunks, deep):
    """As Chromium shows it: linear = value^(1 / gAMA) (PNG, 11.3.2.2); nothing beside sRGB, at 1/2.2 and for 0."""
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    gamma, peak = chunks[b"gAMA"], 65535 if deep else 255
    expected = pixels / 255
    if b"sRGB" not in chunks and gamma in (1.0, 1 / 1.8):
        expected = skimage.color.xyz2rgb(expected ** (1 / gamma) @ skimage.color.colorconv.xyz_from_rgb.T)
    bodies = {
        kind: body if isinstance(body, bytes) else struct.pack(">L", round(body * 1e5))
        for kind, body in chunks.items()
    }
    stored = pixels.astype(np.uint16) * 257 if deep else pixels
    (path := tmp_path / "photo.png").write_bytes(with_chunks(stored, bodies))
    # lcms rounds to 1 of 255 in 8 bits; without the gamma, the largest difference is 19 or more.
    assert np.abs(open_photo(path) / peak - expected).max() <= 1.01 / 255


def test_a_lossless_webp_stays_lossless(tmp_path, picture):
    rgb = np.asarray(picture)
    for lossless in (True, False):
        picture.save(path := tmp_path / f"{lossless}.webp", lossless=lossless, exif=b"II*\0" + bytes(12))
        copy = save_photo(tmp_path / f"{lossless}_copy.webp", rgb, like=path)
        assert (open_photo(copy) == rgb).all() == lossless


def test_a_copy_keeps_the_date_of_its_photo(tmp_path, picture):
    picture.save(path := tmp_path / "scan.jpg")
    os.utime(path, ns=(0, 10**18))
    assert save_photo(tmp_path / "copy.jpg", np.asarray(picture), like=path).stat().st_mtime_ns == 10**18


def test_a_file_gets_the_permissions_that_the_process_gives_and_these_stay_as_they_are(
    tmp_path, picture, monkeypatch
):
    before = os.umask(0o027)
    try:
        monkeypatch.setattr("os.umask", None)  # it is the whole process's: other threads write files, too
        copy = save_photo(tmp_path / "copy.png", np.asarray(picture))
        monkeypatch.undo()
    finally:
        os.umask(before)
    assert copy.stat().st_mode & 0o777 == 0o640


def test_a_transparent_picture_is_laid_on_white_where_the_format_holds_no_transparency(tmp_path, picture):
    rgba = np.asarray(picture.convert("RGB").convert("RGBA")) * np.uint8([1, 1, 1, 0])
    for suffix in ("jpg", "bmp"):
        assert (open_photo(save_photo(tmp_path / f"a.{suffix}", rgba)) == 255).all()


def test_a_photo_is_read_with_its_transparency(tmp_path, picture):
    rgba = np.dstack([np.asarray(picture), np.asarray(picture.convert("L"))])
    for suffix in ("png", "tif", "webp"):
        Image.fromarray(rgba).save(path := tmp_path / f"a.{suffix}", lossless=True, exact=True)
        assert (read_photo(path)[0] == rgba).all()
