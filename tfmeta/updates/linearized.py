"""A network made linear in its weights at one point: where weights are Gaussian, so are targets."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

# Of the mean variance of a target, so many times what rounding leaves of it are taken for noise.
_ROUNDING = 100.0


class Linearized(NamedTuple):
    """How targets are missed, and how predictions move with the weights.

    Attributes:
        residuals: targets less predictions, [n]; n is the number of examples times that of outputs.
        jacobian: of the predictions, for each weight tensor [n, its size].
    """

    residuals: tf.Tensor
    jacobian: list[tf.Tensor]

    def covariance(self, variances: Sequence[tf.Tensor], noise: tf.Tensor) -> tf.Tensor:
        """Of the targets, [n, n], where weights vary independently about where they are.

        Args:
            variances: of each weight of a tensor, a scalar for each tensor.
            noise: variance of the noise of a target, a scalar.
        """
        explained = tf.add_n(
            [
                variance * tf.linalg.matmul(rows, rows, transpose_b=True)
                for variance, rows in zip(variances, self.jacobian, strict=True)
            ]
        )
        # Where targets have no noise its variance is learned to be next to nothing, and rounding
        # could make the covariance indefinite.
        mean = tf.reduce_mean(tf.linalg.diag_part(explained))
        noise += _ROUNDING * np.finfo(noise.dtype.as_numpy_dtype).eps * mean
        return explained + tf.linalg.diag(noise * tf.ones_like(self.residuals))

    def log_evidence(self, variances: Sequence[tf.Tensor], noise: tf.Tensor) -> tf.Tensor:
        """log p(targets) / n, a scalar, in nats: large where such weights explain the targets.

        Args:
            variances, noise: see `covariance`.
        """
        root = tf.linalg.cholesky(self.covariance(variances, noise))
        white = tf.linalg.triangular_solve(root, self.residuals[:, None])
        logarithms = tf.math.log(tf.linalg.diag_part(root))
        return -(
            (tf.reduce_mean(tf.square(white)) + math.log(2 * math.pi)) / 2
            + tf.reduce_mean(logarithms)
        )

    def expected_moves(self, variances: Sequence[tf.Tensor], noise: tf.Tensor) -> list[tf.Tensor]:
        """How far the weights are expected to be from where they are, given the targets.

        That is V J^T (J V J^T + noise)^-1 r, the step of Levenberg (1944) and Marquardt (1963) for
        the squared error, with as many equations as targets rather than as weights.

        Args:
            variances, noise: see `covariance`.

        Returns:
            For each weight tensor [its size].
        """
        root = tf.linalg.cholesky(self.covariance(variances, noise))
        solved = tf.linalg.cholesky_solve(root, self.residuals[:, None])
        return [
            variance * tf.linalg.matmul(rows, solved, transpose_a=True)[:, 0]
            for variance, rows in zip(variances, self.jacobian, strict=True)
        ]


def linearize(
    predict: Callable[[list[tf.Tensor]], tuple[tf.Tensor, Any]],
    targets: tf.Tensor,
    weights: Sequence[tf.Tensor],
) -> tuple[Linearized, Any]:
    """The network linearized at `weights`, differentiable in them.

    Args:
        predict: of the weights, to predictions of the shape of `targets`, and whatever else it
            computes on the way.
        targets: [examples, ...].
        weights: of one task.

    Returns:
        The linearized network, in the dtype of the weights, and what else `predict` returned.
    """
    weights = list(weights)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        predictions, others = predict(weights)
        predictions = tf.reshape(tf.cast(predictions, weights[0].dtype), [-1])
    jacobian = tape.jacobian(
        predictions, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    rows = [
        tf.reshape(part, [-1, weight.shape.num_elements()])
        for part, weight in zip(jacobian, weights, strict=True)
    ]
    targets = tf.reshape(tf.cast(targets, predictions.dtype), [-1])
    return Linearized(targets - predictions, rows), others
