"""Families of problems by the name of their type."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tfmeta.data.image_classes import ImageClasses
from tfmeta.errors import ArgumentError
from tfmeta.problems.base import ProblemFamily
from tfmeta.problems.bowl import Bowls
from tfmeta.problems.fully_connected import FullyConnectedNetworks
from tfmeta.problems.image_network import ImageNetworks
from tfmeta.problems.noisy import NoisyGradients
from tfmeta.problems.quadratic import Quadratics
from tfmeta.problems.softmax_regression import SoftmaxRegressions
from tfmeta.problems.two_dimensional import FUNCTIONS, TwoDimensionalFunctions

# A family, and the deviation of the noise of its noisy variant.
_Families = list[tuple[ProblemFamily, float]]

# Features, hidden layers, batch size: the published networks of Wichrowska et al. 2017.
_NETWORKS = (
    (8, (8, 5), 10),
    (12, (8, 5, 3), 200),
    (5, (4, 4, 4, 4), 100),
    (11, (4, 5, 6), 64),
    (9, (8,), 128),
    (7, (8, 5), 16),
    (8, (32, 64), 10),
    (12, (16, 8, 3), 200),
    (5, (8, 8, 8, 8), 100),
    (11, (10, 12, 12), 64),
    (9, (32,), 128),
    (7, (32, 64), 16),
)


def _quadratic(seed: int) -> _Families:
    return [(Quadratics(seed=seed), 0.5)]


def _quadratic_normal(seed: int) -> _Families:
    return [(Quadratics(distribution="normal", seed=seed), 0.5)]


def _wichrowska_quadratic(seed: int) -> _Families:
    return [
        (Quadratics(dimensions, "normal", scale=0.5, start=1.0, seed=seed), noise)
        for dimensions, noise in ((20, 0.5), (25, 0.5), (50, 1.0), (100, 2.0))
    ]


def _bowl(seed: int) -> _Families:
    return [
        (Bowls(condition_number, angle, seed), 0.1)
        for condition_number, angle in ((0.1, 0.0), (1.0, 0.0), (5.0, 0.0), (5.0, 45.0))
    ]


def _two_dimensional(seed: int) -> _Families:
    return [(TwoDimensionalFunctions(function, seed), 1.0) for function in FUNCTIONS]


def _softmax_regression(seed: int) -> _Families:
    return [
        (SoftmaxRegressions(features, batch_size, separation, seed), noise)
        for features, batch_size, separation, noise in (
            (10, 100, 2.0, 0.5),
            (100, 50, 1.0, 0.1),
            (200, 20, 1.5, 0.1),
            (256, 100, 1.5, 0.5),
        )
    ]


def _fully_connected(seed: int, activation: str = "sigmoid") -> _Families:
    return [
        (FullyConnectedNetworks(features, hidden, batch_size, activation, seed), 0.1)
        for features, hidden, batch_size in _NETWORKS
    ]


def _wichrowska(seed: int) -> _Families:
    types = (_wichrowska_quadratic, _bowl, _two_dimensional, _softmax_regression, _fully_connected)
    return [family for families in types for family in families(seed)]


def _five_types(seed: int) -> _Families:
    return [
        _wichrowska_quadratic(seed)[0],
        _bowl(seed)[-1],
        (TwoDimensionalFunctions("rosenbrock", seed), 1.0),
        _softmax_regression(seed)[0],
        _fully_connected(seed)[0],
    ]


def _other_sizes(seed: int) -> _Families:
    return [
        *(
            (Quadratics(dimensions, "normal", scale=0.5, start=1.0, seed=seed), noise)
            for dimensions, noise in ((12, 0.5), (35, 0.5), (200, 2.0))
        ),
        *(
            (Bowls(condition_number, angle, seed), 0.1)
            for condition_number, angle in ((0.5, 0.0), (20.0, 0.0), (2.0, 30.0), (10.0, 60.0))
        ),
        *(
            (SoftmaxRegressions(features, batch_size, separation, seed), 0.1)
            for features, batch_size, separation in ((50, 100, 1.5), (150, 20, 1.0), (400, 50, 1.5))
        ),
        *(
            (FullyConnectedNetworks(features, hidden, batch_size, "sigmoid", seed), 0.1)
            for features, hidden, batch_size in (
                (6, (6,), 32),
                (10, (24, 12), 64),
                (16, (48,), 100),
                (8, (12, 12, 12), 20),
            )
        ),
    ]


class ProblemType(NamedTuple):
    """A type of problems.

    Attributes:
        families: maps a seed, images and whether to invert them to the families of the type.
        needs_images: whether the problems are made of images.
    """

    families: Callable[[int, Any, bool], list[ProblemFamily]]
    needs_images: bool = False


def _plain(made: Callable[[int], _Families]) -> ProblemType:
    return ProblemType(lambda seed, *_: [family for family, _ in made(seed)])


def _noisy(made: Callable[[int], _Families]) -> ProblemType:
    return ProblemType(
        lambda seed, *_: [NoisyGradients(family, deviation) for family, deviation in made(seed)]
    )


def _image_networks(hidden: tuple[int, ...], activation: str) -> ProblemType:
    def families(seed, images, invert):
        classes = min(10, len(images))
        return [ImageNetworks(images, hidden, activation, classes, seed=seed, invert=invert)]

    return ProblemType(families, needs_images=True)


_MADE: dict[str, Callable[[int], _Families]] = {
    "quadratic": _quadratic,
    "quadratic_normal": _quadratic_normal,
    "wichrowska_quadratic": _wichrowska_quadratic,
    "bowl": _bowl,
    "two_dimensional": _two_dimensional,
    "softmax_regression": _softmax_regression,
    "fully_connected": _fully_connected,
    "fully_connected_relu": lambda seed: _fully_connected(seed, "relu"),
    "wichrowska": _wichrowska,
    "five_types": _five_types,
    "other_sizes": _other_sizes,
}
# Every type of problems by name. Image networks: hidden layers and activation are those of
# Andrychowicz et al. 2016, section 3.2.
PROBLEMS: dict[str, ProblemType] = {
    **{name: _plain(made) for name, made in _MADE.items()},
    **{f"noisy_{name}": _noisy(made) for name, made in _MADE.items()},
    "image_network": _image_networks((20,), "sigmoid"),
    "image_network_40": _image_networks((40,), "sigmoid"),
    "image_network_2x20": _image_networks((20, 20), "sigmoid"),
    "image_network_relu": _image_networks((20,), "relu"),
}


def problems_named(
    name: str, seed: int = 0, images: ImageClasses | None = None, invert: bool = False
) -> list[ProblemFamily]:
    """The families of a type of problems, each with a name of its own.

    `quadratic` (d = 10) and `quadratic_normal` (the same with normal W and y) are those of
    Andrychowicz et al. 2016. `wichrowska_quadratic` (d = 20, 25, 50, 100), `bowl` (4 families),
    `two_dimensional` (9), `softmax_regression` (4) and `fully_connected` (12 sigmoid networks) are
    the five types of Wichrowska et al. 2017; `wichrowska` is all 33, and `five_types` one family of
    each type. `other_sizes` has 14 families of these types at sizes, condition numbers and angles
    that are not published, for rules that were trained on the published ones; functions of two
    variables have no size. `fully_connected_relu` has the same networks with ReLU. `noisy_` before
    any of these adds noise to the gradients, with the deviations of the public code where it has
    them: 0.5, 0.5, 1 and 2 for its quadratics (none for d = 25 there), 0.1 for bowls, 1 for
    functions of two variables, 0.5, 0.1, 0.1 and 0.5 for softmax regression; else 0.5 for
    quadratics (2 for d = 200) and 0.1 for networks and the other softmax regressions.
    `image_network` (20 sigmoid units), `image_network_40`, `image_network_2x20` (two layers) and
    `image_network_relu` classify the first ten classes of images.

    Args:
        name: one of `PROBLEMS`.
        seed: seed of the problems.
        images: for the image networks.
        invert: show these images negative, see `ImageNetworks`.

    Raises:
        ArgumentError: there is no such type, or it lacks images.
    """
    if name not in PROBLEMS:
        raise ArgumentError("problem", name, f"choose one of {', '.join(PROBLEMS)}.")
    kind = PROBLEMS[name]
    if kind.needs_images and images is None:
        raise ArgumentError("problem", name, "it needs images; give a data set of them.")
    return kind.families(seed, images, invert)
