"""What `check_meta_gradient` says of learners whose meta-gradients are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfmeta


@keras.saving.register_keras_serializable("test_meta_gradient")
class OffByOwnCall(layers.Layer):
    """Hides from the learner that its derivative is wrong: it is declared by hand."""

    def call(self, x):
        @tf.custom_gradient
        def tanh(x):
            return tf.tanh(x), lambda upstream: 1.1 * upstream * (1 - tf.square(tf.tanh(x)))

        return tanh(x)


def model(*middle):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, "tanh", name="below"), *middle, layers.Dense(1)]
    )


def tasks():
    random = np.random.default_rng(0)
    names = ("support_x", "support_y", "query_x", "query_y")
    return {n: random.normal(size=[2, 5, 3 if n[-1] == "x" else 1]).astype("f4") for n in names}


def learner(model, loss="mse", **arguments):
    made = tfmeta.MAML(model, inner_learning_rate=0.3, inner_steps=2, **arguments)
    made.compile("sgd", loss=loss)
    return made


def test_an_exact_gradient_is_off_by_nothing_and_the_learner_stays_as_it_is():
    made = learner(model(layers.Lambda(lambda x: 2 * x)), keras.losses.MeanSquaredError())
    before = made.get_weights()
    errors = tfmeta.check_meta_gradient(made, tasks())
    assert list(errors) == [variable.path for variable in made.trainable_variables]
    assert max(errors.values()) < 1e-6
    for old, new in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert keras.config.floatx() == keras.config.dtype_policy().name == "float32"


def test_mixed_precision_is_checked_in_float64():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        made = learner(model(), update_rule=tfmeta.updates.MetaSGD(0.3))
        errors = tfmeta.check_meta_gradient(made, tasks())
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert len(errors) == 8 and max(errors.values()) < 1e-6


def test_a_derivative_that_is_wrong_shows_in_the_weights_below_it():
    errors = tfmeta.check_meta_gradient(learner(model(OffByOwnCall())), tasks())
    assert all((error > 1e-3) for name, error in errors.items() if name.startswith("below"))


def test_first_order_is_off_by_what_it_leaves_out():
    errors = tfmeta.check_meta_gradient(learner(model(), first_order=True), tasks())
    assert max(errors.values()) > 1e-3


class Unsaved(layers.Layer):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def call(self, x):
        return x * self.size


def test_what_cannot_be_copied_is_refused():
    with pytest.raises(tfmeta.ArgumentError, match="copy in float64 .*get_config"):
        tfmeta.check_meta_gradient(learner(model(Unsaved(np.ones(4)))), tasks())


def test_a_learner_without_loss_is_refused():
    with pytest.raises(tfmeta.ArgumentError, match="compile the learner with a loss first"):
        tfmeta.check_meta_gradient(tfmeta.MAML(model()), tasks())
