"""Regression tasks from six mixed families of functions."""

import math

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.tasks.regression import Regression
from tfmeta.tasks.spec import TaskSpec

NOISE = 0.3  # standard deviation


class SixFamilies(Regression):
    """The mixed functions of two inputs of ARML (Yao et al. 2020, public code).

    A task is a function from one of six families, all equally likely. Inputs a and b are uniform in
    [-5, 5], except that b is 1 where the function does not depend on it. Coefficients c_0, c_1, ...
    are uniform between minus and plus the values given; the sine has ranges of its own:

        sine                amplitude sin(frequency a + phase); 0.1 to 5, 0.8 to 1.2, 0 to 2 pi
        line                c_0 a + c_1; 3, 3
        quadratic           c_0 a^2 + c_1 a + c_2; 0.2, 2, 3
        cubic               c_0 a^3 + c_1 a^2 + c_2 a + c_3; 0.1, 0.2, 2, 3
        quadratic surface   c_0 a^2 + c_1 b^2; 1, 1
        ripple              sin(-c_0 (a^2 + b^2)) + c_1; 0.2, 3

    All targets, in the query set too, carry normal noise with standard deviation 0.3. So no learner
    has an expected mean squared error below 0.09.

    Inputs are float32 `[tasks, shots, 2]` and targets `[tasks, shots, 1]` in the support set, and
    likewise with `queries` in the query set. `family`, int32 `[tasks]`, is the index of each task's
    family in `spec.families`.

    Args:
        shots: number of support points.
        queries: number of query points.
        seed: seed of the tasks.

    Raises:
        ArgumentError: `shots` or `queries` is not a whole number of at least 1.
    """

    spec = TaskSpec(
        tf.TensorSpec([2]),
        tf.TensorSpec([1]),
        outputs=1,
        kind="regression",
        families=("sine", "line", "quadratic", "cubic", "quadratic surface", "ripple"),
    )

    def tasks(self, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        points = self.shots + self.queries
        numbers = random_numbers.uniform(seeds, (5 + 2 * points,))
        family = tf.cast(6.0 * numbers[:, 0], tf.int32)
        a, b = -5.0 + 10.0 * numbers[:, 5 : 5 + points], -5.0 + 10.0 * numbers[:, 5 + points :]
        one_input = family < self.spec.families.index("quadratic surface")
        b = tf.where(one_input[:, None], tf.ones_like(b), b)
        functions = tf.stack(_functions(numbers[:, 1:5, None], a, b), axis=1)
        noise = random_numbers.normal(random_numbers.fold_in(seeds, 1), (points,))
        x = tf.stack([a, b], axis=-1)
        y = tf.gather(functions, family, axis=1, batch_dims=1) + NOISE * noise
        return {**self.support_and_query(x, y[..., None]), "family": family}


def _functions(numbers, a, b):
    """Evaluates all six, `[tasks, points]` each, from `numbers` `[tasks, 4, 1]` in [0, 1)."""
    amplitude, frequency, phase, _ = tf.unstack(numbers, axis=1)
    c = tf.unstack(2.0 * numbers - 1.0, axis=1)
    return (
        (0.1 + 4.9 * amplitude) * tf.sin((0.8 + 0.4 * frequency) * a + 2.0 * math.pi * phase),
        3.0 * c[0] * a + 3.0 * c[1],
        0.2 * c[0] * a**2 + 2.0 * c[1] * a + 3.0 * c[2],
        0.1 * c[0] * a**3 + 0.2 * c[1] * a**2 + 2.0 * c[2] * a + 3.0 * c[3],
        c[0] * a**2 + c[1] * b**2,
        tf.sin(-0.2 * c[0] * (a**2 + b**2)) + 3.0 * c[1],
    )
