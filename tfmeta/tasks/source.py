"""Where tasks come from: any task of a source can be made anywhere from its address."""

import abc

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.distributed import share
from tfmeta.errors import ArgumentError


class TaskSource(abc.ABC):
    """An endless supply of tasks, addressed by (seed, step, index in the meta-batch).

    The same address gives the same task, whichever process makes it and however a meta-batch is
    split over ranks; so nothing needs to be saved to go on where a run has stopped. A subclass
    says how tasks are made from their seeds.

    Args:
        seed: the seed of the source; sources with different seeds give unrelated tasks.

    Raises:
        ArgumentError: if the seed is not a whole number from 0 to 2**63 - 1.
    """

    def __init__(self, seed: int = 0):
        if type(seed) is not int or not 0 <= seed < 2**63:
            raise ArgumentError("seed", seed, "give a whole number from 0 to 2**63 - 1")
        self.seed = seed

    @abc.abstractmethod
    def tasks(self, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes one task for each seed, within a graph.

        A task may depend on its own seed only, never on its place or on the other tasks;
        `random_numbers` draws accordingly.

        Args:
            seeds: int32 `[tasks, 2]`.

        Returns:
            support_x `[tasks, support, ...]` float32, support_y `[tasks, support]` int32 class
            numbers (or, for regression, `[tasks, support, outputs]` float32), and query_x and
            query_y alike.
        """

    def batch(
        self, step: tf.Tensor | int, first: tf.Tensor | int, last: tf.Tensor | int
    ) -> dict[str, tf.Tensor]:
        """The tasks first, first + 1, ..., last - 1 of the meta-batch of a step.

        Returns:
            What `tasks` returns, and seed `[tasks, 2]` int32, the seeds of the tasks.
        """
        seed = random_numbers.fold_in(tf.zeros([2], tf.int32), self.seed)
        seeds = random_numbers.fold_in(random_numbers.fold_in(seed, step), tf.range(first, last))
        return {**self.tasks(seeds), "seed": seeds}

    def batches(
        self,
        meta_batch: int,
        first_step: int = 0,
        steps: int | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> tf.data.Dataset:
        """One rank's share of the meta-batches of consecutive steps.

        Args:
            meta_batch: the number of tasks of a step, of all ranks together.
            first_step: the step of the first element.
            steps: the number of steps; None for no end.
            rank: which rank's share.
            ranks: among how many ranks a meta-batch is split; see `share`.

        Returns:
            A data set whose element number i is what `batch` returns for step first_step + i.

        Raises:
            ArgumentError: if `meta_batch` is not a whole number of at least 1, or is smaller
                than `ranks`.
        """
        if type(meta_batch) is not int or meta_batch < 1:
            raise ArgumentError("meta_batch", meta_batch, "give a whole number of at least 1")
        if meta_batch < ranks:
            raise ArgumentError(
                "meta_batch",
                meta_batch,
                f"each of the {ranks} ranks needs a task; raise it to {ranks} or start fewer ranks",
            )
        mine = share(meta_batch, rank, ranks)
        counter = tf.data.Dataset.counter(first_step)
        if steps is not None:
            counter = counter.take(steps)
        batches = counter.map(lambda step: self.batch(step, mine.start, mine.stop)).prefetch(2)
        options = tf.data.Options()
        # There is nothing to tune, and whoever lets go of an iterator would wait for the tuner to
        # wake up: it sleeps twice as long each time, for seconds after a few.
        options.autotune.enabled = False
        return batches.with_options(options)
