"""The flags of the outer loop, the same for every kind of meta-training, and the run's folder."""

import datetime
import itertools
import shlex
from collections.abc import Collection, Iterable
from typing import Any

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
flags.DEFINE_enum(
    "outer_optimizer",
    "adam",
    ["adam", "fan_in_adam", "rmsprop", "sgd"],
    "The outer optimizer; fan_in_adam is Adam at a lower rate for kernels of many inputs.",
)
define_positive("outer_learning_rate", 1e-3, "Rate of the outer optimizer.")
flags.DEFINE_enum(
    "outer_schedule",
    "constant",
    ["constant", "cosine", "linear"],
    "Whether the outer rate stays, or falls to zero over the whole training, along a cosine or a "
    "line.",
)
define_count("outer_warmup", 0, 0, "Updates over which the outer rate rises from zero.")
define_positive("outer_clip", None, "Bound of each element of the meta-gradient.")
define_positive("outer_clip_norm", None, "Bound of the length of the whole meta-gradient.")
define_positive(
    "outer_average",
    None,
    "Decay, below 1, of an exponential average of all that is learned. Validated, and saved as the "
    "best, is then the average.",
)
define_count("validate_every", 500, 1, "Outer steps between validations and checkpoints.")
flags.DEFINE_bool("resume", False, "Go on with the run in --output_dir, from its last checkpoint.")

NAMES = (
    *("meta_batch", "first_order", "outer_optimizer", "outer_learning_rate", "outer_schedule"),
    *("outer_warmup", "outer_clip", "outer_clip_norm", "outer_average", "validate_every"),
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
    _check()
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
    steps: Any = FLAGS[length].value
    taken = folder.steps_taken()
    if steps < taken:
        raise ArgumentError(
            length,
            steps,
            f"{folder.path} has taken {taken} already; give at least as many, or train anew in "
            "another folder.",
        )
    return folder


def _check() -> None:
    if FLAGS.outer_clip and FLAGS.outer_clip_norm:
        raise ArgumentError(
            "outer_clip_norm", FLAGS.outer_clip_norm, "--outer_clip is given too; choose one."
        )
    if FLAGS.outer_average and FLAGS.outer_average >= 1:
        raise ArgumentError("outer_average", FLAGS.outer_average, "give a number below 1.")


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

    from tfmeta.training.fan_in_adam import FanInAdam
    from tfmeta.training.rates import rate

    if FLAGS.outer_warmup >= updates:
        raise ArgumentError(
            "outer_warmup", FLAGS.outer_warmup, f"there are {updates} updates in all; give fewer."
        )
    settings = {
        "learning_rate": rate(
            FLAGS.outer_learning_rate, FLAGS.outer_schedule, updates, FLAGS.outer_warmup
        ),
        "clipvalue": FLAGS.outer_clip,
        "global_clipnorm": FLAGS.outer_clip_norm,
    }
    if FLAGS.outer_average:
        settings |= {"use_ema": True, "ema_momentum": FLAGS.outer_average}
    match FLAGS.outer_optimizer:
        case "adam":
            return keras.optimizers.Adam(**settings)
        case "fan_in_adam":
            return FanInAdam(**settings)
        case "rmsprop":
            # The decay and epsilon of Wichrowska's public code.
            return keras.optimizers.RMSprop(rho=0.9, epsilon=1e-20, **settings)
        case "sgd":
            return keras.optimizers.SGD(**settings)
    raise AssertionError(FLAGS.outer_optimizer)
