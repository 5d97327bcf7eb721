"""One unit for one quantity, in every file, picture and sentence of a run."""

from typing import TypeVar

import numpy as np

_Number = TypeVar("_Number", float, np.ndarray)


def in_unit(name: str, value: _Number) -> _Number:
    """A measure in its unit: accuracies, which Keras gives as fractions, in per cent as in papers.

    Args:
        name: of the measure. Those of which "accuracy" is a part are accuracies.
        value: as Keras gives it.
    """
    return 100.0 * value if "accuracy" in name else value


def written(name: str, value: float, width: float | None = None) -> str:
    """A measure for a person to read, such as `accuracy 43.3 +- 2.1 %`.

    Args:
        name: of the measure.
        value: in its unit.
        width: half the width of its interval, if there is one.
    """
    return f"{name.replace('_', ' ')} {amount(name, value, width)}"


def amount(name: str, value: float, width: float | None = None) -> str:
    """What `written` says after the name."""
    digits, unit = (1, " %") if "accuracy" in name else (3, "")
    interval = "" if width is None else f" +- {width:.{digits}f}"
    return f"{value:.{digits}f}{interval}{unit}"
