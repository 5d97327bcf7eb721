"""Checks of arguments, each with the sentence that says what is wrong and what to give instead."""

import math
import numbers
from collections.abc import Collection
from typing import Any

from tfmeta.errors import ArgumentError


def check_count(argument: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`.

    Raises:
        ArgumentError: it is none.
    """
    if type(value) is not int or value < least:
        raise ArgumentError(argument, value, f"give a whole number of at least {least}.")
    return value


def check_seed(value: Any) -> int:
    """A seed: a whole number from 0 to 2**63 - 1.

    Raises:
        ArgumentError: it is none.
    """
    if type(value) is not int or not 0 <= value < 2**63:
        raise ArgumentError("seed", value, "give a whole number from 0 to 2**63 - 1.")
    return value


def check_positive(argument: str, value: Any) -> float:
    """A positive finite number.

    Raises:
        ArgumentError: it is none.
    """
    if not (is_finite(value) and value > 0):
        raise ArgumentError(argument, value, "give a positive finite number.")
    return float(value)


def check_at_least_zero(argument: str, value: Any) -> float:
    """A finite number of at least 0.

    Raises:
        ArgumentError: it is none.
    """
    if not (is_finite(value) and value >= 0):
        raise ArgumentError(argument, value, "give a finite number of at least 0.")
    return float(value)


def is_finite(value: Any) -> bool:
    """Whether it is a number, and a finite one."""
    return isinstance(value, numbers.Real) and math.isfinite(value)


def check_choice(argument: str, value: Any, choices: Collection[str]) -> Any:
    """One of some names.

    Raises:
        ArgumentError: it is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise ArgumentError(argument, value, f"give one of {', '.join(choices)}.")
    return value
