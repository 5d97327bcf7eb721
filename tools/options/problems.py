"""The flag that names optimization problems, and the families that it stands for."""

from collections.abc import Iterable

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.tools.options import data, runs
from tfmeta.tools.options.build import refuse

FLAGS = flags.FLAGS
SUBJECT = "Problems"

flags.DEFINE_list(
    "problem",
    ["quadratic"],
    "Names of problem types, with commas between them, such as quadratic, wichrowska (its five "
    "types), or image_network (on the images of --dataset).",
)

NAMES = ("problem",)


def check(*names: str) -> None:
    """Refuses flags of data that no problem has a use for.

    Args:
        *names: the flags that name problems.

    Raises:
        ArgumentError: naming the first such flag.
    """
    if any(_on_images(FLAGS[name].value or ()) for name in names):
        return data.check()
    refuse(data.NAMES, f"no problem of --{' or --'.join(names)} is on images; leave it out.")


def _on_images(names: Iterable[str]) -> bool:
    return any("image" in name for name in names)


def families(part: str, flag: str = "problem", random_scaling: float | None = None) -> list:
    """The families of all problems named, each with seeds of its own.

    Args:
        part: `"train"`, `"validation"` or `"test"`, which have no problem in common.
        flag: the flag that names them.
        random_scaling: spread of the factors to scale coordinates by; None for none.

    Raises:
        ArgumentError: naming the flag.
    """
    from tfmeta.problems.registry import problems_named

    names = FLAGS[flag].value
    if not names:
        raise ArgumentError(flag, "", "name at least one problem type.")
    images = None
    if _on_images(names):
        images = data.whole()
    found = []
    for name in names:
        try:
            found += problems_named(name, runs.part_seed(part), images, FLAGS.invert)
        except ArgumentError as error:
            raise ArgumentError(flag, name, error.problem) from error
    for family in found:
        if sum(other.name == family.name for other in found) > 1:
            raise ArgumentError(
                flag, ",".join(names), f"{family.name} is among them twice; name it once."
            )
    if random_scaling is not None:
        from tfmeta.problems.scaled import ScaledCoordinates

        found = [ScaledCoordinates(family, random_scaling) for family in found]
    return found
