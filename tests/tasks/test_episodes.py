import numpy as np
import pytest
import tensorflow as tf

from tfmeta.data.image_classes import ImageClasses
from tfmeta.errors import ArgumentError
from tfmeta.tasks.episodes import Episodes
from tfmeta.tasks.spec import TaskSpec

COUNTS = [5, 4, 9, 6, 4, 7]


def classes():
    """Classes of different sizes whose images tell their class and number by their two pixels."""
    pixels = [(label, example) for label, count in enumerate(COUNTS) for example in range(count)]
    return ImageClasses(
        images=np.array(pixels, np.uint8).reshape(-1, 1, 2, 1),
        counts=np.array(COUNTS),
        names=tuple("abcdef"),
    )


def drawn(episodes, meta_batch=50, steps=4):
    """The class and the number of each image of each task, `[tasks, images, 2]`, and the labels."""
    batches = list(episodes.batches(meta_batch, steps=steps))
    parts = []
    for part in ("support", "query"):
        images = np.concatenate([batch[f"{part}_x"] for batch in batches])
        parts.append(np.round(255 * images[:, :, 0, :, 0]).astype(int))
        parts.append(np.concatenate([batch[f"{part}_y"] for batch in batches]))
    return parts


def test_shapes_and_types():
    episodes = Episodes(classes(), ways=3, shots=1, queries=2)
    assert episodes.spec == TaskSpec(
        tf.TensorSpec([1, 2, 1]), tf.TensorSpec([], tf.int32), outputs=3, kind="classification"
    )
    (batch,) = episodes.batches(4, steps=1)
    assert {name: (part.dtype.name, tuple(part.shape)) for name, part in batch.items()} == {
        "support_x": ("float32", (4, 3, 1, 2, 1)),
        "support_y": ("int32", (4, 3)),
        "query_x": ("float32", (4, 6, 1, 2, 1)),
        "query_y": ("int32", (4, 6)),
        "seed": ("int32", (4, 2)),
    }


def test_labels_name_different_classes_and_order_images_class_by_class():
    support, support_y, query, query_y = drawn(Episodes(classes(), ways=4, shots=1, queries=3))
    assert (support_y == np.arange(4)).all()
    assert (query_y == np.repeat(np.arange(4), 3)).all()
    for task in range(len(support)):
        chosen = support[task, :, 0]
        assert len(set(chosen)) == 4
        assert (query[task, :, 0] == np.repeat(chosen, 3)).all()


def test_no_image_is_used_twice_in_a_task():
    support, _, query, _ = drawn(Episodes(classes(), ways=6, shots=2, queries=2))
    both = np.concatenate([support, query], axis=1)
    for task in both:
        assert len({tuple(image) for image in task}) == 24


def test_every_class_and_every_image_is_used_evenly():
    support, _, query, _ = drawn(Episodes(classes(), ways=2, shots=2, queries=2), 200, 10)
    for part in (support, query):
        labels, counts = np.unique(part[..., 0], return_counts=True)
        assert labels.tolist() == list(range(6))
        np.testing.assert_allclose(counts, part[..., 0].size / 6, rtol=0.15)
        for label, count in enumerate(COUNTS):
            numbers, counts = np.unique(part[part[..., 0] == label][:, 1], return_counts=True)
            assert numbers.tolist() == list(range(count))
            np.testing.assert_allclose(counts, counts.mean(), rtol=0.25)


def test_labels_do_not_follow_the_order_of_the_classes():
    support, *_ = drawn(Episodes(classes(), ways=2, shots=1, queries=1), 200, 10)
    assert 0.45 < (support[:, 0, 0] < support[:, 1, 0]).mean() < 0.55


def test_pixels_lie_between_0_and_1_and_can_be_inverted():
    paper = ImageClasses(np.full([4, 2, 2, 1], 255, np.uint8), np.array([2, 2]), ("a", "b"))
    (plain,) = Episodes(paper, 2, 1, 1).batches(1, steps=1)
    (inverted,) = Episodes(paper, 2, 1, 1, invert=True).batches(1, steps=1)
    assert (plain["support_x"].numpy() == 1).all()
    assert (inverted["support_x"].numpy() == 0).all()


def test_images_are_not_copied_into_the_graph():
    large = ImageClasses(np.zeros([40, 200, 200, 3], np.uint8), np.array([20, 20]), ("a", "b"))
    episodes = Episodes(large, 2, 1, 1)
    function = tf.function(lambda step: episodes.batch(step, 0, 1))
    graph = function.get_concrete_function(tf.TensorSpec([], tf.int64)).graph.as_graph_def()
    assert graph.ByteSize() < large.images.nbytes / 20


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"ways": 1}, "^ways=1: give a whole number of at least 2"),
        ({"ways": 7}, "^ways=7: there are only 6 classes .* lower ways or add classes"),
        ({"ways": 2.0}, "^ways=2.0: give a whole number"),
        ({"queries": 4}, "^shots=1: .*4 queries.*needs 5 images.*'b' has 4; lower shots or"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        Episodes(classes(), **{"ways": 2, "shots": 1, "queries": 1, **arguments})


def test_turned_classes_show_what_their_images_are():
    whole = ImageClasses(
        np.random.default_rng(0).integers(0, 256, [12, 4, 4, 3], np.uint8),
        np.full(4, 3),
        tuple("abcd"),
    ).with_rotations()
    copied = ImageClasses(whole.images, whole.counts, whole.names)
    assert not copied.turns.any()
    batches = (Episodes(c, 5, 1, 2).batches(20, steps=3) for c in (whole, copied))
    for ours, theirs in zip(*batches, strict=True):
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])
