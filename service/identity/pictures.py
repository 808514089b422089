"""Makes a new picture of an uploaded one. The only module that imports Pillow.

Only the pixels survive: what else a file can carry (a place, a serial number, a second format
behind the first) is not copied, so it need not be known. Pillow's own guard against pixel bombs:
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
"""Pillow knows dozens more, each with a parser that a stranger's file would be given to."""
MOST_PIXELS: Final = 24_000_000
"""A phone's camera; three bytes each while a picture is made."""
MOST_PER_SIDE: Final = 12_000
PHOTO_SIDE: Final = 1024
THUMBNAIL_SIDE: Final = 128

Image.MAX_IMAGE_PIXELS = MOST_PIXELS


def clean(upload: bytes) -> Picture:
    """The upload's pixels as new JPEGs. Raises `PhotoRefused`, whose text the user reads."""
    try:
        with warnings.catch_warnings():
            # Pillow only warns of a picture up to twice the bound.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _remade(upload)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoRefused("the picture has too many pixels") from error
    # Pillow's parsers raise more kinds of errors than it names, all of them for what is no picture.
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, ArithmeticError) as error:
        raise PhotoRefused("the file is no complete JPEG, PNG or WebP picture") from error
    except (LookupError, AttributeError, MemoryError) as error:
        raise PhotoRefused("the file is no complete JPEG, PNG or WebP picture") from error


def _remade(upload: bytes) -> Picture:
    with Image.open(io.BytesIO(upload), formats=FORMATS) as opened:
        if max(opened.size) > MOST_PER_SIDE or opened.width * opened.height > MOST_PIXELS:
            raise PhotoRefused("the picture has too many pixels")
        if getattr(opened, "n_frames", 1) > 1:
            raise PhotoRefused("the picture moves")
        # A large JPEG is decoded small at once.
        opened.draft("RGB", (PHOTO_SIDE, PHOTO_SIDE))
        opened.load()
        upright = ImageOps.exif_transpose(opened)
    pixels = _without_transparency(upright)
    return Picture(_jpeg(pixels, PHOTO_SIDE), _jpeg(pixels, THUMBNAIL_SIDE))


def _without_transparency(image: Image.Image) -> Image.Image:
    """The picture on white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


def _jpeg(pixels: Image.Image, side: int) -> bytes:
    small = pixels.copy()
    small.thumbnail((side, side))
    # Pixels alone: the copy would carry on what the file said of itself.
    bare = Image.new("RGB", small.size)
    bare.paste(small)
    written = io.BytesIO()
    bare.save(written, "JPEG", quality=85)
    return written.getvalue()
