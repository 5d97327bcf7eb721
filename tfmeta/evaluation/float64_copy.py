"""A learner in float64."""

import contextlib
import copy
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from tfmeta.errors import ArgumentError
from tfmeta.layers.custom_objects import classes_of

_FLOATS = ("bfloat16", "float32", "mixed_bfloat16", "mixed_float16")


@contextlib.contextmanager
def computing_in_float64() -> Iterator[None]:
    """Within it float64 is Keras's default for numbers and layers."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def float64_copy(learner: Any) -> Any:
    """A compiled learner in float64: the learner itself if its weights are, else a copy.

    Args:
        learner: a built and compiled few-shot learner; within `computing_in_float64`.

    Raises:
        ArgumentError: Keras cannot save it and load it again.
    """
    if all(variable.dtype == "float64" for variable in learner.trainable_variables):
        return learner
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "learner.keras"
        try:
            learner.save(file)
            _in_float64(file)
            made = keras.models.load_model(
                file, custom_objects=classes_of(learner.model), compile=False, safe_mode=False
            )
        except Exception as error:  # Whatever a layer of the user's own raises.
            raise ArgumentError(
                "learner",
                learner.name,
                f"it cannot be saved and loaded for a copy in float64 ({first_line(error)}); give "
                "its layers a get_config, or build it after "
                'keras.config.set_dtype_policy("float64").',
            ) from error
    made.compile(
        loss=keras.tree.map_structure(_loss_in_float64, learner.loss),
        loss_weights=(learner.get_compile_config() or {}).get("loss_weights"),
    )
    return made


def first_line(error: Exception) -> str:
    """What an error says at first."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _in_float64(file: Path) -> None:
    """Changes the precision of a saved model: in its configuration, by which its weights load."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = json.dumps(_changed(json.loads(parts["config.json"]))).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def _changed(config: Any) -> Any:
    if isinstance(config, list):
        kind, *rest = config or [None]
        if isinstance(kind, bool) and rest and rest[0] in _FLOATS:
            return [kind, "float64"]  # whether a layer is trainable, and its policy
        return [_changed(part) for part in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy" and config["config"]["name"] in _FLOATS:
        return {**config, "config": {"name": "float64"}}
    return {
        key: "float64" if key == "dtype" and part in _FLOATS else _changed(part)
        for key, part in config.items()
    }


def _loss_in_float64(loss: Any) -> Any:
    """A loss that computes in float64; what is no object of Keras's follows Keras's default."""
    if not isinstance(loss, keras.losses.Loss):
        return loss
    made = copy.copy(loss)
    made._dtype_policy = keras.dtype_policies.get("float64")
    made._dtype = "float64"
    return made
