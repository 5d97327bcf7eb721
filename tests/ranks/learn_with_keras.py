"""Trains Keras models by a rule inside Horovod's DistributedOptimizer; rank 0 writes what all have.

    learn_with_keras.py FILE

leaves arrays in FILE, each with a leading rank axis.
"""

import sys
import warnings
from pathlib import Path

import horovod.tensorflow.keras as hvd
import keras
import numpy as np
from horovod.tensorflow.functions import allgather_object

import tfmeta

SETTINGS = {
    "gradient_accumulation_steps": 2,
    "global_clipnorm": 0.05,
    "use_ema": True,
    "ema_momentum": 0.5,
}
STEPS = 4


def rule():
    return tfmeta.updates.CoordinatewiseLSTM(units=3, output_scale=5.0)


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input([2]),
            keras.layers.Embedding(8, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )


def train(model, first, last, whole=False):
    """Each rank takes one half of a batch, unless one is to take it whole. Row 7 has no turn."""
    random = np.random.default_rng(0)
    x, y = random.integers(0, 7, size=(STEPS, 2, 4, 2)), random.normal(size=(STEPS, 2, 4, 1))
    for step in range(first, last):
        part = [0, 1] if whole else [hvd.rank() % 2]
        model.train_on_batch(np.concatenate(x[step, part]), np.concatenate(y[step, part]))
    return model


def compiled(optimizer):
    model = network()
    model.compile(optimizer=optimizer, loss="mse")
    return model


def wrapped(**settings):
    return hvd.DistributedOptimizer(tfmeta.LearnedOptimizer(rule(), **settings))


def flat(variables):
    return np.concatenate([np.ravel(keras.ops.convert_to_numpy(v)) for v in variables])


def everything(model):
    return flat([*model.weights, *model.optimizer.variables])


def refusals():
    """What is said where ranks would not learn together."""
    accumulating = hvd.DistributedOptimizer(
        tfmeta.LearnedOptimizer(rule()), backward_passes_per_step=2
    )

    def scaling():
        # Without a graph a rank that leaves a step out, and does not tell, would not be noticed.
        return keras.optimizers.LossScaleOptimizer(wrapped())

    for work in (lambda: train(compiled(accumulating), 0, 1), scaling):
        try:
            work()
        except tfmeta.ArgumentError as error:
            yield str(error)


def divergence():
    """What a rank is told after the data of rank 1 were damaged, and how far its weights moved."""
    model = train(compiled(wrapped(name="mine")), 0, 2)
    before = flat(model.weights)
    x, y = np.zeros([4, 2]), np.full([4, 1], np.nan if hvd.rank() == 1 else 0.0)
    model.train_on_batch(x, y)
    try:
        model.train_on_batch(x, y)
    except tfmeta.DivergedError as error:
        return str(error), flat(model.weights) - before
    raise AssertionError("training went on")


def gone_on(path):
    """Saved on rank 0 after some steps, loaded on all, wrapped again, and trained further."""
    model = train(compiled(wrapped(**SETTINGS)), 0, 3)
    if hvd.rank() == 0:
        model.save(path)
    hvd.allreduce(0.0, name="saved")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = keras.models.load_model(path)
    said = [str(one.message) for one in caught if "wrap it again" in str(one.message)]
    assert type(model.optimizer) is tfmeta.LearnedOptimizer
    alone = model.optimizer
    model.compile(optimizer=hvd.DistributedOptimizer(alone), loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.set_weights(alone.variables)
    return everything(train(model, 3, STEPS)), said


def main(path):
    hvd.init()
    together = train(compiled(wrapped()), 0, STEPS)
    alone = train(compiled(tfmeta.LearnedOptimizer(rule())), 0, STEPS, whole=True)
    resumed, said = gone_on(path.with_name("model.keras"))
    sentence, moved = divergence()
    results = {
        "sentence": np.array(sentence),
        "moved": moved,
        "together": flat(together.weights),
        "alone": flat(alone.weights),
        "last row": together.get_weights()[0][7] - network().get_weights()[0][7],
        "state": flat(together.optimizer.variables),
        "uninterrupted": everything(train(compiled(wrapped(**SETTINGS)), 0, STEPS)),
        "resumed": resumed,
        "said": np.array(said),
        "refusals": np.array(list(refusals())),
    }
    of_all_ranks = allgather_object(results)
    if hvd.rank() == 0:
        np.savez(path, **{name: np.stack([one[name] for one in of_all_ranks]) for name in results})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
