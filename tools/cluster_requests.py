"""The side of tools/benchmark_clusters.py that asks its jobs, see `cluster_job`."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfmeta.files import write_whole


class Job:
    """A job that waits for requests in a folder, see `cluster_job`."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]):
        self.folder, self.process, self.number = folder, process, 0

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Sends a request and waits for its reply.

        Raises:
            RuntimeError: the job has ended.
        """
        request = self.folder / f"request-{self.number}.json"
        reply = self.folder / f"reply-{self.number}.json"
        write_whole(request, json.dumps({"command": command, **arguments}))
        while not reply.exists():
            if self.process.poll() is not None:
                raise RuntimeError(f"a job of the benchmark ended: {self.process.args!r}")
            time.sleep(0.01)
        answer = json.loads(reply.read_text())
        request.unlink()
        reply.unlink()
        self.number += 1
        return answer


@contextlib.contextmanager
def job(folder: Path, ranks: int) -> Iterator[Job]:
    """A job of so many ranks, each on a core of its own; it ends with the context.

    Args:
        folder: where it has its own folder of requests.
        ranks: 1 or 2.
    """
    place = folder / f"job-{ranks}"
    place.mkdir(exist_ok=True)
    for left in place.iterdir():
        left.unlink()
    command = [sys.executable, "-m", "tfmeta.tools.cluster_job", str(place)]
    if ranks > 1:
        command = [sys.executable, "-m", "horovod.runner.launch", "-np", str(ranks), *command]
    else:
        command = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), *command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        asked = Job(place, process)
        yield asked
        write_whole(place / f"request-{asked.number}.json", json.dumps({"command": "end"}))
        process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
