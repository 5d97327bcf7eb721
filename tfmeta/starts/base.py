"""The interface of every start: what a task begins with."""

import abc
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmeta.engine import Tasks
from tfmeta.updates import UpdateRule


class Start(keras.layers.Layer, abc.ABC):
    """Says what the inner loop of a task begins with: initial weights and rule parameters.

    It is a Keras layer in order to hold variables, and to be saved and loaded as part of a learner.
    What follows calls `shared` the variables that a learner without clusters learns: the trainable
    variables of its model, then those of its update rule.

    Attributes:
        clusters: the `KeptClusters` of tasks; None where tasks are all alike.
    """

    clusters: Any = None

    def check(self, rule: UpdateRule) -> None:
        """Refuses an update rule that the start cannot do with; by default it takes any.

        Raises:
            ArgumentError: naming the argument of the start.
        """

    # Not `build`, whose argument Keras would save and give back as shapes.
    def make_variables(self, shared: Sequence[keras.Variable]) -> None:
        """Makes the variables of the start.

        Args:
            shared: see the class.
        """
        self.built = True

    @abc.abstractmethod
    def meta_parameters(self, shared: Sequence[keras.Variable]) -> list[keras.Variable]:
        """The variables that the outer optimizer moves."""

    @abc.abstractmethod
    def of(self, learned: Sequence[tf.Tensor], task: Any) -> list[tf.Tensor]:
        """What one task begins with, in the shapes of `shared`.

        Args:
            learned: tensors in the place of `meta_parameters`.
            task: as `prepare` gives it.
        """

    def prepare(self, learner: Any, tasks: Tasks, training: bool = False) -> Tasks:
        """Adds to tasks what `of` needs to know of them; called once for a batch.

        Args:
            learner: a `FewShotLearner`.
            tasks: this rank's tasks.
            training: add also `weight`, what each task counts in the meta-gradient, where tasks do
                not all count once.
        """
        return tasks

    def form_clusters(self, learner: Any, pool: Iterable[Tasks]) -> tuple[np.ndarray, np.ndarray]:
        """Forms clusters of tasks anew; only starts with clusters can."""
        raise NotImplementedError(f"{type(self).__name__} has no clusters")
