"""The interface of loaders: functions that read or draw image classes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from tfmeta.data.image_classes import ImageClasses


class LoadOptions(NamedTuple):
    """What every loader is given besides the place; it uses what applies to its data.

    Attributes:
        image_size: height and width to resize images to. None keeps their size, which must then be
            the same for all images.
        channels: 1 (gray) or 3 (color). None means 3 if any image has colors, else 1.
        data_dir: folder of data sets that a library has prepared. None means the library's own.
        cache_dir: folder to keep decoded images in. None means to hold them in memory.
        label_key: the feature of a TensorFlow data set that holds the labels.
        tfds_splits: the splits of a TensorFlow data set to join. None means train, validation and
            test, as far as there are any.
        seed: seed of data that is drawn.
    """

    image_size: int | None = None
    channels: int | None = None
    data_dir: str | None = None
    seed: int = 0
    cache_dir: str | None = None
    label_key: str = "label"
    tfds_splits: Sequence[str] | None = None


DEFAULTS = LoadOptions()


class Loader(Protocol):
    """Loads image classes, sorted by name.

    A loader is one file with one such function, decorated with `loader`, and one row in
    `registry.LOADERS`.

    Args:
        place: where the data is: what follows the loader's name and a colon in `dataset`.
        options: size, channels and so on.

    Attributes:
        place: what to call the place in messages, such as "PATH". Empty if the loader takes none.
        uses_tensorflow: whether it starts TensorFlow, which must know its devices by then.

    Raises:
        ArgumentError: naming `dataset`, if there is no usable data in that place, or another
            argument that cannot be used.
    """

    place: str
    uses_tensorflow: bool

    def __call__(self, place: str, options: LoadOptions = ..., /) -> ImageClasses: ...


def loader(
    place: str = "", uses_tensorflow: bool = False
) -> Callable[[Callable[..., ImageClasses]], Loader]:
    """Makes a function a `Loader` with these attributes."""

    def mark(function):
        function.place = place
        function.uses_tensorflow = uses_tensorflow
        return function

    return mark
