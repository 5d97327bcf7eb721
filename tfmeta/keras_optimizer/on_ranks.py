"""An optimizer that works inside Horovod's `DistributedOptimizer`."""

import warnings
from typing import Any

import keras

from tfmeta.environment.launch import launched_size
from tfmeta.errors import ArgumentError


class _CallableList(list):
    """Horovod calls what in Keras 3 is a property."""

    def __call__(self):
        return self


class OptimizerOnRanks(keras.optimizers.Optimizer):
    """A Keras optimizer that Horovod's `DistributedOptimizer` can average the gradients of.

    That is a subclass, made by Horovod of the optimizer's class. What it overrides to combine the
    gradients of the ranks Keras 3 never calls, so that each rank would train by itself; here the
    optimizer calls it.
    """

    _made_by_horovod = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        made_of = cls.__bases__[0]
        # Horovod first makes a class beside the optimizer's, only to take its methods.
        if "_allreduce" not in vars(cls) or made_of is OptimizerOnRanks:
            return
        cls._made_by_horovod = True
        # It is saved as the class that it was made of, to be loaded without Horovod too; of one
        # name, the class registered last is the one that Keras loads.
        package, name = keras.saving.get_registered_name(made_of).split(">")
        for named in (cls, made_of):
            keras.saving.register_keras_serializable(package, name)(named)

    def __setattr__(self, name, value):
        # A LossScaleOptimizer takes the scale from the optimizer that it is given, when it is made.
        if name == "loss_scale_factor" and self._made_by_horovod and hasattr(self, name):
            raise ArgumentError(
                "optimizer",
                "LossScaleOptimizer",
                "one rank could leave a step out alone, and the others would wait for it; train in "
                "mixed_bfloat16, which needs no loss scale.",
            )
        super().__setattr__(name, value)

    @property
    def variables(self):
        return _CallableList(super().variables)

    def combined(self, gradients: list[Any], variables: list[Any]) -> list[Any]:
        """The gradients of all ranks together, as Horovod was told to combine them.

        Args:
            gradients: tensors, IndexedSlices, or None.
            variables: one for each gradient.

        Raises:
            ArgumentError: Horovod is to accumulate them.
        """
        if not self._made_by_horovod:
            return gradients
        if self._agg_helper is not None:
            raise ArgumentError(
                "backward_passes_per_step",
                self._agg_helper.backward_passes_per_step,
                "give the optimizer gradient_accumulation_steps instead.",
            )
        # Horovod knows TensorFlow's variables alone.
        variables = [getattr(variable, "value", variable) for variable in variables]
        return self._allreduce(gradients, variables)

    def get_config(self):
        on_ranks = {"on_ranks": True} if self._made_by_horovod else {}
        return {**super().get_config(), **on_ranks}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if config.pop("on_ranks", False) and not cls._made_by_horovod and launched_size() > 1:
            warnings.warn(
                "the optimizer was saved inside Horovod's DistributedOptimizer, and by itself it "
                "trains each rank apart; to go on together, wrap it again, and hand the new one "
                "its variables by set_weights.",
                stacklevel=2,
            )
        return super().from_config(config, custom_objects)
