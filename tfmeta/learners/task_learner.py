"""How one few-shot task is learned: its start, its inner loop, its query set."""

import abc
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfmeta import engine, layers
from tfmeta.errors import ArgumentError
from tfmeta.inner import model_checks
from tfmeta.inner.compiled_loss import CompiledLoss
from tfmeta.inner.functional import Examples, FunctionalModel, Probe, State
from tfmeta.inner.loop import Inner, trajectory
from tfmeta.inner.meta import Meta
from tfmeta.learners.meta_batch_model import MetaBatchModel, example_specs
from tfmeta.starts.base import Start
from tfmeta.updates import Objective, UpdateRule


class Adapted(NamedTuple):
    """A model adapted to one task.

    Attributes:
        weights: of all trainable variables.
        state: of the model's other variables.
        rule_state: the memory of the update rule.
    """

    weights: list[tf.Tensor]
    state: State
    rule_state: Any


class Outcome(NamedTuple):
    """How one task went.

    Attributes:
        loss: the meta-loss, a scalar.
        query_loss: the loss of the adapted model on the query set, a scalar.
        prediction: of the query set, a nest of tensors [query examples, ...].
        adapted: the adapted model, its state after the call on the query set.
    """

    loss: tf.Tensor
    query_loss: tf.Tensor
    prediction: tf.Tensor
    adapted: Adapted


def examples_of(task: Any, part: str) -> Examples:
    """The support or query set of a task."""
    return Examples(task[f"{part}_x"], task[f"{part}_y"], task.get(f"{part}_weight"))


def joined(sets: Sequence[Examples]) -> Examples:
    """Several sets of examples as one; where one has weights, the examples of others count 1."""
    weights = [examples.weight for examples in sets if examples.weight is not None]

    def whole(examples):
        if examples.weight is not None or not weights:
            return examples
        count = tf.shape(tf.nest.flatten(examples.y)[0])[:1]
        ones = tf.nest.map_structure(lambda weight: tf.ones(count, weight.dtype), weights[0])
        return examples._replace(weight=ones)

    def concat(*parts):
        return tf.concat(parts, axis=0)

    return Examples(
        *(
            tf.nest.map_structure(concat, *parts) if parts[0] is not None else None
            for parts in zip(*map(whole, sets), strict=True)
        )
    )


