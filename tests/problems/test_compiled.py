"""Problems that share data, or the state of a model, under XLA."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta
from tfmeta.data.glyphs import glyphs
from tfmeta.learners import OptimizerLearner
from tfmeta.problems import ImageNetworks, KerasModelProblems
from tfmeta.updates import MetaSGD

STEPS = 3


def image_networks():
    return ImageNetworks(glyphs(5), (4,), "relu")


def keras_models(vectorizable, normalized=False):
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices((x, x.sum(axis=1, keepdims=True))).batch(16)
    between = [tfmeta.layers.BatchNormalization()] if normalized else []
    layers = [keras.layers.Input((4,)), keras.layers.Dense(3), *between, keras.layers.Dense(1)]
    return KerasModelProblems(keras.Sequential(layers), "mse", data, vectorizable=vectorizable)


@pytest.mark.parametrize(
    "family",
    [
        image_networks,
        lambda: keras_models(vectorizable=True),
        lambda: keras_models(vectorizable=False),
        lambda: keras_models(vectorizable=False, normalized=True),
    ],
    ids=["images", "Keras", "Keras, one by one", "Keras, with statistics"],
)
def test_xla_finds_the_same_meta_gradient(family):
    problems = family()

    def meta_gradient(xla):
        rule = MetaSGD(0.1)
        rule.build([tensor.shape[1:] for tensor in problems.batch(0, 0, 1)["weights"]])
        learner = OptimizerLearner(rule, first_order=False, xla=xla)

        @tf.function(autograph=False)
        def compute():
            tasks = problems.batch(0, 0, 2)
            return learner.meta_gradient(problems, tasks, learner.start(problems, tasks), 0, STEPS)

        return compute()[0]

    for compiled, plain in zip(meta_gradient(True), meta_gradient(False), strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=1e-6)
        assert np.any(plain)
