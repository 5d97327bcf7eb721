"""The side of the program that asks its workers, see `answering` for the protocol."""

import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, TextIO

_TOOLS = Path(__file__).resolve().parent.parent
_SECONDS_TO_END = 30.0


def cores() -> list[int]:
    """The cores of this machine that this process may use."""
    return sorted(os.sched_getaffinity(0))


class WorkerError(RuntimeError):
    """A worker failed or ended; the message holds what it said."""


class _Rank(NamedTuple):
    """The connection to one process: what requests go into, and the lines that come back."""

    socket: socket.socket
    lines: TextIO


class Worker:
    """A worker, seen from the program that started it.

    Use it as a context manager. It starts to load at once; the first request waits for that.
    What it prints goes to standard error.

    Args:
        module: A module of this package that calls `serve`, such as `"jobs.maml"`.
        python: The Python that runs it.
        ranks: How many ranks it has. More than one are started by `horovodrun`.
        core: Which core of `cores` all its processes are kept to; by default none.

    Raises:
        OSError: There is no such Python.
    """

    def __init__(
        self, module: str, python: str = sys.executable, ranks: int = 1, core: int | None = None
    ):
        self.module, self.ranks = module, ranks
        self._ranks: list[_Rank] = []
        self._folder = tempfile.mkdtemp()  # only this user may enter it
        address = str(Path(self._folder) / "socket")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen(ranks)
        self._listener.settimeout(0.1)
        command = [python, "-m", f"benchmarks.{module}", address]
        if ranks > 1:
            launcher = [python, "-m", "horovod.runner.launch", "-np", str(ranks)]
            command = [*launcher, "--start-timeout=300", *command]
        if core is not None:
            command = ["taskset", "--cpu-list", str(cores()[core]), *command]
        # It ends with this process, also while it loads and listens to nobody.
        command = ["setpriv", "--pdeathsig", "TERM", *command]
        # Where `python -m benchmarks.MODULE` finds this package, whatever else that Python has.
        path = os.pathsep.join([str(_TOOLS), *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=2, env={**os.environ, "PYTHONPATH": path}
            )
        except OSError:
            self._forget()
            raise

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Sends a request to every rank, waits for all replies, and returns that of rank 0.

        Raises:
            WorkerError: The command raised an exception there, or a process has ended. The worker
                is ended, since its other ranks may wait for the one that failed.
        """
        try:
            if not self._ranks:
                self._connect()
            request = json.dumps({"command": command, **arguments}) + "\n"
            for rank in self._ranks:
                rank.socket.sendall(request.encode())
            return self._replies()[0]
        except BaseException as error:
            self.terminate()
            self.close()
            if isinstance(error, OSError):
                raise WorkerError(f"{self.module}: {error}") from error
            raise

    def terminate(self) -> None:
        """Ends the worker at once; a request that waits for its reply fails."""
        self._process.terminate()

    def close(self) -> None:
        """Ends the worker, and waits for that."""
        self._forget()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _connect(self) -> None:
        """Waits until all ranks have loaded, and sorts their connections by rank."""
        found: dict[int, _Rank] = {}
        while len(found) < self.ranks:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                if self._process.poll() is not None:
                    raise self._ended() from None
                continue
            rank = _Rank(connection, connection.makefile())
            found[self._read(rank)["rank"]] = rank
        self._ranks = [found[number] for number in range(self.ranks)]

    def _replies(self) -> list[dict[str, Any]]:
        """One reply from each rank, read as they come, so that the first failure is seen."""
        replies: dict[int, dict[str, Any]] = {}
        with selectors.DefaultSelector() as waiting:
            for number, rank in enumerate(self._ranks):
                waiting.register(rank.socket, selectors.EVENT_READ, number)
            while len(replies) < self.ranks:
                for key, _ in waiting.select():
                    replies[key.data] = self._read(self._ranks[key.data])
                    waiting.unregister(key.fileobj)
        return [replies[rank] for rank in range(self.ranks)]

    def _read(self, rank: _Rank) -> dict[str, Any]:
        line = rank.lines.readline()
        if not line:
            raise self._ended()
        message = json.loads(line)
        if "error" in message:
            raise WorkerError(f"{self.module}: {message['error']}")
        return message

    def _ended(self) -> WorkerError:
        return WorkerError(f"{self.module} ended with status {self._process.wait(_SECONDS_TO_END)}")

    def _forget(self) -> None:
        """Closes the connections; the worker then knows that there are no more requests."""
        for rank in self._ranks:
            rank.lines.close()
            rank.socket.close()
        self._ranks = []
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)
