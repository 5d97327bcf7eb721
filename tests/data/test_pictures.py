import contextlib
import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from tfmeta.data import pictures

GRADIENT = np.arange(120, dtype=np.uint8).reshape(10, 12) * 2
COLOR = np.stack([GRADIENT, GRADIENT[::-1], GRADIENT[:, ::-1]], axis=-1)


def saved(picture, form, **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def decoded(data):
    return np.asarray(pictures.decode(io.BytesIO(data)))


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF"])
def test_grey_images_come_back_exactly(form):
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(GRADIENT), form)), GRADIENT)


@pytest.mark.parametrize("form", ["PNG", "BMP"])
def test_color_images_come_back_exactly(form):
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(COLOR), form)), COLOR)


def test_jpeg_comes_back_nearly():
    gray = decoded(saved(Image.fromarray(GRADIENT), "JPEG", quality=95))
    np.testing.assert_allclose(gray.astype(int), GRADIENT, atol=8)
    color = decoded(saved(Image.fromarray(COLOR), "JPEG", quality=95, subsampling=0))
    np.testing.assert_allclose(color.astype(int), COLOR, atol=16)


def test_gif_colors_come_from_its_palette():
    red = np.zeros([4, 4, 3], np.uint8)
    red[:2, :, 0] = 255
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(red), "GIF")), red)


def test_of_an_animation_the_first_frame_counts():
    frames = [Image.fromarray(np.full([4, 4], level, np.uint8)) for level in (10, 200)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decoded(data) == 10).all()


def test_16_bit_grey_is_scaled_not_clipped():
    deep = GRADIENT.astype(np.uint16) * 257
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(deep), "PNG")), GRADIENT)


def test_one_bit_images_are_black_and_white():
    bits = Image.fromarray(GRADIENT > 100)
    np.testing.assert_array_equal(decoded(saved(bits, "PNG")), (GRADIENT > 100) * np.uint8(255))


def test_grey_stored_in_color_is_gray():
    data = saved(Image.fromarray(GRADIENT).convert("RGB"), "PNG")
    np.testing.assert_array_equal(decoded(data), GRADIENT)


def test_white_paper_shows_through_what_is_transparent():
    ink = np.zeros([4, 4, 4], np.uint8)
    ink[0, :, 3] = 255
    expected = np.full([4, 4], 255)
    expected[0] = 0
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(ink), "PNG")), expected)


# Orientations of EXIF, and what they do to the picture as it is stored.
ORIENTATIONS = {2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: x.T}
ORIENTATIONS |= {6: lambda x: np.rot90(x, -1), 8: np.rot90}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_pictures_stand_as_exif_says(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    block = np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones([16, 24], np.uint8))
    quality = {"WEBP": {"lossless": True}}.get(form, {})
    shown = decoded(saved(Image.fromarray(block), form, exif=exif, **quality))
    np.testing.assert_allclose(shown.astype(int), ORIENTATIONS[orientation](block), atol=2)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_leaves_a_picture_as_it_lies():
    data = saved(Image.fromarray(COLOR), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff no")
    np.testing.assert_array_equal(decoded(data), COLOR)


# The same gray ramp, stored deeper.
DEEP = {
    "16 bits": (GRADIENT.astype(np.uint16) * 257, "TIFF"),
    "16 bits, portable": (GRADIENT.astype(np.uint16) * 257, "PPM"),
    "32 bits": ((GRADIENT / 238 * 2**30).astype(np.int32), "TIFF"),
    "fractions": (GRADIENT.astype(np.float32) / 255, "TIFF"),
    "any numbers": (GRADIENT.astype(np.float32) * 1e4 - 5e5, "TIFF"),
}


@pytest.mark.parametrize("kind", DEEP)
def test_deeper_gray_is_scaled(kind):
    pixels, form = DEEP[kind]
    stretched = kind in ("32 bits", "any numbers")
    expected = GRADIENT * (255 / 238) if stretched else GRADIENT
    np.testing.assert_allclose(decoded(saved(Image.fromarray(pixels), form)), expected, atol=0.51)


def test_a_deep_picture_of_one_level_is_read():
    assert decoded(saved(Image.fromarray(np.full([4, 4], 2**20, np.int32)), "TIFF")).shape == (4, 4)
    broken = np.full([4, 4], np.nan, np.float32)
    assert decoded(saved(Image.fromarray(broken), "TIFF")).shape == (4, 4)


def test_transparency_shows_paper_in_every_mode():
    """Alpha beside gray, a transparent level of gray, one of 16 bits, and transparent colors."""
    alpha = np.zeros([4, 4], np.uint8)
    alpha[0] = 255
    ink = Image.fromarray(np.zeros([4, 4], np.uint8))
    ink.putalpha(Image.fromarray(alpha))
    level = Image.fromarray(255 - alpha)
    deep = Image.fromarray((255 - alpha).astype(np.uint16) * 257)
    palette = Image.fromarray(np.where(alpha, 0, 1).astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 90, 0, 0])
    expected = np.where(alpha, 0, 255)
    for picture, form, options in (
        (ink, "PNG", {}),
        (ink, "TIFF", {}),
        (ink.convert("RGBA"), "WEBP", {"lossless": True}),
        (level, "PNG", {"transparency": 255}),
        (deep, "PNG", {"transparency": 65535}),
        (palette, "PNG", {"transparency": 1}),
        (palette, "PNG", {"transparency": b"\xff\x00"}),
        (palette, "GIF", {"transparency": 1}),
    ):
        np.testing.assert_array_equal(decoded(saved(picture, form, **options)), expected, form)
    # A level that is transparent and not white.
    level = Image.fromarray(np.where(alpha, 0, 90).astype(np.uint8))
    np.testing.assert_array_equal(decoded(saved(level, "PNG", transparency=90)), expected)
    level = Image.fromarray(np.where(alpha, 0, 900).astype(np.uint16))
    np.testing.assert_array_equal(decoded(saved(level, "PNG", transparency=900)), expected)


