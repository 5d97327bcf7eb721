"""Keras computes with TensorFlow, or tfmeta cannot."""

import json
import os
import sys
from pathlib import Path

from tfmeta.errors import ArgumentError


def check_backend() -> None:
    """Refuses another backend of Keras's, without importing Keras.

    Raises:
        ArgumentError: Keras has been imported with another, or would be.
    """
    config = getattr(sys.modules.get("keras"), "config", None)
    backend = _configured() if config is None else config.backend()
    if backend != "tensorflow":
        raise ArgumentError(
            "KERAS_BACKEND",
            backend,
            "tfmeta differentiates with TensorFlow; set KERAS_BACKEND=tensorflow before Keras is "
            "imported.",
        )


def _configured() -> str:
    """The backend that Keras will take: by its variable, or else by its file."""
    named = os.environ.get("KERAS_BACKEND")
    if named:
        return named
    folder = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        settings = json.loads((Path(folder) / "keras.json").read_text(encoding="utf-8"))
        return settings.get("backend", "tensorflow")
    except (OSError, ValueError):
        return "tensorflow"
