"""The flags of the outer loop, the same for every kind of meta-training, and the run's folder."""

import datetime
import itertools
import shlex
from collections.abc import Collection, Iterable

from absl import flags

from tfmeta.environment import stopping
from tfmeta.environment.launch import launched_rank, launched_size
from tfmeta.errors import ArgumentError
from tfmeta.tools import program
from tfmeta.tools.options import runs
from tfmeta.tools.program import define_count, define_positive
from tfmeta.training.run_folder import RunFolder

FLAGS = flags.FLAGS
SUBJECT = "The outer loop"

define_count("meta_batch", 32, 1, "Tasks of an outer step, of all ranks together.")
flags.DEFINE_bool("first_order", False, "Leave out second derivatives.")
flags.DEFINE_enum("outer_optimizer", "adam", ["adam", "rmsprop", "sgd"], "The outer optimizer.")
define_positive("outer_learning_rate", 1e-3, "Rate of the outer optimizer.")
flags.DEFINE_enum(
    "outer_schedule",
    "constant",
    ["constant", "cosine", "linear"],
    "Whether the outer rate stays, or falls to zero over the whole training, along a cosine or a "
    "line.",
)
define_positive("outer_clip", None, "Bound of each element of the meta-gradient.")
define_count("validate_every", 500, 1, "Outer steps between validations and checkpoints.")
flags.DEFINE_bool("resume", False, "Go on with the run in --output_dir, from its last checkpoint.")

NAMES = (
    *("meta_batch", "first_order", "outer_optimizer", "outer_learning_rate", "outer_schedule"),
    *("outer_clip", "validate_every"),
)


def folder(names: Iterable[str], changeable: Collection[str], length: str) -> RunFolder:
    """The folder of the run; with `--resume`, the flags of the run are taken over from it.

    Args:
        names: the flags that make the run what it is.
        changeable: those that may differ when it is resumed, beside where data lie.
        length: the flag that says how long it is: it may differ too, unless the outer rate
            depends on it.

    Raises:
        ArgumentError: naming the flag.
    """
    if not FLAGS.resume:
        return RunFolder(FLAGS.output_dir or f"runs/{datetime.datetime.now():%Y%m%d-%H%M%S}")
    if not FLAGS.output_dir:
        raise ArgumentError("output_dir", None, "--resume needs the folder of the run to resume.")
    folder = RunFolder(FLAGS.output_dir)
    stored = folder.read_flags()
    constant = "--outer_schedule=constant" in stored
    may_differ = {*changeable, "data_dir", *([length] if constant else [])}
    if any(_is_moved(line.removeprefix("--dataset=")) for line in stored):
        may_differ.add("dataset")
    runs.adopt(stored, names, may_differ)
    return folder


def _is_moved(dataset: str) -> bool:
    """Whether `--dataset` names the same kinds of data as another, those in files elsewhere."""
    pairs = itertools.zip_longest(dataset.split("+"), FLAGS.dataset.split("+"), fillvalue="")
    return all(
        old == new or old.partition(":")[0] == new.partition(":")[0] in ("folder", "npz")
        for old, new in pairs
    )


def begin(folder: RunFolder, names: Iterable[str]) -> None:
    """Rank 0 writes down the flags of the run that begins, and says where it goes.

    Args:
        folder: of the run.
        names: the flags that make the run what it is.
    """
    stopping.hold()
    if launched_rank() == 0:
        folder.write_flags(runs.lines(names))
    program.keep(f"go on with --output_dir={shlex.quote(str(folder.path))} --resume")
    stopping.release()
    if launched_rank() == 0:
        print(f"{launched_size()} rank(s), output in {folder.path}", flush=True)


def optimizer(updates: int):
    """The outer Keras optimizer.

    Args:
        updates: how many it will make, for the schedule of its rate.
    """
    import keras

    rate = FLAGS.outer_learning_rate
    match FLAGS.outer_schedule:
        case "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, updates)
        case "linear":
            rate = keras.optimizers.schedules.PolynomialDecay(rate, updates, 0.0)
    match FLAGS.outer_optimizer:
        case "adam":
            return keras.optimizers.Adam(rate, clipvalue=FLAGS.outer_clip)
        case "rmsprop":
            # The decay and epsilon of Wichrowska's public code.
            return keras.optimizers.RMSprop(
                rate, rho=0.9, epsilon=1e-20, clipvalue=FLAGS.outer_clip
            )
        case "sgd":
            return keras.optimizers.SGD(rate, clipvalue=FLAGS.outer_clip)
    raise AssertionError(FLAGS.outer_optimizer)
