"""Two ranks that do not do the same; rank 0 writes down what every rank was told.

    disagree.py FILE

leaves in FILE, a JSON object, the sentences of both ranks for each case. They go on with the next
case after each, since both hear of it.
"""

import json
import sys
from pathlib import Path

import keras
import tensorflow as tf

import tfmeta
from tfmeta import distributed

CASES = {}


def case(function):
    CASES[function.__name__.replace("_", " ")] = function
    return function


def make_learner(units=8):
    learner = tfmeta.MAML(tfmeta.models.mlp((2,), 1, (units,), seed=0), 0.01)
    learner.compile("sgd", loss="mse", metrics=["mae"])
    return learner


def batches(steps=3):
    return tfmeta.SixFamilies(5, 5).batches(4, 0, steps, distributed.rank(), 2)


def uncounted(dataset):
    return dataset.filter(lambda batch: True)


@case
def numbers_of_meta_batches(learner, rank):
    learner.fit(batches(5 - 2 * rank), verbose=0)


@case
def numbers_in_all(learner, rank):
    learner.fit(batches(8 - 4 * rank), steps_per_epoch=3, epochs=2, verbose=0)


@case
def numbers_that_no_pipeline_knows(learner, rank):
    learner.fit(uncounted(batches(5 - 2 * rank)), verbose=0)


@case
def numbers_of_epochs(learner, rank):
    learner.fit(batches(), epochs=1 + rank, verbose=0)


@case
def optimizers(learner, rank):
    learner.compile("adam" if rank else "sgd", loss="mse")
    learner.fit(batches(), verbose=0)


@case
def models(learner, rank):
    make_learner(8 + rank).fit(batches(), verbose=0)


@case
def metrics(learner, rank):
    learner.compile("sgd", loss="mse", metrics=["mse" if rank else "mae"])
    learner.evaluate(batches(), verbose=0)


@case
def validations(learner, rank):
    learner.fit(batches(), validation_data=batches() if rank else None, verbose=0)


@case
def methods(learner, rank):
    (learner.fit if rank else learner.evaluate)(batches(), verbose=0)


@case
def evaluation_on_one_rank_in_a_training(learner, rank):
    class Evaluate(keras.callbacks.Callback):
        main_rank_only = True

        def on_train_batch_end(self, batch, logs=None):
            self.model.evaluate(batches(), verbose=0)

    learner.fit(batches(), verbose=0, callbacks=[Evaluate()])


@case
def a_callback_that_stops_one_rank(learner, rank):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = rank == 1

    learner.fit(batches(), verbose=0, callbacks=[Stop()])


@case
def episodes(learner, rank):
    tfmeta.evaluate(learner, tfmeta.SixFamilies(5, 5), 8 + rank, 1)


@case
def sums_of_as_many_numbers(learner, rank):
    """A step of a model of one weight, and the end of an epoch on the other rank: each four."""
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])
    learner = tfmeta.MAML(model, 0.01)
    learner.compile("sgd", loss="mse", metrics=["mae"])
    sinusoids = tfmeta.Sinusoids(5, 5).batches(4, 0, 1 + rank, rank, 2)
    learner.fit(uncounted(sinusoids), verbose=0)


@case
def nothing(learner, rank):
    learner.fit(batches(), validation_data=batches(1 + rank), verbose=0)


def main(path):
    tfmeta.init()
    told = {}
    for name, function in CASES.items():
        try:
            function(make_learner(), distributed.rank())
            told[name] = ""
        except (tfmeta.ArgumentError, tfmeta.RanksError) as error:
            told[name] = str(error)
    of_all = distributed.gather_objects(told)
    if distributed.is_main():
        path.write_text(json.dumps({name: [told[name] for told in of_all] for name in CASES}))


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")  # else it tells of every graph that is traced anew
    main(Path(sys.argv[1]))
