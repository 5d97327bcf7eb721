"""ANIL: the head alone adapts, and all weights are learned."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta

ALPHA, STEPS = 0.1, 3
TASKS, EXAMPLES, INPUTS, FEATURES = 4, 6, 3, 2


def network():
    return keras.Sequential(
        [
            keras.Input([INPUTS]),
            keras.layers.Dense(FEATURES, use_bias=False, name="body"),
            keras.layers.Dense(1, use_bias=False, name="head"),
        ]
    )


def regression():
    random = np.random.default_rng(0)
    x = random.normal(size=[2, TASKS, EXAMPLES, INPUTS])
    y = random.normal(size=[2, TASKS, EXAMPLES, 1])
    return {"support_x": x[0], "support_y": y[0], "query_x": x[1], "query_y": y[1]}


def of_one_task(body, head, x, y, query_x, query_y):
    """The meta-gradient of one task by hand, in the body B [3, 2] and in the head w [2, 1].

    Both losses are mean squares of X B w - Y. With A = B^T X^T X B 2 / n and b = B^T X^T Y 2 / n an
    inner step is w <- w - alpha (A w - b), so that

        w_K = P_K w_0 + alpha sum_{j<K} P_j b,        P_j = (I - alpha A)^j.

    With e = (Z B w_K - T) 2 / n, the gradient of the query loss in the prediction, it is
    B^T Z^T e =: g in w_K, and so P_K g in w_0. In B there is Z^T e w_K^T, and what w_K owes to B:
    with v_K = g and v_j = (I - alpha A) v_{j+1}, step j adds

        -alpha (2 / n) (X^T r_j v_{j+1}^T + X^T X B v_{j+1} w_j^T),        r_j = X B w_j - Y.
    """
    n = len(x)
    A = 2 / n * body.T @ x.T @ x @ body
    b = 2 / n * body.T @ x.T @ y
    ws = [head]
    for _ in range(STEPS):
        ws.append(ws[-1] - ALPHA * (A @ ws[-1] - b))
    e = 2 / n * (query_x @ body @ ws[-1] - query_y)
    v = body.T @ query_x.T @ e
    of_body = query_x.T @ e @ ws[-1].T
    for w in reversed(ws[:-1]):
        r = x @ body @ w - y
        of_body -= ALPHA * 2 / n * (x.T @ r @ v.T + x.T @ x @ body @ v @ w.T)
        v = v - ALPHA * A @ v
    return of_body, v


def test_meta_gradient_is_that_worked_out_by_hand(float64):
    tasks, model = regression(), network()
    learner = tfmeta.ANIL(model, inner_learning_rate=ALPHA, inner_steps=STEPS)
    learner.compile(keras.optimizers.SGD(1.0), loss="mse")
    body, head = before = model.get_weights()
    of_tasks = [of_one_task(body, head, *arrays) for arrays in zip(*tasks.values(), strict=True)]
    learner.fit(tf.data.Dataset.from_tensors(tasks), verbose=0)
    for number, (old, new) in enumerate(zip(before, model.get_weights(), strict=True)):
        expected = np.mean([gradients[number] for gradients in of_tasks], axis=0)
        np.testing.assert_allclose(old - new, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("head", "moved"), [(None, [1]), (["body"], [0]), (["head", "body"], [0, 1])]
)
def test_what_the_user_names_adapts(float64, head, moved):
    tasks, model = regression(), network()
    learner = tfmeta.ANIL(model, ALPHA, head=head)
    learner.compile(loss="mse")
    adapted = learner.adapt(tasks["support_x"][0], tasks["support_y"][0])
    changed = [
        (old != new).any()
        for old, new in zip(model.get_weights(), adapted.get_weights(), strict=True)
    ]
    assert [number for number, change in enumerate(changed) if change] == moved


def test_rates_are_learned_for_the_head_alone(float64):
    rule = tfmeta.updates.MetaSGD(ALPHA)
    learner = tfmeta.ANIL(network(), update_rule=rule)
    assert [tuple(v.shape) for v in rule.trainable_variables] == [(FEATURES, 1)]
    assert len(learner.trainable_variables) == 3


def test_the_head_may_lie_in_a_model_within():
    inner = keras.Sequential([keras.Input([FEATURES]), keras.layers.Dense(1, name="inner_head")])
    model = keras.Sequential([keras.Input([INPUTS]), keras.layers.Dense(FEATURES), inner])
    assert tfmeta.ANIL(model).adapting() == [2, 3]
    assert tfmeta.ANIL(model, head=["inner_head"]).adapting() == [2, 3]


def test_what_lies_before_the_head_is_differentiated_once():
    """Keras's batch normalization has right first derivatives, and wrong second ones."""
    model = keras.Sequential(
        [
            keras.Input([INPUTS]),
            keras.layers.Dense(FEATURES, name="body"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1, name="head"),
        ]
    )
    learner = tfmeta.ANIL(model, ALPHA, inner_steps=2)
    learner.compile("sgd", loss="mse")
    assert max(tfmeta.check_meta_gradient(learner, regression()).values()) < 1e-6
    with pytest.raises(tfmeta.ArgumentError, match="BatchNormalization.* a gradient is stopped"):
        tfmeta.ANIL(model, head=["body"])


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(tfmeta.ArgumentError, match="head=neck: the layers with .* are body, head"):
        tfmeta.ANIL(network(), head=["neck"])
