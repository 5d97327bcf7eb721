"""What `--help` says: every flag of a binary with its default, by subject."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from absl import flags

FLAGS = flags.FLAGS
_ASKING = {"--help", "-help", "-h", "--helpshort", "--helpfull"}
_KINDS = {
    "int": "N",
    "float": "X",
    "string": "TEXT",
    "comma separated list of strings": "A,B,...",
    "comma separated list of whole numbers": "N,N,...",
}
_COLUMNS = 100


def asked(argv: Sequence[str]) -> bool:
    """Whether a command line asks for help."""
    return not _ASKING.isdisjoint(argv)


def text(binary: ModuleType, flagfiles: Mapping[str, str]) -> str:
    """What a binary does, and its flags.

    Args:
        binary: its module. Its own flags come first; a module of options says in `SUBJECT` what
            its flags are about.
        flagfiles: the texts of those that tfmeta ships, by name; those that the binary takes are
            told.
    """
    groups: dict[str, list[str]] = {"This program": []}
    modules = {module.__name__: module for module in vars(binary).values() if _is_module(module)}
    for flag in FLAGS.get_key_flags_for_module(binary):
        defined_in = modules.get(FLAGS.find_module_defining_flag(flag.name))
        subject = getattr(defined_in, "SUBJECT", "This program")
        groups.setdefault(subject, []).extend(_described(flag))
    names = [name for name, lines in flagfiles.items() if _takes(lines)]
    shipped = f" These are found by name: {', '.join(names)}." if names else ""
    groups["Flagfiles"] = ["  --flagfile=PATH", *_wrapped(f"A file of flags, one a line.{shipped}")]
    parts = [(binary.__doc__ or "").strip()]
    parts += ["\n".join([f"{subject}:", *lines]) for subject, lines in groups.items() if lines]
    return "\n\n".join(parts) + "\n"


def _takes(flagfile: str) -> bool:
    """Whether the binary that runs has all flags of a flagfile."""
    names = re.findall(r"^--(\w+)", flagfile, re.MULTILINE)
    return all(name in FLAGS or name.removeprefix("no") in FLAGS for name in names)


def _is_module(value: Any) -> bool:
    return isinstance(value, ModuleType)


def _described(flag: flags.Flag) -> list[str]:
    said = flag.help
    if isinstance(flag, flags.EnumFlag):
        values = flag.parser.enum_values
        # absl puts them before the text.
        said = said.removeprefix(f"<{'|'.join(values)}>: ")
        kind = "|".join(values)
        if len(kind) > _COLUMNS // 2:
            said, kind = f"{said} One of {', '.join(values)}.", "NAME"
    else:
        kind = _KINDS.get(flag.flag_type(), "")
    head = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}={kind}"
    if "Default" not in said:
        default = "none" if flag.default is None else as_given(flag.default)
        said = f"{said} Default: {default}."
    return [f"  {head}", *_wrapped(said)]


def as_given(value: Any) -> str:
    """The value of a flag as it is written on a command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(
        words,
        _COLUMNS,
        initial_indent=" " * 6,
        subsequent_indent=" " * 6,
        break_on_hyphens=False,
    )
