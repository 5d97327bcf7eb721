"""Small objects that are saved with a learner by the arguments that make an equal one."""

import abc
from typing import Any, Self


class Configured(abc.ABC):
    """What Keras saves and loads as a part of a learner; subclasses register with Keras."""

    @abc.abstractmethod
    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal one."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Makes one of what `get_config` gave."""
        return cls(**config)
