"""Averages of weights: what a training validates and saves as the best."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmeta.training.averages import averaged


def learner(**settings):
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(1.0, **settings))
    model.set_weights([np.array([[1.0]])])
    return model


def move(model, *steps):
    for step in steps:
        model.optimizer.apply([tf.constant([[-step]])], model.trainable_variables)


def weight(model):
    return model.get_weights()[0].item()


def test_within_it_the_weights_are_their_averages():
    """1 + 2 = 3 at first, then 0.75 * 3 + 0.25 * 7 = 4; after it, 7 again."""
    model = learner(use_ema=True, ema_momentum=0.75)
    move(model, 2.0, 4.0)
    with averaged(model):
        assert weight(model) == 4.0
    assert weight(model) == 7.0
    with pytest.raises(KeyError), averaged(model):
        raise KeyError
    assert weight(model) == 7.0


def test_without_averages_the_weights_are_themselves():
    model = learner()
    move(model, 2.0)
    with averaged(model):
        assert weight(model) == 3.0
