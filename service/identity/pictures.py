"""Makes a new picture of an uploaded one. The only module that imports Pillow.

Only the pixels are copied, so nothing else in the file (a place, a serial number, a second format
behind the first) gets into the new picture.
Pillow's own guard against pixel bombs:
https://pillow.readthedocs.io/en/stable/reference/Image.html#PIL.Image.MAX_IMAGE_PIXELS
"""

from __future__ import annotations

import io
import warnings
from typing import Final

from PIL import Image, ImageOps

from service.core.photos import Picture
from service.model.errors import PhotoRefused

FORMATS: Final = ("JPEG", "PNG", "WEBP")
"""The accepted formats. Pillow knows dozens more, but each of them would be one more parser for
strangers' files."""
MOST_PIXELS: Final = 24_000_000
"""The most pixels of an upload: as many as a phone's camera takes. Each needs three bytes while a
picture is made, or four if it may be transparent."""
MOST_PER_SIDE: Final = 12_000
PHOTO_SIDE: Final = 1024
THUMBNAIL_SIDE: Final = 128
QUALITY: Final = 85
"""Of the JPEGs that are made; Pillow's documentation advises at most 95."""

Image.MAX_IMAGE_PIXELS = MOST_PIXELS


def clean(upload: bytes) -> Picture:
    """The upload's pixels as new JPEGs. Raises `PhotoRefused`; its text is shown to the user."""
    try:
        with warnings.catch_warnings():
            # Pillow only warns of a picture up to twice the bound.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _remade(upload)
    except PhotoRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoRefused("the picture has too many pixels") from error
    except Exception as error:
        # Parsers raise undocumented errors for files that are not pictures.
        raise PhotoRefused("the file is no complete JPEG, PNG or WebP picture") from error


def _remade(upload: bytes) -> Picture:
    with Image.open(io.BytesIO(upload), formats=FORMATS) as opened:
        if max(opened.size) > MOST_PER_SIDE:
            raise PhotoRefused("the picture has too many pixels")
        # Phones put a second picture (depth, brightness) behind a JPEG, which is then an MPO.
        if opened.format != "MPO" and getattr(opened, "n_frames", 1) > 1:
            raise PhotoRefused("the picture moves")
        # A large JPEG is decoded small at once.
        opened.draft("RGB", (PHOTO_SIDE, PHOTO_SIDE))
        pixels = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
    pixels.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    upright = _on_white(ImageOps.exif_transpose(pixels))
    return Picture(_jpeg(upright, PHOTO_SIDE), _jpeg(upright, THUMBNAIL_SIDE))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _jpeg(pixels: Image.Image, side: int) -> bytes:
    small = pixels.copy()
    small.thumbnail((side, side))
    # Pixels alone: `small` still has the file's metadata, which would be saved too.
    bare = Image.new("RGB", small.size)
    bare.paste(small)
    written = io.BytesIO()
    bare.save(written, "JPEG", quality=QUALITY)
    return written.getvalue()
