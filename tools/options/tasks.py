"""The flags of few-shot tasks, and the sources of tasks that they describe."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.load import joined
from tfmeta.data.splits import is_given, split_classes
from tfmeta.errors import ArgumentError, DataWarning
from tfmeta.registry import SOURCES
from tfmeta.tools.options import data, runs
from tfmeta.tools.program import define_count

FLAGS = flags.FLAGS
SUBJECT = "Tasks"

flags.DEFINE_string(
    "split",
    None,
    "Which classes train, validate and test: given (by the data), alphabets (Omniglot's in the "
    "literature), seeded (64, 16 and 20 % at random), or a folder with train.txt, validation.txt "
    "and test.txt, a class a line. Default: given where the data gives one, else seeded.",
)
flags.DEFINE_bool(
    "rotations",
    False,
    "Train also on each class turned by 90, 180 and 270 degrees, as new classes.",
)
define_count(
    "ways",
    None,
    2,
    "Classes of a task. Default: 5, or fewer, so that training has twice and validation and test "
    "each have as many.",
)
define_count("shots", 1, 1, "Support examples of each class (of the task, in regression).")
define_count(
    "queries",
    5,
    1,
    "Query examples of each class (of the task, in regression); fewer where the smallest class "
    "has fewer besides the shots.",
)
define_count(
    "test_inner_steps", None, 1, "Inner steps in evaluation. Default: as many as in training."
)
define_count("episodes", 600, 2, "Tasks of the final evaluation.")

NAMES = ("split", "rotations", "ways", "shots", "queries", "test_inner_steps", "episodes")

_PARTS = {
    "train": "the training part",
    "validation": "the validation part",
    "test": "the test part",
    "all": "the data",
}


class Tasks:
    """The tasks of the data that the flags name.

    Flags whose values depend on the data have them from then on: `ways` and `queries`.

    Args:
        channels: of images, 1 or 3; None for what the data has.
        whole: take all classes as one part, `"all"`, rather than split them.
        run: the flags of the run whose split it is. None means the present ones.

    Attributes:
        sets: for each set of images the classes of each part of its split. Empty where a task
            source needs no data.

    Raises:
        ArgumentError: naming the flag.
    """

    def __init__(
        self,
        channels: int | None = None,
        whole: bool = False,
        run: Mapping[str, Any] | None = None,
    ):
        data.check("split", "rotations", "ways")
        sets = data.images(channels)
        self.sets: list[dict[str, ImageClasses]] = []
        if whole:
            self.sets = [{"all": data.large(classes, FLAGS.min_images)} for classes in sets]
        elif sets:
            self.sets = _divided(sets, run)

    def sources(self, *choices: Sequence[str]) -> list[tuple[str, Any]]:
        """The tasks of several parts, all of the same size.

        Args:
            *choices: for each, the names of parts, of which the first one that the data has is it.

        Returns:
            For each the name of the part, and its `TaskSource`.

        Raises:
            ArgumentError: the data has none of them, or its classes cannot give such tasks.
        """
        seeds = [runs.part_seed(names[0]) for names in choices]
        if not self.sets:
            source = SOURCES[FLAGS.dataset]
            made = [source(FLAGS.shots, FLAGS.queries, seed) for seed in seeds]
            return [(names[0], source) for names, source in zip(choices, made, strict=True)]
        found = {names: self._present(names) for names in map(tuple, choices)}
        sets = {name: [parts[name] for parts in self.sets] for name in found.values()}
        for name, classes in sets.items():
            _check(name, classes)
        _fit_queries([c for classes in sets.values() for c in classes])
        return [
            (name, self._of_images(sets[name], seed))
            for name, seed in zip(found.values(), seeds, strict=True)
        ]

    def _present(self, names: Sequence[str]) -> str:
        """The first of these parts that the data has."""
        for name in names:
            if all(name in parts for parts in self.sets):
                break
        else:
            raise ArgumentError(
                "split",
                FLAGS.split,
                f"it has no classes for {' or '.join(names)}; give another split.",
            )
        if name != names[0]:
            warnings.warn(
                f"The split has no classes for {names[0]}; those for {name} take their place.",
                DataWarning,
                stacklevel=3,
            )
        return name

    def _of_images(self, sets, seed):
        from tfmeta.tasks.episodes import Episodes
        from tfmeta.tasks.mixed import Mixed

        episodes = [
            Episodes(classes, FLAGS.ways, FLAGS.shots, FLAGS.queries, seed, FLAGS.invert)
            for classes in sets
        ]
        return Mixed(episodes, joined(FLAGS.dataset), seed) if len(episodes) > 1 else episodes[0]


def _ways(classes: ImageClasses) -> int:
    """The classes of a task that the split of so many classes is good for, at most 5."""
    if FLAGS.split == "seeded" or (FLAGS.split is None and not is_given(classes)):
        fit = len(classes) // 4
    else:
        fit = min(map(len, split_classes(classes, FLAGS.split, FLAGS.data_seed).values()))
    return min(max(fit, 2), 5)


def _divided(sets: list[ImageClasses], run: Mapping[str, Any] | None):
    """The classes of each part of the split of each set.

    They are those of the run, whatever the tasks now taken from them: its test classes were never
    seen in its training.
    """
    least: int | None = FLAGS.min_images if run is None else run.get("min_images")
    ways: int | None = FLAGS.ways if run is None else run.get("ways")
    sets = [data.large(classes, least) for classes in sets]
    if ways is None:
        ways = min(_ways(classes) for classes in sets)
        FLAGS["ways"].value = ways
    found = []
    for classes in sets:
        parts = split_classes(classes, FLAGS.split, FLAGS.data_seed, ways)
        parts = {name: data.large(part, FLAGS.min_images) for name, part in parts.items()}
        if FLAGS.rotations and "train" in parts:
            parts["train"] = parts["train"].with_rotations()
        found.append(parts)
    return found


def _check(part: str, sets: Sequence[ImageClasses]) -> None:
    """Refuses a part whose classes are too few for a task, or have too few images."""
    count = min(map(len, sets))
    if count < FLAGS.ways:
        lower = f"lower it to {count}, " if count > 1 else ""
        raise ArgumentError(
            "ways",
            FLAGS.ways,
            f"a task needs as many classes, and {_PARTS[part]} has {count}; {lower}add classes, or "
            "divide them otherwise by --split.",
        )
    for classes in sets:
        smallest = int(classes.counts.argmin())
        images, needed = int(classes.counts[smallest]), FLAGS.shots + 1
        if images < needed:
            lower = f"lower it to {images - 1}, " if images > 1 else ""
            raise ArgumentError(
                "shots",
                FLAGS.shots,
                f"with a query a class needs {needed} images, and class "
                f"'{classes.names[smallest]}' of {_PARTS[part]} has {images}; {lower}add images, "
                f"or leave such classes out by --min_images={needed}.",
            )


def _fit_queries(sets: Sequence[ImageClasses]) -> None:
    """Lowers `queries` to what the smallest class has besides its shots.

    Batch normalization would see a padded query set, so no class gives more than another.
    """
    fewest = min(int(classes.counts.min()) for classes in sets)
    most = fewest - FLAGS.shots
    if most < FLAGS.queries:
        if FLAGS["queries"].present:
            warnings.warn(
                f"The smallest class has {fewest} images, so that each class of a task gives "
                f"{FLAGS.shots} to learn from and {most}, not {FLAGS.queries}, as queries; "
                "--min_images leaves small classes out.",
                DataWarning,
                stacklevel=3,
            )
        FLAGS.queries = most