class TaskLearner(MetaBatchModel):
    """What a few-shot learner does with one task, written without a task axis.

    A learner says what the gradient of one task is (`task_gradient`), and, where they differ,
    which variables adapt (`adapting`), how (`adapt_task`), and how an adapted model predicts
    (`query_loss`).

    Attributes:
        update_rule: how the inner steps move.
        start: what a task begins with.
        inner_steps, test_inner_steps: the number of inner steps in training, and in evaluation.
        first_order: let no derivative through the gradients of the inner steps.
        vectorized, tasks_in_flight: how tasks are run, see `engine.sum_of_gradients`.
    """

    # What the last `compile` made of its loss, and the model with it as a pure function.
    _functional: tuple[Any, FunctionalModel] | None = None

    update_rule: UpdateRule
    start: Start
    inner_steps: int
    test_inner_steps: int
    vectorized: bool
    tasks_in_flight: int

    def adapting(self) -> list[int]:
        """Which trainable variables of the model the inner steps move, by their index; here all."""
        return list(range(len(self.model.trainable_variables)))

    def check_model(self, spec: Any = None) -> None:
        """Refuses a model that cannot be meta-learned, see `model_checks.check`."""
        model_checks.check(self.model, not self.first_order, spec, adapting=self.adapting)

    def adapt_task(
        self, functional: FunctionalModel, meta: Meta, task: Any, steps: int
    ) -> Iterator[Adapted]:
        """The inner loop of one task, on its support set.

        Args:
            functional: the model.
            meta: what the task begins with.
            task: one task.
            steps: the number of inner steps.

        Yields:
            The model before the first step and after each.
        """
        whole = self._completed(meta)

        def objective_at(step, state):
            return functional.objective(state, self.inner_examples(task, step), whole)

        weights = self._adapting(meta)
        first = Inner(
            weights, self.rule_state(meta, weights, task), self.task_state(functional, task)
        )
        for inner in trajectory(
            self.update_rule,
            meta.parameters,
            objective_at,
            first,
            steps,
            first_order=self.first_order,
        ):
            yield Adapted(whole(inner.weights), inner.aux, inner.rule_state)

    def _adapting(self, meta):
        return [meta.weights[place] for place in self.adapting()]

    def _completed(self, meta):
        """Maps the weights that adapt to all weights of the model."""
        places = self.adapting()

        def whole(weights):
            weights = dict(zip(places, weights, strict=True))
            return [weights.get(place, fixed) for place, fixed in enumerate(meta.weights)]

        return whole

    def inner_examples(self, task: Any, step: int) -> Examples:
        """The examples that an inner step sees; here the whole support set."""
        return examples_of(task, "support")

    def rule_state(self, meta: Meta, weights: Sequence[tf.Tensor], task: Any) -> Any:
        """The memory of the update rule before the first inner step of a task."""
        seed = task.get("seed", tf.zeros([2], tf.int32))
        return self.update_rule.initial_state(meta.parameters, weights, seed)

    def query_loss(
        self, functional: FunctionalModel, adapted: Adapted, task: Any, training: bool
    ) -> tuple[tf.Tensor, Any, State]:
        """The loss of an adapted model on the query set, the prediction, and the state after."""
        query, state = examples_of(task, "query"), adapted.state
        if functional.takes_support_statistics:
            state = functional.support_statistics(
                adapted.weights, state, task["support_x"], training
            )
        with layers.finding_statistics("support"):
            return functional.loss_on(adapted.weights, state, query, training)

    def query_loss_otherwise(
        self, functional: FunctionalModel, adapted: Adapted, task: Any, training: bool
    ) -> tuple[tf.Tensor, Any, State]:
        """Loss and prediction of the query set in the way that the network does not prefer.

        A network whose batch normalizations take the statistics of the support set is shown the
        whole query set as one batch, and any other the statistics of the support set.
        """
        query, weights, state = examples_of(task, "query"), adapted.weights, adapted.state
        if functional.takes_support_statistics:
            with layers.leaving_statistics():
                return functional.loss_on(weights, state, query, training)
        state = functional.support_statistics(weights, state, task["support_x"], training)
        with layers.finding_statistics("support", "transductive"):
            return functional.loss_on(weights, state, query, training)

    @abc.abstractmethod
    def task_gradient(
        self, functional: FunctionalModel, learned: Sequence[tf.Tensor], task: Any
    ) -> tuple[Outcome, list[tf.Tensor]]:
        """What one task wants of the meta-parameters.

        Args:
            functional: the model.
            learned: the meta-parameters, as `learned` gives them.
            task: one task, as the start prepared it.

        Returns:
            How the task went, and the gradient in each tensor of `learned`.
        """

    # What starts, signatures and routings ask of a learner.

    def shared_variables(self) -> list[keras.Variable]:
        """The model's trainable variables, then those of the update rule."""
        return [*self.model.trainable_variables, *self.update_rule.trainable_variables]

    def learned(self) -> list[tf.Tensor]:
        """The present values of the meta-parameters."""
        return [tf.convert_to_tensor(v.value) for v in self.trainable_variables]

    def meta(self, learned: Sequence[tf.Tensor], task: Any) -> Meta:
        """What one task begins with, given the meta-parameters."""
        return self.split(self.start.of(learned, task))

    def split(self, tensors: Sequence[tf.Tensor]) -> Meta:
        """Tensors in the place of `shared_variables` as initial weights and rule parameters."""
        count = len(self.model.trainable_variables)
        return Meta(list(tensors[:count]), list(tensors[count:]))

    def functional(self) -> FunctionalModel:
        """The model as a pure function, with the compiled loss.

        Raises:
            ArgumentError: there is no loss, or the update rule cannot do with it.
        """
        if not self.compiled or self.loss is None:
            raise ArgumentError("loss", None, "compile the learner with a loss first.")
        self.update_rule.check(self.loss)
        given = self._compile_loss
        if self._functional is None or self._functional[0] is not given:
            loss = CompiledLoss(self.loss, given._user_loss_weights, given.output_names)
            self._functional = given, FunctionalModel(self.model, loss)
        return self._functional[1]

    def probe(self, tasks: Any) -> Probe:
        """What a call of the model on one of these query sets shows."""
        return self.functional().probe(example_specs(tasks["query_x"]))

    def objective(
        self,
        functional: FunctionalModel,
        task: Any,
        parts: Sequence[str] = ("support",),
        state: State | None = None,
        whole: Callable[[Any], Any] = list,
    ) -> Objective:
        """The objective of one task.

        Args:
            functional: the model.
            task: one task.
            parts: which of its examples, of `"support"` and `"query"`.
            state: of the model; by default as a task begins.
            whole: maps the weights that the objective takes to all weights of the model.
        """
        examples = joined([examples_of(task, part) for part in parts])
        state = self.task_state(functional, task) if state is None else state
        return functional.objective(state, examples, whole)

    def log_evidence(
        self,
        functional: FunctionalModel,
        meta: Meta,
        task: Any,
        parts: Sequence[str] = ("support",),
    ) -> tf.Tensor | None:
        """The log evidence of one task before any step, see `UpdateRule.log_evidence`."""
        objective = self.objective(functional, task, parts, whole=self._completed(meta))
        return self.update_rule.log_evidence(meta.parameters, objective, self._adapting(meta))

    def task_state(self, functional: FunctionalModel, task: Any) -> State:
        """The model's other variables as a task begins: with random generators of its own.

        Raises:
            ArgumentError: the model has random layers, and the task no seed.
        """
        state = functional.state()
        if not functional.seeds:
            return state
        if "seed" not in task:
            specs = tf.nest.map_structure(
                lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), task["support_x"]
            )
            if not functional.probe(specs).draws:
                return state
            raise ArgumentError(
                "seed",
                "missing",
                "the model has random layers; give each task of a meta-batch a seed [tasks, 2].",
            )
        return functional.seeded(state, task["seed"])

    def for_each(self, function: Callable[[Any], Any], tasks: Any) -> Any:
        """Runs a function of one task for each task, as the learner is told to run tasks."""
        return engine.for_each(function, tasks, self.vectorized, self.tasks_in_flight)
