"""What people do on two ranks; rank 0 writes down what every rank has, and was told.

    habits.py FILE

leaves arrays in FILE, each with a leading rank axis; and in folders beside it what callbacks write.
The ranks are joined by Horovod's own `init`.
"""

import sys
import warnings
from pathlib import Path

import horovod.tensorflow as hvd
import keras
import numpy as np
import tensorflow as tf

import tfmeta
from tfmeta import distributed


def learner(optimizer="sgd", seed=0):
    learner = tfmeta.MAML(tfmeta.models.mlp((2,), 1, (8,), seed=seed), 0.01)
    learner.compile(optimizer, loss="mse", metrics=["mae"])
    return learner


def batches(steps=1, tasks=7, queries=5, rank=None, start=0):
    """A rank's share of the tasks: by default this rank's."""
    rank = distributed.rank() if rank is None else rank
    return tfmeta.SixFamilies(5, queries).batches(tasks, start, steps, rank, 2)


def of_unknown_size(data):
    """As a pipeline gives them that knows the sizes of nothing but an example."""
    specs = {
        name: tf.TensorSpec([None, None, *spec.shape[2:]][: spec.shape.rank], spec.dtype)
        for name, spec in data.element_spec.items()
    }
    return tf.data.Dataset.from_generator(lambda: iter(data), output_signature=specs)


def flat(variables):
    return np.concatenate([np.ravel(np.asarray(v, np.float64)) for v in variables])


def moved(data, dtype="float32"):
    """By how much one step of gradient descent moves the weights; and the loss."""
    keras.config.set_dtype_policy(dtype)
    one = learner(keras.optimizers.SGD(0.1))
    before = flat(one.trainable_variables)
    logs = one.fit(data, verbose=0).history
    keras.config.set_dtype_policy("float32")
    return np.append(flat(one.trainable_variables) - before, logs["loss"])


def sizes():
    """Query sets of another size on each rank, or whose size one rank alone knows."""
    rank = distributed.rank()
    # Both ranks have the tasks that one of them has above.
    halves = [moved(batches(tasks=6, queries=5 + 2 * rank, rank=rank)) for rank in range(2)]
    return {
        "differ": moved(batches(tasks=6, queries=5 + 2 * rank)),
        "differ expected": np.mean(halves, axis=0),
        "known to one": moved(of_unknown_size(batches()) if rank else batches()),
        "known to one expected": moved(batches()),
    }


def precisions():
    """Tasks of which each rank has 259, a number that bfloat16 does not have."""
    results = {}
    for policy in ("mixed_bfloat16", "bfloat16"):
        halves = [moved(batches(tasks=518, rank=rank), policy) for rank in range(2)]
        results[policy] = moved(batches(tasks=518), policy)
        results[f"{policy} expected"] = np.mean(halves, axis=0)
    return results


def uneven_evaluation():
    """A rank with three meta-batches, one with one; and all four on both."""
    one, rank = learner(), distributed.rank()
    parts = [batches(tasks=8, rank=0, steps=3), batches(tasks=8, rank=1, start=5)]
    whole = parts[0].concatenate(parts[1])
    return {
        "uneven": np.array(one.evaluate(parts[rank], verbose=0)),
        "even": np.array(one.evaluate(whole, verbose=0)),
    }


class Diary(keras.callbacks.Callback):
    """A user's own callback that writes."""

    main_rank_only = True

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        with self.path.open("a") as file:
            print(epoch, sorted(logs), file=file)


def callbacks(folder):
    """All of Keras's that need no more than files, and one's own."""
    folder = folder / f"rank{distributed.rank()}"
    if distributed.is_main():
        folder.mkdir()
    kinds = keras.callbacks
    one = learner(keras.optimizers.SGD(0.01, use_ema=True))
    history = one.fit(
        batches(2),
        validation_data=batches(1, start=7),
        epochs=3,
        callbacks=[
            kinds.SwapEMAWeights(swap_on_epoch=True),
            [kinds.ModelCheckpoint(folder / "last.keras"), kinds.TensorBoard(folder / "logs")],
            kinds.CSVLogger(folder / "log.csv"),
            kinds.EarlyStopping(patience=2),
            kinds.ReduceLROnPlateau(patience=1),
            kinds.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
            kinds.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
            kinds.TerminateOnNaN(),
            kinds.History(),
            kinds.ProgbarLogger(),
            Diary(folder / "diary.txt"),
        ],
        verbose=0,
    ).history
    rate = one.optimizer.learning_rate
    return {"logs": flat(history.values()), "weights": flat([*one.trainable_variables, rate])}


class Interruption(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def backup(folder):
    """Four epochs; and the same interrupted after two, and gone on with by another learner."""
    results = {}
    for name in ("whole", "interrupted", "resumed"):
        # Each rank has weights of its own; the resumed ones are to be those of the backup.
        one = learner(keras.optimizers.SGD(0.01, momentum=0.9), seed=name == "resumed")
        given = [] if name == "whole" else [keras.callbacks.BackupAndRestore(folder / "backup")]
        if name == "interrupted":
            given.append(Interruption())
        try:
            history = one.fit(batches(2), epochs=4, callbacks=given, verbose=0)
        except KeyboardInterrupt:
            continue
        results |= {f"{name} epochs": np.array(len(history.epoch)), name: flat(one.variables)}
    return results


def learned_optimizer(folder):
    """An ordinary model that each rank trains on data of its own."""
    rule = tfmeta.updates.CoordinatewiseLSTM(units=4, seed=1)
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile(tfmeta.LearnedOptimizer(rule, learning_rate=0.1), loss="mse")
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    distributed.broadcast([*model.variables, *optimizer.variables])
    random = np.random.default_rng(distributed.rank())
    x = tf.constant(random.normal(size=[16, 2]), tf.float32)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - 1.0))
        tape = hvd.DistributedGradientTape(tape)
        sources = [variable.value for variable in model.trainable_variables]
        optimizer.apply(tape.gradient(loss, sources), model.trainable_variables)
        return loss

    losses = [step().numpy() for _ in range(5)]
    path = folder / "model.keras"
    if distributed.is_main():
        model.save(path)
    distributed.gather_objects("saved")
    loaded = keras.models.load_model(path)
    return {
        "loss falls": np.array(losses[-1] < losses[0]),
        "saved": flat([*model.variables, *optimizer.variables]),
        "loaded": flat([*loaded.variables, *loaded.optimizer.variables]),
    }


def late():
    """What `tfmeta.init` warns of when it comes after TensorFlow's first operation."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tfmeta.init()
        tfmeta.init()
    return {"warnings": np.array(len(caught)), "size": np.array(distributed.size())}


def main(path):
    hvd.init()
    folder = path.parent
    cases = {
        "sizes": sizes(),
        "precisions": precisions(),
        "evaluation": uneven_evaluation(),
        "callbacks": callbacks(folder),
        "backup": backup(folder),
        "learned optimizer": learned_optimizer(folder),
        "late": late(),
    }
    of_all_ranks = {
        f"{case} {name}": np.stack(distributed.gather_objects(value))
        for case, values in cases.items()
        for name, value in values.items()
    }
    if distributed.is_main():
        np.savez(path, **of_all_ranks)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
