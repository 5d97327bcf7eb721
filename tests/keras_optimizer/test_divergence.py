"""A step that is not finite is left out, and training stops with a sentence."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta
from tfmeta import updates

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 3)).astype(np.float32)
Y = np.sin(X[:, :1])
DAMAGED = np.where(np.arange(64)[:, None] == 43, np.nan, X)  # in the sixth batch of 8
# Ways in which Keras runs a step. By default XLA compiles it.
WAYS = {
    "compiled": {},
    "graph": {"jit_compile": False},
    "eager": {"run_eagerly": True},
    "several": {"steps_per_execution": 3},
    "several in a graph": {"steps_per_execution": 3, "jit_compile": False},
}
every_way = pytest.mark.parametrize(
    "way",
    [
        pytest.param(way, marks=[] if way in ("compiled", "eager") else [pytest.mark.slow])
        for way in WAYS
    ],
)


class Fails(updates.GradientRule):
    """Takes three steps of gradient descent; the fourth is not finite."""

    def initial_state(self, parameters, weights, seed):
        return tf.zeros([])

    def update(self, parameters, weights, gradients, state):
        rate = 0.3 / (3.0 - state)
        return [w - rate * g for w, g in zip(weights, gradients, strict=True)], state + 1.0


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input([3]), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)]
    )


def compiled(rule, learning_rate=1.0, way="graph", **settings):
    model = network()
    optimizer = tfmeta.LearnedOptimizer(rule, learning_rate, name="mine", **settings)
    model.compile(optimizer=optimizer, loss="mse", **WAYS[way])
    return model


def fit(model, x=X, steps=16):
    model.fit(x[: 8 * steps], Y[: 8 * steps], batch_size=8, epochs=-(-steps // 8), verbose=0,
              shuffle=False)  # fmt: skip


def stopped(train, *arguments):
    with pytest.raises(tfmeta.DivergedError) as caught:
        train(*arguments)
    return caught.value


@pytest.mark.parametrize(
    "settings",
    [
        {"weight_decay": 0.1},
        {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_nothing_else_moves_weights_in_a_step_that_is_left_out(settings):
    model = compiled(updates.GradientDescent(0.1), **settings)
    batches = [slice(first, first + 8) for first in range(0, 48, 8)]
    for batch in batches[:5]:
        model.train_on_batch(X[batch], Y[batch])
    before = model.get_weights()
    model.train_on_batch(DAMAGED[batches[5]], Y[batches[5]])
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert stopped(model.train_on_batch, X[:8], Y[:8]).step == 6


@every_way
def test_bad_data_stop_fit_at_the_weights_before_them(way):
    model, other = (compiled(updates.GradientDescent(0.1), way=way) for _ in range(2))
    error = stopped(fit, model, DAMAGED)
    assert re.fullmatch(
        r"mine left out step 6: gradients are not finite, though the largest weight is 0\.9\d* "
        r"\(at first 0\.901\); look for NaN and infinity in the data and in the loss",
        str(error),
    )
    assert (error.optimizer, error.step) == ("mine", 6)
    assert model.optimizer.iterations <= 6  # no further than the call that saw it
    fit(other, steps=5)
    for weight, expected in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "way", ["graph", *(pytest.param(way, marks=pytest.mark.slow) for way in ("compiled", "eager"))]
)
def test_a_step_of_the_rule_that_is_not_finite(way):
    error = stopped(fit, compiled(Fails(), 0.5, way))
    assert str(error) == (
        "mine left out step 4: the step that the rule takes is not finite; lower learning_rate "
        "(it is 0.5), or give clipnorm"
    )


def test_weights_that_grow():
    model = compiled(updates.GradientDescent(1.0), 1e30)
    assert re.search(
        r"step 2: the largest weight has grown to [\d.]+e\+29 \(at first 0\.901\), and gradients "
        r"are not finite; lower learning_rate \(it is 1e\+30\), or give clipnorm$",
        str(stopped(fit, model)),
    )
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.slow
def test_a_weight_that_was_not_finite_before():
    model = compiled(updates.GradientDescent(0.1))
    fit(model, steps=1)
    model.layers[0].bias.assign([0.0, np.nan, 0.0, 0.0])
    assert "step 2: a weight was not finite before it; look at" in str(stopped(fit, model))


@pytest.mark.slow
def test_with_accumulated_gradients_the_sums_begin_anew():
    model = compiled(updates.GradientDescent(0.1), gradient_accumulation_steps=2)
    stopped(fit, model, DAMAGED)
    fit(model)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_the_last_step_of_fit_is_seen_too():
    assert stopped(fit, compiled(updates.GradientDescent(0.1)), DAMAGED, 6).step == 6


@pytest.mark.slow
def test_training_can_go_on_with_another_rate():
    model = compiled(updates.CoordinatewiseLSTM(units=3, output_scale=5.0), 1e30)
    stopped(fit, model)
    keras.Model.set_weights(model, network().get_weights())
    model.optimizer.learning_rate = 0.01
    fit(model)
    assert np.isfinite(model.evaluate(X, Y, verbose=0))


@pytest.mark.parametrize("jit_compile", [pytest.param(None, marks=pytest.mark.slow), True])
def test_a_loop_of_one_s_own(jit_compile):
    model, optimizer = network(), tfmeta.LearnedOptimizer(updates.GradientDescent(0.1), name="mine")

    @tf.function(jit_compile=jit_compile)
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - y))
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    for part in range(0, 48, 8):
        step(DAMAGED[part : part + 8], Y[part : part + 8])
    before = model.get_weights()
    # It ends there: what fit calls at its end tells. Or the next call does.
    for last in (
        lambda: optimizer.finalize_variable_values(model.trainable_variables),
        lambda: step(X[:8], Y[:8]),
    ):
        assert stopped(last).step in (6, 7)
        np.testing.assert_array_equal(model.get_weights()[0], before[0])
        step(DAMAGED[40:48], Y[40:48])


def test_train_on_batch():
    model = compiled(updates.GradientDescent(0.1), way="compiled")
    model.train_on_batch(DAMAGED[40:48], Y[40:48])
    error = stopped(model.train_on_batch, X[:8], Y[:8])
    assert error.step == 1
    model.train_on_batch(X[:8], Y[:8])


@pytest.mark.slow
def test_a_model_saved_in_between_says_so_and_is_whole(tmp_path):
    model = compiled(updates.CoordinatewiseLSTM(units=3))
    model.train_on_batch(DAMAGED[40:48], Y[40:48])
    with pytest.warns(UserWarning, match="mine left out step 1"):
        model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    fit(loaded)
    with pytest.raises(tfmeta.DivergedError):
        fit(model)


@pytest.mark.parametrize("way", ["compiled", pytest.param("eager", marks=pytest.mark.slow)])
def test_a_loss_scale_leaves_out_what_is_not_finite_without_an_error(way):
    model = network()
    inner = tfmeta.LearnedOptimizer(updates.GradientDescent(0.1))
    model.compile(optimizer=keras.optimizers.LossScaleOptimizer(inner), loss="mse", **WAYS[way])
    fit(model, DAMAGED)
    assert inner.iterations == 14
    failing = network()
    failing.compile(
        optimizer=keras.optimizers.LossScaleOptimizer(tfmeta.LearnedOptimizer(Fails())),
        loss="mse",
        **WAYS[way],
    )
    assert stopped(fit, failing).step == 4
