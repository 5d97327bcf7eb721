import numpy as np
import pytest
import tensorflow as tf

from tfmeta.errors import ArgumentError
from tfmeta.problems.bowl import Bowls


def loss(problems, *x):
    return problems.full_loss([tf.constant(x, tf.float64)], ()).numpy()


@pytest.mark.parametrize("angle", [0.0, 45.0])
def test_derivatives(check_derivatives, angle):
    check_derivatives(Bowls(5.0, angle, dtype="float64"))


def test_loss_by_hand():
    upright = Bowls(5.0, dtype="float64")
    np.testing.assert_allclose(loss(upright, 2.0, 3.0), 0.5 * (5 * 4 + 9))
    # R (1, 1) = (0, sqrt 2) and R (1, -1) = (sqrt 2, 0): the steep axis is the second diagonal.
    turned = Bowls(5.0, 45.0, dtype="float64")
    np.testing.assert_allclose(loss(turned, 1.0, 1.0), 1.0)
    np.testing.assert_allclose(loss(turned, 1.0, -1.0), 5.0)
    assert loss(turned, 0.0, 0.0) == 0.0


def test_names_tell_bowls_apart():
    names = [Bowls(0.1).name, Bowls(5.0).name, Bowls(5.0, 45.0).name]
    assert names == ["bowl_0.1", "bowl_5", "bowl_5_turned_45"]


@pytest.mark.parametrize("condition_number", [0.0, -1.0, float("nan"), float("inf")])
def test_the_condition_number_is_above_0(condition_number):
    with pytest.raises(ArgumentError, match="^condition_number=.*give a positive finite number"):
        Bowls(condition_number)
