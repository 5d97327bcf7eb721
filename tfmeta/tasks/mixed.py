"""Tasks of several sources, mixed."""

from collections.abc import Sequence

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.tasks.source import TaskSource


class Mixed(TaskSource):
    """Each task comes from one of several sources, all as likely, as its seed decides.

    A task is what its source makes of the seed, and `family`, int32 `[tasks]`, the number of that
    source; a `family` that a source gives itself is replaced.

    Args:
        sources: whose tasks are alike in shapes and types; their own seeds play no part.
        names: of the sources, for reports.
        seed: seed of the tasks.

    Raises:
        ArgumentError: fewer than two sources, or their tasks differ in shape or type.
    """

    def __init__(self, sources: Sequence[TaskSource], names: Sequence[str], seed: int = 0):
        super().__init__(seed)
        if len(sources) < 2:
            raise ArgumentError("sources", len(sources), "give at least two to be mixed")
        self.sources, self.names = tuple(sources), tuple(names)
        first, *others = (_specs(source) for source in self.sources)
        for name, specs in zip(self.names[1:], others, strict=True):
            if specs != first:
                raise ArgumentError(
                    "sources",
                    name,
                    f"its tasks differ in shape or type from those of {self.names[0]}; make them "
                    "alike",
                )

    def tasks(self, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        count = len(self.sources)
        # The sources draw from the seeds themselves: the choice is drawn from a stream of its own.
        draw = random_numbers.uniform(random_numbers.fold_in(seeds, 0x5EED), (), 0.0, count)
        family = tf.cast(draw, tf.int32)
        places = tf.dynamic_partition(tf.range(tf.shape(seeds)[0]), family, count)
        parts = [
            source.tasks(tf.gather(seeds, place))
            for source, place in zip(self.sources, places, strict=True)
        ]
        joined = {}
        for name in parts[0]:
            joined[name] = tf.dynamic_stitch(places, [part[name] for part in parts])
            joined[name].set_shape([seeds.shape[0], *parts[0][name].shape[1:]])
        return {**joined, "family": family}


def _specs(source):
    """What one task of a source looks like."""
    seeds = tf.TensorSpec([None, 2], tf.int32)
    made = tf.function(source.tasks).get_concrete_function(seeds).structured_outputs
    return {n: (t.shape[1:], t.dtype) for n, t in made.items() if n != "family"}
