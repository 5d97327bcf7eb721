"""Trains Keras models by learned optimizers, beside Adam.

    python tools/compare_on_keras.py --optimizers=runs/lstm,runs/gru
    python tools/compare_on_keras.py --optimizers=runs/lstm --images=quickdraw.npz --seeds=10

Every model is trained by `fit` with each learned optimizer and with Adam, at the default rate and
at the best of several (by the training loss on a seed of its own): of five rates of Adam, and of 1,
0.3 and 0.1, which multiply the steps of a learned one. A seed divides the data, starts the model
and orders the batches alike for all of them. The models are `digits` (a perceptron on the digits of
scikit-learn), `regression` (a perceptron on its diabetes data), `transformer` (the next character
of Python's help texts) and, on the first ten classes of `--images`, `image_perceptron` and
`image_convolutional`.

The table on standard output has means over the seeds with their 95 % intervals, and whether the
learned optimizer wins against Adam and against tuned Adam: whether the interval of the mean
difference in log10 of the training loss lies below zero. The last line is a JSON object; in it
`models` has, by name of the model and then of the optimizer (as given, `adam`, and each of these
again with `tuned_` before it):

    loss, held_out_loss         after the last epoch, each with its interval, loss_ci95 and so on;
    accuracy, held_out_accuracy in per cent, of classifiers; null where a training diverged
    diverged                    how many trainings did
    learning_rate               of the tuned: the rate found
    against_adam,               of the learned: paired_log10, paired_ci95, paired_problems (seeds)
    against_tuned_adam          and verdict, as tools/evaluate_optimizer.py has them
"""

import functools
import json
import time

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.tools import program

FLAGS = flags.FLAGS
_LEAST = 7  # pixels, of which two convolutions leave one
MODELS = ("digits", "regression", "transformer", "image_perceptron", "image_convolutional")

flags.DEFINE_list(
    "optimizers", None, "Learned optimizers: output folders of runs, or what load_optimizer names."
)
flags.DEFINE_list(
    "models", None, "Models to train. Default: all, of those on images if there are --images."
)
flags.DEFINE_string(
    "images", None, "An .npz file of image classes, as --dataset=npz:PATH of tools/train.py."
)
program.define_count("seeds", 5, 2, "How often each model is trained by each optimizer.")
program.define_count("seed", 0, 0, "The first of the seeds.")
program.define_count("epochs", None, 1, "Epochs of each training. Default: those of the model.")


def main() -> None:
    if not FLAGS.optimizers:
        raise ArgumentError("optimizers", None, "name at least one learned optimizer.")
    if FLAGS.seed + FLAGS.seeds > 2**32:
        raise ArgumentError(
            "seed", FLAGS.seed, "the last seed has to be less than 2**32; lower it."
        )
    names = _models()
    images = _images(names)

    import tfmeta
    from tfmeta.evaluation.keras_comparison import ADAM, TABLE_HEAD, compare_on_keras, rows
    from tfmeta.evaluation.keras_models import KERAS_TASKS

    learned = {}
    for path in FLAGS.optimizers:
        if path == ADAM or path.startswith("tuned_"):
            raise ArgumentError(
                "optimizers", path, f"the table has this name for another; give ./{path}."
            )
        learned[path] = functools.partial(tfmeta.load_optimizer, path)
        try:
            learned[path]()
        except ArgumentError as error:
            raise ArgumentError("optimizers", error.value, error.problem) from error
    started, results = time.monotonic(), {}
    seeds = range(FLAGS.seed, FLAGS.seed + FLAGS.seeds)
    print(TABLE_HEAD, flush=True)
    for name in names:
        results[name] = compare_on_keras(KERAS_TASKS[name], learned, seeds, images, FLAGS.epochs)
        print(rows(name, results[name]), flush=True)
    summary = {
        "seeds": list(seeds),
        "seconds": time.monotonic() - started,
        "models": results,
    }
    print(json.dumps(summary), flush=True)


def _models() -> list[str]:
    for name in FLAGS.models or ():
        if name not in MODELS:
            raise ArgumentError("models", name, f"choose from {', '.join(MODELS)}.")
        if name.startswith("image") and FLAGS.images is None:
            raise ArgumentError("models", name, "it needs images; give --images.")
    if FLAGS.models:
        return list(dict.fromkeys(FLAGS.models))
    return [name for name in MODELS if FLAGS.images or not name.startswith("image")]


def _images(names):
    if FLAGS.images is None:
        return None
    if not any(name.startswith("image") for name in names):
        raise ArgumentError(
            "images", FLAGS.images, "no model of --models is on images; leave it out."
        )
    from tfmeta.data.npz import load_npz
    from tfmeta.evaluation.keras_models import CLASSES, HELD_OUT

    try:
        images = load_npz(FLAGS.images)
    except ArgumentError as error:
        raise ArgumentError("images", FLAGS.images, error.problem) from error
    count = int(images.counts[:CLASSES].sum())
    if count < HELD_OUT:
        raise ArgumentError(
            "images",
            FLAGS.images,
            f"it has {count} images, and one in {HELD_OUT} is held out; give at least {HELD_OUT}.",
        )
    height, width, _ = images.image_shape
    if "image_convolutional" in names and min(height, width) < _LEAST:
        raise ArgumentError(
            "images",
            FLAGS.images,
            f"they are of {height} x {width} pixels, and image_convolutional needs {_LEAST} x "
            f"{_LEAST}; give larger ones, or other --models.",
        )
    return images


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
