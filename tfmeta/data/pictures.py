"""Decoding images and bringing them to one size."""

import functools
import io
import os
from typing import IO

import numpy as np
from PIL import Image, ImageCms, ImageOps

from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.storage import Storage

# Pillow knows the headers of these, but does not decode them, or starts another program to do it.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# Pillow tries one format after the other.
_COMMON = ("JPEG", "PNG")


class UnreadableError(Exception):
    """A damaged image, or a file that is none, with the reason."""


@functools.cache
def formats() -> tuple[str, ...]:
    """The formats of images that are read: all that Pillow decodes, those of most images first."""
    Image.init()
    return tuple(dict.fromkeys([*_COMMON, *sorted(set(Image.OPEN) - _NOT_DECODED)]))


@functools.cache
def suffixes() -> frozenset[str]:
    """The suffixes of files in these formats, in small letters, such as ".png"."""
    known = Image.registered_extensions().items()
    return frozenset(suffix for suffix, form in known if form in (*formats(), "MPO"))


def is_image(path: str) -> bool:
    """Whether a file is an image by its suffix, even if it is damaged, or else by its content."""
    if os.path.splitext(path)[1].lower() in suffixes():
        return True
    try:
        with Image.open(path, formats=formats()):
            return True
    except Exception:  # as in decode
        return False


def decode(file: str | IO[bytes]) -> Image.Image:
    """Decodes an image as viewers show it: gray (mode L) if all its pixels are gray, else RGB.

    It stands as its orientation in EXIF says, and of an animation it is the first frame. 16-bit
    gray is scaled to 8 bits; gray of other depths, which has no fixed white, is stretched from its
    darkest to its brightest pixel. Transparent pixels show white paper. Colors are turned into sRGB
    by the color profile of the image, if it has one.

    Args:
        file: path or open file of an image in one of `formats()`, whatever its suffix.

    Raises:
        UnreadableError: the image is damaged, or none.
    """
    try:
        with Image.open(file, formats=formats()) as opened:
            opened.load()
            return _in_two_modes(_as_shown(opened))
    # What Pillow raises depends on the format and on where the damage is, and is not documented.
    except Exception as error:
        raise UnreadableError(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is no image, or damaged from the start"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _as_shown(picture: Image.Image) -> Image.Image:
    """The picture upright, of mode L or RGB, in sRGB and on white paper."""
    picture = _upright(picture)
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _eight_bits(picture)
    profile = picture.info.get("icc_profile")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture).convert("RGB")
    elif picture.mode in ("1", "L"):
        picture = picture.convert("L")
    elif picture.mode not in ("CMYK", "LAB"):
        picture = picture.convert("RGB")
    if profile:
        picture = _in_srgb(picture, profile)
    return picture if picture.mode == "L" else picture.convert("RGB")


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture) or picture
    except Exception:  # viewers show pictures whose EXIF is damaged as they lie
        return picture


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Gray of a deeper mode (I;16, I or F) in mode L; Pillow's own conversion clips at 255."""
    levels = np.asarray(picture).astype(np.float64)
    levels[~np.isfinite(levels)] = 0
    low, high = levels.min(), levels.max()
    if picture.mode != "F" and low >= 0 and high < 2**16:
        low, high = 0, 2**16 - 1
    elif picture.mode == "F" and low >= 0 and high <= 1:
        low, high = 0, 1
    gray = np.round((levels - low) * (255 / max(high - low, 1e-300)))
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        gray[levels == transparent] = 255
    return Image.fromarray(gray.astype(np.uint8))


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    try:
        transform = _to_srgb(profile, picture.mode)
        shown = None if transform is None else ImageCms.applyTransform(picture, transform)
        return shown or picture
    except (ImageCms.PyCMSError, ImportError, OSError, ValueError):
        return picture  # viewers pass over profiles that are damaged or of another color space


@functools.lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What turns pixels with a color profile into sRGB; None for pixels that are sRGB already."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "srgb" in ImageCms.getProfileDescription(source).lower():
        return None
    srgb = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, srgb, mode, "RGB")


def _in_two_modes(picture: Image.Image) -> Image.Image:
    """The picture in mode L if it is gray, though stored in color."""
    if picture.mode == "L":
        return picture
    red, green, blue = (np.asarray(band) for band in picture.split())
    gray = np.array_equal(red, green) and np.array_equal(red, blue)
    return picture.getchannel(0) if gray else picture


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
    images = (
        resize(Image.fromarray(image[..., 0] if depth == 1 else image), image_size)
        for image in classes.images
    )
    storage = Storage(len(classes.images), image_size, channels or depth)
    storage.fill(enumerate(images))
    return ImageClasses(storage.array(), classes.counts, classes.names, classes.split)