@pytest.mark.parametrize(("mode", "form"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("LAB", "TIFF")])
def test_other_color_spaces_become_rgb(mode, form):
    smooth = np.kron(np.array([[[200, 90, 80], [60, 80, 150]]], np.uint8), np.ones([16, 16, 1]))
    picture = Image.fromarray(smooth.astype(np.uint8))
    if mode == "LAB":
        spaces = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(picture, *spaces, outputMode="LAB")
    shown = decoded(saved(picture.convert(mode), form))
    np.testing.assert_allclose(shown[:, [4, -4]].astype(int), smooth[:, [4, -4]], atol=12)


def test_color_profiles_are_heeded():
    """A profile whose red and blue are exchanged, made of the bytes of one of sRGB."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = plain.replace(b"rXYZ", b"_XYZ", 1).replace(b"bXYZ", b"rXYZ", 1)
    exchanged = exchanged.replace(b"_XYZ", b"bXYZ", 1).replace(b"s\0R\0G\0B", b"o\0d\0d\0s")
    assert len(exchanged) == len(plain) and exchanged != plain
    data = saved(Image.fromarray(COLOR), "PNG", icc_profile=exchanged)
    np.testing.assert_allclose(decoded(data).astype(int), COLOR[..., ::-1], atol=3)
    for profile in (plain, b"no profile"):
        data = saved(Image.fromarray(COLOR), "PNG", icc_profile=profile)
        np.testing.assert_array_equal(decoded(data), COLOR)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_format_that_pillow_writes_is_read():
    """By its content: the data has no name."""
    written = []
    Image.init()
    for form in sorted(set(Image.SAVE) & set(pictures.formats())):
        for picture in (Image.fromarray(COLOR), Image.fromarray(GRADIENT > 100)):
            try:
                data = saved(picture.resize((32, 32)), form)
            except (OSError, ValueError, KeyError):
                continue
            written.append(form)
            assert decoded(data).shape[:2] == ((1024, 1024) if form == "ICNS" else (32, 32))
            break
    assert set(written) >= {"AVIF", "BMP", "JPEG", "JPEG2000", "PPM", "TGA", "TIFF", "WEBP"}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "form", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "TGA", "PCX"]
)
def test_damaged_files_raise_what_says_so(form):
    whole = saved(Image.fromarray(COLOR), form)
    rng = np.random.default_rng(0)
    failures = 0
    for length in range(0, len(whole), max(1, len(whole) // 100)):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= rng.integers(1, 256)
        for data in (whole[:length], bytes(damaged)):
            try:
                decoded(data)
            except pictures.UnreadableError as error:
                failures += 1
                assert str(error)
    assert failures > 50


@pytest.mark.filterwarnings("ignore")
def test_a_thousand_mutated_files_of_all_formats_are_read_or_unreadable():
    """Flipped bytes and cuts, drawn from a seed; nothing else is raised, and nothing hangs."""
    Image.init()
    whole = []
    for form in sorted(set(Image.SAVE) & set(pictures.formats())):
        for picture in (Image.fromarray(COLOR), Image.fromarray(GRADIENT > 100)):
            with contextlib.suppress(OSError, ValueError, KeyError):
                whole.append(saved(picture, form))
    rng = np.random.default_rng(0)
    read = 0
    for number in range(1000):
        data = bytearray(whole[number % len(whole)])
        for place in rng.integers(len(data), size=rng.integers(1, 5)):
            data[place] = rng.integers(256)
        if number % 3 == 0:
            data = data[: rng.integers(len(data))]
        with contextlib.suppress(pictures.UnreadableError):
            read += decoded(bytes(data)).dtype == np.uint8
    assert 100 < read < 900


def test_resizing_makes_squares_and_keeps_levels():
    half = np.zeros([20, 40], np.uint8)
    half[:, 20:] = 255
    small = pictures.resize(Image.fromarray(half), 10)
    assert small.shape == (10, 10, 1)
    assert (small[:, :2] == 0).all() and (small[:, -2:] == 255).all()
    assert pictures.resize(Image.fromarray(COLOR), None).shape == (10, 12, 3)
