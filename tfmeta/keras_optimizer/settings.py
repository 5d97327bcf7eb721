"""What every Keras optimizer takes, checked before anything is built."""

import numbers
from collections.abc import Callable, Mapping
from typing import Any

from tfmeta.checks import check_at_least_zero, check_count, check_positive, is_finite
from tfmeta.errors import ArgumentError

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


def check_learning_rate(learning_rate: Any) -> Any:
    """A number as a float; a schedule or a function as it is.

    Raises:
        ArgumentError: it is neither, or no number that is finite and at least 0.
    """
    if callable(learning_rate):
        return learning_rate
    if not isinstance(learning_rate, numbers.Real):
        raise ArgumentError(
            "learning_rate",
            learning_rate,
            "give a number, a schedule of keras.optimizers.schedules, or a function without "
            "arguments.",
        )
    return check_at_least_zero("learning_rate", learning_rate)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuses what a Keras optimizer does not take, or takes without heeding it.

    Raises:
        ArgumentError: a setting is unknown or out of range, or has no effect beside the others.
    """
    for name, value in settings.items():
        if name not in _CHECKS:
            raise ArgumentError(
                name,
                value,
                f"no Keras optimizer takes it; give some of {', '.join(sorted(_CHECKS))}.",
            )
        if value is not None:
            _CHECKS[name](name, value)
    clips = [name for name in _CLIPS if settings.get(name) is not None]
    if len(clips) > 1:
        raise ArgumentError(clips[1], settings[clips[1]], f"give it or {clips[0]}, not both.")
    if not settings.get("use_ema"):
        # A configuration always has the default.
        for name, default in (("ema_overwrite_frequency", None), ("ema_momentum", 0.99)):
            if settings.get(name, default) != default:
                raise ArgumentError(name, settings[name], "there is no average; set use_ema=True.")


def _share(argument: str, value: Any) -> None:
    if not (is_finite(value) and 0 <= value <= 1):
        raise ArgumentError(argument, value, "give a number from 0 to 1.")


def _text(argument: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ArgumentError(argument, value, "give a string.")


def _truth(argument: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ArgumentError(argument, value, "give True or False.")


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "name": _text,
    "weight_decay": check_at_least_zero,
    "clipnorm": check_positive,
    "clipvalue": check_positive,
    "global_clipnorm": check_positive,
    "use_ema": _truth,
    "ema_momentum": _share,
    "ema_overwrite_frequency": check_count,
    "loss_scale_factor": check_positive,
    "gradient_accumulation_steps": lambda name, value: check_count(name, value, least=2),
}
