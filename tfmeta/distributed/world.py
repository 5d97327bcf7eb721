"""The ranks that work together, and what each takes of its machine.

Alone in a process every function here does nothing, so that single-process work needs no Horovod.
A program that `horovodrun` starts calls `init()` once, before it builds anything.
"""

import os
import sys
import warnings
from typing import Any

import tensorflow as tf
from threadpoolctl import ThreadpoolController

from tfmeta.environment.launch import launched_rank, launched_size, size_variable
from tfmeta.errors import RanksError

_hvd: Any = None  # horovod.tensorflow, on several ranks
_devices_taken = False


def init(cycle_milliseconds: int = 1) -> None:
    """Joins the other ranks that `horovodrun` started and takes this rank's share of the machine.

    Each rank is given the GPU of its local rank, where there are GPUs. Without any, the ranks of a
    host split its cores: TensorFlow then runs one operation on each of this rank's cores, which
    for the small operations of a task is faster than many threads in one operation. NumPy and
    scikit-learn have no more threads than that either.

    Alone in a process only the cores are set up. Calling it again does nothing. It should come
    before TensorFlow's first operation: later the cores stay as they are, and it warns.

    Args:
        cycle_milliseconds: how long Horovod waits before it looks for new work, unless
            HOROVOD_CYCLE_TIME says otherwise. Every look takes time from a rank that has one core
            (a tenth, at 1), and every merge waits for one: steps that take tenths of a second are
            better off with 5.

    Raises:
        RanksError: the program runs under `horovodrun`, but Horovod is not installed; or it comes
            after TensorFlow's first operation, and several ranks would share a GPU.
    """
    global _hvd, _devices_taken
    if launched_size() > 1:
        try:
            import horovod.tensorflow as hvd
        except ImportError as error:
            raise RanksError(
                "started by horovodrun, but Horovod cannot be imported; build it with "
                "tools/build_horovod.py"
            ) from error
        os.environ.setdefault("HOROVOD_CYCLE_TIME", str(cycle_milliseconds))
        hvd.init()
        _hvd = hvd
    if _devices_taken:
        return
    _devices_taken = True
    try:
        _take_gpu() if tf.config.list_physical_devices("GPU") else _take_cores()
    except RuntimeError as error:  # TensorFlow sets its devices up with its first operation
        _started_already(error)


def _take_gpu() -> None:
    gpus = tf.config.list_physical_devices("GPU")
    if _hvd:
        tf.config.set_visible_devices(gpus[_hvd.local_rank() % len(gpus)], "GPU")
    for gpu in tf.config.get_visible_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def _take_cores() -> None:
    local_rank = _hvd.local_rank() if _hvd else 0
    local_size = _hvd.local_size() if _hvd else 1
    cores = sorted(os.sched_getaffinity(0))
    shared = 1 < local_size <= len(cores)
    if shared:
        cores = cores[local_rank::local_size]
    tf.config.threading.set_inter_op_parallelism_threads(len(cores))
    tf.config.threading.set_intra_op_parallelism_threads(1)
    if shared:
        os.sched_setaffinity(0, cores)
        # NumPy's BLAS has had a thread for every core of the machine since it was loaded, and while
        # they wait for each other they spin, on the core that the work is to be done on. What is
        # loaded later asks for the cores that are left.
        for library in ThreadpoolController().lib_controllers:
            library.set_num_threads(min(library.num_threads, len(cores)))


def _started_already(error: RuntimeError) -> None:
    late = "TensorFlow has computed something before tfmeta.init()"
    if _hvd and tf.config.list_physical_devices("GPU"):
        raise RanksError(
            f"{late}, so that all ranks of this machine hold its GPUs; call init first."
        ) from error
    if launched_rank() == 0:
        warnings.warn(
            f"{late}, so that its threads and devices stay as they are; call init first for speed.",
            stacklevel=3,
        )


def _world() -> Any:
    """Horovod, on several ranks; None alone.

    Raises:
        RanksError: a launcher started several ranks, which have not joined.
    """
    global _hvd
    if _hvd is None and launched_size() > 1:
        hvd = sys.modules.get("horovod.tensorflow")
        if hvd is None or not hvd.is_initialized():
            raise RanksError(
                f"{launched_size()} ranks were started, but each would train alone; call "
                "tfmeta.init() at the beginning of the program, or, if they are not to work "
                f"together, take {size_variable()} out of the environment."
            )
        _hvd = hvd
    return _hvd


def rank() -> int:
    """This process's number among the ranks: 0 alone.

    It, `size` and `is_main` raise `RanksError` where several ranks were started and neither
    `init` nor Horovod's own has been called.
    """
    hvd = _world()
    return hvd.rank() if hvd else 0


def size() -> int:
    """How many ranks work together: 1 alone."""
    hvd = _world()
    return hvd.size() if hvd else 1


def is_main() -> bool:
    """Whether this is rank 0, the one that prints, draws and writes files."""
    return rank() == 0


def horovod() -> Any:
    """The module `horovod.tensorflow`, on several ranks."""
    return _hvd
