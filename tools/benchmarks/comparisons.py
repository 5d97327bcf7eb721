"""Who is compared with whom, and at what."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfmeta.data.image_classes import ImageClasses
from tfmeta.errors import ArgumentError

from .settings import LSTMSetting, MAMLSetting

Load = Callable[[], ImageClasses]


class Comparison(NamedTuple):
    """Two workers that are built with the same setting.

    Attributes:
        ours: the module of our worker.
        rival: the module of the other one.
        library: what the rival's Python must have.
        one_core: whether both are to run on one core.
        setting: of a folder for its files, and of what loads images, to what both are built with.
    """

    ours: str
    rival: str
    library: str
    one_core: bool
    setting: Callable[[Path, Load], MAMLSetting | LSTMSetting]


def _maml(inner_steps: int) -> Comparison:
    def setting(folder: Path, load: Load) -> MAMLSetting:
        images, counts = _saved(folder, load().with_rotations())
        return MAMLSetting(
            images,
            counts,
            ways=5,
            shots=1,
            queries=1,
            meta_batch=32,
            inner_learning_rate=0.4,
            inner_steps=inner_steps,
            learning_rate=1e-3,
            seed=0,
            dtype="float32",
        )

    return Comparison("jobs.maml", "rivals.learn2learn_maml", "learn2learn", False, setting)


def _lstm(setting: Callable[[Path, Load], LSTMSetting]) -> Comparison:
    return Comparison("jobs.lstm", "rivals.torch_lstm", "torch", True, setting)


def _quadratics(folder: Path, load: Load) -> LSTMSetting:
    return _lstm_setting(None, None, meta_batch=128)


def _network(folder: Path, load: Load) -> LSTMSetting:
    classes = load()
    if len(classes) < 10:
        raise ArgumentError("dataset", f"{len(classes)} classes", "the network tells ten apart.")
    return _lstm_setting(*_saved(folder, classes), meta_batch=1)


def _lstm_setting(images: str | None, counts: str | None, meta_batch: int) -> LSTMSetting:
    return LSTMSetting(
        images,
        counts,
        meta_batch,
        unroll=20,
        unrolls=5,
        learning_rate=1e-3,
        seed=0,
        dtype="float32",
    )


def _saved(folder: Path, classes: ImageClasses) -> tuple[str, str]:
    """Paths of the files of images and counts, which it writes."""
    images, counts = folder / "images.npy", folder / "counts.npy"
    np.save(images, classes.images)
    np.save(counts, classes.counts)
    return str(images), str(counts)


COMPARISONS = {
    "omniglot_5w1s": _maml(inner_steps=1),
    "omniglot_5w1s_5steps": _maml(inner_steps=5),
    "lstm_quadratics": _lstm(_quadratics),
    "lstm_network": _lstm(_network),
}
