import subprocess
import sys

import numpy as np
import pytest

from tfmeta.data.glyphs import glyphs
from tfmeta.data.load import joined, load_image_classes
from tfmeta.errors import ArgumentError


def test_glyphs():
    drawn = load_image_classes("glyphs", image_size=12, seed=2)
    assert len(drawn) == 400 and drawn.image_shape == (12, 12, 1)
    few = glyphs(classes=3, size=12, seed=2)
    np.testing.assert_array_equal(drawn.images[:60], few.images)


def test_npz_is_resized_and_converted(tmp_path):
    images = np.zeros([2, 3, 8, 10, 3], np.uint8)
    images[1] = (200, 100, 50)
    np.savez(tmp_path / "data.npz", images=images, split=["train", "test"])
    dataset = f"npz:{tmp_path / 'data.npz'}"
    assert load_image_classes(dataset, image_size=None).image_shape == (8, 10, 3)
    assert load_image_classes(dataset).image_shape == (28, 28, 3)
    small = load_image_classes(dataset, image_size=4, channels=1)
    assert small.image_shape == (4, 4, 1)
    assert (small.images[:3] == 0).all() and (small.images[3:] == 124).all()
    assert small.counts.tolist() == [3, 3] and small.split == ("train", "test")
    assert load_image_classes(dataset, image_size=4, channels=3).image_shape == (4, 4, 3)


@pytest.mark.parametrize("dataset", ["", "omniglot", "zip:data", "glyphs:", "glyphs:2"])
def test_unknown_data_sets(dataset):
    with pytest.raises(ArgumentError, match=f"^dataset={dataset}: .*use glyphs, tfds:NAME, folder"):
        load_image_classes(dataset)


@pytest.mark.parametrize(
    "names",
    [
        ["glyphs"],
        ["folder:a+b/glyphs", "npz:c + d.npz", "glyphs", "tfds:omniglot"],
        ["folder:+", "glyphs", "glyphs"],
        ["no_set+folder/b"],
    ],
)
def test_a_plus_joins_data_sets_and_may_be_in_their_paths(names):
    assert joined("+".join(names)) == names


@pytest.mark.parametrize("arguments", [{"image_size": 0}, {"channels": 2}])
def test_sizes_and_channels_that_cannot_be(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ArgumentError, match=f"^{name}={value}: give"):
        load_image_classes("glyphs", **arguments)


@pytest.mark.programs
def test_wrong_input_is_reported_without_loading_tensorflow():
    program = (
        "import sys\n"
        "from tfmeta.data.load import joined, load_image_classes\n"
        "from tfmeta.data.splits import split_classes\n"
        "try:\n"
        "    load_image_classes('npz:none.npz')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
        "print('tensorflow' in sys.modules)\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output.splitlines() == [
        "dataset=npz:none.npz: there is no such file; give the path of an .npz file",
        "False",
    ]
