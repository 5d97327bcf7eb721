"""What the launcher says about this process, known before TensorFlow or Horovod is imported."""

import os
import time

_LAUNCHERS = ("HOROVOD_{}", "OMPI_COMM_WORLD_{}", "PMI_{}")
# Launchers end the other ranks as soon as one has ended: within a second or so.
_SECONDS_TO_SPEAK = 8.0


def _variable(name: str) -> str | None:
    for launcher in _LAUNCHERS:
        if launcher.format(name) in os.environ:
            return launcher.format(name)
    return None


def _read(name: str, alone: int) -> int:
    variable = _variable(name)
    return int(os.environ[variable]) if variable else alone


def launched_rank() -> int:
    """This process's rank as its launcher numbered it; 0 when started by hand."""
    return _read("RANK", 0)


def launched_size() -> int:
    """How many ranks the launcher started; 1 when started by hand."""
    return _read("SIZE", 1)


def size_variable() -> str | None:
    """The environment variable in which the launcher says how many ranks there are."""
    return _variable("SIZE")


def wait_to_speak(of_another: bool = False) -> None:
    """Waits, on a rank in trouble, until the rank whose words matter has had time to end all.

    Where all ranks are in the same trouble, rank 0 speaks at once. Another one speaks only if it
    is still alive then, since it is the only one in trouble; of several, the first speaks first.

    Args:
        of_another: this rank is in trouble only because another one has ended.
    """
    if launched_size() > 1 and (of_another or launched_rank() > 0):
        time.sleep(_SECONDS_TO_SPEAK + min(launched_rank(), 5))
