"""SIGTERM and SIGINT ask a process to end: a scheduler sends one, Ctrl-C the other."""

import os
import signal
import threading
import time
from collections.abc import Callable

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# How long work that must not be lost has to come to an end.
_SECONDS_TO_END = 14.0

_lock = threading.RLock()
_requested: signal.Signals | None = None
_held = False
_end: Callable[[signal.Signals, bool], None] | None = None
_told: list[Callable[[], None]] = []


def listen(end: Callable[[signal.Signals, bool], None]) -> None:
    """From now on a signal ends this process in order; the main thread calls it, once.

    A signal that was ignored stays ignored. A fork of this process takes signals as usual.

    Args:
        end: ends the process. It is told the signal, and whether work that was held had to be given
            up. A thread of its own calls it, so that a signal is heard while the main thread is in
            a library.
    """
    global _end
    _end = end
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _heard)
    # A signal to a fork that still had these handlers would be heard here.
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS),
        after_in_child=_as_usual,
    )
    threading.Thread(target=_wait, args=(read,), daemon=True).start()


def requested() -> signal.Signals | None:
    """The signal that has asked this process to end, if any."""
    return _requested


def when_requested(tell: Callable[[], None]) -> None:
    """Has a function called as soon as this process is asked to end."""
    with _lock:
        _told.append(tell)
        if _requested is not None:
            tell()


def hold() -> None:
    """From now on there is work that must not be lost: it ends by itself, soon after a request."""
    global _held
    _held = True


def release() -> None:
    """The work is safe. If this process was asked to end meanwhile, it ends here."""
    global _held
    with _lock:
        _held = False
        asked = _requested
    if asked is not None and _end is not None:
        _end(asked, False)


def _wait(read: int) -> None:
    global _requested
    while (number := os.read(read, 1)[0]) not in _SIGNALS:
        pass  # of another handler of this process's
    asked = signal.Signals(number)
    with _lock:
        _requested, held = asked, _held
        for tell in _told:
            tell()
    assert _end is not None
    if not held:
        _end(asked, False)
    time.sleep(_SECONDS_TO_END)
    _end(asked, True)


def _heard(number, frame) -> None:
    """What Python calls in the main thread; the other thread has been woken."""


def _as_usual() -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is _heard:
            signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
