import io

import numpy as np
import pytest
from PIL import Image

from tfmeta.data import pictures
from tfmeta.errors import ArgumentError

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


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_damaged_files_raise_what_is_named_as_unreadable(form):
    whole = saved(Image.fromarray(COLOR), form)
    rng = np.random.default_rng(0)
    failures = 0
    for length in range(0, len(whole), max(1, len(whole) // 100)):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= rng.integers(1, 256)
        for data in (whole[:length], bytes(damaged)):
            try:
                decoded(data)
            except pictures.UNREADABLE:
                failures += 1
    assert failures > 50


def test_resizing_makes_squares_and_keeps_levels():
    half = np.zeros([20, 40], np.uint8)
    half[:, 20:] = 255
    small = pictures.resize(Image.fromarray(half), 10)
    assert small.shape == (10, 10, 1)
    assert (small[:, :2] == 0).all() and (small[:, -2:] == 255).all()
    assert pictures.resize(Image.fromarray(COLOR), None).shape == (10, 12, 3)


def test_stacking_agrees_on_channels():
    gray, color = GRADIENT[..., None], COLOR
    assert pictures.stack([gray, gray], None).shape == (2, 10, 12, 1)
    mixed = pictures.stack([gray, color], None)
    np.testing.assert_array_equal(mixed[0], np.repeat(gray, 3, axis=2))
    np.testing.assert_array_equal(mixed[1], color)
    # The luma weights of ITU-R 601.
    luma = color @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(pictures.stack([color], 1)[0, ..., 0], luma, atol=1)


def test_stacking_refuses_different_sizes():
    with pytest.raises(ArgumentError, match="^image_size=None: .*from 10x12 to 12x10; give the"):
        pictures.stack([GRADIENT[..., None], GRADIENT.T[..., None]], None)
