"""Labeled images, sorted by class: the form of every image data set."""

from collections.abc import Sequence

import numpy as np

from tfmeta.errors import ArgumentError

SPLITS = ("train", "validation", "test")


class ImageClasses:
    """Images of equal size, sorted by class.

    Subsets, classes that are turned, and tasks share the array of images: they take no memory of
    their own. So it is not to be changed any more.

    Args:
        images: uint8 `[total, height, width, channels]`. The images of a class stand together:
            all of the first class, then all of the second, and so on, unless `starts` says where.
        counts: int64 `[classes]`, the number of images of each class, at least 1.
        names: the name of each class, all different.
        split: the split of each class ("train", "validation" or "test"), or None if the data gives
            none.
        starts: int64 `[classes]`, the index of each class's first image.
        turns: int64 `[classes]`, the quarter turns, 0 to 3, by which each class is shown. None
            means none. Only square images can be turned.

    Attributes:
        stored: the array of all images, of which these classes may be a part. It is `images`, or a
            copy where that lies in memory as TensorFlow does not take it.
        counts, names, split, starts, turns: as above.

    Raises:
        ArgumentError: an array has another rank or dtype, or the parts do not fit together.
    """

    def __init__(
        self,
        images: np.ndarray,
        counts: np.ndarray,
        names: tuple[str, ...],
        split: tuple[str, ...] | None = None,
        starts: np.ndarray | None = None,
        turns: np.ndarray | None = None,
    ):
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ArgumentError(
                "images",
                f"{images.dtype} of shape {images.shape}",
                "expected uint8 of shape [total, height, width, channels]; convert it.",
            )
        counts = np.asarray(counts)
        if counts.ndim != 1 or not np.issubdtype(counts.dtype, np.integer):
            raise ArgumentError(
                "counts", counts, "expected one whole number per class; count the images."
            )
        self.stored = _shareable(images)
        self.counts = counts.astype(np.int64)
        self.names = names
        self.split = split
        if (counts < 1).any() or (starts is None and counts.sum() != len(images)):
            raise ArgumentError(
                "counts",
                counts,
                f"each must be at least 1, and their sum {len(images)}, the number of images; "
                "leave out empty classes.",
            )
        if len(names) != len(counts) or len(set(names)) != len(counts):
            raise ArgumentError(
                "names",
                _shortened(names),
                f"expected {len(counts)} different names, one per class; rename or merge classes.",
            )
        if split is not None and (len(split) != len(counts) or not set(split) <= set(SPLITS)):
            raise ArgumentError(
                "split",
                _shortened(split),
                f"expected {len(counts)} names, one per class, each one of {', '.join(SPLITS)}.",
            )
        self.starts = self.offsets if starts is None else np.asarray(starts, np.int64)
        if (self.starts < 0).any() or (self.starts + self.counts > len(images)).any():
            raise ArgumentError(
                "starts",
                starts,
                f"a class would reach beyond the {len(images)} images; give where each begins.",
            )
        self.turns = np.zeros_like(self.counts) if turns is None else np.asarray(turns, np.int64)

    def __len__(self) -> int:
        """The number of classes."""
        return len(self.counts)

    @property
    def images(self) -> np.ndarray:
        """The images of these classes alone, class by class, uint8 `[total, ...]`.

        A copy, unless they stand together in `stored`.
        """
        if not self.turns.any() and (self.starts == self.starts[:1].sum() + self.offsets).all():
            return self.stored[self.starts[:1].sum() :][: self.counts.sum()]
        images = np.empty([self.counts.sum(), *self.image_shape], np.uint8)
        for i, offset in enumerate(self.offsets):
            images[offset : offset + self.counts[i]] = self.of(i)
        return images

    def of(self, index: int) -> np.ndarray:
        """The images of one class, uint8 `[count, height, width, channels]`."""
        first = self.starts[index]
        images = self.stored[first : first + self.counts[index]]
        return np.rot90(images, self.turns[index], axes=(1, 2))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.stored.shape[1:]

    @property
    def offsets(self) -> np.ndarray:
        """The index of each class's first image in `images`, int64 `[classes]`."""
        return np.cumsum(self.counts) - self.counts

    def subset(self, indices: Sequence[int]) -> "ImageClasses":
        """Returns the classes with these indices, in this order."""
        chosen = np.asarray(indices, np.int64)
        return ImageClasses(
            images=self.stored,
            counts=self.counts[chosen],
            names=tuple(self.names[i] for i in chosen),
            split=None if self.split is None else tuple(self.split[i] for i in chosen),
            starts=self.starts[chosen],
            turns=self.turns[chosen],
        )

    def with_at_least(self, images: int) -> "ImageClasses":
        """Returns the classes that have at least so many images."""
        return self.subset(np.flatnonzero(self.counts >= images).tolist())

    def with_rotations(self) -> "ImageClasses":
        """Returns four times the classes: each one also turned by 90, 180 and 270 degrees.

        A turned class is a class of its own, as in Santoro et al. 2016 and in MAML's Omniglot
        experiments. Its name has the angle appended. The upright classes come first.

        Raises:
            ArgumentError: the images are not square.
        """
        height, width, _ = self.image_shape
        if height != width:
            raise ArgumentError(
                "rotations",
                True,
                f"only square images can be turned by 90 degrees, and these are {height}x{width}; "
                "resize them to a square or leave rotations out.",
            )
        angles = ("", "/rotated90", "/rotated180", "/rotated270")
        return ImageClasses(
            images=self.stored,
            counts=np.tile(self.counts, 4),
            names=tuple(name + angle for angle in angles for name in self.names),
            split=None if self.split is None else self.split * 4,
            starts=np.tile(self.starts, 4),
            turns=np.concatenate([(self.turns + turns) % 4 for turns in range(4)]),
        )


def _shareable(array: np.ndarray) -> np.ndarray:
    """The array in C order, at a multiple of 64 bytes, as TensorFlow needs it; or such a copy."""
    if array.flags.c_contiguous and array.ctypes.data % 64 == 0:
        return array
    room = np.empty(array.nbytes + 64, np.uint8)
    shareable = room[-room.ctypes.data % 64 :][: array.nbytes].reshape(array.shape)
    shareable[...] = array
    return shareable


def _shortened(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
