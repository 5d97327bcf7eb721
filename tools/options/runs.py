"""The flags of every run, and runs that are read again: their folder and the flags kept in it."""

from collections.abc import Collection, Iterable
from typing import Any

from absl import flags

from tfmeta.environment.launch import launched_size
from tfmeta.errors import ArgumentError
from tfmeta.tools.usage import as_given
from tfmeta.training.run_folder import RunFolder

FLAGS = flags.FLAGS
SUBJECT = "The run"

flags.DEFINE_integer("seed", 0, "Makes the initial weights and the tasks.")
flags.register_validator(
    "seed",
    lambda seed: 0 <= seed < 2**61,  # see `part_seed`
    message="give a whole number from 0 to 2**61 - 1.",
)
flags.DEFINE_string("output_dir", None, "Folder of the run. Default of a training: runs/TIME.")

NAMES = ("seed",)


def folder() -> RunFolder:
    """The folder of a run that is to be evaluated.

    Raises:
        ArgumentError: naming the flag.
    """
    if FLAGS.output_dir is None:
        raise ArgumentError("output_dir", None, "give the output folder of a training run.")
    return RunFolder(FLAGS.output_dir)


def part_seed(part: str) -> int:
    """The seed of the tasks or problems of a part: parts have none in common.

    Args:
        part: `"train"`, `"validation"`, `"test"` or `"all"`.
    """
    return 4 * FLAGS.seed + ("train", "validation", "test", "all").index(part)


def check_ranks(*names: str) -> None:
    """Refuses counts of tasks that leave a rank without any.

    Args:
        *names: flags that count tasks.

    Raises:
        ArgumentError: naming the flag.
    """
    ranks = launched_size()
    for name in names:
        value: Any = FLAGS[name].value
        if value < ranks:
            raise ArgumentError(
                name,
                value,
                f"each of the {ranks} ranks needs a task; raise it, or start fewer ranks.",
            )


def lines(names: Iterable[str]) -> list[str]:
    """The present values of flags, as lines of a flagfile; those that are None are left out."""
    return [FLAGS[name].serialize() for name in names if FLAGS[name].value is not None]


def adopt(stored: Iterable[str], names: Iterable[str], changeable: Collection[str]) -> None:
    """Takes over a run's flags, except for those that the command line gives.

    Args:
        stored: the lines of the run's flagfile.
        names: the flags to take over; one that has no line is None in the run.
        changeable: those for which the command line may give another value.

    Raises:
        ArgumentError: another one has another value on the command line; the run lacks a flag that
            no run of this binary lacks; or a value of the run is out of range.
    """
    run = values(stored)
    for name in names:
        if name not in run and FLAGS[name].default is not None:
            raise ArgumentError(
                "output_dir",
                FLAGS.output_dir,
                f"the run there was made by another program, without --{name}; give another "
                "folder.",
            )
    for name in names:
        flag, value = FLAGS[name], run.get(name)
        if not flag.present:
            flag.value = value
        elif flag.value != value and name not in changeable:
            raise ArgumentError(
                name,
                flag.value,
                f"the run in --output_dir was made with {as_given(value)}; leave the flag out, or "
                "give another folder without --resume.",
            )
    try:
        FLAGS.validate_all_flags()
    except flags.IllegalFlagValueError as error:
        raise _damaged(error) from None


def _damaged(problem: object) -> ArgumentError:
    return ArgumentError(
        "output_dir",
        FLAGS.output_dir,
        f"the flags of the run there are damaged ({problem}); restore flags.txt.",
    )


def values(lines: Iterable[str]) -> dict[str, Any]:
    """Lines of a flagfile as values by name; flags that this binary has not are left out.

    Raises:
        ArgumentError: a value cannot be one of its flag.
    """
    found: dict[str, Any] = {}
    for line in lines:
        name, equals, text = line.removeprefix("--").partition("=")
        if not equals and name not in FLAGS:
            name, text = name.removeprefix("no"), "false"
        if name in FLAGS:
            try:
                found[name] = FLAGS[name].parser.parse(text or "true")
            except (ValueError, TypeError) as error:
                raise _damaged(f"--{name}={text}: {error}") from None
    return found
