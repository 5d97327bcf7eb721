"""Reptile: the initial weights move by the mean of what tasks change them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta

ALPHA, STEPS, TASKS = 0.1, 3, 4


def line():
    return keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])


def slopes(seed=True):
    """Tasks y = a x whose two support and three query points all have x = 1 or -1."""
    random = np.random.default_rng(0)
    x = random.choice([-1.0, 1.0], [TASKS, 5, 1])
    y = np.array([1.0, 2.0, 3.0, -4.0]).reshape([TASKS, 1, 1]) * x
    tasks = {"support_x": x[:, :2], "support_y": y[:, :2]}
    tasks |= {"query_x": x[:, 2:], "query_y": y[:, 2:]}
    return tasks | ({"seed": random.integers(0, 2**31, [TASKS, 2], np.int32)} if seed else {})


def learner(**arguments):
    made = tfmeta.Reptile(line(), ALPHA, STEPS, **arguments)
    made.compile(keras.optimizers.SGD(0.5), loss="mse")
    return made


def fit(made, tasks, steps=1):
    made.fit(tf.data.Dataset.from_tensors(tasks).repeat(steps), verbose=0)


def test_descends_as_worked_out_by_hand(float64):
    """The loss of task a at weight w is (w - a)^2, so a step leaves w - a times 1 - 2 alpha."""
    made = learner(update_rule=tfmeta.updates.GradientDescent(ALPHA))
    w = made.model.get_weights()[0].item()
    fit(made, slopes(seed=False))
    adapted = [a + (1 - 2 * ALPHA) ** STEPS * (w - a) for a in (1.0, 2.0, 3.0, -4.0)]
    expected = w + 0.5 * (np.mean(adapted) - w)
    np.testing.assert_allclose(made.model.get_weights()[0], [[expected]], rtol=1e-12)


def adam_by_hand(w, a, v, t):
    """K steps of Adam with beta_1 = 0 on (w - a)^2, from second moment v after t steps."""
    for _ in range(STEPS):
        gradient, t = 2 * (w - a), t + 1
        v = 0.999 * v + 0.001 * gradient**2
        w -= ALPHA * np.sqrt(1 - 0.999**t) * gradient / (np.sqrt(v) + 1e-7)
    return w, v


def test_second_moments_live_on(float64):
    """Each task begins with the mean of those that the tasks of the step before have left."""
    made = learner()
    w, v = made.model.get_weights()[0].item(), 0.0
    for step in range(3):
        ends = [adam_by_hand(w, a, v, STEPS * step) for a in (1.0, 2.0, 3.0, -4.0)]
        w += 0.5 * (np.mean([end for end, _ in ends]) - w)
        v = np.mean([moment for _, moment in ends])
        fit(made, slopes(seed=False))
        np.testing.assert_allclose(made.model.get_weights()[0], [[w]], rtol=1e-9)
    kept = [variable.numpy() for variable in made.memory]
    made.evaluate(tf.data.Dataset.from_tensors(slopes()), verbose=0)
    for variable, value in zip(made.memory, kept, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_inner_batches_go_through_all_examples():
    made = learner(inner_batch=2)
    tasks = {
        "support_x": tf.range(5)[:, None],
        "support_y": tf.range(5),
        "seed": tf.constant([1, 2]),
    }
    drawn = [made.inner_examples(tasks, step) for step in range(5)]
    for x, y, _ in drawn:
        np.testing.assert_array_equal(x[:, 0], y)
    seen = np.concatenate([y for _, y, _ in drawn])
    assert sorted(seen[:5]) == sorted(seen[5:]) == list(range(5))
    assert (seen[:5] != seen[5:]).any()


def test_a_support_set_smaller_than_an_inner_batch_is_taken_whole():
    made = learner(inner_batch=6)
    tasks = {"support_x": tf.range(5)[:, None], "support_y": tf.range(5)}
    _, y, _ = made.inner_examples(tasks, step=1)
    np.testing.assert_array_equal(y, range(5))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: learner(inner_batch=0), "inner_batch=0: give a whole number"),
        (lambda: fit(learner(inner_batch=6), slopes()), "inner_batch=6: a task has 5 examples"),
        (
            lambda: fit(learner(inner_batch=2), slopes(seed=False)),
            "seed=missing: inner batches are drawn by it",
        ),
        (
            lambda: learner(update_rule=tfmeta.updates.MetaSGD(0.1)),
            "update_rule=MetaSGD: it has parameters, which Reptile does not learn",
        ),
    ],
)
def test_bad_arguments(make, sentence):
    with pytest.raises(tfmeta.ArgumentError, match=sentence):
        make()
