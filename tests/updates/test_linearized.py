"""A linear network is its own linearization: what is known of Gaussians holds exactly."""

import numpy as np
import tensorflow as tf
from scipy.stats import multivariate_normal

from tfmeta.updates.linearized import Linearized, linearize

VARIANCES, NOISE = (0.7, 2.0), 0.3


def network():
    """y = x A + b at some weights, and the columns of its Jacobian worked out by hand."""
    random = np.random.default_rng(0)
    x, targets = random.normal(size=[4, 3]), random.normal(size=[4, 2])
    matrix, bias = random.normal(size=[3, 2]), random.normal(size=[2])

    def predict(weights):
        return tf.linalg.matmul(tf.constant(x), weights[0]) + weights[1], "state"

    linearized, others = linearize(
        predict, tf.constant(targets), [tf.constant(matrix), tf.constant(bias)]
    )
    assert others == "state"
    # Of prediction (e, o) in A[i, p] and in b[p]: x[e, i], and 1, if o is p.
    jacobian = [
        np.einsum("ei,op->eoip", x, np.eye(2)).reshape(8, 6),
        np.einsum("e,op->eop", np.ones(4), np.eye(2)).reshape(8, 2),
    ]
    return linearized, jacobian, (targets - x @ matrix - bias).reshape(8)


def given():
    return [tf.constant(v, tf.float64) for v in VARIANCES], tf.constant(NOISE, tf.float64)


def test_jacobian_and_residuals():
    linearized, jacobian, residuals = network()
    np.testing.assert_allclose(linearized.residuals, residuals, rtol=1e-13)
    for rows, expected in zip(linearized.jacobian, jacobian, strict=True):
        np.testing.assert_allclose(rows, expected, rtol=1e-13)


def test_log_evidence_is_that_of_gaussian_targets():
    linearized, jacobian, residuals = network()
    covariance = NOISE * np.eye(8) + sum(
        v * j @ j.T for v, j in zip(VARIANCES, jacobian, strict=True)
    )
    expected = -multivariate_normal(np.zeros(8), covariance).logpdf(residuals) / 8
    np.testing.assert_allclose(-linearized.log_evidence(*given()), expected, rtol=1e-11)


def test_moves_are_those_of_ridge_regression():
    """In weights rather than in targets: (J^T J / noise + V^-1)^-1 J^T r / noise."""
    linearized, jacobian, residuals = network()
    rows = np.concatenate(jacobian, axis=1)
    precision = rows.T @ rows / NOISE + np.diag(1 / np.repeat(VARIANCES, [6, 2]))
    expected = np.linalg.solve(precision, rows.T @ residuals / NOISE)
    moves = np.concatenate(linearized.expected_moves(*given()))
    np.testing.assert_allclose(moves, expected, rtol=1e-11)


def test_targets_of_one_point_without_noise():
    """Their covariance has rank one; in float32 rounding alone would decide about its root."""
    random = np.random.default_rng(1)
    rows = tf.constant(np.tile(random.normal(size=[1, 30]), [12, 1]), tf.float32)
    linearized = Linearized(tf.ones([12]), [rows])
    variances, noise = [tf.constant(1.0)], tf.constant(1e-30)
    assert np.isfinite(linearized.log_evidence(variances, noise))
    (moves,) = linearized.expected_moves(variances, noise)
    np.testing.assert_allclose(tf.linalg.matvec(rows, moves), np.ones(12), rtol=1e-3)
