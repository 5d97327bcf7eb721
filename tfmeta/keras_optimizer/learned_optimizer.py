"""A trained update rule as a Keras optimizer."""

import functools
import math
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.checks import check_seed
from tfmeta.environment import memory
from tfmeta.errors import ArgumentError
from tfmeta.keras_optimizer.divergence import Guard
from tfmeta.keras_optimizer.on_ranks import OptimizerOnRanks
from tfmeta.keras_optimizer.settings import check_learning_rate, check_settings
from tfmeta.updates import GradientRule
from tfmeta.updates.coordinates import held_values


@keras.saving.register_keras_serializable("tfmeta")
class LearnedOptimizer(OptimizerOnRanks):
    """Trains a Keras model by an update rule.

    The rule sees all weights at once, as it was trained to, and computes in float32, or in float64
    if a weight has it. What it remembers are variables of the optimizer, saved with the model; its
    parameters are part of the configuration, so that a saved model needs no other file.

    A weight that gets no gradient neither moves nor ages: what the rule remembers of it stays as it
    is. So does a row of an embedding that was not looked up, which is a row whose gradient is zero.
    The rule is shown a gradient of zero for these.

    A step is left out if a weight, a gradient or the result is not finite, and training stops with
    a `DivergedError` when the training step is next called, or when `fit` ends. Weights are as they
    were before that step, and the rule begins anew. Gradients that `LossScaleOptimizer` leaves out
    never come here.

    Args:
        rule: moves weights along their gradient; it is built for the model's weights unless it has
            been.
        learning_rate: multiplies the rule's steps. A learned rule sets its own rates, so that 1
            is the rule as it was trained.
        seed: of what the rule draws when it starts, a whole number from 0 to 2**63 - 1.
        kwargs: what every Keras optimizer takes. Gradients are clipped and accumulated before the
            rule sees them; `weight_decay` shrinks the weights by `weight_decay * learning_rate`.

    Raises:
        ArgumentError: `rule` is no such rule, or a setting is unknown or out of range; in `build`,
            the rule's parameters are for other weights, what it remembers of them does not fit in
            memory, or there is a `tf.distribute` strategy.
        DivergedError: in training, see above.
    """

    def __init__(
        self, rule: GradientRule, learning_rate: Any = 1.0, seed: int = 0, **kwargs: Any
    ) -> None:
        check_settings(kwargs)
        super().__init__(check_learning_rate(learning_rate), **kwargs)
        if not all(callable(getattr(rule, name, None)) for name in ("initial_state", "update")):
            raise ArgumentError(
                "rule",
                rule,
                "give an update rule that moves weights along their gradient; "
                "tfmeta.load_optimizer reads a trained one.",
            )
        self.rule = rule
        self.seed = check_seed(seed)
        self._tables: frozenset = frozenset()

    def build(self, variables):
        # Keras builds for no weights at all when it loads an .h5 file.
        if self.built or not variables:
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
            start = self._start(variables)
        # As an attribute of its own, Keras would wrap the lists of the nest.
        structure = tf.nest.map_structure(lambda _: None, start)
        self._nest = functools.partial(tf.nest.pack_sequence_as, structure)
        self._guard = Guard()
        super().build(variables)

    def _start(self, variables):
        """Makes the variables of the state, unless they would not fit; returns their nest."""

        def first():
            return self._first_state(variables)

        # A graph that never runs tells the shapes.
        graph = tf.function(first, autograph=False).get_concrete_function()
        shapes = tf.nest.flatten(graph.structured_outputs)
        size = sum((part.shape.num_elements() or 0) * part.dtype.size for part in shapes)
        left = memory.available()
        if 2 * size > left:
            raise self._too_large(
                variables, size, f"{memory.readable(left)} of memory are available"
            )
        try:
            start = first()
            self._state = [
                self._state_variable(index, value)
                for index, value in enumerate(tf.nest.flatten(start))
            ]
        except tf.errors.ResourceExhaustedError as error:  # a GPU does not tell what it has left
            raise self._too_large(variables, size, "the device has no room for it") from error
        return start

    def _first_state(self, variables):
        seed = random_numbers.fold_in(tf.zeros([2], tf.int32), self.seed)
        return self.rule.initial_state(self._parameters(), self._cast(variables), seed)

    def _too_large(self, variables, size, what_there_is):
        count = sum(math.prod(variable.shape) for variable in variables)
        return ArgumentError(
            "rule",
            type(self.rule).__name__,
            f"{self.name} would remember {memory.readable(size)} of {count:,} weights, and twice "
            f"that during a step, but {what_there_is}; train fewer weights (freeze layers), or "
            "take a rule that remembers less of each.",
        )

    def _state_variable(self, index, value):
        name = f"rule_state_{index}"
        variable = self.add_variable(value.shape, dtype=value.dtype.name, name=name)
        variable.assign(value)
        return variable

    def _parameters(self):
        return self._cast(self.rule.parameters())

    def _cast(self, values):
        return [tf.cast(value, self._dtype) for value in values]

    def apply(self, grads, trainable_variables=None):
        grads = list(grads)
        if not grads:
            return super().apply(grads, trainable_variables)  # which does nothing
        if trainable_variables is None and len(grads) != len(self._trainable_variables):
            return super().apply(grads)  # which says what is wrong
        given = list(trainable_variables or self._trainable_variables)
        grads = self.combined(grads, given)
        # The rows that were looked up in an embedding come as IndexedSlices. Keras can neither
        # scale these nor clip them by their norm, and sums over several batches are dense anyway.
        self._tables = frozenset(
            self._var_key(variable)
            for variable, gradient in zip(given, grads, strict=True)
            if isinstance(gradient, tf.IndexedSlices)
        )
        dense = [
            None if gradient is None else tf.reshape(gradient, variable.shape)
            for gradient, variable in zip(grads, given, strict=True)
        ]
        super().apply(dense, given)
        self._guard.watch(self._check)

    def _check(self):
        """Raises if a step was left out, once; training can then go on."""
        error = self._guard.error(self)
        if error is not None:
            self._begin_anew()
            self._guard.clear()
            raise error

    def _begin_anew(self):
        start = self._first_state(self._trainable_variables)
        for variable, value in zip(self._state, tf.nest.flatten(start), strict=True):
            variable.assign(value)

    def finalize_variable_values(self, var_list):
        """What `fit` calls when it ends."""
        if self.built:
            self._check()
        super().finalize_variable_values(var_list)

    def _backend_apply_gradients(self, grads, trainable_variables):
        # Beside the step, Keras shrinks the weights before it and averages them after it.
        besides = self.weight_decay is not None or self.use_ema
        touched = [*self._trainable_variables, *self._averages()] if besides else []
        before = [tf.identity(variable) for variable in touched]
        super()._backend_apply_gradients(grads, trainable_variables)
        stopped = self._guard.stopped()
        for variable, value in zip(touched, before, strict=True):
            self.assign(variable, tf.where(stopped, value, tf.convert_to_tensor(variable)))

    def _averages(self):
        if not self.use_ema:
            return []
        return [average for average in self._model_variables_moving_average if average is not None]

    # Keras has this step apart for optimizers that treat all weights together; before it come
    # accumulation, clipping and weight decay, after it moving averages and constraints.
    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        weights = self._cast(self._trainable_variables)
        gradients = [tf.zeros_like(weight) for weight in weights]
        held = [tf.ones_like(weight, tf.bool) for weight in weights]
        places = [self._get_variable_index(variable) for variable in trainable_variables]
        for place, variable, gradient in zip(
            places, trainable_variables, self._cast(grads), strict=True
        ):
            gradients[place] = gradient
            held[place] = self._rows_without_gradient(variable, gradient)
        before = self._nest([tf.convert_to_tensor(variable) for variable in self._state])
        moved, after = self.rule.update(self._parameters(), weights, gradients, before)
        if self._tables or len(places) < len(weights):
            moved = held_values(held, weights, moved)
            after = self.rule.hold(held, before, after)
        [rate] = self._cast([learning_rate])
        new = [
            tf.cast(weights[place] + rate * (moved[place] - weights[place]), variable.dtype)
            for place, variable in zip(places, trainable_variables, strict=True)
        ]
        taken = self._guard.taken(self.iterations, weights, gradients, new)
        for variable, value in zip(trainable_variables, new, strict=True):
            self.assign(variable, tf.where(taken, value, tf.convert_to_tensor(variable)))
        # Many times as large as the weights, it is not kept but made anew if no step was taken.
        for variable, value in zip(self._state, tf.nest.flatten(after), strict=True):
            self.assign(variable, value)

    def _rows_without_gradient(self, variable, gradient):
        if self._var_key(variable) not in self._tables:
            return tf.zeros_like(gradient, tf.bool)
        others = list(range(1, gradient.shape.rank))
        return tf.broadcast_to(
            tf.reduce_all(gradient == 0, axis=others, keepdims=True), gradient.shape
        )

    def __dir__(self):
        # Keras saves what it finds here. The rule's parameters are in the configuration; in the
        # file they would have another place wherever a LossScaleOptimizer is around this one.
        return [name for name in super().__dir__() if name != "rule"]

    def save_own_variables(self, store):
        error = self._guard.error(self) if self.built else None
        if error is not None:
            warnings.warn(str(error), stacklevel=2)
            self._begin_anew()
        super().save_own_variables(store)

    def load_own_variables(self, store):
        # Keras compares how many there are; here the weights change their shapes instead.
        shapes = [variable.shape for variable in self.variables]
        if [store[name].shape for name in sorted(store.keys(), key=int)] != shapes:
            warnings.warn(
                f"{self.name} starts afresh: there is no saved state of just the trainable "
                "weights that the model has.",
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
