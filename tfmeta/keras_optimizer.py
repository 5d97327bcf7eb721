"""A trained update rule as a Keras optimizer."""

import functools
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.training import checkpoints
from tfmeta.training.run_folder import RunFolder
from tfmeta.updates import GradientRule


@keras.saving.register_keras_serializable("tfmeta")
class LearnedOptimizer(keras.optimizers.Optimizer):
    """Trains a Keras model by an update rule.

    The rule sees all weights at once, as it was trained to, and computes in float32, or in float64
    if a weight has it. What it remembers are variables of the optimizer, saved with the model; its
    parameters are part of the configuration, so that a saved model needs no other file. A weight
    that gets no gradient stays where it is, and the rule is shown a gradient of zero for it.

    Args:
        rule: moves weights along their gradient; it is built for the model's weights unless it has
            been.
        learning_rate: multiplies the rule's steps. A learned rule sets its own rates, so that 1
            is the rule as it was trained.
        seed: of what the rule draws when it starts, a whole number of at least 0.
        kwargs: what every Keras optimizer takes. Gradients are clipped and accumulated before the
            rule sees them; `weight_decay` shrinks the weights by `weight_decay * learning_rate`.

    Raises:
        ArgumentError: `rule` is no such rule, or the seed is out of range; in `build`, the rule's
            parameters are for other weights, or there is a `tf.distribute` strategy.
    """

    def __init__(
        self, rule: GradientRule, learning_rate: Any = 1.0, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not all(callable(getattr(rule, name, None)) for name in ("initial_state", "update")):
            raise ArgumentError(
                "rule",
                rule,
                "give an update rule that moves weights along their gradient; "
                "tfmeta.load_optimizer reads a trained one.",
            )
        if type(seed) is not int or seed < 0:
            raise ArgumentError("seed", seed, "give a whole number of at least 0.")
        self.rule = rule
        self.seed = seed

    def build(self, variables):
        if self.built:
            return
        if tf.distribute.has_strategy():
            raise ArgumentError(
                "strategy",
                type(tf.distribute.get_strategy()).__name__,
                "a learned optimizer runs in one replica; train without tf.distribute.",
            )
        self._dtype = keras.backend.result_type("float32", *[v.dtype for v in variables])
        with tf.init_scope():
            if not self.rule.built:
                self.rule.build([list(variable.shape) for variable in variables])
            seed = random_numbers.fold_in(tf.zeros([2], tf.int32), self.seed)
            start = self.rule.initial_state(self._parameters(), self._cast(variables), seed)
            self._state = [
                self._state_variable(index, value)
                for index, value in enumerate(tf.nest.flatten(start))
            ]
        # As an attribute of its own, Keras would wrap the lists of the nest.
        structure = tf.nest.map_structure(lambda _: None, start)
        self._nest = functools.partial(tf.nest.pack_sequence_as, structure)
        super().build(variables)

    def _state_variable(self, index, value):
        name = f"rule_state_{index}"
        variable = self.add_variable(value.shape, dtype=value.dtype.name, name=name)
        variable.assign(value)
        return variable

    def _parameters(self):
        return self._cast(self.rule.parameters())

    def _cast(self, values):
        return [tf.cast(value, self._dtype) for value in values]

    # Keras has this step apart for optimizers that treat all weights together; before it come
    # accumulation, clipping and weight decay, after it moving averages and constraints.
    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        weights = self._cast(self._trainable_variables)
        gradients = [tf.zeros_like(weight) for weight in weights]
        places = [self._get_variable_index(variable) for variable in trainable_variables]
        # The rows that were looked up in an embedding come as IndexedSlices.
        dense = self._cast(tf.convert_to_tensor(gradient) for gradient in grads)
        for place, gradient in zip(places, dense, strict=True):
            gradients[place] = gradient
        state = self._nest([tf.convert_to_tensor(variable) for variable in self._state])
        moved, state = self.rule.update(self._parameters(), weights, gradients, state)
        [rate] = self._cast([learning_rate])
        for place, variable in zip(places, trainable_variables, strict=True):
            self.assign(variable, weights[place] + rate * (moved[place] - weights[place]))
        for variable, value in zip(self._state, tf.nest.flatten(state), strict=True):
            self.assign(variable, value)

    def load_own_variables(self, store):
        # Keras compares how many there are; here the weights change their shapes instead.
        shapes = [variable.shape for variable in self.variables]
        if [store[name].shape for name in sorted(store.keys(), key=int)] != shapes:
            warnings.warn(
                f"{self.name} starts afresh: its saved state is of other trainable weights than "
                "the model has.",
                stacklevel=2,
            )
            return
        super().load_own_variables(store)

    def get_config(self):
        return {
            **super().get_config(),
            "rule": keras.saving.serialize_keras_object(self.rule),
            "parameters": [value.numpy().tolist() for value in self.rule.parameters()],
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        rule = keras.saving.deserialize_keras_object(
            config.pop("rule"), custom_objects=custom_objects
        )
        parameters = config.pop("parameters")
        for variable, value in zip(rule.trainable_variables, parameters, strict=True):
            variable.assign(np.array(value, variable.dtype))
        return super().from_config({**config, "rule": rule}, custom_objects)


def load_optimizer(path: str | Path) -> LearnedOptimizer:
    """The rule that a run of `tools/train_optimizer.py` has trained, as a Keras optimizer.

    Args:
        path: the output folder of the run, whose best checkpoint is taken; or a checkpoint, a
            `.keras` file.

    Raises:
        ArgumentError: there is no such checkpoint, it is damaged, or it holds no trained rule.
    """
    path = Path(path)
    if path.is_dir():
        path = checkpoints.Checkpoints(RunFolder(path).checkpoints).best
    try:
        learner = checkpoints.load(path)
    except ArgumentError as error:
        raise ArgumentError("path", error.value, error.problem) from error
    rule = getattr(learner, "rule", None)
    if rule is None:
        raise ArgumentError(
            "path",
            path,
            f"it holds a {type(learner).__name__}, not a trained update rule; give the output "
            "folder of tools/train_optimizer.py.",
        )
    return LearnedOptimizer(rule)
