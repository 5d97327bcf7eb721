"""Learns from this rank's share of 7 tasks; rank 0 writes down what every rank was told.

    learn.py FOLDER

leaves FOLDER/results.npz, and what callbacks write in FOLDER/rank0, FOLDER/rank1, ...
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import tfmeta
from tfmeta import distributed
from tfmeta.distributed import share

STEPS, TASKS, WAYS = 5, 7, 3


def network():
    """With both kinds of batch normalization, and dropout."""
    return keras.Sequential(
        [
            keras.Input([6, 6, 1]),
            layers.Conv2D(8, 3, use_bias=False, kernel_initializer=glorot(1)),
            tfmeta.layers.BatchNormalization(statistics="running", momentum=0.9),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(8, use_bias=False, kernel_initializer=glorot(2)),
            tfmeta.layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(WAYS, kernel_initializer=glorot(3)),
        ]
    )


def glorot(seed):
    # Each rank begins with weights of its own; those of rank 0 are to be everybody's.
    return keras.initializers.GlorotUniform(seed + 10 * distributed.rank())


def meta_batches(seed, dtype):
    """This rank's share of the meta-batches of all steps."""
    random = np.random.default_rng(seed)
    # Tasks of very different size: a wrong weight of a share cannot go unseen.
    scale = np.logspace(-1, 1, TASKS).reshape([TASKS, 1, 1, 1, 1])

    def labels(count):
        return random.integers(0, WAYS, [STEPS, TASKS, count], dtype=np.int32)

    tasks = {
        "support_x": scale * random.normal(size=[STEPS, TASKS, 6, 6, 6, 1]),
        "support_y": labels(6),
        "query_x": scale * random.normal(size=[STEPS, TASKS, 9, 6, 6, 1]),
        "query_y": labels(9),
        "seed": random.integers(0, 2**31, [STEPS, TASKS, 2], dtype=np.int32),
    }
    mine = share(TASKS, distributed.rank(), distributed.size())
    mine = slice(mine.start, mine.stop)
    tasks = {name: values[:, mine] for name, values in tasks.items()}
    for name in ("support_x", "query_x"):
        tasks[name] = tasks[name].astype(dtype)
    return tf.data.Dataset.from_tensor_slices(tasks)


def make_learner(optimizer):
    learner = tfmeta.MAML(network(), inner_learning_rate=0.1)
    learner.compile(
        optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return learner


def five_steps(learner, batches):
    """Outer steps 1 to 5: what each rank has in the end, and was told on the way."""
    logs = [learner.fit(batches.take(1), verbose=0).history]
    # Beside its step and rate the optimizer keeps moments: now the merged meta-gradient, scaled.
    moments = [variable.numpy() for variable in learner.optimizer.variables[2:]]
    logs.append(learner.fit(batches.skip(1), verbose=0).history)
    return {
        "gradients": flat(moments),
        "weights": flat(learner.get_weights()),
        "logs": flat(log[name] for log in logs for name in ("loss", "accuracy")),
    }


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def stop_early(learner, batches, folder):
    """Goes on too fast for the loss to fall long: callbacks write, and stop it."""
    learner.optimizer.learning_rate = 1.0
    history = learner.fit(
        batches,
        validation_data=meta_batches(1, "float64"),
        epochs=10,
        verbose=0,
        callbacks=[
            keras.callbacks.ModelCheckpoint(folder / "best.keras", save_best_only=True),
            keras.callbacks.TensorBoard(folder / "logs"),
            keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True),
        ],
    ).history
    return {
        "weights": flat(learner.get_weights()),
        "logs": np.stack([history[name] for name in sorted(history)]),
    }


def main(folder):
    tfmeta.init()
    results = {}

    learner = make_learner(keras.optimizers.Adam(0.01))
    results["float32"] = five_steps(learner, meta_batches(0, "float32"))

    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    learner, batches = make_learner(keras.optimizers.SGD(0.05, 0.9)), meta_batches(0, "float64")
    results["float64"] = five_steps(learner, batches)
    own_folder = folder / f"rank{distributed.rank()}"
    results["callbacks"] = stop_early(learner, batches, own_folder)

    of_all_ranks = {
        f"{case} {name}": np.stack(distributed.gather_objects(value))
        for case, values in results.items()
        for name, value in values.items()
    }
    if distributed.is_main():
        np.savez(folder / "results.npz", **of_all_ranks)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
