"""What a photo says of itself goes into its copy byte by byte, in every format."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from colorize_lib.photos import open_photo, save_photo
from colorize_lib.photos.exif import Tiff, of_copy, with_mark

PICTURE = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
UTF8, LATIN1 = "© 1943 Familie Müller, 祖母, Киев".encode(), "Großmutter Käthe".encode("latin-1")
WINDOWS = "Käthe".encode("utf-16-le") + b"\0\0"
COMMENT = b"UNICODE\0" + "祖母".encode("utf-16-be")
DATE = b"1943:07:14 12:00:00"


def block(order: str = "<", orientation: int | None = 6, thumbnail: bytes = b"", note: bytes = b"") -> bytes:
    """EXIF data by hand, laid out as cameras do it: a scan dated and placed by its owner, without a maker."""

    def directory(fields: list[tuple[int, int, int, bytes]], base: int, then: int = 0) -> bytes:
        entries, behind = b"", b""
        start = base + 2 + 12 * len(fields) + 4
        for tag, kind, count, data in sorted(fields):
            entries += struct.pack(f"{order}HHL", tag, kind, count)
            entries += (
                data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(f"{order}L", start + len(behind))
            )
            behind += data + bytes(len(data) % 2) if len(data) > 4 else b""
        return struct.pack(f"{order}H", len(fields)) + entries + struct.pack(f"{order}L", then) + behind

    def short(value: int) -> bytes:
        return struct.pack(f"{order}H", value)

    def long(value: int) -> bytes:
        return struct.pack(f"{order}L", value)

    def text(data: bytes) -> tuple[int, int, bytes]:
        return 2, len(data) + 1, data + b"\0"

    inner = [(0x9003, *text(DATE)), (0x9286, 7, len(COMMENT), COMMENT), (0xA001, 3, 1, short(65535)),
             (0xA002, 4, 1, long(16)), (0xA003, 4, 1, long(24)), (0xA430, *text(LATIN1))]  # fmt: skip
    inner += [(0x927C, 7, len(note), note)] if note else []
    place = [(1, 2, 2, b"N\0"), (2, 5, 3, struct.pack(f"{order}6L", 50, 1, 56, 1, 28, 1))]
    outer = [(0x010E, *text(UTF8)), (0x013B, *text(LATIN1)), (0x9C9B, 1, len(WINDOWS), WINDOWS)]
    outer += [(0x0112, 3, 1, short(orientation))] if orientation else []

    def main(exif_at: int, gps_at: int, then: int) -> bytes:
        return directory([*outer, (0x8769, 4, 1, long(exif_at)), (0x8825, 4, 1, long(gps_at))], 8, then)

    exif_at = 8 + len(main(0, 0, 0))
    gps_at = exif_at + len(directory(inner, exif_at))
    then = gps_at + len(directory(place, gps_at)) if thumbnail else 0
    parts = [main(exif_at, gps_at, then), directory(inner, exif_at), directory(place, gps_at)]
    if thumbnail:
        size = len(directory([(0x0201, 4, 1, long(0)), (0x0202, 4, 1, long(0))], then))
        parts.append(
            directory([(0x0201, 4, 1, long(then + size)), (0x0202, 4, 1, long(len(thumbnail)))], then)
            + thumbnail
        )
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", 8) + b"".join(parts)


def source(folder, suffix: str, order: str = "<", **options):
    """A photo with that EXIF data."""
    path = folder / f"source.{suffix}"
    image = Image.fromarray(PICTURE)
    if suffix == "tif":  # Pillow decodes what it is to write, so the directories are written by hand
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, PICTURE, photometric="rgb", metadata=None, software=False, byteorder=order,
                         extratags=[(0x010E, "s", 0, UTF8, True), (0x013B, "s", 0, LATIN1, True),
                                    (0x9C9B, 1, len(WINDOWS), WINDOWS, True), (274, 3, 1, 6, True),
                                    (0x8768, 4, 1, 0, True), (0x8824, 4, 1, 0, True)])  # fmt: skip
        data, exif = bytearray(buffer.getvalue()), block(order, **options)
        tiff, inner = Tiff(data), Tiff(exif)
        at = {tag: place for tag, _, _, place in tiff.entries(tiff.first)}
        where = {tag: struct.unpack_from(f"{order}L", exif, place)[0] for tag, _, _, place in inner.entries(8)
                 if tag in (0x8769, 0x8825)}  # fmt: skip
        for tag, offset in where.items():  # the block's directories, behind the file, all offsets shifted
            moved = bytearray(exif)
            base = len(data)
            for directory in where.values():
                for _, kind, count, place in list(Tiff(exif).entries(directory)):
                    size = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}[kind] * count
                    if size > 4:
                        entry = _entry_of(exif, order, directory, place)
                        struct.pack_into(f"{order}L", moved, entry + 8, place + base)
            data += moved
            struct.pack_into(f"{order}H", data, at[tag - 1] - 8, tag)  # tifffile writes no such tag itself
            struct.pack_into(f"{order}L", data, at[tag - 1], base + offset)
        path.write_bytes(data)
    else:
        exif = b"Exif\0\0" + block(order, **options)
        image.save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    return path


def _entry_of(data: bytes, order: str, directory: int, place: int) -> int:
    count = struct.unpack_from(f"{order}H", data, directory)[0]
    return next(entry for entry in range(directory + 2, directory + 2 + 12 * count, 12)
                if struct.unpack_from(f"{order}L", data, entry + 8)[0] == place)  # fmt: skip


def texts(path) -> dict[int, bytes]:
    """The texts as bytes, by Pillow, which takes every byte for a Latin-1 letter."""
    with Image.open(path) as image:
        exif = image.getexif()
        found = dict(exif) | dict(exif.get_ifd(ExifTags.IFD.Exif))
        found |= {f"gps {tag}": value for tag, value in exif.get_ifd(ExifTags.IFD.GPSInfo).items()}
    return {tag: value.encode("latin-1") if isinstance(value, str) else value for tag, value in found.items()}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("target", ["jpg", "png", "16.png", "webp", "tif", "16.tif"])
def test_every_text_date_and_place_is_kept(tmp_path, suffix, target, order):
    path = source(tmp_path, suffix, order)
    upright = open_photo(path)
    assert upright.shape == (24, 16, 3)
    deep = upright.astype(np.uint16) * 257 if "16" in target else upright
    copy = save_photo(tmp_path / f"copy.{target}", deep, like=path)
    found = texts(copy)
    assert found[0x010E] == UTF8
    assert found[0x013B] == LATIN1
    assert found[0x9C9B] == WINDOWS
    assert found[0x9003] == DATE
    assert found[0x9286] == COMMENT
    assert found[0xA430] == LATIN1
    assert found["gps 1"] == b"N"
    assert found["gps 2"] == (50, 56, 28)
    assert 0x0112 not in found  # upright
    assert open_photo(copy).shape == (24, 16, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_size_and_colour_space_are_the_copys(tmp_path, suffix):
    path = source(tmp_path, suffix)
    found = texts(save_photo(tmp_path / f"copy.{suffix}", open_photo(path), like=path))
    assert (found[0xA002], found[0xA003]) == (16, 24)
    assert found[0xA001] == 1  # sRGB


@pytest.mark.parametrize("orientation", [None, 6])
def test_thumbnails_go_and_notes_stay_where_they_were(orientation):
    note, thumbnail = b"A camera's private note " * 40, b"\xff\xd8 a grey thumbnail \xff\xd9"
    before = block(orientation=orientation, thumbnail=thumbnail, note=note)
    after = of_copy(before, 16, 24, turned=True)
    assert thumbnail not in after
    assert after.index(note) == before.index(note)
    assert len(list(Tiff(after).directories())) == 1


def test_a_thumbnail_in_the_middle_is_blanked():
    thumbnail = b"\xff\xd8 a grey thumbnail \xff\xd9"
    after = of_copy(block(thumbnail=thumbnail) + b"something behind it", 16, 24, turned=True)
    assert thumbnail not in after
    assert b"something behind it" in after


@pytest.mark.parametrize("target", ["jpg", "png", "webp", "tif"])
def test_exif_data_of_any_length_are_kept(tmp_path, target):
    note = np.random.default_rng(0).bytes(150_000)
    exif = block(note=note)
    data = io.BytesIO()
    Image.fromarray(PICTURE).save(data, "JPEG")
    parts = [exif[i : i + 65000] for i in range(0, len(exif), 65000)]
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(p) + 8) + b"Exif\0\0" + p for p in parts)
    (path := tmp_path / "long.jpg").write_bytes(data.getvalue()[:20] + segments + data.getvalue()[20:])
    copy = save_photo(tmp_path / f"copy.{target}", open_photo(path), like=path)
    assert texts(copy)[0x927C] == note
    assert texts(copy)[0x010E] == UTF8


def test_imagemagicks_text_in_a_png_is_exif_data_too(tmp_path):
    exif = b"Exif\0\0" + block()
    text = f"\nexif\n{len(exif):8}\n{exif.hex()}\n".encode()
    data = io.BytesIO()
    Image.fromarray(PICTURE).save(data, "PNG")
    body = b"zTXtRaw profile type exif\0\0" + zlib.compress(text)
    chunk = struct.pack(">L", len(body) - 4) + body + struct.pack(">L", zlib.crc32(body))
    (path := tmp_path / "magick.png").write_bytes(data.getvalue()[:33] + chunk + data.getvalue()[33:])
    assert texts(save_photo(tmp_path / "copy.jpg", open_photo(path), like=path))[0x010E] == UTF8


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_cut_exif_data_never_stop_the_saving(tmp_path, cut):
    exif = block(thumbnail=b"thumbnail")[:cut]
    data = io.BytesIO()
    Image.fromarray(PICTURE).save(data, "JPEG")
    head = b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif
    (path := tmp_path / "cut.jpg").write_bytes(data.getvalue()[:20] + head + data.getvalue()[20:])
    for suffix in ("jpg", "png", "webp", "tif"):
        copy = save_photo(tmp_path / f"copy.{suffix}", open_photo(path), like=path)
        assert open_photo(copy).size == PICTURE.size


# Resolution


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp"])
@pytest.mark.parametrize("target", ["jpg", "png", "16.png", "tif", "16.tif", "bmp", "webp"])
def test_the_resolution_is_kept(tmp_path, suffix, target):
    Image.fromarray(PICTURE).save(path := tmp_path / f"scan.{suffix}", dpi=(600, 300))
    rgb = open_photo(path)
    copy = save_photo(
        tmp_path / f"copy.{target}", rgb.astype(np.uint16) * 257 if "16" in target else rgb, like=path
    )
    with Image.open(copy) as image:
        exif = image.getexif()
        dpi = image.info.get("dpi") or (exif[282], exif[283])
    assert [round(float(value)) for value in dpi] == [600, 300]


def test_the_resolution_turns_with_the_photo(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[282], exif[283], exif[296] = 6, 600.0, 300.0, 2
    Image.fromarray(PICTURE).save(path := tmp_path / "scan.jpg", dpi=(600, 300), exif=exif)
    with Image.open(save_photo(tmp_path / "copy.jpg", open_photo(path), like=path)) as image:
        assert image.info["dpi"] == (300, 600)
        assert (image.getexif()[282], image.getexif()[283]) == (300, 600)


@pytest.mark.parametrize("dpi", [(0, 0), (1e9, 1e9)])
def test_a_resolution_that_cannot_be_is_left_out(tmp_path, dpi):
    tifffile.imwrite(
        path := tmp_path / "scan.tif", PICTURE, photometric="rgb", resolution=dpi, resolutionunit=2
    )
    for suffix in ("jpg", "png", "bmp"):
        save_photo(tmp_path / f"copy.{suffix}", open_photo(path), like=path)
        assert open_photo(tmp_path / f"copy.{suffix}").shape == PICTURE.shape


# The mark


@pytest.mark.parametrize("target", ["jpg", "png", "16.png", "webp", "tif"])
def test_a_coloured_file_says_so(tmp_path, target):
    rgb = PICTURE.astype(np.uint16) * 257 if "16" in target else PICTURE
    copy = save_photo(tmp_path / f"copy.{target}", rgb, mark="coloured by a machine")
    assert texts(copy)[0x0131] == b"coloured by a machine"
    with Image.open(copy) as image:
        assert target[-3:] != "png" or image.text["Software"] == "coloured by a machine"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_the_owners_software_stays(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0131], exif[0x010E] = "EPSON Scan", "Grandmother"
    Image.fromarray(PICTURE).save(path := tmp_path / f"scan.{suffix}", exif=exif)
    found = texts(save_photo(tmp_path / f"copy.{suffix}", PICTURE, like=path, mark="coloured by a machine"))
    assert found[0x0131] == b"EPSON Scan"
    assert found[0x010E] == b"Grandmother"
    assert found[0x000B] == b"coloured by a machine"


def test_a_mark_is_made_once():
    once = with_mark(b"", "coloured by a machine")
    assert with_mark(once, "coloured by a machine") == once
    owned = with_mark(with_mark(b"", "EPSON Scan"), "coloured")
    other = with_mark(owned, "coloured by another")
    assert b"coloured; coloured by another" in other
    assert with_mark(other, "coloured by another") == other


def test_without_a_mark_nothing_is_added(tmp_path):
    copy = save_photo(tmp_path / "copy.jpg", PICTURE)
    assert texts(copy) == {}


def test_texts_of_a_tiff_that_pillow_does_not_know_are_kept(tmp_path):
    tifffile.imwrite(path := tmp_path / "4_bits.tif", PICTURE >> 4, photometric="rgb", bitspersample=4,
                     description="Grandmother", metadata=None)  # fmt: skip
    with pytest.raises(OSError):
        Image.open(path)
    copy = save_photo(tmp_path / "copy.jpg", open_photo(path), like=path)
    assert texts(copy)[0x010E] == b"Grandmother"


# Captions beside the EXIF data

XMP = ('<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"><dc:title>Großmutter, 祖母'
       "</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>").encode()  # fmt: skip
IPTC = b"\x1c\x02\x78" + struct.pack(">H", len(UTF8)) + UTF8  # 2:120, the caption


def captioned(folder, suffix: str):
    path = folder / f"captioned.{suffix}"
    if suffix == "tif":
        tags = [(700, 1, len(XMP), XMP, True), (33723, 7, len(IPTC), IPTC, True)]
        tifffile.imwrite(path, PICTURE, photometric="rgb", metadata=None, extratags=tags)
        return path
    data = io.BytesIO()
    Image.fromarray(PICTURE).save(data, "JPEG", xmp=XMP, comment=UTF8)
    block = b"Photoshop 3.0\x008BIM" + struct.pack(">HHL", 0x0404, 0, len(IPTC)) + IPTC + bytes(len(IPTC) % 2)
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    path.write_bytes(data.getvalue()[:20] + segment + data.getvalue()[20:])
    return path


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
@pytest.mark.parametrize("target", ["jpg", "png", "16.png", "webp", "tif"])
def test_xmp_data_are_kept_but_for_the_orientation(tmp_path, suffix, target):
    path = captioned(tmp_path, suffix)
    rgb = open_photo(path)
    copy = save_photo(
        tmp_path / f"copy.{target}", rgb.astype(np.uint16) * 257 if "16" in target else rgb, like=path
    )
    with Image.open(copy) as image:
        assert image.info["xmp"] == XMP.replace(b'tiff:Orientation="6"', b"")


@pytest.mark.parametrize("part", [
    'GCamera:MotionPhoto="1"', "GCamera:MicroVideoOffset='524'", 'hdrgm:Version="1.0"', 'xmpNote:HasExtendedXMP="AB"',
    "<Camera:MotionPhoto>1</Camera:MotionPhoto>", '<hdrgm:Version rdf:datatype="a"/>', "<HDRGainMap:HDRGainMapVersion>1</HDRGainMap:HDRGainMapVersion>",
    '<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" Item:Length="9"/></rdf:li></rdf:Seq></Container:Directory>',
])  # fmt: skip
def test_xmp_data_of_a_copy_claim_no_film_or_map_behind_it(tmp_path, part):
    is_element = part.startswith("<")
    others = b'<dc:title a="1>0">GCamera</dc:title><GCamera:SpecialTypeID>P</GCamera:SpecialTypeID>'
    frame = b'<rdf:Description dc:rights="me" %b xmlns:hdrgm="ns">%b%b</rdf:Description>'
    photo, expected = (
        frame % ((b"", text, others) if is_element else (text, b"", others)) for text in (part.encode(), b"")
    )
    Image.fromarray(PICTURE).save(path := tmp_path / "motion.jpg", xmp=photo)
    with Image.open(save_photo(tmp_path / "copy.jpg", PICTURE, like=path)) as image:
        assert image.info["xmp"] == expected


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
@pytest.mark.parametrize("target", ["jpg", "tif"])
def test_iptc_captions_are_kept(tmp_path, suffix, target):
    path = captioned(tmp_path, suffix)
    copy = save_photo(tmp_path / f"copy.{target}", open_photo(path), like=path)
    with Image.open(copy) as image:
        found = image.info["photoshop"][0x0404] if target == "jpg" else image.tag_v2[33723]
        assert found == IPTC


def test_the_comment_of_a_jpeg_is_kept(tmp_path):
    path = captioned(tmp_path, "jpg")
    with Image.open(save_photo(tmp_path / "copy.jpg", open_photo(path), like=path)) as image:
        assert image.info["comment"] == UTF8


@pytest.mark.parametrize("deep", [False, True])
def test_the_texts_of_a_png_are_kept(tmp_path, deep):
    texts = PngInfo()
    texts.add_text("Title", "Großmutter")
    texts.add_itxt("Description", "祖母", zip=True)
    texts.add_text("Software", "EPSON Scan")
    Image.fromarray(PICTURE).save(path := tmp_path / "scan.png", pnginfo=texts)
    rgb = PICTURE.astype(np.uint16) * 257 if deep else PICTURE
    with Image.open(save_photo(tmp_path / "copy.png", rgb, like=path, mark="coloured by a machine")) as image:
        assert image.text["Title"] == "Großmutter"
        assert image.text["Description"] == "祖母"
        assert image.text["Software"] == "EPSON Scan"
        assert image.text["Comment"] == "coloured by a machine"
