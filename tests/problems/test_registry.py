import numpy as np
import pytest

from tfmeta.data.glyphs import glyphs
from tfmeta.errors import ArgumentError
from tfmeta.problems.registry import PROBLEMS, problems_named

COUNTS = {
    "quadratic": 1,
    "quadratic_normal": 1,
    "wichrowska_quadratic": 4,
    "bowl": 4,
    "two_dimensional": 9,
    "softmax_regression": 4,
    "fully_connected": 12,
    "fully_connected_relu": 12,
    "wichrowska": 33,
    "five_types": 5,
    "other_sizes": 14,
    "image_network": 1,
    "image_network_40": 1,
    "image_network_2x20": 1,
    "image_network_relu": 1,
}


@pytest.fixture(scope="module")
def images():
    return glyphs(classes=12, examples=5, size=8)


@pytest.mark.parametrize("name", PROBLEMS)
def test_each_type_has_its_families_and_noisy_ones_are_named_so(name, images):
    families = problems_named(name, 0, images)
    plain = name.removeprefix("noisy_")
    assert len(families) == COUNTS[plain]
    if plain != name:
        expected = [f"noisy_{family.name}" for family in problems_named(plain)]
        assert [family.name for family in families] == expected


def test_no_two_types_share_a_family(images):
    names = [
        family.name
        for name in PROBLEMS
        if not name.endswith(("wichrowska", "five_types"))  # made of the others
        for family in problems_named(name, 0, images)
    ]
    assert len(set(names)) == len(names)


def test_five_types_has_one_family_of_each_type_of_wichrowska():
    types = ("wichrowska_quadratic", "bowl", "two_dimensional", "softmax_regression")
    for family, name in zip(problems_named("five_types"), (*types, "fully_connected"), strict=True):
        assert family.name in [other.name for other in problems_named(name)]


def test_other_sizes_are_of_the_published_types():
    """That no size is a published one follows from the names."""
    published = {family.type for family in problems_named("wichrowska")}
    assert {family.type for family in problems_named("other_sizes")} == published - {
        "TwoDimensionalFunctions"
    }


def test_the_published_sizes():
    shapes = {
        family.name: family.batch(0, 0, 1)["weights"][0].shape[1:]
        for name in ("quadratic", "wichrowska_quadratic", "softmax_regression")
        for family in problems_named(name)
    }
    assert shapes == {
        "quadratic_10": (10,),
        "quadratic_normal_20": (20,),
        "quadratic_normal_25": (25,),
        "quadratic_normal_50": (50,),
        "quadratic_normal_100": (100,),
        "softmax_regression_10": (10, 2),
        "softmax_regression_100": (100, 2),
        "softmax_regression_200": (200, 2),
        "softmax_regression_256": (256, 2),
    }
    assert [f.batch_size for f in problems_named("softmax_regression")] == [100, 50, 20, 100]
    batch_sizes = [f.batch_size for f in problems_named("fully_connected")]
    assert batch_sizes == [10, 200, 100, 64, 128, 16] * 2


def test_image_networks_tell_the_first_ten_classes_apart(images):
    [family] = problems_named("image_network_2x20", 0, images)
    shapes = [tensor.shape[1:] for tensor in family.batch(0, 0, 1)["weights"]]
    assert shapes == [(64, 20), (20,), (20, 20), (20,), (20, 10), (10,)]
    [negative] = problems_named("image_network_2x20", 0, images, invert=True)
    np.testing.assert_allclose(negative.held_out(())[0], 1 - family.held_out(())[0], atol=1e-6)


@pytest.mark.parametrize("name", ["cubic", "noisy_cubic", "noisy_image_network", ""])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ArgumentError, match=f"^problem={name}: choose one of quadratic, "):
        problems_named(name)


def test_an_image_network_without_images_is_refused():
    with pytest.raises(ArgumentError, match="^problem=image_network: it needs images"):
        problems_named("image_network")
