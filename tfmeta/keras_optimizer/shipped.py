"""The trained rules that are part of tfmeta: files of numbers, in no format of Keras's."""

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfmeta.registry import OPTIMIZERS
from tfmeta.updates import GradientRule

# Within it: a rule's name in the registry, its arguments, the flags of the run that trained it, and
# its parameters by name.
_RULE, _ARGUMENTS, _MADE_BY, _PARAMETERS = "rule", "arguments", "flags", "parameters/"


def names() -> list[str]:
    """Of all shipped rules."""
    return sorted(path.name.removesuffix(".npz") for path in _folder().iterdir())


def load(name: str) -> GradientRule:
    """A shipped rule, with its trained parameters."""
    content = _content(name)
    arguments = json.loads(str(content[_ARGUMENTS]))
    # Whatever the policy of precision is, no parameter is rounded.
    rule = OPTIMIZERS[str(content[_RULE])](**arguments, dtype="float32")
    rule.build([])
    for variable in rule.trainable_variables:
        variable.assign(content[_PARAMETERS + variable.name])
    return rule


def flags_of(name: str) -> list[str]:
    """The flags of the run that trained a shipped rule, one a line of its flagfile."""
    return str(_content(name)[_MADE_BY]).splitlines()


def save(name: str, rule: GradientRule, flags: Sequence[str]) -> Path:
    """Puts a trained rule into the package, in the place of one of that name.

    Args:
        name: by which `load_optimizer` finds it.
        rule: one of `registry.OPTIMIZERS`.
        flags: of the run that trained it.

    Returns:
        The file.
    """
    of_all_layers = keras.layers.Layer().get_config()
    arguments = {k: v for k, v in rule.get_config().items() if k not in of_all_layers}
    parameters = {_PARAMETERS + v.name: v.numpy() for v in rule.trainable_variables}
    path = Path(str(_folder())) / f"{name}.npz"
    content: dict[str, Any] = {
        _RULE: OPTIMIZERS.name_of(type(rule)),
        _ARGUMENTS: json.dumps(arguments),
        _MADE_BY: "\n".join(flags),
        **parameters,
    }
    np.savez_compressed(path, **content)
    return path


def _folder():
    return resources.files(__package__) / "trained"


def _content(name: str) -> dict[str, np.ndarray]:
    with (_folder() / f"{name}.npz").open("rb") as file, np.load(file) as content:
        return dict(content)
