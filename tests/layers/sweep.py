"""Meta-learns a network around every layer; as a program it writes docs/layers.md."""

import inspect
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from layer_cases import CASES, VARIANTS, classes
from layer_networks import PICTURE, make_tasks, network

import tfmeta
from tfmeta.errors import ArgumentError
from tfmeta.evaluation.float64_copy import computing_in_float64
from tfmeta.evaluation.meta_gradient import compare, relative_errors

PAGE = Path(__file__).parents[2] / "docs" / "layers.md"
LIMIT_IN_FLOAT32 = 1e-3
LIMIT = 1e-6  # what a meta-gradient may be off by; one that is not exact is off by 1e-3 and more
HEAD = """# Layers

Each layer of Keras's and of tfmeta's, in a small network of which it is a part. Made by
`python tests/layers/sweep.py`, and held by `tests/layers/test_sweep.py`.

- **Second order** is `exact` where the meta-gradient of MAML with two inner steps agrees with
  central differences in float64 to 1e-6, in every weight. Else the learner refuses the model, with
  the sentence of the last column.
- **First order** trains with `first_order=True`.
- **Adapt, save, load, export**: the model that `adapt` gives predicts what evaluation does, example
  by example; so it does from the learner saved and loaded, saved and loaded itself, and exported
  as a SavedModel.

Keras's layers that alter images do so whenever they are called without `training=False`, in an
exported model too. `predict` says so to them; what `keras.Model(inputs, model(inputs,
training=False))` exports is held here.

| Layer | Second order | First order | Adapt, save, load, export | Remark |
| --- | --- | --- | --- | --- |
"""


class Row(NamedTuple):
    """A row of the page."""

    layer: str
    second: str
    first: str
    rest: str
    remark: str

    def __str__(self) -> str:
        return "| " + " | ".join(self) + " |"


# What tfmeta raises when it refuses a layer, and Keras when it lacks another framework for it.
REFUSALS = (ArgumentError, ImportError)


def sweep(name: str) -> Row:
    """Does with the network of a layer all that the page speaks of.

    Raises:
        AssertionError: something is neither right nor refused.
    """
    case, others = CASES[name], [other for other in classes()[name] if other != name]
    layer = f"`{name}`" + (f" ({', '.join(f'`{other}`' for other in others)})" if others else "")
    second, first, rest = "exact", "yes", "yes"
    remarks = [case.note] if case.note else []
    try:
        second_order(name)
    except REFUSALS as refusal:
        second = "refused"
        remarks.append(_sentence(refusal))
    try:
        use(name)
    except REFUSALS as refusal:
        first, rest = "refused", "-"
        remarks.append(_sentence(refusal))
    return Row(layer, second, first, rest, "; ".join(dict.fromkeys(remarks)))


def second_order(name: str) -> None:
    """Asserts that the meta-gradient through a layer is exact.

    Raises:
        AssertionError: it is not.
        one of REFUSALS: the layer is refused.
    """
    case = {**CASES, **VARIANTS}[name]
    with computing_in_float64():
        if case.shape == PICTURE:  # Several of Keras's layers fail where this is float64.
            keras.config.set_floatx("float32")
        learner, tasks = _learner(case), make_tasks(case, "float64")
        pairs = compare(learner, tasks, step=1e-4 if case.in_float32 else 1e-6)
    errors, limit = relative_errors(pairs), LIMIT_IN_FLOAT32 if case.in_float32 else LIMIT
    worst = max(errors)
    assert worst < limit, f"{name}: the meta-gradient is off by {worst:.1e}: {errors}"


def _learner(case, **arguments):
    learner = tfmeta.MAML(network(case), inner_learning_rate=0.3, inner_steps=2, **arguments)
    dtype = learner.model.trainable_variables[0].dtype
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=dtype)
    learner.compile(keras.optimizers.SGD(0.1), loss=loss)
    return learner


def use(name: str) -> None:
    """Trains in first order, adapts, and hands over what came of it.

    Raises:
        AssertionError: a model predicts something else than evaluation does.
        one of REFUSALS: the layer is refused.
    """
    learner, tasks = _learner(CASES[name], first_order=True), make_tasks(CASES[name])
    before = learner.model.get_weights()
    learner.fit(tf.data.Dataset.from_tensors(tasks), verbose=0)
    after = learner.model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    assert any((old != new).any() for old, new in zip(before, after, strict=True))
    # What `adapt` gives predicts example by example.
    functional = learner.functional()
    by_example = functional.takes_support_statistics or not functional.batch_dependent
    query_loss = learner.query_loss if by_example else learner.query_loss_otherwise
    _, predictions = learner._predictions(query_loss, tasks, 2)
    expected, query = predictions[0, -1].numpy(), tasks["query_x"][0]

    def adapted(learner):
        return learner.adapt(tasks["support_x"][0], tasks["support_y"][0])

    def same(prediction):
        np.testing.assert_allclose(prediction, expected, rtol=1e-4, atol=1e-4)

    model = adapted(learner)
    same(model(query, training=False))
    with tempfile.TemporaryDirectory() as folder:
        learner.save(f"{folder}/learner.keras")
        same(adapted(keras.models.load_model(f"{folder}/learner.keras"))(query, training=False))
        model.save(f"{folder}/adapted.keras")
        same(keras.models.load_model(f"{folder}/adapted.keras")(query, training=False))
        if _alters_in_prediction(model):
            inputs = keras.Input(model.input_shape[1:])
            model = keras.Model(inputs, model(inputs, training=False))
        model.export(f"{folder}/exported", verbose=False)
        exported = tf.saved_model.load(f"{folder}/exported")
        same(exported.serve(query))


def _alters_in_prediction(model: keras.Model) -> bool:
    """Whether a layer does as in training unless it is told otherwise, which `export` does not."""
    calls = (inspect.signature(layer.call).parameters for layer in model._flatten_layers())
    return any("training" in call and call["training"].default is True for call in calls)


def _sentence(refusal: Exception) -> str:
    text = refusal.problem if isinstance(refusal, ArgumentError) else f"{refusal}."
    # Keras numbers its layers in the order of their making.
    return re.sub(r"(layer \w+?)_\d+ ", r"\1 ", text)


def page(rows: list[Row]) -> str:
    return HEAD + "".join(f"{row}\n" for row in rows)


def rows_of_page() -> dict[str, str]:
    """The lines of the page by the layer's name."""
    lines = re.finditer(r"^\| `([\w.]+)`.*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {line[1]: line[0] for line in lines}


def main(names: list[str]) -> None:
    rows, wrong = [], []
    for name in names or CASES:
        keras.backend.clear_session()
        try:
            rows.append(sweep(name))
            print(rows[-1], flush=True)
        except Exception as error:
            wrong.append(name)
            print(f"WRONG {name}: {type(error).__name__} {error}"[:1500], flush=True)
    if wrong:
        sys.exit(f"{len(wrong)} rows are neither exact nor refused: {', '.join(wrong)}")
    if not names:
        PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
