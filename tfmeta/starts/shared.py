"""One start for all tasks: MAML's."""

import keras

from tfmeta.starts.base import Start


@keras.saving.register_keras_serializable("tfmeta")
class Shared(Start):
    """All tasks begin with the variables of the model and of the update rule."""

    def meta_parameters(self, shared):
        return list(shared)

    def of(self, learned, task):
        return list(learned)
