"""Classification tasks: a few classes, and a few examples of each."""

import numpy as np
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.checks import check_count
from tfmeta.data.image_classes import ImageClasses
from tfmeta.errors import ArgumentError
from tfmeta.tasks.shared_arrays import tensor_of
from tfmeta.tasks.source import TaskSource
from tfmeta.tasks.spec import TaskSpec


class Episodes(TaskSource):
    """N-way, k-shot episodes over image classes (Vinyals et al. 2016).

    A task has `ways` different classes, labeled 0 to `ways - 1` in the order drawn. The support set
    has `shots` examples of each class, the query set `queries` others. Both are ordered class by
    class. Pixels are float32 in [0, 1], shape `[tasks, ways * shots, height, width, channels]` in
    the support set; labels are int32 `[tasks, ways * shots]`.

    Args:
        classes: the classes to draw from. They may have different numbers of images.
        ways: number of classes in a task, at least 2.
        shots: number of support examples of each class.
        queries: number of query examples of each class.
        seed: seed of the tasks.
        invert: whether to show 255 - pixel, so that ink on paper is bright on black, as in MAML's
            public code for Omniglot.

    Raises:
        ArgumentError: an argument is out of range, or there are too few classes or images.
    """

    def __init__(
        self,
        classes: ImageClasses,
        ways: int,
        shots: int,
        queries: int,
        seed: int = 0,
        invert: bool = False,
    ):
        super().__init__(seed)
        self.ways = check_count("ways", ways, least=2)
        self.shots = check_count("shots", shots)
        self.queries = check_count("queries", queries)
        if ways > len(classes):
            raise ArgumentError(
                "ways",
                ways,
                f"there are only {len(classes)} classes to draw from; lower ways or add classes.",
            )
        fewest = int(np.argmin(classes.counts))
        if classes.counts[fewest] < shots + queries:
            raise ArgumentError(
                "shots",
                shots,
                f"with {queries} queries a class needs {shots + queries} images, and class "
                f"'{classes.names[fewest]}' has {classes.counts[fewest]}; lower shots or queries, "
                "or leave the class out.",
            )
        self.spec = TaskSpec(
            tf.TensorSpec(classes.image_shape),
            tf.TensorSpec([], tf.int32),
            outputs=ways,
            kind="classification",
        )
        self._invert = invert
        self._turned = bool(classes.turns.any())
        # Graphs capture tensors that are made outside of them. Constants inside a graph would be
        # copied, and may not exceed 2 GB.
        self._images = tensor_of(classes.stored)
        with tf.init_scope(), tf.device("CPU"):
            self._counts = tf.constant(classes.counts)
            self._starts = tf.constant(classes.starts)
            self._turns = tf.constant(classes.turns, tf.int32)

    def tasks(self, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        drawn = random_numbers.choose(seeds, len(self._counts), self.ways)
        class_seeds = random_numbers.fold_in(seeds[:, None], tf.range(1, self.ways + 1))
        examples = random_numbers.choose(
            class_seeds, tf.gather(self._counts, drawn), self.shots + self.queries
        )
        rows = examples + tf.gather(self._starts, drawn)[..., None]
        turns = tf.gather(self._turns, drawn)
        support_x, support_y = self._examples(rows[..., : self.shots], turns)
        query_x, query_y = self._examples(rows[..., self.shots :], turns)
        return {
            "support_x": support_x,
            "support_y": support_y,
            "query_x": query_x,
            "query_y": query_y,
        }

    def _examples(self, rows: tf.Tensor, turns: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Pixels and labels of the images in rows `[tasks, ways, examples]`."""
        tasks, examples = tf.shape(rows)[0], rows.shape[2]
        pixels = tf.gather(self._images, tf.reshape(rows, [tasks, self.ways * examples]))
        if self._turned:
            pixels = _turned(pixels, tf.repeat(turns, examples, axis=1))
        if self._invert:
            pixels = 255 - pixels
        labels = tf.repeat(tf.range(self.ways), examples)
        return (
            tf.cast(pixels, tf.float32) / 255.0,
            tf.broadcast_to(labels, [tasks, self.ways * examples]),
        )


def _turned(pixels: tf.Tensor, turns: tf.Tensor) -> tf.Tensor:
    """Images `[tasks, images, size, size, channels]` by quarter turns, int32 `[tasks, images]`."""
    images = tf.reshape(pixels, [-1, *pixels.shape[2:]])
    # Each image is turned by its own turn alone, which takes a third of the time of all turns.
    places = tf.dynamic_partition(tf.range(tf.size(turns)), tf.reshape(turns, [-1]), 4)
    upright, once, twice, thrice = (tf.gather(images, place) for place in places)
    once, thrice = (tf.transpose(part, [0, 2, 1, 3]) for part in (once, thrice))
    parts = [upright, tf.reverse(once, [1]), tf.reverse(twice, [1, 2]), tf.reverse(thrice, [2])]
    return tf.reshape(tf.dynamic_stitch(places, parts), tf.shape(pixels))
