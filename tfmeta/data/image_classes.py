"""Labeled images, sorted by class: the form of every image data set."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from tfmeta.errors import ArgumentError

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class ImageClasses:
    """Images of equal size, sorted by class.

    Attributes:
        images: uint8 `[total, height, width, channels]`, all images of the first class, then all
            of the second, and so on.
        counts: int64 `[classes]`, the number of images of each class, at least 1.
        names: the name of each class, all different.
        split: the split of each class ("train", "validation" or "test"), or None if the data gives
            none.

    Raises:
        ArgumentError: an array has another rank or dtype, or the parts do not fit together.
    """

    images: np.ndarray
    counts: np.ndarray
    names: tuple[str, ...]
    split: tuple[str, ...] | None = None

    def __post_init__(self):
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise ArgumentError(
                "images",
                f"{self.images.dtype} of shape {self.images.shape}",
                "expected uint8 of shape [total, height, width, channels]; convert it.",
            )
        counts = np.asarray(self.counts)
        if counts.ndim != 1 or not np.issubdtype(counts.dtype, np.integer):
            raise ArgumentError(
                "counts", self.counts, "expected one whole number per class; count the images."
            )
        object.__setattr__(self, "counts", counts.astype(np.int64))
        if (counts < 1).any() or counts.sum() != len(self.images):
            raise ArgumentError(
                "counts",
                self.counts,
                f"each must be at least 1, and their sum {len(self.images)}, the number of images; "
                "leave out empty classes.",
            )
        if len(self.names) != len(counts) or len(set(self.names)) != len(counts):
            raise ArgumentError(
                "names",
                _shortened(self.names),
                f"expected {len(counts)} different names, one per class; rename or merge classes.",
            )
        if self.split is not None and (
            len(self.split) != len(counts) or not set(self.split) <= set(SPLITS)
        ):
            raise ArgumentError(
                "split",
                _shortened(self.split),
                f"expected {len(counts)} names, one per class, each one of {', '.join(SPLITS)}.",
            )

    def __len__(self) -> int:
        """The number of classes."""
        return len(self.counts)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.images.shape[1:]

    @property
    def offsets(self) -> np.ndarray:
        """The index of each class's first image, int64 `[classes]`."""
        return np.cumsum(self.counts) - self.counts

    def subset(self, indices: Sequence[int]) -> "ImageClasses":
        """Returns the classes with these indices, in this order."""
        offsets = self.offsets
        rows = [np.arange(self.counts[i]) + offsets[i] for i in indices]
        return ImageClasses(
            images=self.images[np.concatenate([np.arange(0), *rows])],
            counts=self.counts[list(indices)],
            names=tuple(self.names[i] for i in indices),
            split=None if self.split is None else tuple(self.split[i] for i in indices),
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
        turned = [np.rot90(self.images, turns, axes=(1, 2)) for turns in range(4)]
        angles = ("", "/rotated90", "/rotated180", "/rotated270")
        return ImageClasses(
            images=np.concatenate(turned),
            counts=np.tile(self.counts, 4),
            names=tuple(name + angle for angle in angles for name in self.names),
            split=None if self.split is None else self.split * 4,
        )


def merged(images: np.ndarray, labels: Sequence[tuple[str, str]]) -> ImageClasses:
    """Sorts images into classes, by name.

    Many data sets are split by image, so that a class has images in several parts. The split is
    kept only if no class is in two parts.

    Args:
        images: uint8 `[total, height, width, channels]`.
        labels: name of the class and split ("" for none) of each image.
    """
    order = sorted(range(len(labels)), key=lambda i: labels[i][0])
    counts = collections.Counter(labels[i][0] for i in order)
    splits = dict(labels)
    by_class = len(set(labels)) == len(counts) and "" not in splits.values()
    return ImageClasses(
        images=images[order],
        counts=np.array(list(counts.values())),
        names=tuple(counts),
        split=tuple(splits[name] for name in counts) if by_class else None,
    )


def _shortened(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
