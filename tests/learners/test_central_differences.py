"""Second-order meta-gradients against central differences of the meta-loss.

Layer by layer they are held in tests/layers/test_sweep.py; here, through losses and update rules.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from layer_cases import CASES, VARIANTS
from layer_networks import CLASSES, make_tasks, network

import tfmeta
from tfmeta import updates

pytestmark = pytest.mark.usefixtures("float64")

LIMIT = 1e-6  # one whose second derivatives are inexact is off by 1e-3 and more
SMOOTH = VARIANTS["tanh sigmoid softplus"]
LOSSES = {
    "mse": keras.losses.MeanSquaredError,
    "mae": keras.losses.MeanAbsoluteError,
    "huber": keras.losses.Huber,
    "log_cosh": keras.losses.LogCosh,
}


def regression():
    """Tasks whose targets are numbers."""
    tasks = make_tasks(SMOOTH, "float64")
    for labels in ("support_y", "query_y"):
        tasks[labels] = tf.one_hot(tasks[labels], CLASSES, dtype=tf.float64)
    return tasks


def worst_error(model, tasks, loss=None, **arguments):
    """How far the meta-gradient of two inner steps is off in the weight where it is furthest."""
    learner = tfmeta.MAML(model, inner_learning_rate=0.3, inner_steps=2, **arguments)
    learner.compile(loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return max(tfmeta.check_meta_gradient(learner, tasks).values())


@pytest.mark.parametrize(
    "name", [n if n == "huber" else pytest.param(n, marks=pytest.mark.slow) for n in LOSSES]
)
def test_meta_gradient_of_a_regression_loss_is_the_central_difference(name):
    assert worst_error(network(SMOOTH), regression(), LOSSES[name]()) < LIMIT


RULES = {
    "momentum": lambda: updates.Momentum(0.3),
    "adam": lambda: updates.Adam(0.3),
    "rmsprop": lambda: updates.RMSprop(0.3),
    "meta_sgd": lambda: updates.MetaSGD(0.3),
    "layer_rates": lambda: updates.LayerRates(0.3, 2),
    "lstm": lambda: updates.CoordinatewiseLSTM(units=4, output_scale=1.0),
    "hierarchical_rnn": lambda: updates.HierarchicalRNN(sizes=(3, 4, 4)),
}


# By itself each rule is held to central differences in tests/conformance/test_rules.py.
@pytest.mark.parametrize(
    "name",
    [name if name == "lstm" else pytest.param(name, marks=pytest.mark.slow) for name in RULES],
)
def test_meta_gradient_through_an_update_rule_is_the_central_difference(name):
    """In the initial weights and the rule's parameters at once."""
    model, rule = network(CASES["Dense"]), RULES[name]()
    rule.build([variable.shape for variable in model.trainable_variables])
    random = np.random.default_rng(3)
    for variable in rule.trainable_variables:
        variable.assign_add(0.3 * random.normal(size=variable.shape))
    assert worst_error(model, make_tasks(CASES["Dense"], "float64"), update_rule=rule) < LIMIT


@pytest.mark.parametrize(
    "vectorized",
    [pytest.param(False, marks=pytest.mark.slow), True],
    ids=["one by one", "vectorized"],
)
def test_meta_gradient_through_gauss_newton_steps_is_the_central_difference(vectorized):
    """Of the error on the query set and the surprise of the start, in weights and variances."""
    model, rule = network(SMOOTH), updates.GaussNewton(0.3, 2)
    rule.build([variable.shape for variable in model.trainable_variables])
    random = np.random.default_rng(3)
    for variable in rule.trainable_variables:
        variable.assign_add(0.3 * random.normal(size=variable.shape))
    arguments = {"update_rule": rule, "vectorized": vectorized}
    assert worst_error(model, regression(), "mse", **arguments) < LIMIT


def test_random_draws_come_from_the_seed_of_the_task():
    tasks = make_tasks(CASES["Dropout"], "float64")
    learner = tfmeta.MAML(network(CASES["Dropout"]))
    learner.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    @tf.function(autograph=False)
    def loss(tasks):
        return learner.meta_gradient(tasks)[0].loss

    assert loss(tasks) == loss(tasks)
    assert loss(tasks) != loss({**tasks, "seed": tasks["seed"] + 1})
