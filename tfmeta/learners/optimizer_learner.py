"""The training of an update rule on optimization problems, by truncated unrolls."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfmeta import distributed, engine, random_numbers
from tfmeta.distributed import share
from tfmeta.errors import ArgumentError
from tfmeta.inner.loop import inner_step
from tfmeta.problems.base import ProblemFamily
from tfmeta.scheduling.truncation import Lengths
from tfmeta.updates import UpdateRule

# Of Wichrowska's meta-loss, log(f / (f_0 + e) + e).
_EPSILON = 1e-6


class Carried(NamedTuple):
    """Where the training of each of many problems stands; every tensor has a leading problem axis.

    Attributes:
        weights: of the problems.
        rule_state: the update rule's memory.
        first_loss: the full loss before the first step.
    """

    weights: list[tf.Tensor]
    rule_state: Any
    first_loss: tf.Tensor


class Unroll(NamedTuple):
    """What a part of the training of many problems was.

    Attributes:
        loss: the sum of the meta-losses over the problems, a scalar.
        carried: where the problems stand after it.
    """

    loss: tf.Tensor
    carried: Carried


@keras.saving.register_keras_serializable("tfmeta")
class OptimizerLearner(keras.Model):
    """Trains an update rule to minimize quickly (Andrychowicz et al. 2016, Wichrowska et al. 2017).

    The rule takes the steps of a problem's training; the gradient of the meta-loss over an unroll
    of them, in the rule's parameters and averaged over the problems, moves the parameters. From
    one unroll to the next weights and state are carried on without their gradient. Under
    `horovodrun` each rank holds a share of the problems.

    `compile` takes the outer Keras optimizer.

    Args:
        rule: the update rule to train.
        meta_loss: `"sum"`, of f(theta_t) over the unroll (Andrychowicz, equation 3), each on the
            batch of its step; or `"log_ratio"`, the mean of log(f(theta_t) / (f(theta_0) + 1e-6)
            + 1e-6), f on all data (Wichrowska, section 4.3).
        first_order: let no derivative through the problem's gradient, as Andrychowicz does and
            Wichrowska does not.
        in_graph: build the steps of an unroll of fixed length into the graph one after the other,
            rather than as a loop. The LSTM runs 1.2 times as fast for it, and takes twice as
            long to build; the hierarchical RNN, whose step is a large graph, runs as fast as in
            the loop and takes ten times as long to build. XLA is better off with the loop.
        xla: compile the unrolls with XLA; it pays for small problems.

    Raises:
        ArgumentError: an argument is out of range, or the rule has nothing to train.
    """

    def __init__(
        self,
        rule: UpdateRule,
        meta_loss: str = "sum",
        first_order: bool = True,
        in_graph: bool = False,
        xla: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if meta_loss not in ("sum", "log_ratio"):
            raise ArgumentError("meta_loss", meta_loss, "give sum or log_ratio.")
        if not rule.built:
            rule.build([])
        if not rule.trainable_variables:
            name = type(rule).__name__
            raise ArgumentError("rule", name, "it has nothing to learn; give a learned rule.")
        self.rule = rule
        self.meta_loss = meta_loss
        self.first_order = bool(first_order)
        self.in_graph = bool(in_graph)
        self.xla = bool(xla)
        self.built = True
        self._graphs: dict[Any, Any] = {}

    # The algorithm.

    def start(self, problems: ProblemFamily, tasks: engine.Tasks) -> Carried:
        """The beginning of the training of problems.

        Args:
            problems: the family.
            tasks: problems of it, as `Problems.batch` gives them.
        """
        first_loss = engine.for_each(
            lambda task: problems.full_loss(task["weights"], task["data"]),
            tasks,
            problems.stackable,
        )
        state = self.first_state(problems, tasks, self.rule.parameters())
        return Carried(list(tasks["weights"]), state, first_loss)

    def first_state(
        self, problems: ProblemFamily, tasks: engine.Tasks, parameters: Sequence[tf.Tensor]
    ) -> Any:
        """The rule's memory of each problem before its first step, which may be learned."""
        return engine.for_each(
            lambda task: self.rule.initial_state(parameters, task["weights"], task["seed"]),
            tasks,
            problems.stackable,
        )

    def unroll(
        self,
        problems: ProblemFamily,
        parameters: Sequence[tf.Tensor],
        tasks: engine.Tasks,
        carried: Carried,
        first_step: tf.Tensor | int,
        steps: tf.Tensor | int,
    ) -> Unroll:
        """Some steps of the training of problems, differentiable in the rule's parameters.

        Args:
            problems: the family.
            parameters: of the rule.
            tasks: problems of the family, as `Problems.batch` gives them.
            carried: where they stand.
            first_step: how many steps they have taken.
            steps: how many to take; a tensor where it differs from call to call.
        """
        # After no steps the state is made anew, so that the gradient reaches what is learned of it.
        first_state = self.first_state(problems, tasks, parameters)
        rule_state = tf.nest.map_structure(
            lambda first, later: tf.where(tf.equal(first_step, 0), first, later),
            first_state,
            carried.rule_state,
        )

        def batch_loss(weights, task, step):
            return problems.loss(
                weights, task["data"], random_numbers.fold_in(task["seed"], step + 1)
            )

        def log_ratio(weights, task, first_loss):
            full_loss = problems.full_loss(weights, task["data"])
            return tf.math.log(full_loss / (first_loss + _EPSILON) + _EPSILON)

        def step(parameters, index, weights, rule_state):
            def one(problem):
                task, weights, rule_state, first_loss = problem
                taken = inner_step(
                    lambda weights: (batch_loss(weights, task, first_step + index), None),
                    self.rule,
                    parameters,
                    weights,
                    rule_state,
                    self.first_order,
                )
                if self.meta_loss == "sum":
                    return taken.loss, taken.weights, taken.rule_state
                return log_ratio(taken.weights, task, first_loss), taken.weights, taken.rule_state

            terms, weights, rule_state = engine.for_each(
                one, (tasks, weights, rule_state, carried.first_loss), problems.stackable
            )
            return tf.reduce_sum(terms), weights, rule_state

        def body(index, loss, weights, rule_state):
            term, weights, rule_state = step(parameters, index, weights, rule_state)
            return index + 1, loss + term, weights, rule_state

        loop = (0, tf.zeros([], carried.first_loss.dtype), carried.weights, rule_state)
        if self.in_graph and isinstance(steps, int):
            for _ in range(steps):
                loop = body(*loop)
        else:
            if self.xla:
                step = engine.recomputed(step)
            loop = tf.while_loop(
                lambda index, *_: index < steps,
                body,
                loop,
                # XLA has to know how much to keep for the way back.
                maximum_iterations=steps if isinstance(steps, int) else None,
            )
        _, loss, weights, rule_state = loop
        if self.meta_loss == "sum":
            # So far it holds the loss before each step; what the last step reached counts too.
            final = engine.for_each(
                lambda problem: batch_loss(problem[0], problem[1], first_step + steps),
                (weights, tasks),
                problems.stackable,
            )
            loss += tf.reduce_sum(final)
        else:
            loss /= tf.cast(steps, loss.dtype)
        return Unroll(loss, Carried(weights, rule_state, carried.first_loss))

    def meta_gradient(
        self,
        problems: ProblemFamily,
        tasks: engine.Tasks,
        carried: Carried,
        first_step: tf.Tensor | int,
        steps: tf.Tensor | int,
    ) -> tuple[list[tf.Tensor], Unroll]:
        """The gradient of the meta-loss, summed over the problems of all ranks.

        Args:
            problems: the family.
            tasks: this rank's problems.
            carried: where they stand.
            first_step: how many steps they have taken.
            steps: how many to take, see `unroll`.

        Returns:
            The gradient in each of the rule's parameters, and this rank's `Unroll`.
        """
        gradients, unroll = self.own_gradient(problems, tasks, carried, first_step, steps)
        return self.merged(gradients), unroll

    def own_gradient(
        self,
        problems: ProblemFamily,
        tasks: engine.Tasks,
        carried: Carried,
        first_step: tf.Tensor | int,
        steps: tf.Tensor | int,
    ) -> tuple[list[tf.Tensor], Unroll]:
        """As `meta_gradient`, of this rank's problems alone."""

        def compute(parameters, tasks, carried, first_step):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(parameters)
                unroll = self.unroll(problems, parameters, tasks, carried, first_step, steps)
            return engine.gradients_of(tape, unroll.loss, parameters), unroll

        arguments = (self.rule.parameters(), tasks, carried, tf.convert_to_tensor(first_step))
        if self.xla:
            return engine.compiled(compute, arguments, problems.stackable)
        return tf.function(compute, autograph=False)(*arguments)

    def merged(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The sums over the ranks of tensors of one dtype, such as gradients.

        They travel as one vector: many small ones would take longer than the work between merges.
        """
        flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)
        with tf.GradientTape() as tape:
            start = tf.zeros_like(flat)
            tape.watch(start)
            loss, _ = engine.with_gradient(
                lambda _: (tf.zeros([], flat.dtype), [flat], ()), [start]
            )
        [total] = distributed.summing_tape(tape).gradient(loss, [start])
        parts = tf.split(total, [math.prod(tensor.shape) for tensor in tensors])
        return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Moves the rule's parameters along a merged gradient.

        Elements that are not finite count as zero, as in Wichrowska's public code: one problem
        that diverges must not spoil the rule.
        """

        def apply(gradients):
            self.optimizer.apply_gradients(
                (tf.where(tf.math.is_finite(gradient), gradient, tf.zeros_like(gradient)), variable)
                for gradient, variable in zip(gradients, self.rule.trainable_variables, strict=True)
            )

        if self.xla:
            # Hundreds of operations on small tensors.
            apply = tf.function(apply, autograph=False, jit_compile=True)
        apply(list(gradients))

    def meta_iteration(
        self, problems: ProblemFamily, step: int, meta_batch: int, lengths: Lengths
    ) -> float:
        """Trains problems from their start, updating the rule after every unroll.

        Every rank calls it.

        Args:
            problems: the family.
            step: the address of the problems.
            meta_batch: how many problems, on all ranks together.
            lengths: the number of steps of each unroll.

        Returns:
            The mean of the meta-loss (itself a mean over the problems) over those unrolls where it
            is finite; NaN where it is in none.
        """
        start, update = self.graphs(problems, meta_batch)
        tasks, carried = start(tf.constant(step))
        losses, done = [], 0
        for length in lengths.steps:
            steps = length if lengths.fixed else tf.constant(length)
            loss, carried = update(tasks, carried, tf.constant(done), steps)
            losses.append(loss)
            done += length
        return mean_of_finite(losses)

    def graphs(self, problems: ProblemFamily, meta_batch: int) -> tuple[Any, Any]:
        """What a meta-iteration runs, built once for a family and a number of problems.

        Args:
            problems: the family.
            meta_batch: how many problems, on all ranks together.

        Returns:
            `start(step)` gives this rank's problems at that address and their `Carried`;
            `update(tasks, carried, first_step, steps)` takes an unroll of them, updates the rule
            and gives the mean of the meta-loss over all problems and the new `Carried`.
        """
        mine = share(meta_batch, distributed.rank(), distributed.size())

        def start(step):
            tasks = engine.of_count(problems.batch(step, mine.start, mine.stop), len(mine))
            return tasks, self.start(problems, tasks)

        def update(tasks, carried, first_step, steps):
            gradients, unroll = self.own_gradient(problems, tasks, carried, first_step, steps)
            loss, *means = [x / meta_batch for x in self.merged([unroll.loss, *gradients])]
            self.apply(means)
            return loss, unroll.carried

        key = (problems, meta_batch)
        return self.graph(("start", *key), start), self.graph(("update", *key), update)

    def graph(self, key: Any, function: Any) -> Any:
        """A graph that this learner runs: of `function`, built when `key` is first asked for.

        Args:
            key: says all that the function depends on, besides its arguments and the learner.
            function: takes and gives nests of tensors.
        """
        if key not in self._graphs:
            self._graphs[key] = tf.function(function, autograph=False, reduce_retracing=True)
        return self._graphs[key]

    # What Keras asks of a model.

    def call(self, inputs, training=None):
        raise NotImplementedError("an optimizer learner predicts nothing")

    def get_config(self):
        return {
            **super().get_config(),
            "rule": keras.saving.serialize_keras_object(self.rule),
            "meta_loss": self.meta_loss,
            "first_order": self.first_order,
            "in_graph": self.in_graph,
            "xla": self.xla,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        config["rule"] = keras.saving.deserialize_keras_object(
            config["rule"], custom_objects=custom_objects
        )
        return cls(**config)


def mean_of_finite(losses: Sequence[Any]) -> float:
    """The mean of those numbers that are finite; NaN where none is."""
    numbers = np.array(losses)
    finite = numbers[np.isfinite(numbers)]
    return float(finite.mean()) if len(finite) else math.nan
