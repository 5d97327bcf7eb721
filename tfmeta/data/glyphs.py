"""Procedurally drawn characters: image classes that need neither network nor files."""

import math

import numpy as np

from tfmeta.checks import check_count
from tfmeta.data import pictures
from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.loader import DEFAULTS, LoadOptions, loader
from tfmeta.data.storage import Storage

_POINTS = 32  # of each stroke: at most about two brush widths apart, so that no gaps show
_JITTER = 0.06  # standard deviation of the points of a drawing, in half character widths


@loader()
def load_glyphs(place: str = "", options: LoadOptions = DEFAULTS) -> ImageClasses:
    """Draws 400 characters, 20 times each; see `glyphs`.

    Args:
        place: none, so it is ignored.
        options: `image_size` (None means 28), `channels` and `seed` apply.

    Raises:
        ArgumentError: the size or the seed is out of range.
    """
    size = 28 if options.image_size is None else options.image_size
    return pictures.converted(glyphs(size=size, seed=options.seed), None, options.channels)


def glyphs(classes: int = 400, examples: int = 20, size: int = 28, seed: int = 0) -> ImageClasses:
    """Draws the characters of a made-up script, several times each.

    A character has two to four smooth strokes through random points. Each drawing moves these
    points, then slants, turns, stretches, shifts and thickens the character. As in Omniglot, paper
    is 255 and ink 0. A class depends on the seed and its own number alone, so the first classes do
    not depend on how many there are.

    Args:
        classes: number of characters.
        examples: number of drawings of each.
        size: height and width in pixels, at least 8.
        seed: seed of the script.

    Returns:
        Images `[classes * examples, size, size, 1]` of classes named "glyph0000" and so on.

    Raises:
        ArgumentError: a number is too small or not whole.
    """
    check_count("classes", classes)
    check_count("examples", examples)
    check_count("image_size", size, least=8)
    check_count("seed", seed, least=0)
    storage = Storage(classes * examples, size, channels=1)
    for i in range(classes):
        rng = np.random.default_rng([seed, i])
        strokes = _character(rng)
        points = _curves(strokes + rng.normal(scale=_JITTER, size=[examples, *strokes.shape]))
        width = rng.uniform(0.016, 0.022, size=examples)
        ink = _drawn(_placed(points, rng), width, size)
        drawings = np.round(255 * (1 - ink)).astype(np.uint8)[..., np.newaxis]
        storage.fill(enumerate(drawings, start=i * examples))
    return ImageClasses(
        images=storage.array(),
        counts=np.full(classes, examples),
        names=tuple(f"glyph{i:04d}" for i in range(classes)),
    )


def _character(rng: np.random.Generator) -> np.ndarray:
    """Draws the points of the strokes of one character, `[strokes, 4, 2]` in [-1, 1]."""
    strokes: list[np.ndarray] = []
    for _ in range(rng.integers(2, 5)):
        start = rng.uniform(-1, 1, size=2)
        if strokes and rng.random() < 0.5:
            # The strokes of letters touch: begin on an earlier one.
            start = strokes[rng.integers(len(strokes))][rng.integers(4)]
        heading = rng.uniform(0, 2 * math.pi)
        bend = rng.choice([0.0, 0.0, 0.6, 1.1]) * rng.choice([-1, 1])
        headings = heading + np.cumsum(bend + rng.normal(scale=0.25, size=3))
        steps = rng.uniform(0.3, 0.75) * np.stack([np.cos(headings), np.sin(headings)], axis=-1)
        strokes.append(start + np.concatenate([np.zeros([1, 2]), np.cumsum(steps, axis=0)]))
    character = np.stack(strokes)
    low, high = character.min(axis=(0, 1)), character.max(axis=(0, 1))
    extent = high - low
    # As with letters, width and height do not differ much.
    return (2 * character - low - high) / np.maximum(extent, 0.6 * extent.max())


def _curves(controls: np.ndarray) -> np.ndarray:
    """Catmull-Rom curves through `[..., 4, 2]` points, as `[..., _POINTS, 2]` points."""
    # Mirrored end points let the curve run from the first point to the last.
    before = 2 * controls[..., :1, :] - controls[..., 1:2, :]
    after = 2 * controls[..., -1:, :] - controls[..., -2:-1, :]
    controls = np.concatenate([before, controls, after], axis=-2)
    time = np.linspace(0, 3, _POINTS)
    piece = np.minimum(time.astype(int), 2)
    t = (time - piece)[:, np.newaxis]
    p0, p1, p2, p3 = (controls[..., piece + i, :] for i in range(4))
    return 0.5 * (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )


def _placed(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Slants, turns, stretches and shifts drawings `[examples, strokes, points, 2]`."""
    count = len(points)
    angle = rng.normal(scale=0.15, size=count)
    shear = rng.normal(scale=0.2, size=count)
    stretch = rng.uniform(0.26, 0.40, size=[count, 2])
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1).reshape(
        count, 2, 2
    )
    slant = np.tile(np.eye(2), [count, 1, 1])
    slant[:, 0, 1] = shear
    shift = 0.5 + rng.uniform(-0.11, 0.11, size=[count, 1, 2])
    transform = turn @ slant @ (stretch[..., np.newaxis] * np.eye(2))
    flat = points.reshape(count, -1, 2) @ transform.swapaxes(1, 2) + shift
    return flat.reshape(points.shape)


def _drawn(points: np.ndarray, width: np.ndarray, size: int) -> np.ndarray:
    """Draws strokes through points in [0, 1]: ink in [0, 1], `[examples, size, size]`."""
    points, width = points.astype(np.float32), width.astype(np.float32)
    middles = (points[:, :, 1:] + points[:, :, :-1]) / 2
    lengths = np.linalg.norm(points[:, :, 1:] - points[:, :, :-1], axis=-1)
    count = len(points)
    middles, lengths = middles.reshape(count, -1, 2), lengths.reshape(count, -1, 1)
    pixels = (np.arange(size, dtype=np.float32) + 0.5) / size
    # A brush much thinner than a pixel would miss the centers of pixels.
    width = np.maximum(width, 0.4 / size)[:, np.newaxis, np.newaxis]
    # A Gaussian brush is a product of functions of x and y, so a matrix product sums over points.
    across, down = (np.exp(-0.5 * ((pixels - middles[..., i, None]) / width) ** 2) for i in (0, 1))
    ink = (down * lengths).swapaxes(1, 2) @ across
    # Along a straight stroke the sum is sqrt(2 pi) brush widths in the middle, so the ink is 1
    # there. The factor makes more than the very middle dark.
    return np.minimum(1, 1.8 * ink / (math.sqrt(2 * math.pi) * width))
