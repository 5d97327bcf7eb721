"""An update rule that is learned, and its meta-gradient over an unroll of problems."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfmeta import engine
from tfmeta.errors import ArgumentError
from tfmeta.inner.loop import repeat
from tfmeta.learners.estimators import Carried, Estimator, TruncatedGradient, Unroll
from tfmeta.learners.meta_losses import MetaLoss
from tfmeta.problems.base import ProblemFamily
from tfmeta.registry import META_LOSSES
from tfmeta.updates import UpdateRule


@keras.saving.register_keras_serializable("tfmeta")
class OptimizerLearner(keras.Model):
    """Learns to minimize quickly (Andrychowicz et al. 2016, Wichrowska et al. 2017).

    What is learned are the parameters of an update rule. The rule takes the steps of a problem's
    training, and the gradient of the meta-loss over an unroll of them moves the parameters. From
    one unroll to the next weights and state are carried on without their gradient.

    `TruncatedTraining` trains it, on one rank or several. `compile` takes the outer Keras
    optimizer.

    Args:
        rule: the update rule to train.
        meta_loss: one of `registry.META_LOSSES`, or its name: `"sum"`, of the losses over the
            unroll (Andrychowicz); or `"log_ratio"`, the mean log ratio of the loss on all data to
            the first one (Wichrowska).
        first_order: let no derivative through the problem's gradient, as Andrychowicz does and
            Wichrowska does not.
        vectorized: run the problems of a family at once, where they can be; else one by one.
        in_graph: build the steps of an unroll of fixed length into the graph one after the other,
            rather than as a loop. The LSTM runs 1.2 times as fast for it, and takes twice as
            long to build; the hierarchical RNN, whose step is a large graph, runs as fast as in
            the loop and takes ten times as long to build. XLA is better off with the loop.
        xla: compile the unrolls with XLA; it pays for small problems.
        estimator: of the meta-gradient of an unroll; by default `TruncatedGradient()`.
        families: how many families of problems it keeps the clusters of.

    Attributes:
        clusters: the cluster of each of those families, an int32 variable `[families]` that is
            saved with it; None if there are none.

    Raises:
        ArgumentError: an argument is out of range, or the rule has nothing to train.
    """

    def __init__(
        self,
        rule: UpdateRule,
        meta_loss: str | MetaLoss = "sum",
        first_order: bool = True,
        vectorized: bool = True,
        in_graph: bool = False,
        xla: bool = False,
        estimator: Estimator | None = None,
        families: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.meta_loss = _meta_loss(meta_loss)
        if not rule.built:
            rule.build([])
        if not rule.trainable_variables:
            name = type(rule).__name__
            raise ArgumentError("rule", name, "it has nothing to learn; give a learned rule.")
        self.rule = rule
        self.first_order = bool(first_order)
        self.vectorized = bool(vectorized)
        self.in_graph = bool(in_graph)
        self.xla = bool(xla)
        self.estimator = estimator or TruncatedGradient()
        self.clusters = None
        if families:
            self.clusters = self.add_weight(
                name="clusters",
                shape=(families,),
                dtype="int32",
                trainable=False,
                initializer="zeros",
            )
        self.built = True
        self._graphs: dict[Any, Any] = {}

    # The algorithm.

    def runs_at_once(self, problems: ProblemFamily) -> bool:
        """Whether problems of a family run at once, rather than one by one."""
        return self.vectorized and problems.vectorizable

    def start(self, problems: ProblemFamily, tasks: engine.Tasks) -> Carried:
        """The beginning of the training of problems.

        Args:
            problems: the family.
            tasks: problems of it, as `ProblemFamily.batch` makes them, or copies of such.
        """
        first_loss = engine.for_each(
            lambda task: problems.full_loss(task["weights"], task["data"]),
            tasks,
            self.runs_at_once(problems),
        )
        state = self.first_state(problems, tasks, self.rule.parameters())
        return Carried(list(tasks["weights"]), state, first_loss)

    def first_state(
        self,
        problems: ProblemFamily,
        tasks: engine.Tasks,
        parameters: Sequence[tf.Tensor],
        own: bool = False,
    ) -> Any:
        """The rule's memory of each problem before its first step, which may be learned."""

        def of_one(parameters, task):
            return problems.first_state(self.rule, parameters, task)

        return self._for_each(of_one, problems, parameters, own, tasks)

    def _for_each(self, function, problems, parameters, own, nest):
        """`function` of parameters and each problem's part of a nest."""
        at_once = self.runs_at_once(problems)
        if own:
            return engine.for_each(lambda both: function(*both), (parameters, nest), at_once)
        return engine.for_each(lambda part: function(parameters, part), nest, at_once)

    def unroll(
        self,
        problems: ProblemFamily,
        parameters: Sequence[tf.Tensor],
        tasks: engine.Tasks,
        carried: Carried,
        first_step: tf.Tensor | int,
        steps: tf.Tensor | int,
        own: bool = False,
    ) -> Unroll:
        """Some steps of the training of problems, differentiable in the rule's parameters.

        Args:
            problems: the family.
            parameters: of the rule; see `own`.
            tasks: problems of the family, as `ProblemFamily.batch` makes them.
            carried: where they stand.
            first_step: how many steps they have taken.
            steps: how many to take; a tensor where it differs from call to call.
            own: whether each problem has parameters of its own, `[problems, ...]`.
        """

        def step(parameters, number, terms, weights, rule_state):
            def of_one(parameters, problem):
                task, weights, rule_state, first_loss = problem
                objective = problems.objective(task, first_step + number)
                taken = self.rule.step(
                    parameters, objective, weights, rule_state, first_order=self.first_order
                )
                term = self.meta_loss.of_step(problems, task, first_loss, taken, steps)
                return term, taken.weights, taken.state

            nest = tasks, weights, rule_state, carried.first_loss
            new, weights, rule_state = self._for_each(of_one, problems, parameters, own, nest)
            return terms + new, weights, rule_state

        # After no steps the state is made anew, so that the gradient reaches what is learned of it.
        first_state = self.first_state(problems, tasks, parameters, own)
        rule_state = tf.nest.map_structure(
            lambda first, later: tf.where(tf.equal(first_step, 0), first, later),
            first_state,
            carried.rule_state,
        )
        terms, weights, rule_state = repeat(
            step,
            parameters,
            (tf.zeros_like(carried.first_loss), carried.weights, rule_state),
            steps,
            in_graph=self.in_graph,
            recompute=self.xla,
        )

        def end(problem):
            task, weights, first_loss = problem
            objective = problems.objective(task, first_step + steps)
            return self.meta_loss.of_end(problems, task, first_loss, weights, objective)

        at_end = engine.for_each(
            end, (tasks, weights, carried.first_loss), self.runs_at_once(problems)
        )
        return Unroll(terms + at_end, Carried(weights, rule_state, carried.first_loss))

    def meta_gradient(
        self,
        problems: ProblemFamily,
        tasks: engine.Tasks,
        carried: Carried,
        first_step: tf.Tensor | int,
        steps: tf.Tensor | int,
        weight: tf.Tensor | float = 1.0,
    ) -> tuple[list[tf.Tensor], Unroll]:
        """The meta-losses of an unroll and the estimate of their gradient.

        Args:
            problems: the family.
            tasks: this rank's problems, or what the estimator's `copies` made of them.
            carried: where they stand.
            first_step: how many steps they have taken.
            steps: how many to take, see `unroll`.
            weight: what each problem counts in the gradient.

        Returns:
            The gradient in each of the rule's parameters, summed over the problems, and the
            `Unroll`. Both are of this rank alone: `distributed.sum_over_ranks` adds those of all.
        """

        def compute(parameters, tasks, carried, first_step, weight):
            def run(parameters, own=False):
                return self.unroll(problems, parameters, tasks, carried, first_step, steps, own)

            gradients, unroll = self.estimator(run, parameters, tasks)
            return [weight * gradient for gradient in gradients], unroll

        arguments = (
            self.rule.parameters(),
            tasks,
            carried,
            tf.convert_to_tensor(first_step),
            tf.convert_to_tensor(weight, self.rule.dtype),
        )
        if self.xla:
            return engine.compiled(compute, arguments, self.runs_at_once(problems))
        return tf.function(compute, autograph=False)(*arguments)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Moves the rule's parameters along a gradient.

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

    def graph(self, key: Any, function: Callable[..., Any]) -> Any:
        """A graph of `function` that all who train this learner share, built once for each key.

        Args:
            key: says all that the function depends on, besides its arguments and the learner.
            function: maps nests of tensors to nests of tensors.
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
            "meta_loss": keras.saving.serialize_keras_object(self.meta_loss),
            "first_order": self.first_order,
            "vectorized": self.vectorized,
            "in_graph": self.in_graph,
            "xla": self.xla,
            "estimator": keras.saving.serialize_keras_object(self.estimator),
            "families": 0 if self.clusters is None else self.clusters.shape[0],
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        # A run of an earlier version says less.
        for part in {"rule", "meta_loss", "estimator"} & set(config):
            config[part] = keras.saving.deserialize_keras_object(
                config[part], custom_objects=custom_objects
            )
        return cls(**config)


def _meta_loss(meta_loss: str | MetaLoss) -> MetaLoss:
    if isinstance(meta_loss, MetaLoss):
        return meta_loss
    return META_LOSSES[META_LOSSES.check("meta_loss", meta_loss)]()
