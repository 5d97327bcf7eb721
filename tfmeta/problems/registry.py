"""Problem families by name."""

from collections.abc import Callable

from tfmeta.errors import ArgumentError
from tfmeta.problems.problems import Problems
from tfmeta.problems.quadratic import Quadratics

_TYPES: dict[str, Callable[[int], list[Problems]]] = {
    "quadratic": lambda seed: [Quadratics(10, seed=seed)],
    "quadratic_normal": lambda seed: [Quadratics(10, "normal", seed=seed)],
}


def problems_named(name: str, seed: int = 0, images=None) -> list[Problems]:
    """The families that a name stands for.

    Raises:
        ArgumentError: there is no such name.
    """
    if name not in _TYPES:
        raise ArgumentError("problem", name, f"choose one of {', '.join(_TYPES)}.")
    return _TYPES[name](seed)
