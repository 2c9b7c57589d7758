"""Thumbnails, and the pictures of the sample library; all of it Pillow's work."""

from __future__ import annotations

import io
import random

from PIL import Image, ImageDraw

THUMBNAIL = (128, 128)
#: Not PostScript, which Pillow has another program run, nor what nobody has in a photo folder.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
MOST_PIXELS = 16_000_000  # to be held in memory, three bytes each


def thumbnail(body: bytes) -> bytes | None:
    """A small JPEG of a picture; None when it is no picture that Pillow can read."""
    picture = _opened(body)
    if picture is None:
        return None
    picture.thumbnail(THUMBNAIL)
    return _jpeg(picture)


def painted(width: int, height: int, seed: int) -> bytes:
    """A landscape of its own for every seed, as a JPEG."""
    dice = random.Random(seed)
    sky = Image.linear_gradient("L").resize((width, height))
    colours = [tuple(dice.randrange(256) for _ in range(3)) for _ in range(2)]
    picture = Image.composite(
        Image.new("RGB", (width, height), colours[0]),
        Image.new("RGB", (width, height), colours[1]),
        sky,
    )
    draw = ImageDraw.Draw(picture)
    for layer in range(4):
        colour = tuple(dice.randrange(200 - 40 * layer) for _ in range(3))
        ground = height * (0.5 + 0.12 * layer)
        ridge = [(x, ground - dice.randrange(height // 4)) for x in range(0, width + 40, 40)]
        draw.polygon([(0, height), *ridge, (width, height)], fill=colour)
    grain = Image.frombytes("L", (width, height), dice.randbytes(width * height)).convert("RGB")
    return _jpeg(Image.blend(picture, grain, 0.065))


def repainted(body: bytes, seed: int) -> bytes | None:
    """The picture with a new band of colour across it; None when it is none."""
    picture = _opened(body)
    if picture is None:
        return None
    dice = random.Random(seed)
    width, height = picture.size
    top = dice.randrange(max(1, height // 2))
    colour = tuple(dice.randrange(256) for _ in range(3))
    ImageDraw.Draw(picture).rectangle((0, top, width, top + max(2, height // 6)), fill=colour)
    return _jpeg(picture)


def _opened(body: bytes) -> Image.Image | None:
    try:
        picture = Image.open(io.BytesIO(body), formats=FORMATS)
        picture.draft("RGB", (512, 512))  # a JPEG is decoded no larger than it needs to be
        return picture.convert("RGB") if picture.width * picture.height <= MOST_PIXELS else None
    except Exception:  # damaged files make decoders raise nearly anything
        return None


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=80)
    return out.getvalue()
