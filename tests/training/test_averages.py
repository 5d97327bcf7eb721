"""Averages of weights: what a training validates and saves as the best."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmeta.training import checkpoints
from tfmeta.training.averages import averaged
from tfmeta.training.loop import Trainer, train
from tfmeta.training.run_folder import RunFolder


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


class Mover(Trainer):
    """Moves by 2 and then by 4, see above; the validation is the weight itself."""

    meta_batch = 1

    def __init__(self):
        self.learner = learner(use_ema=True, ema_momentum=0.75)

    def advance(self, step, count, progress):
        for number in range(step, step + count):
            move(self.learner, 2.0 * (number + 1))
            progress.step(number, {"loss": 0.0})
        return {"loss": 0.0}

    def validate(self):
        return {"weight": weight(self.learner)}

    def merit(self, validation):
        return validation["weight"]

    def headline(self, validation):
        return ""


def test_a_training_validates_and_saves_averages_and_goes_on_with_the_weights(tmp_path):
    folder, trainer = RunFolder(tmp_path / "run"), Mover()
    folder.claim(resume=False)
    folder.write_flags([])
    rows = train(trainer, folder, steps=2, validate_every=1).rows
    assert [row["validation"]["weight"] for row in rows] == [3.0, 4.0]
    saved = checkpoints.Checkpoints(folder.checkpoints)
    assert weight(keras.models.load_model(saved.best)) == 4.0
    assert weight(keras.models.load_model(saved.newest_whole()[1])) == 7.0
    assert weight(trainer.learner) == 7.0
