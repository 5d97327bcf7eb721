"""Keras's callbacks on several ranks."""

from typing import Any

import keras

from tfmeta import distributed

# Of Keras's callbacks those that write files, send, or print, and act on nothing else.
WRITERS = (
    keras.callbacks.CSVLogger,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.OrbaxCheckpoint,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.TensorBoard,
)


def for_this_rank(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `fit` or `evaluate` as this rank should take them.

    Callbacks run on every rank, with the same numbers at the end of an epoch. Rank 0 alone runs
    those of Keras that write, and any whose attribute `main_rank_only` is true, and shows progress.

    Args:
        kwargs: of `keras.Model.fit` or `evaluate`.
    """
    callbacks = kwargs.get("callbacks")
    if distributed.size() == 1 or kwargs.get("_use_cached_eval_dataset"):
        return kwargs  # the second: the validation of a `fit`, whose callbacks have been here
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    given = keras.tree.flatten(callbacks) if callbacks else []
    mine = [
        _of_all_ranks(callback)
        for callback in given
        if distributed.is_main() or not _is_for_main(callback)
    ]
    return {**kwargs, "callbacks": mine, **({} if distributed.is_main() else {"verbose": 0})}


def _is_for_main(callback: keras.callbacks.Callback) -> bool:
    return isinstance(callback, WRITERS) or bool(getattr(callback, "main_rank_only", False))


def _of_all_ranks(callback: keras.callbacks.Callback) -> keras.callbacks.Callback:
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        return _SharedBackup(callback)
    return callback


class _SharedBackup(keras.callbacks.Callback):
    """Backs up on rank 0, and restores all ranks from there.

    Args:
        backup: Keras's own callback.
    """

    def __init__(self, backup: keras.callbacks.BackupAndRestore):
        super().__init__()
        self._backup = backup

    def set_model(self, model):
        super().set_model(model)
        self._backup.set_model(model)

    def on_train_begin(self, logs=None):
        if distributed.is_main():
            self._backup.on_train_begin(logs)
        model = self.model
        with distributed.together("the restoring by BackupAndRestore"):
            distributed.broadcast([*model.variables, *model.optimizer.variables])
            # Where Keras reads the epoch to go on with.
            model._initial_epoch = distributed.gather_objects(model._initial_epoch)[0]

    def on_train_batch_end(self, batch, logs=None):
        if distributed.is_main():
            self._backup.on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        if distributed.is_main():
            self._backup.on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        if distributed.is_main():
            self._backup.on_train_end(logs)
