"""Photos by chance: sizes, types and values that nobody thought of, and bytes that no camera wrote."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from colorize_lib.photos import PhotoError, open_photo, resize_photo, save_photo, to_8_bit

# What `python tests/fuzz_photos.py` found to reach different lines, of at most 2,000 bytes each.
with zipfile.ZipFile(Path(__file__).with_name("fuzz_photos.zip")) as file:
    CORPUS = [file.read(name) for name in sorted(file.namelist())]

by_chance = settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
sides = array_shapes(min_dims=2, max_dims=2, max_side=70)
pictures = st.tuples(sides, st.sampled_from([np.uint8, np.uint16])).flatmap(
    lambda drawn: arrays(drawn[1], (*drawn[0], 3), elements=st.integers(0, np.iinfo(drawn[1]).max))
)


@by_chance
@given(rgb=pictures, suffix=st.sampled_from([".png", ".tif"]))
def test_what_is_saved_without_loss_comes_back(tmp_path, rgb, suffix):
    back = open_photo(save_photo(tmp_path / f"photo{suffix}", rgb, overwrite=True))
    assert back.dtype == rgb.dtype
    assert np.array_equal(back, rgb)


@by_chance
@given(rgb=pictures, suffix=st.sampled_from([".jpg", ".webp", ".bmp"]))
def test_what_is_saved_with_loss_keeps_its_size(tmp_path, rgb, suffix):
    back = open_photo(save_photo(tmp_path / f"photo{suffix}", rgb, overwrite=True))
    assert back.dtype == np.uint8
    assert back.shape == rgb.shape


@by_chance
@given(
    shape=sides, channels=st.sampled_from([1, 3]), extra=st.sampled_from([None, "unassalpha", "unspecified"]),
    deep=st.booleans(), compression=st.sampled_from([None, "lzw", "zlib", "packbits", "zstd"]), order=st.sampled_from("<>"),
    planar=st.booleans(), predictor=st.booleans(), rows=st.integers(1, 80), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_every_tiff_comes_back(
    tmp_path, shape, channels, extra, deep, compression, order, planar, predictor, rows, seed
):
    """Grey or RGB, 8 or 16 bits, with a channel more or not, in any layout."""
    kind = np.uint16 if deep else np.uint8
    pixels = np.random.default_rng(seed).integers(
        0, np.iinfo(kind).max, (*shape, channels + bool(extra)), kind
    )
    if extra == "unassalpha":
        pixels[..., -1] = np.iinfo(kind).max
    options = {"photometric": "rgb" if channels == 3 else "minisblack", "metadata": None, "byteorder": order}
    options |= {"compression": compression, "rowsperstrip": min(rows, shape[0])}
    options |= {"predictor": True} if predictor and compression in ("lzw", "zlib", "zstd") else {}
    options |= {"extrasamples": [extra]} if extra else {}
    if pixels.shape[2] == 1:
        stored = pixels[..., 0]
    elif planar:
        stored, options["planarconfig"] = np.moveaxis(pixels, -1, 0), "separate"
    else:
        stored, options["planarconfig"] = pixels, "contig"
    tifffile.imwrite(path := tmp_path / "photo.tif", stored, **options)
    expected = np.broadcast_to(pixels[..., :channels], (*shape, 3))
    rgb = open_photo(path)
    assert rgb.dtype == kind
    assert np.array_equal(rgb, expected)


@by_chance
@given(rgb=pictures, height=st.integers(1, 50), width=st.integers(1, 50))
def test_any_size_can_be_made_of_any_other(rgb, height, width):
    small = resize_photo(rgb, height, width)
    assert small.shape == (height, width, 3)
    assert small.dtype == np.uint8


@by_chance
@given(values=arrays(np.uint16, array_shapes(), elements=st.integers(0, 65535)))
def test_8_bits_are_the_nearest(values):
    assert np.abs(to_8_bit(values) * 257.0 - values).max(initial=0) <= 128.5


def read(folder: Path, data: bytes) -> None:
    """A photo, or one sentence that names it."""
    (path := folder / "photo").write_bytes(data)
    try:
        rgb = open_photo(path, max_pixels=1_000_000)
    except PhotoError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
    else:
        assert rgb.shape[2] == 3
        assert rgb.size <= 3_000_000
        save_photo(folder / "copy.png", rgb[:8, :8], like=path, overwrite=True)


def test_the_corpus_is_there():
    assert len(CORPUS) >= 50


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(10))
def test_bytes_that_a_fuzzer_found(tmp_path, part):
    for data in CORPUS[part::10]:
        read(tmp_path, data)


@pytest.mark.filterwarnings("ignore")
@by_chance
@given(
    data=st.sampled_from(CORPUS), at=st.floats(0, 1), change=st.binary(max_size=8), gone=st.integers(0, 8),
)  # fmt: skip
def test_bytes_that_are_changed_by_chance(tmp_path, data, at, change, gone):
    place = round(at * len(data))
    read(tmp_path, data[:place] + change + data[place + gone :])
