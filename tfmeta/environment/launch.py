"""What the launcher says about this process, known before TensorFlow or Horovod is imported."""

import ctypes
import os
import signal
import time

_LAUNCHERS = ("HOROVOD_{}", "OMPI_COMM_WORLD_{}", "PMI_{}")
_PR_SET_PDEATHSIG = 1  # of Linux's prctl
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


def outlive_launcher() -> None:
    """Under `horovodrun`, goes on in another process, which it asks to end but does not kill.

    It asks its children and their children to end, and soon kills those that are still
    there; it waits for the output of all others. So the two processes above this one end as soon
    as they are asked to, and when they are gone this one is asked to end, by SIGTERM. Otherwise
    they wait for it and end with its exit status. Other launchers ask all processes, and kill
    what is left when the first one has ended: under those, and alone, nothing happens here.
    """
    if launched_size() == 1 or size_variable() != "HOROVOD_SIZE":
        return
    for _ in range(2):
        above = os.getpid()
        below = os.fork()
        if below:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            status = os.waitstatus_to_exitcode(os.waitpid(below, 0)[1])
            os._exit(128 - status if status < 0 else status)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != above:  # it ended in between
            os.kill(os.getpid(), signal.SIGTERM)
