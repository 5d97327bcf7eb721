"""tfmeta: fast meta-learning on TensorFlow, Keras and Horovod.

The names below are loaded when they are first used, so that programs can look at their input
before they wait for TensorFlow. As soon as Keras has been imported, before or after tfmeta, all of
them are, so that `keras.models.load_model` knows them.
"""

import importlib
import importlib.abc
import importlib.util
import sys
from typing import Any

from tfmeta.environment.backend import check_backend
from tfmeta.version import VERSION as __version__  # noqa: F401

check_backend()

_PUBLIC = {
    "ArgumentError": "tfmeta.errors",
    "ANIL": "tfmeta.learners.anil",
    "DivergedError": "tfmeta.errors",
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
    "check_meta_gradient": "tfmeta.evaluation.meta_gradient",
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


_loaded = False


def _load_for_keras(done: str | None = None) -> None:
    """Loads all that Keras may find in a saved model, as soon as Keras and no part is being loaded.

    Args:
        done: name of a module that has been loaded, though Python does not say so yet.
    """
    global _loaded
    if _loaded or "keras" not in sys.modules:
        return
    for name, module in list(sys.modules.items()):
        ours = name == "keras" or name.startswith("tfmeta.")
        if ours and name != done and getattr(module.__spec__, "_initializing", False):
            return
    _loaded = True
    sys.meta_path.remove(_waiting)
    for name in _PUBLIC:
        __getattr__(name)
    # Classes that have no public name are saved, and so loaded, all the same.
    from tfmeta.training.checkpoints import let_keras_know

    let_keras_know()


class _Waiting(importlib.abc.MetaPathFinder):
    """Waits for the end of imports of Keras, and of parts of tfmeta that import Keras."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != "keras" and not fullname.startswith("tfmeta."):
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                run(module)
                _load_for_keras(fullname)

            setattr(spec.loader, "exec_module", exec_module)  # noqa: B010
        return spec


_waiting = _Waiting()
sys.meta_path.insert(0, _waiting)
_load_for_keras()
