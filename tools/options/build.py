"""Members of a registry, built with those of the flags that concern them."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from absl import flags

from tfmeta.errors import ArgumentError

FLAGS = flags.FLAGS


def parameters(member: type) -> set[str]:
    """The names of the keyword arguments that a class takes, those of its bases included."""
    names: set[str] = set()
    for ancestor in member.__mro__:
        if "__init__" not in ancestor.__dict__:
            continue
        own = inspect.signature(ancestor).parameters.values()
        names |= {parameter.name for parameter in own}
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in own):
            break
    return names


def build(member: type, *arguments: Any, offered: Mapping[str, Any]) -> Any:
    """Makes an object with those of the offered arguments that its class takes.

    Args:
        member: a class.
        *arguments: that every member of its kind takes.
        offered: further arguments by name.
    """
    taken = parameters(member)
    return member(*arguments, **{n: value for n, value in offered.items() if n in taken})


def refuse_others(choice: str, member: type, names: Iterable[str]) -> None:
    """Refuses flags on the command line that say nothing to the member that was chosen.

    Args:
        choice: the flag that chose it.
        member: its class.
        names: of flags, and of the arguments of classes that they give.

    Raises:
        ArgumentError: naming the first such flag.
    """
    taken = parameters(member)
    for name in names:
        if name not in taken and FLAGS[name].value is not None:
            raise ArgumentError(
                name,
                FLAGS[name].value,
                f"--{choice}={FLAGS[choice].value} has no use for it; leave it out.",
            )
