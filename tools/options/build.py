"""Members of a registry, built with those of the flags that concern them."""

import inspect
import types
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


def refuse_others(
    choice: str,
    member: type | None,
    names: Iterable[str],
    arguments: Mapping[str, str] = types.MappingProxyType({}),
) -> None:
    """Refuses flags other than their defaults that say nothing to the member that was chosen.

    Args:
        choice: the flag that chose it.
        member: its class; None where none was chosen.
        names: of flags, and of the arguments of classes that they give.
        arguments: the arguments that flags of another name give.

    Raises:
        ArgumentError: naming the first such flag.
    """
    taken = parameters(member) if member else set()
    useless = f"--{choice}={FLAGS[choice].value} has no use for it; leave it out."
    if member is None:
        useless = f"it is of no use without --{choice}; give that too, or leave it out."
    refuse((name for name in names if arguments.get(name, name) not in taken), useless)


def refuse(names: Iterable[str], problem: str) -> None:
    """Refuses flags that are given, other than their defaults.

    Those of a run that is read again were checked when it began.

    Args:
        names: of the flags.
        problem: the rest of the sentence, as of `ArgumentError`.

    Raises:
        ArgumentError: naming the first such flag.
    """
    for name in names:
        flag = FLAGS[name]
        if flag.present and flag.value != flag.default:
            raise ArgumentError(name, flag.value, problem)
