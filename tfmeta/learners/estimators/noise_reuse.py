"""The gradient of a smoothed meta-loss, from copies of the rule with other parameters."""

import keras
import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.checks import check_count, check_positive
from tfmeta.learners.estimators.base import Estimator

# Addresses of the perturbations of a problem; smaller numbers are those of its steps.
_FIRST = 2**30


@keras.saving.register_keras_serializable("tfmeta")
class NoiseReuse(Estimator):
    """Evolution strategies that reuse their noise from unroll to unroll (Li et al. 2023).

    A problem is trained from its start to its end by pairs of rules with parameters
    theta + sigma e and theta - sigma e, where e is N(0, 1), drawn once for each pair. What a pair
    says after an unroll is

        e (L(theta + sigma e) - L(theta - sigma e)) / (2 sigma)

    (arXiv 2304.12180, equation 6; ES-Single of Vicol et al. 2023, arXiv 2304.11153, is the same
    where all problems begin together). Its mean, summed over the unrolls, is the gradient of the
    meta-loss of the whole training, smoothed by noise of deviation sigma: it is not biased by
    truncation, and chaotic unrolls do not enlarge it. Its variance grows with the number of
    parameters. Memory does not grow with the length of an unroll, as nothing is differentiated
    but the problems' losses; and nothing is kept of e, which is drawn anew from the problem's seed.

    Args:
        noise: sigma.
        noise_pairs: of each problem.

    Raises:
        ArgumentError: an argument is out of range.
    """

    def __init__(self, noise: float = 0.01, noise_pairs: int = 1):
        self.noise = check_positive("noise", noise)
        self.noise_pairs = check_count("noise_pairs", noise_pairs)

    def copies(self, tasks):
        """Each problem so many times: e of all pairs, then -e of all pairs."""
        return tf.nest.map_structure(
            lambda tensor: tf.repeat(tensor, 2 * self.noise_pairs, axis=0), tasks
        )

    def __call__(self, run, parameters, tasks):
        dtype = parameters[0].dtype
        seeds = tf.reshape(tasks["seed"], [-1, 2, self.noise_pairs, 2])[:, 0]
        seeds = random_numbers.fold_in(seeds, _FIRST + tf.range(self.noise_pairs))
        draws = [  # each [problems, 1, pairs, ...]
            tf.cast(
                random_numbers.normal(random_numbers.fold_in(seeds, number), parameter.shape), dtype
            )[:, None]
            for number, parameter in enumerate(parameters)
        ]
        own = [
            tf.reshape(tf.concat([p + self.noise * e, p - self.noise * e], axis=1), [-1, *p.shape])
            for p, e in zip(parameters, draws, strict=True)
        ]
        unroll = run(own, own=True)
        losses = tf.reshape(unroll.losses, [-1, 2, self.noise_pairs])
        slopes = (losses[:, 0] - losses[:, 1]) / (2.0 * self.noise * self.noise_pairs)
        # A copy that diverged says nothing of where to go.
        slopes = tf.where(tf.math.is_finite(slopes), slopes, tf.zeros_like(slopes))
        gradients = [
            tf.tensordot(tf.reshape(slopes, [-1]), tf.reshape(e, [-1, *e.shape[3:]]), 1)
            for e in draws
        ]
        return gradients, unroll._replace(losses=tf.reduce_mean(losses, axis=[1, 2]))

    def get_config(self):
        return {"noise": self.noise, "noise_pairs": self.noise_pairs}
