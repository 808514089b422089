"""Uploads become new pictures of their pixels; a file that is no picture is refused."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from service.core.photos import clean_uploads
from service.identity import pictures
from service.identity.pictures import clean
from service.model.errors import PhotoRefused
from tests.support.fakes_photos import FakePhotos


def a_picture(form: str = "JPEG", size: tuple[int, int] = (300, 200), **options: object) -> bytes:
    """A picture whose left half is red and whose right half is blue."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    written = io.BytesIO()
    image.save(written, form, **options)
    return written.getvalue()


def with_place() -> bytes:
    """A photo on its side whose metadata name its place and its camera."""
    exif = Image.Exif()
    exif[0x0110] = "Camera of a rider"
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    exif.get_ifd(0x8825).update({1: "N", 2: (40.0, 42.0, 46.0), 3: "W", 4: (74.0, 0.0, 21.0)})
    return a_picture(exif=exif, comment=b"40.7128,-74.0060", icc_profile=b"profile of a rider")


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_a_picture_becomes_a_photo_and_a_small_one(form: str) -> None:
    made = clean(a_picture(form, (3000, 2000)))
    for data, side in ((made.photo, 1024), (made.thumbnail, 128)):
        image = opened(data)
        assert (image.format, image.mode, max(image.size)) == ("JPEG", "RGB", side)
        red, _, blue = image.getpixel((10, 10))  # type: ignore[misc]
        assert red > 200 > 60 > blue


def test_no_metadata_of_the_file_is_kept() -> None:
    made = clean(with_place())
    for data in (made.photo, made.thumbnail):
        image = opened(data)
        assert len(image.getexif()) == 0
        assert image.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        for said in (b"Camera", b"40.7128", b"rider", b"Exif"):
            assert said not in data
    # Turned as it was meant to be seen: 300 × 200 lay on its side.
    assert opened(made.photo).size == (200, 300)


@pytest.mark.parametrize(
    "tail", [b"<script>alert(1)</script>", b"PK\x03\x04" + b"x" * 100, b"%PDF-1.7"]
)
def test_a_second_format_behind_the_first_is_not_kept(tail: bytes) -> None:
    made = clean(a_picture() + tail)
    assert tail not in made.photo + made.thumbnail


def test_transparency_is_shown_on_white() -> None:
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    written = io.BytesIO()
    image.save(written, "PNG")
    assert opened(clean(written.getvalue()).photo).getpixel((5, 5)) == (255, 255, 255)


def a_png_header(width: int, height: int, body: bytes = b"") -> bytes:
    """A PNG whose header claims this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + end


def test_a_phones_jpeg_with_a_second_picture_behind_it_becomes_the_first() -> None:
    behind = Image.new("RGB", (30, 20), "black")
    upload = a_picture("MPO", save_all=True, append_images=[behind])
    image = opened(clean(upload).photo)
    red, _, blue = image.getpixel((10, 10))  # type: ignore[misc]
    assert (image.size, red > 200 > 60 > blue) == ((300, 200), True)


def moving(form: str, frames: int) -> bytes:
    images = [Image.new("RGB", (4, 4), (n * 97 % 256, n // 256, 0)) for n in range(frames)]
    written = io.BytesIO()
    images[0].save(written, form, save_all=True, append_images=images[1:], duration=20)
    return written.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"<html>not a picture</html>",
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
    "a program": lambda: b"\x7fELF" + bytes(100),
    "gif": lambda: a_picture("GIF"),
    "tiff": lambda: a_picture("TIFF"),
    "bmp": lambda: a_picture("BMP"),
    "a cut JPEG": lambda: a_picture()[:-300],
    "a cut PNG": lambda: a_picture("PNG", (900, 900))[:400],
    "a JPEG's head": lambda: a_picture()[:20],
    "20,000 × 20,000 pixels": lambda: a_png_header(20_000, 20_000, zlib.compress(bytes(1000))),
    "5,000 × 5,000 pixels": lambda: a_png_header(5000, 5000),
    "one row of 24 million": lambda: a_png_header(24_000_000, 1),
    "one row of 12,001": lambda: a_picture("PNG", (12_001, 1)),
    "no width": lambda: a_png_header(0, 10),
    "2 frames": lambda: moving("WEBP", 2),
    "10,000 frames": lambda: moving("PNG", 10_000),
    "a GIF that begins as a JPEG": lambda: b"\xff\xd8\xff" + a_picture("GIF"),
    "unknown bytes": lambda: random.Random(1).randbytes(5000),
}


REASONS = {"pixels": "too many pixels", "row": "too many pixels", "frames": "moves"}
"""What the user reads, by a part of the name."""


@pytest.mark.parametrize("name", HOSTILE)
def test_an_upload_that_is_no_picture_is_refused_and_neither_stored_nor_shown(name: str) -> None:
    upload, photos = HOSTILE[name](), FakePhotos()
    why = (
        "many pixels"
        if "pixels" in name or "row" in name
        else "moves"
        if "frames" in name
        else "no"
    )
    with pytest.raises(PhotoRefused, match=why):
        clean(upload)
    photos.link_identity("identity-1", "rider-1")
    photos.uploaded["identity-1"] = upload
    assert clean_uploads(photos, clean, lambda: True) == 0
    assert (photos.shown, photos.uploaded) == ({}, {})
    photo = photos.get("rider-1")
    assert photo
    assert photo.refused


def test_the_longest_picture_is_taken() -> None:
    assert opened(clean(a_picture("PNG", (12_000, 1))).photo).width == 1024


@settings(max_examples=60, deadline=None)
@given(data=st.data(), form=st.sampled_from(pictures.FORMATS))
def test_a_damaged_picture_is_refused_or_made_anew(data: st.DataObject, form: str) -> None:
    damaged = bytearray(a_picture(form, (64, 48)))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        made = clean(bytes(damaged))
    except PhotoRefused:
        return
    assert opened(made.photo).format == "JPEG"
    assert max(opened(made.thumbnail).size) <= 128


def test_the_same_pixels_come_out() -> None:
    small = a_picture("PNG", (100, 80))
    difference = ImageChops.difference(opened(clean(small).photo), opened(small).convert("RGB"))
    assert max(high for _, high in difference.crop((0, 0, 40, 80)).getextrema()) <= 8  # type: ignore[misc]
