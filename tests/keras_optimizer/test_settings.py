"""`load_optimizer` takes what Keras's optimizers take, and refuses the rest by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta
from tfmeta import updates
from tfmeta.keras_optimizer import shipped
from tfmeta.training.checkpoints import Checkpoints

SETTINGS = {
    "name": "mine",
    "weight_decay": 0.1,
    "clipnorm": 0.1,
    "use_ema": True,
    "ema_momentum": 0.5,
    "ema_overwrite_frequency": 3,
    "loss_scale_factor": 16.0,
    "gradient_accumulation_steps": 2,
}
SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.9)


@pytest.fixture(
    scope="module",
    params=["run", *(pytest.param(name, marks=pytest.mark.slow) for name in shipped.names())],
)
def run(request, tmp_path_factory):
    """The folder of a run, or the name of a shipped rule."""
    if request.param != "run":
        return request.param
    folder = tmp_path_factory.mktemp("run")
    learner = tfmeta.OptimizerLearner(updates.CoordinatewiseLSTM(units=3, output_scale=0.5))
    learner.compile("adam")
    Checkpoints(folder / "checkpoints").save_best(learner)
    return folder


def trained(optimizer):
    variables = [keras.Variable(tf.ones([2, 3])), keras.Variable(tf.ones([4]))]
    for _ in range(6):
        optimizer.apply_gradients([(tf.sin(v.value), v) for v in variables])
    return np.concatenate([np.ravel(keras.ops.convert_to_numpy(v)) for v in variables])


def test_every_setting_of_keras_is_taken(run):
    every = set(keras.optimizers.SGD().get_config()) - {"learning_rate", "momentum", "nesterov"}
    assert every == {*SETTINGS, "clipvalue", "global_clipnorm"}
    optimizer = tfmeta.load_optimizer(run, learning_rate=0.5, **SETTINGS)
    config = optimizer.get_config()
    assert {name: config[name] for name in SETTINGS} == SETTINGS
    same = tfmeta.LearnedOptimizer(optimizer.rule, 0.5, **SETTINGS)
    np.testing.assert_array_equal(trained(optimizer), trained(same))


@pytest.mark.parametrize("clip", ["clipvalue", "global_clipnorm"])
def test_each_way_of_clipping_is_taken(run, clip):
    optimizer = tfmeta.load_optimizer(run, **{clip: 0.1})
    assert not np.array_equal(trained(optimizer), trained(tfmeta.load_optimizer(run)))


@pytest.mark.parametrize("rate", [2, np.float32(2), SCHEDULE, lambda: tf.constant(2.0)])
def test_a_learning_rate_is_a_number_a_schedule_or_a_function(run, rate):
    optimizer = tfmeta.load_optimizer(run, learning_rate=rate)
    first = rate(0) if rate is SCHEDULE else 2.0
    assert float(optimizer.learning_rate) == float(first)
    assert not np.array_equal(trained(optimizer), trained(tfmeta.load_optimizer(run)))


def test_a_number_can_be_set_later(run):
    optimizer = tfmeta.load_optimizer(run, learning_rate=1)
    optimizer.learning_rate = 0.25
    np.testing.assert_array_equal(
        trained(optimizer), trained(tfmeta.load_optimizer(run, learning_rate=0.25))
    )


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"momentum": 0.9}, "momentum=0.9: no Keras optimizer takes it; give some of clipnorm"),
        ({"decay": 0.1}, "decay=0.1: no Keras optimizer takes it"),
        ({"jit_compile": True}, "jit_compile=True: no Keras optimizer takes it"),
        ({"learning_rate": "fast"}, "learning_rate=fast: give a number, a schedule"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0: give a finite number of at least 0"),
        ({"learning_rate": np.nan}, "learning_rate=nan: give a finite number of at least 0"),
        ({"weight_decay": "0.1"}, "weight_decay=0.1: give a finite number of at least 0"),
        ({"clipnorm": "1"}, "clipnorm=1: give a positive finite number"),
        ({"ema_momentum": "x"}, "ema_momentum=x: give a number from 0 to 1"),
        ({"name": 3}, "name=3: give a string"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1: give a finite number of at least 0"),
        ({"clipnorm": 0.0}, "clipnorm=0.0: give a positive finite number"),
        ({"clipvalue": -1.0}, "clipvalue=-1.0: give a positive finite number"),
        ({"clipnorm": 1.0, "clipvalue": 1.0}, "clipvalue=1.0: give it or clipnorm, not both"),
        ({"global_clipnorm": np.inf}, "global_clipnorm=inf: give a positive finite number"),
        ({"use_ema": 0.99}, "use_ema=0.99: give True or False"),
        ({"use_ema": True, "ema_momentum": 1.5}, "ema_momentum=1.5: give a number from 0 to 1"),
        ({"ema_momentum": 0.5}, "ema_momentum=0.5: there is no average"),
        ({"ema_overwrite_frequency": 5}, "ema_overwrite_frequency=5: there is no average"),
        ({"loss_scale_factor": 0.0}, "loss_scale_factor=0.0: give a positive finite number"),
        (
            {"gradient_accumulation_steps": 2.5},
            "gradient_accumulation_steps=2.5: give a whole number of at least 2",
        ),
        (
            {"gradient_accumulation_steps": 1},
            "gradient_accumulation_steps=1: give a whole number of at least 2",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(run, settings, sentence):
    with pytest.raises(tfmeta.ArgumentError) as caught:
        tfmeta.load_optimizer(run, **settings)
    assert str(caught.value).startswith(sentence) and str(caught.value).count(". ") == 0
