"""What Keras knows by name alone: a model's functions, and its classes that are not registered."""

import contextlib
import inspect
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from tfmeta.errors import ArgumentError

_naming = threading.Lock()


def classes_of(model: keras.Model) -> dict[str, type]:
    """The classes of a model that are not Keras's, by the name that Keras writes down.

    Raises:
        ArgumentError: two have the same name.
    """
    found: dict[str, type] = {}
    for cls in {type(part) for part in _parts(model) if hasattr(part, "get_config")}:
        name = keras.saving.get_registered_name(cls)
        if found.setdefault(name, cls) is not cls:
            raise ArgumentError(
                "model",
                model.name,
                f"two of its classes are called {name}, and Keras would take one for the other; "
                "register them with keras.saving.register_keras_serializable.",
            )
    return found


def functions_of(model: keras.Model) -> list[Callable]:
    """The functions of a model, lambdas among them, that are not registered with Keras."""
    functions = {id(p): p for p in _parts(model) if isinstance(p, types.FunctionType)}
    return [f for f in functions.values() if keras.saving.get_registered_name(f) == f.__name__]


@contextlib.contextmanager
def named_apart(functions: Sequence[Callable]) -> Iterator[dict[str, Callable]]:
    """Gives each function a name of its own, by which Keras writes it down, and takes it back."""
    with _naming:
        names = [function.__name__ for function in functions]
        try:
            for number, function in enumerate(functions):
                function.__name__ = f"function{number}"
            yield {function.__name__: function for function in functions}
        finally:
            for function, name in zip(functions, names, strict=True):
                function.__name__ = name


def check_uses(model: keras.Model) -> None:
    """Refuses functions and operations that hold a part of the model as if it were a constant.

    Raises:
        ArgumentError: naming the first.
    """
    own = {id(part) for part in (*model._flatten_layers(), *model.variables)}
    for name, used in (*_uses_of_functions(model), *_uses_of_operations(model)):
        for part in keras.tree.flatten(used):
            if id(part) in own:
                raise ArgumentError(
                    "model",
                    model.name,
                    f"its {name} uses {part.name} of the model, and in a copy would go on doing "
                    "so; write a layer that is given what it uses.",
                )


def _parts(model: keras.Model) -> Iterator[Any]:
    """The layers of a model and what they hold, without what is Keras's own."""
    for layer in model._flatten_layers():
        cls = type(layer)
        # Keras puts functions of its own in place of some methods.
        held = [p for n, p in vars(layer).items() if not callable(getattr(cls, n, None))]
        for part in (layer, *held):
            own = part if isinstance(part, types.FunctionType) else type(part)
            if not (own.__module__ or "").startswith("keras."):
                yield part


def _uses_of_functions(model):
    for function in functions_of(model):
        used = inspect.getclosurevars(function)
        yield f"function {function.__name__}", [used.nonlocals, used.globals]


def _uses_of_operations(model):
    for part in model._flatten_layers():
        for operation in getattr(part, "operations", ()):  # of a functional model
            for node in operation._inbound_nodes:
                yield f"operation {operation.name}", [node.arguments.args, node.arguments.kwargs]
