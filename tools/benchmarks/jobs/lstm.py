"""The coordinatewise LSTM in tfmeta: our side of the benchmark of learned optimizers.

A worker (see `answering`).
"""

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmeta import distributed, random_numbers
from tfmeta.data.image_classes import ImageClasses
from tfmeta.learners.optimizer import OptimizerLearner
from tfmeta.learners.truncated_training import TruncatedTraining
from tfmeta.problems import ImageNetworks, Quadratics
from tfmeta.scheduling.even import EvenSchedule
from tfmeta.scheduling.truncation import FixedUnrolls
from tfmeta.updates import CoordinatewiseLSTM

from ..answering import serve
from ..settings import LSTMSetting


class Ours:
    """tfmeta's training of the LSTM.

    Args:
        setting: the fields of `LSTMSetting`.
    """

    def __init__(self, **setting: Any):
        s = self.setting = LSTMSetting(**setting)
        keras.config.set_floatx(s.dtype)
        keras.config.set_dtype_policy(s.dtype)
        self.problems = _problems(s)
        self.learner = OptimizerLearner(CoordinatewiseLSTM(seed=s.seed), in_graph=True)
        self.learner.compile(optimizer=keras.optimizers.Adam(s.learning_rate))
        schedule = EvenSchedule(s.meta_batch)
        self.training = TruncatedTraining(self.learner, [self.problems], schedule)
        self.lengths = FixedUnrolls(s.unrolls * s.unroll, s.unroll)(0)
        self.step = 0

    def train(self, steps: int) -> dict[str, float]:
        """CPU seconds of an unroll in so many meta-iterations, with drawing the problems."""
        start = time.process_time()
        for _ in range(steps):
            loss = self.training(self.step, self.lengths)
            self.step += 1
        seconds = (time.process_time() - start) / (steps * self.setting.unrolls)
        return {"seconds": seconds, "loss": loss}

    def gradient(self, weights: str, tasks: str, gradient: str) -> dict[str, float]:
        """Writes the LSTM's parameters, problems and the meta-gradient of both as .npz files."""
        s = self.setting
        parameters = [variable.value for variable in self.learner.rule.trainable_variables]
        batch = self.problems.batch(0, 0, s.meta_batch)
        np.savez(weights, *[parameter.numpy() for parameter in parameters])
        np.savez(tasks, **_arrays(self.problems, batch, s.unroll))

        @tf.function(autograph=False)
        def meta_gradient(batch):
            carried = self.learner.start(self.problems, batch)
            return self.learner.meta_gradient(self.problems, batch, carried, 0, s.unroll)

        gradients, unroll = meta_gradient(batch)
        np.savez(gradient, *[tensor.numpy() / s.meta_batch for tensor in gradients])
        return {"loss": float(tf.reduce_mean(unroll.losses))}


def _problems(s: LSTMSetting) -> Quadratics | ImageNetworks:
    if s.images is None or s.counts is None:
        return Quadratics(seed=s.seed, dtype=s.dtype)
    counts = np.load(s.counts)
    classes = ImageClasses(np.load(s.images), counts, tuple(map(str, range(len(counts)))))
    return ImageNetworks(classes, classes=10, seed=s.seed, dtype=s.dtype)


def _arrays(problems: Quadratics | ImageNetworks, batch: dict[str, Any], unroll: int):
    """What makes the problems: the first weights, W and y or the batch of each step."""
    if isinstance(problems, Quadratics):
        return {"weights_0": batch["weights"][0], **batch["data"]}
    seeds = random_numbers.fold_in(batch["seed"][:, None], tf.range(1, unroll + 2))
    x, y = tf.map_fn(
        lambda seed: problems.drawn((), seed),
        seeds[0],
        fn_output_signature=(tf.as_dtype(problems.dtype), tf.int32),
    )
    weights = {f"weights_{i}": tensor[0] for i, tensor in enumerate(batch["weights"])}
    return {**weights, "x": x, "y": y}


if __name__ == "__main__":
    distributed.init()
    serve(Ours, {"tensorflow": tf.__version__, "keras": keras.__version__})
