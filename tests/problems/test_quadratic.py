import numpy as np
import pytest
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.problems.quadratic import Quadratics


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_derivatives(check_derivatives, distribution):
    check_derivatives(Quadratics(4, distribution, scale=0.5, start=1.0, dtype="float64"))


def test_loss_by_hand():
    # W x - y = [1 * 1 + 2 * 2 - 3, 0 * 1 + 1 * 2 - 4] = [2, -2]
    data = {"w": tf.constant([[1.0, 2.0], [0.0, 1.0]]), "y": tf.constant([3.0, 4.0])}
    for scale, loss in ((1.0, 8.0), (0.5, 4.0)):
        problems = Quadratics(2, scale=scale)
        assert problems.loss([tf.constant([1.0, 2.0])], data, tf.zeros([2], tf.int32)) == loss
        assert problems.full_loss([tf.constant([1.0, 2.0])], data) == loss


@pytest.mark.parametrize("start", [0.01, 1.0])
def test_published_distributions(start):
    uniform = Quadratics(20, start=start).batch(0, 0, 500)
    w, y, x = uniform["data"]["w"], uniform["data"]["y"], uniform["weights"][0]
    for tensor in (w, y):
        assert tf.reduce_min(tensor) >= 0 and tf.reduce_max(tensor) < 1
        assert abs(np.mean(tensor) - 0.5) < 0.02 and abs(np.var(tensor) - 1 / 12) < 0.01
    assert abs(np.mean(x) / start) < 0.05 and abs(np.std(x) / start - 1) < 0.05
    normal = Quadratics(20, "normal", start=start).batch(0, 0, 500)["data"]
    for tensor in normal.values():
        assert abs(np.mean(tensor)) < 0.05 and abs(np.std(tensor) - 1) < 0.05


@pytest.mark.parametrize("arguments", [{"dimensions": 0}, {"distribution": "cauchy"}])
def test_bad_arguments(arguments):
    with pytest.raises(ArgumentError, match="^" + next(iter(arguments))):
        Quadratics(**arguments)
