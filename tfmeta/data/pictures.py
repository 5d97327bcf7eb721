"""Decoding images and bringing them to one size and one number of channels."""

import dataclasses
import struct
from collections.abc import Sequence
from typing import IO

import numpy as np
from PIL import Image

from tfmeta.data.image_classes import ImageClasses
from tfmeta.errors import ArgumentError

FORMATS = ("PNG", "JPEG", "BMP", "GIF")

# What Pillow raises for files that are no images, truncated or damaged.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


def decode(file: str | IO[bytes]) -> Image.Image:
    """Decodes an image: gray (mode L) if all its pixels are gray, else color (mode RGB).

    Of an animation it returns the first frame. 16-bit gray is scaled to 8 bits. Transparent pixels
    show white paper.

    Args:
        file: path or open file of a PNG, JPEG, BMP or GIF image.

    Raises:
        One of `UNREADABLE`: the file cannot be decoded.
    """
    with Image.open(file, formats=FORMATS) as opened:
        opened.load()
        picture: Image.Image = opened
        if picture.mode.startswith("I"):
            # Pillow's own conversion to 8 bits clips at 255 instead of scaling.
            gray = np.asarray(picture).astype(np.float64) / 257
            return Image.fromarray(np.round(gray).astype(np.uint8))
        if picture.mode in ("1", "L"):
            return picture.convert("L")
        if picture.has_transparency_data:
            paper = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(paper, picture.convert("RGBA"))
        picture = picture.convert("RGB")
    red, green, blue = (np.asarray(band) for band in picture.split())
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return picture.getchannel(0)
    return picture


def resize(picture: Image.Image, image_size: int | None) -> np.ndarray:
    """Resizes a picture to a square with Lanczos's filter, Pillow's sharpest.

    Args:
        picture: of mode L or RGB.
        image_size: height and width. None keeps the size.

    Returns:
        uint8 `[height, width, channels]`, with 1 channel for mode L and 3 for mode RGB.
    """
    if image_size is not None and picture.size != (image_size, image_size):
        picture = picture.resize((image_size, image_size), Image.Resampling.LANCZOS)
    pixels = np.asarray(picture)
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def stack(images: Sequence[np.ndarray], channels: int | None) -> np.ndarray:
    """Stacks images and brings them to one number of channels.

    Args:
        images: uint8 `[height, width, 1 or 3]` each.
        channels: 1 or 3. None means 3 if any image has colors, else 1.

    Returns:
        uint8 `[images, height, width, channels]`.

    Raises:
        ArgumentError: naming `image_size`, if the images differ in height or width.
    """
    shapes = sorted({image.shape[:2] for image in images})
    if len(shapes) > 1:
        smallest, largest = (f"{height}x{width}" for height, width in (shapes[0], shapes[-1]))
        raise ArgumentError(
            "image_size",
            None,
            f"the images have different sizes, from {smallest} to {largest}; give the size to "
            "resize them to.",
        )
    if channels is None:
        channels = max(image.shape[2] for image in images)
    return np.stack([_with_channels(image, channels) for image in images])


def converted(classes: ImageClasses, image_size: int | None, channels: int | None) -> ImageClasses:
    """Converts all images to another size or number of channels.

    Args:
        classes: classes whose images have 1 or 3 channels.
        image_size: height and width. None keeps the size.
        channels: 1 or 3. None keeps the channels.
    """
    height, width, depth = classes.image_shape
    if image_size in (None, height) and height == width and channels in (None, depth):
        return classes
    images = [
        resize(Image.fromarray(image[..., 0] if depth == 1 else image), image_size)
        for image in classes.images
    ]
    return dataclasses.replace(classes, images=stack(images, channels or depth))


def _with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    return np.asarray(Image.fromarray(image).convert("L"))[..., np.newaxis]
