"""The flags of training and evaluation, and the task sources that they describe."""

from collections.abc import Collection, Iterable
from typing import Any

from absl import flags

from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.load import load_image_classes
from tfmeta.data.splits import split_classes
from tfmeta.errors import ArgumentError
from tfmeta.launch import launched_size
from tfmeta.tools.program import define_count

FLAGS = flags.FLAGS

SINUSOID = "sinusoid"
SIX_FAMILIES = "six_families"
REGRESSION = (SINUSOID, SIX_FAMILIES)

flags.DEFINE_string(
    "dataset",
    "glyphs",
    "Where tasks come from: glyphs (drawn characters), tfds:NAME (TensorFlow Datasets), "
    "folder:PATH (a folder of images per class), npz:PATH (an array of images); several of these "
    "joined by +, whose tasks are mixed, in gray; or sinusoid or six_families (regression).",
)
flags.DEFINE_string("data_dir", None, "Folder of prepared TensorFlow Datasets, for tfds:NAME.")
define_count("data_seed", 0, 0, "Draws the characters of glyphs and the classes of a seeded split.")
define_count(
    "image_size", 28, 8, "Height and width, in pixels, that images of other sizes are resized to."
)
flags.DEFINE_string(
    "split",
    None,
    "Which classes train, validate and test: given (by the data), alphabets (Omniglot's in the "
    "literature), seeded (64, 16 and 20 % at random), or a folder with train.txt, validation.txt "
    "and test.txt. Default: given where the data gives one, else seeded.",
)
flags.DEFINE_bool(
    "rotations",
    False,
    "Train also on each class turned by 90, 180 and 270 degrees, as new classes.",
)
flags.DEFINE_bool(
    "invert",
    False,
    "Show the negative, of mixed data too: dark ink on white becomes bright on black.",
)
define_count("ways", 5, 2, "Classes of a task.")
define_count("shots", 1, 1, "Support examples of each class (of the task, in regression).")
define_count("queries", 5, 1, "Query examples of each class (of the task, in regression).")
define_count(
    "test_inner_steps", None, 1, "Inner steps in evaluation. Default: as many as in training."
)
define_count("episodes", 600, 2, "Tasks of the final evaluation.")
define_count("seed", 0, 0, "Makes the initial weights and the tasks.")
flags.DEFINE_string("output_dir", None, "Folder of the run.")

# The flags above that make a run what it is.
NAMES = (
    *("dataset", "data_dir", "data_seed", "image_size", "split", "rotations", "invert"),
    *("ways", "shots", "queries", "test_inner_steps", "episodes", "seed"),
)


class Data:
    """The images that the flags name, loaded without TensorFlow where they can be.

    Attributes:
        sets: for each data set the classes of each part of its split; empty for regression.

    Raises:
        ArgumentError: naming the flag.
    """

    def __init__(self, channels: int | None = None, whole: bool = False):
        self.sets: list[dict[str, ImageClasses]] = []
        if FLAGS.dataset in REGRESSION:
            return
        names = FLAGS.dataset.split("+")
        for name in names:
            if name.startswith("tfds:"):
                from tfmeta import distributed

                # Reading it starts TensorFlow, which must have been given its devices by then.
                distributed.init(cycle_milliseconds=5)
            classes = load_image_classes(
                name,
                FLAGS.image_size,
                1 if len(names) > 1 else channels,
                FLAGS.data_dir,
                FLAGS.data_seed,
            )
            if whole:
                self.sets.append({"all": classes})
                continue
            parts = split_classes(classes, FLAGS.split, FLAGS.data_seed)
            if FLAGS.rotations and "train" in parts:
                parts["train"] = parts["train"].with_rotations()
            self.sets.append(parts)

    @property
    def parts(self) -> dict[str, ImageClasses]:
        """The classes of each part of the split of the only data set; none for regression.

        Raises:
            ArgumentError: there are several.
        """
        if len(self.sets) > 1:
            raise ArgumentError("dataset", FLAGS.dataset, "several cannot be mixed here; give one.")
        return self.sets[0] if self.sets else {}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return next(iter(self.sets[0].values())).image_shape

    def source(self, *names: str):
        """The tasks of the first part of these that the data has.

        Returns:
            The name of the part, and its `TaskSource`.

        Raises:
            ArgumentError: it has none of them, or its classes cannot give such tasks.
        """
        from tfmeta.tasks.episodes import Episodes
        from tfmeta.tasks.mixed import Mixed
        from tfmeta.tasks.sinusoid import Sinusoids
        from tfmeta.tasks.six_families import SixFamilies

        # Parts have seeds of their own, so that tasks that need no classes differ too.
        seed = 4 * FLAGS.seed + ("train", "validation", "test", "all").index(names[0])
        if FLAGS.dataset in REGRESSION:
            kind = Sinusoids if FLAGS.dataset == SINUSOID else SixFamilies
            return names[0], kind(FLAGS.shots, FLAGS.queries, seed)
        for name in names:
            if all(name in parts for parts in self.sets):
                episodes = [
                    Episodes(
                        parts[name], FLAGS.ways, FLAGS.shots, FLAGS.queries, seed, FLAGS.invert
                    )
                    for parts in self.sets
                ]
                if len(episodes) == 1:
                    return name, episodes[0]
                return name, Mixed(episodes, FLAGS.dataset.split("+"), seed)
        raise ArgumentError(
            "split", FLAGS.split, f"it has no classes for {' or '.join(names)}; give another split."
        )


def check_ranks(*names: str) -> None:
    """Refuses counts of tasks that leave a rank without any.

    Args:
        *names: flags that count tasks.

    Raises:
        ArgumentError: naming the flag.
    """
    ranks = launched_size()
    for name in names:
        if FLAGS[name].value < ranks:
            raise ArgumentError(
                name,
                FLAGS[name].value,
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
        ArgumentError: another one has another value on the command line; or the run lacks a flag
            that no run of this binary lacks.
    """
    run = _parsed(stored)
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
                f"the run in --output_dir was made with {value}; leave the flag out, or give "
                "another folder without --resume.",
            )


def _parsed(lines: Iterable[str]) -> dict[str, Any]:
    """Lines of a flagfile as values by name; flags that this binary has not are left out."""
    values = {}
    for line in lines:
        name, equals, text = line.removeprefix("--").partition("=")
        if not equals and name not in FLAGS:
            name, text = name.removeprefix("no"), "false"
        if name in FLAGS:
            values[name] = FLAGS[name].parser.parse(text or "true")
    return values
