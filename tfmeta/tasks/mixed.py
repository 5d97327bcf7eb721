"""Tasks drawn from several sources."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.tasks.source import TaskSource
from tfmeta.tasks.spec import signature


class Mixed(TaskSource):
    """A mixture of sources, all equally likely.

    The seed of a task chooses its source, which then makes the task from that seed. `family`,
    int32 `[tasks]`, is the index of the source; it replaces a `family` that the source gives.

    Args:
        sources: at least two, with tasks of the same shapes, dtypes, outputs and kind. Their own
            seeds are not used.
        names: one for each source; they become `spec.families`.
        seed: seed of the tasks.

    Raises:
        ArgumentError: there are fewer than two sources, their tasks differ, or there is not one
            name for each.
    """

    def __init__(self, sources: Sequence[TaskSource], names: Sequence[str], seed: int = 0):
        super().__init__(seed)
        if len(sources) < 2:
            raise ArgumentError("sources", len(sources), "give at least two to be mixed.")
        if len(names) != len(sources):
            raise ArgumentError(
                "names", list(names), f"give one for each of {len(sources)} sources."
            )
        self.sources = tuple(sources)
        first, *others = (_alike(source) for source in sources)
        for name, other in zip(names[1:], others, strict=True):
            if other != first:
                raise ArgumentError(
                    "sources",
                    name,
                    "its tasks differ in shape, type or outputs from those of "
                    f"{names[0]}; make them alike.",
                )
        self.spec = dataclasses.replace(sources[0].spec, families=tuple(names))

    def tasks(self, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        count = len(self.sources)
        # The sources draw from the seeds themselves, so the choice needs a stream of its own.
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


def _alike(source: TaskSource):
    """What mixed sources must have in common: their spec but for families, and sizes of sets."""
    sizes = {name: spec for name, spec in signature(source.tasks).items() if name != "family"}
    return dataclasses.replace(source.spec, families=()), sizes
