"""Checks of arguments, each with the sentence that says what is wrong and what to give instead."""

import math
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


def check_positive(argument: str, value: Any) -> float:
    """A positive finite number.

    Raises:
        ArgumentError: it is none.
    """
    if not (value > 0 and math.isfinite(value)):
        raise ArgumentError(argument, value, "give a positive finite number.")
    return float(value)


def check_choice(argument: str, value: Any, choices: Collection[str]) -> Any:
    """One of some names.

    Raises:
        ArgumentError: it is none of them.
    """
    if value not in choices:
        raise ArgumentError(argument, value, f"give one of {', '.join(choices)}.")
    return value
