"""Endless supplies whose items can be made anywhere from their addresses."""

import abc
from typing import Any

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.checks import check_count, check_seed
from tfmeta.distributed import share
from tfmeta.errors import ArgumentError

# Of a task's seed; smaller numbers are for making the task.
_LEARNING = 2**31 - 1


class AddressedSource(abc.ABC):
    """An endless supply of tasks, addressed by (seed, step, index in the meta-batch).

    The same address gives the same task in any process, however a meta-batch is split over ranks.
    So a run resumes without saving a position. Tasks are few-shot tasks (`TaskSource`) or
    optimization problems (`problems.ProblemFamily`).

    Args:
        seed: the seed of the source. Sources with different seeds give unrelated tasks.

    Raises:
        ArgumentError: `seed` is not a whole number from 0 to 2**63 - 1.
    """

    def __init__(self, seed: int = 0):
        self.seed = check_seed(seed)

    @abc.abstractmethod
    def tasks(self, seeds: tf.Tensor) -> dict[str, Any]:
        """Makes one task from each seed, within a graph.

        A task depends on its own seed alone, not on its place or on the other tasks. The functions
        of `random_numbers` draw that way.

        Args:
            seeds: int32 `[tasks, 2]`.

        Returns:
            Tensors by name, or nests of them, with a leading task axis.
        """

    def batch(
        self, step: tf.Tensor | int, first: tf.Tensor | int, last: tf.Tensor | int
    ) -> dict[str, Any]:
        """Makes tasks `first` to `last - 1` of the meta-batch of a step.

        Returns:
            What `tasks` returns, and `seed`, int32 `[tasks, 2]`, of all that is drawn while a task
            is learned, such as batches, dropout and what an update rule starts from. It is
            unrelated to what the task is made of, so that nothing there tells of the task.
        """
        seed = random_numbers.fold_in(tf.zeros([2], tf.int32), self.seed)
        seeds = random_numbers.fold_in(random_numbers.fold_in(seed, step), tf.range(first, last))
        return {**self.tasks(seeds), "seed": random_numbers.fold_in(seeds, _LEARNING)}

    def batches(
        self,
        meta_batch: int,
        first_step: int = 0,
        steps: int | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> tf.data.Dataset:
        """Makes one rank's share of the meta-batches of consecutive steps.

        Args:
            meta_batch: number of tasks in a step, over all ranks.
            first_step: the step of the first element.
            steps: number of steps. None means no end.
            rank: whose share to make.
            ranks: number of ranks that share a meta-batch, see `distributed.share`.

        Returns:
            A dataset. Its element i is what `batch` returns for step `first_step + i`.

        Raises:
            ArgumentError: `meta_batch` is not a whole number of at least 1, or is smaller than
                `ranks`.
        """
        check_count("meta_batch", meta_batch)
        if meta_batch < ranks:
            raise ArgumentError(
                "meta_batch",
                meta_batch,
                f"each of the {ranks} ranks needs a task; raise it to {ranks} or start fewer "
                "ranks.",
            )
        mine = share(meta_batch, rank, ranks)
        counter = tf.data.Dataset.counter(first_step)
        if steps is not None:
            counter = counter.take(steps)
        batches = counter.map(lambda step: self.batch(step, mine.start, mine.stop)).prefetch(2)
        options = tf.data.Options()
        # There is nothing to tune, and releasing an iterator waits for the tuner to wake up. The
        # tuner sleeps twice as long each time, for seconds after a few.
        options.autotune.enabled = False
        # Rewriting the graph of the dataset copies what it captures, such as all images.
        options.experimental_optimization.apply_default_optimizations = False
        return batches.with_options(options)
