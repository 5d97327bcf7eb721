"""The flags of data and of few-shot tasks, and the sources of tasks that they describe."""

from absl import flags

from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.load import joined, load_image_classes
from tfmeta.data.splits import split_classes
from tfmeta.errors import ArgumentError
from tfmeta.registry import LOADERS, SOURCES
from tfmeta.tools.options import runs
from tfmeta.tools.program import define_count

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "dataset",
    "glyphs",
    "Where tasks come from: glyphs (drawn characters), tfds:NAME (TensorFlow Datasets), "
    "folder:PATH (a folder of images per class), npz:PATH (an array of images); several of these "
    f"joined by +, whose tasks are mixed, in gray; or {' or '.join(SOURCES)} (regression).",
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
    "and test.txt, a class a line. Default: given where the data gives one, else seeded.",
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

NAMES = (
    *("dataset", "data_dir", "data_seed", "image_size", "split", "rotations", "invert"),
    *("ways", "shots", "queries", "test_inner_steps", "episodes"),
)


class Data:
    """The data that the flags name; images are loaded without TensorFlow where they can be.

    Args:
        channels: of images, 1 or 3; None for what the data has.
        whole: take all classes as one part, `"all"`, rather than split them.

    Attributes:
        sets: for each set of images the classes of each part of its split. Empty where a task
            source needs no data.

    Raises:
        ArgumentError: naming the flag.
    """

    def __init__(self, channels: int | None = None, whole: bool = False):
        names = [] if FLAGS.dataset in SOURCES else joined(FLAGS.dataset)
        self.sets = [self._loaded(name, 1 if len(names) > 1 else channels, whole) for name in names]

    def _loaded(self, name, channels, whole):
        load = LOADERS.get(name.partition(":")[0])
        if load is not None and load.uses_tensorflow:
            from tfmeta import distributed

            distributed.init(cycle_milliseconds=5)
        classes = load_image_classes(
            name, FLAGS.image_size, channels, FLAGS.data_dir, FLAGS.data_seed
        )
        if whole:
            return {"all": classes}
        parts = split_classes(classes, FLAGS.split, FLAGS.data_seed)
        if FLAGS.rotations and "train" in parts:
            parts["train"] = parts["train"].with_rotations()
        return parts

    @property
    def parts(self) -> dict[str, ImageClasses]:
        """The classes of each part of the split of the only set; none where there are no images.

        Raises:
            ArgumentError: there are several sets.
        """
        if len(self.sets) > 1:
            raise ArgumentError("dataset", FLAGS.dataset, "several cannot be mixed here; give one.")
        return self.sets[0] if self.sets else {}

    def source(self, *names: str):
        """The tasks of the first part of these that the data has.

        Returns:
            The name of the part, and its `TaskSource`.

        Raises:
            ArgumentError: it has none of them, or its classes cannot give such tasks.
        """
        seed = runs.part_seed(names[0])
        if not self.sets:
            return names[0], SOURCES[FLAGS.dataset](FLAGS.shots, FLAGS.queries, seed)
        for name in names:
            if all(name in parts for parts in self.sets):
                return name, self._of_images([parts[name] for parts in self.sets], seed)
        raise ArgumentError(
            "split", FLAGS.split, f"it has no classes for {' or '.join(names)}; give another split."
        )

    def _of_images(self, sets, seed):
        from tfmeta.tasks.episodes import Episodes
        from tfmeta.tasks.mixed import Mixed

        episodes = [
            Episodes(classes, FLAGS.ways, FLAGS.shots, FLAGS.queries, seed, FLAGS.invert)
            for classes in sets
        ]
        return Mixed(episodes, joined(FLAGS.dataset), seed) if len(episodes) > 1 else episodes[0]
