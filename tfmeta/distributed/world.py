"""The ranks that work together, and what each takes of its machine.

Alone in a process every function here does nothing, so that single-process work needs no Horovod.
A program that `horovodrun` starts calls `init()` once, before it builds anything.
"""

import os
from typing import Any

import tensorflow as tf

from tfmeta.launch import launched_size

_hvd: Any = None  # horovod.tensorflow, on several ranks


def init(cycle_milliseconds: int = 1) -> None:
    """Joins the other ranks that `horovodrun` started and takes this rank's share of the machine.

    Each rank is given the GPU of its local rank, where there are GPUs. Without any, the ranks of a
    host split its cores: TensorFlow then runs one operation on each of this rank's cores, which
    for the small operations of a task is faster than many threads in one operation.

    Alone in a process only the cores are set up. Calling it again does nothing; it must come
    before TensorFlow's first operation.

    Args:
        cycle_milliseconds: how long Horovod waits before it looks for new work, unless
            HOROVOD_CYCLE_TIME says otherwise. Every look takes time from a rank that has one core
            (a tenth, at 1), and every merge waits for one: steps that take tenths of a second are
            better off with 5.

    Raises:
        RuntimeError: the program runs under `horovodrun`, but Horovod is not installed.
    """
    global _hvd
    if _hvd is not None:
        return
    if launched_size() > 1:
        try:
            import horovod.tensorflow as hvd
        except ImportError as error:
            raise RuntimeError(
                "started by horovodrun, but Horovod cannot be imported; build it with "
                "tools/build_horovod.py"
            ) from error
        os.environ.setdefault("HOROVOD_CYCLE_TIME", str(cycle_milliseconds))
        hvd.init()
        _hvd = hvd
    _take_devices()


def _take_devices() -> None:
    local_rank = _hvd.local_rank() if _hvd else 0
    local_size = _hvd.local_size() if _hvd else 1
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if _hvd:
            tf.config.set_visible_devices(gpus[local_rank % len(gpus)], "GPU")
        for gpu in tf.config.get_visible_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        return
    cores = sorted(os.sched_getaffinity(0))
    if 1 < local_size <= len(cores):
        cores = cores[local_rank::local_size]
        os.sched_setaffinity(0, cores)
    tf.config.threading.set_inter_op_parallelism_threads(len(cores))
    tf.config.threading.set_intra_op_parallelism_threads(1)


def rank() -> int:
    """This process's number among the ranks: 0 alone."""
    return _hvd.rank() if _hvd else 0


def size() -> int:
    """How many ranks work together: 1 alone."""
    return _hvd.size() if _hvd else 1


def is_main() -> bool:
    """Whether this is rank 0, the one that prints, draws and writes files."""
    return rank() == 0


def horovod() -> Any:
    """The module `horovod.tensorflow`, on several ranks."""
    return _hvd
