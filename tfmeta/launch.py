"""What the launcher says about this process, known before TensorFlow or Horovod is imported."""

import os

_LAUNCHERS = ("HOROVOD_{}", "OMPI_COMM_WORLD_{}", "PMI_{}")


def _read(name: str, alone: int) -> int:
    for launcher in _LAUNCHERS:
        value = os.environ.get(launcher.format(name))
        if value is not None:
            return int(value)
    return alone


def launched_rank() -> int:
    """This process's rank as its launcher numbered it; 0 when started by hand."""
    return _read("RANK", 0)


def launched_size() -> int:
    """How many ranks the launcher started; 1 when started by hand."""
    return _read("SIZE", 1)
