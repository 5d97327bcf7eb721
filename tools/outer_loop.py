"""The flags of the outer loop, the same for every kind of meta-training, and the run's folder."""

import datetime
from collections.abc import Collection, Iterable

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.tools import options
from tfmeta.tools.program import define_count, define_positive
from tfmeta.training.run_folder import RunFolder

FLAGS = flags.FLAGS

define_count("meta_batch", 32, 1, "Tasks of an outer step, of all ranks together.")
flags.DEFINE_bool("first_order", False, "Leave out second derivatives.")
flags.DEFINE_enum("outer_optimizer", "adam", ["adam", "rmsprop"], "The outer optimizer.")
define_positive("outer_learning_rate", 1e-3, "Rate of the outer optimizer.")
flags.DEFINE_enum(
    "outer_schedule",
    "constant",
    ["constant", "cosine"],
    "Whether the outer rate stays, or falls to zero along a cosine over the whole training.",
)
define_positive("outer_clip", None, "Bound of each element of the meta-gradient.")
define_count("validate_every", 500, 1, "Outer steps between validations and checkpoints.")
flags.DEFINE_bool("resume", False, "Go on with the run in --output_dir, from its last checkpoint.")

# The flags above that make a run what it is.
NAMES = (
    *("meta_batch", "first_order", "outer_optimizer", "outer_learning_rate", "outer_schedule"),
    *("outer_clip", "validate_every"),
)


def folder(names: Iterable[str], changeable: Collection[str], length: str) -> RunFolder:
    """The folder of the run; with `--resume`, the flags of the run are taken over from it.

    Args:
        names: the flags that make the run what it is.
        changeable: those that may differ when it is resumed.
        length: the flag that says how long it is: it may differ too, unless the outer rate
            depends on it.

    Raises:
        ArgumentError: naming the flag.
    """
    if not FLAGS.resume:
        return RunFolder(FLAGS.output_dir or f"runs/{datetime.datetime.now():%Y%m%d-%H%M%S}")
    if not FLAGS.output_dir:
        raise ArgumentError("output_dir", None, "--resume needs the folder of the run to resume.")
    run = RunFolder(FLAGS.output_dir)
    stored = run.read_flags()
    constant = "--outer_schedule=constant" in stored
    options.adopt(stored, names, {*changeable, *([length] if constant else [])})
    return run


def optimizer(updates: int):
    """The outer Keras optimizer.

    Args:
        updates: how many it will make, for the schedule of its rate.
    """
    import keras

    rate = FLAGS.outer_learning_rate
    if FLAGS.outer_schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, updates)
    if FLAGS.outer_optimizer == "adam":
        return keras.optimizers.Adam(rate, clipvalue=FLAGS.outer_clip)
    # The decay and epsilon of Wichrowska's public code.
    return keras.optimizers.RMSprop(rate, rho=0.9, epsilon=1e-20, clipvalue=FLAGS.outer_clip)
