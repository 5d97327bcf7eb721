"""Two ranks, one of which ends in the way of the case, as a user's program does.

end.py CASE
"""

import sys

import keras

import tfmeta


def make_learner():
    learner = tfmeta.MAML(tfmeta.models.mlp((2,), 1, (8,), seed=0), 0.01)
    learner.compile("sgd", loss="mse")
    return learner


def batches(steps=3):
    rank = tfmeta.distributed.rank()
    return tfmeta.SixFamilies(5, 5).batches(4, 0, steps, rank, 2)


def forgotten():
    """`tfmeta.init` is not called, and the program does not ask for its rank either."""
    make_learner().fit(tfmeta.SixFamilies(5, 5).batches(4, 0, 3), verbose=0)


def alone():
    """Rank 0 evaluates, while rank 1 waits for it in a collective of its own."""
    import horovod.tensorflow as hvd

    tfmeta.init()
    if tfmeta.distributed.is_main():
        make_learner().evaluate(batches(), verbose=0)
    hvd.broadcast(0, root_rank=0)


def gone():
    """Rank 0 evaluates, while rank 1 is through with the program."""
    tfmeta.init()
    if tfmeta.distributed.is_main():
        make_learner().evaluate(batches(), verbose=0)


def binary():
    """As `gone`, in a binary such as ours."""
    from tfmeta.tools import program

    del sys.argv[1:]
    program.start(gone)


def fault():
    """A callback raises on rank 1."""

    class Fault(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if tfmeta.distributed.rank() == 1:
                raise OSError("the disk is full")

    tfmeta.init()
    make_learner().fit(batches(), verbose=0, callbacks=[Fault()])


if __name__ == "__main__":
    cases = forgotten, alone, gone, binary, fault
    {case.__name__: case for case in cases}[sys.argv[1]]()
