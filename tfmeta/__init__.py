"""tfmeta: fast meta-learning on TensorFlow, Keras and Horovod.

The names below are loaded when they are first used, so that programs can look at their input
before they wait for TensorFlow; where Keras has been imported already, they are loaded at once, so
that `keras.models.load_model` knows them.
"""

import importlib
import sys
from typing import Any

_PUBLIC = {
    "ArgumentError": "tfmeta.errors",
    "ANIL": "tfmeta.learners.anil",
    "Episodes": "tfmeta.tasks.episodes",
    "ImageClasses": "tfmeta.data.image_classes",
    "LearnedOptimizer": "tfmeta.keras_optimizer",
    "MAML": "tfmeta.learners.maml",
    "Mixed": "tfmeta.tasks.mixed",
    "NonFiniteError": "tfmeta.errors",
    "OptimizerLearner": "tfmeta.learners.optimizer",
    "RanksError": "tfmeta.errors",
    "Reptile": "tfmeta.learners.reptile",
    "Sinusoids": "tfmeta.tasks.sinusoid",
    "SixFamilies": "tfmeta.tasks.six_families",
    "TaskSource": "tfmeta.tasks.source",
    "TaskSpec": "tfmeta.tasks.spec",
    "UpdateRule": "tfmeta.updates.base",
    "distributed": "tfmeta.distributed",
    "evaluate": "tfmeta.evaluation.few_shot",
    "init": "tfmeta.distributed",
    "layers": "tfmeta.layers",
    "load_image_classes": "tfmeta.data.load",
    "load_optimizer": "tfmeta.keras_optimizer",
    "models": "tfmeta.models",
    "problems": "tfmeta.problems",
    "starts": "tfmeta.starts",
    "split_classes": "tfmeta.data.splits",
    "updates": "tfmeta.updates",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tfmeta' has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    return module if module.__name__ == f"tfmeta.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__


if "keras" in sys.modules:
    from tfmeta.registry import LEARNERS, RULES, STARTS

    for _name in _PUBLIC:
        __getattr__(_name)
    # Members that have no public name are saved, and so loaded, all the same.
    for _registry in (LEARNERS, RULES, STARTS):
        list(_registry.values())
