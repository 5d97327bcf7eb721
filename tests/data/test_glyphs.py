import numpy as np
import pytest

from tfmeta.data.glyphs import glyphs
from tfmeta.errors import ArgumentError


@pytest.fixture(scope="module")
def script():
    return glyphs()


def nearest_class_mean(classes, shots, episodes=500, ways=5):
    """Accuracy of 5-way nearest class mean on raw pixels, one query a class."""
    rng = np.random.default_rng(0)
    images = classes.images.reshape(len(classes), -1, np.prod(classes.image_shape)) / 255
    right = 0.0
    for _ in range(episodes):
        chosen = rng.choice(len(classes), ways, replace=False)
        examples = rng.permuted(np.tile(np.arange(images.shape[1]), [ways, 1]), axis=1)
        means = images[chosen[:, None], examples[:, 1 : 1 + shots]].mean(axis=1)
        queries = images[chosen, examples[:, 0]]
        distances = ((queries[:, None] - means) ** 2).sum(axis=-1)
        right += (distances.argmin(axis=1) == np.arange(ways)).mean()
    return right / episodes


def test_there_are_hundreds_of_classes_of_black_ink_on_white_paper(script):
    assert len(script) == 400
    assert script.images.shape == (8000, 28, 28, 1)
    assert (script.counts == 20).all()
    assert script.names == tuple(sorted(script.names))
    assert np.median(script.images) == 255 and script.images.min() == 0
    ink = 1 - script.images.mean(axis=(1, 2, 3)) / 255
    assert ink.min() > 0.01 and ink.max() < 0.3


def test_one_drawing_is_not_enough_for_pixels_but_tells_something(script):
    assert 0.35 < nearest_class_mean(script, shots=1) < 0.60


def test_drawings_of_a_class_resemble_each_other(script):
    assert nearest_class_mean(script, shots=19) > 0.75


def test_no_two_drawings_are_the_same(script):
    assert len(np.unique(script.images.reshape(8000, -1), axis=0)) == 8000


def test_a_class_depends_on_seed_and_number_only(script):
    few = glyphs(classes=3)
    np.testing.assert_array_equal(few.images, script.images[:60])
    assert few.names == script.names[:3]
    assert (glyphs(classes=3, seed=1).images != few.images).any()


@pytest.mark.parametrize("size", [8, 20, 84])
def test_any_size(size):
    images = glyphs(classes=20, examples=5, size=size).images
    assert images.shape == (100, size, size, 1)
    ink = 1 - images.mean(axis=(1, 2, 3)) / 255
    assert ink.min() > 0.01 and ink.max() < 0.5


@pytest.mark.parametrize("argument", ["classes", "examples"])
def test_numbers_too_small_are_refused(argument):
    with pytest.raises(ArgumentError, match=f"^{argument}=0: give a whole number of at least 1"):
        glyphs(**{argument: 0})


def test_images_too_small_are_refused():
    with pytest.raises(ArgumentError, match="^image_size=7: give a whole number of at least 8"):
        glyphs(size=7)
