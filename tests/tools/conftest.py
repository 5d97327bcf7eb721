"""Small data and small runs for the tests of the binaries."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil  # comes with TensorFlow Datasets
import pytest

from tfmeta.data.glyphs import glyphs
from tfmeta.training import checkpoints


@pytest.fixture(scope="session")
def characters(tmp_path_factory):
    """The name of a small data set: 40 drawn characters with 6 drawings of each."""
    path = tmp_path_factory.mktemp("data") / "characters.npz"
    drawn = glyphs(classes=40, examples=6, size=16)
    np.savez(path, images=drawn.images.reshape(40, 6, 16, 16))
    return f"npz:{path}"


_MOMENT = (
    "--queries=2",
    "--meta_batch=4",
    "--steps=4",
    "--validate_every=4",
    "--validation_episodes=8",
    "--episodes=8",
)


@pytest.fixture(scope="session")
def small(characters):
    """Flags of a training on images that takes a moment."""
    return [f"--dataset={characters}", "--image_size=16", "--filters=4", *_MOMENT]


@pytest.fixture(scope="session")
def small_regression():
    """Flags of a training on functions that takes a moment."""
    return ["--dataset=sinusoid", *_MOMENT]


@pytest.fixture(scope="session")
def small_problems():
    """Flags of the training of an optimizer that takes a moment."""
    return [
        "--problem=quadratic",
        "--problem_steps=4",
        "--unroll=2",
        "--meta_batch=5",
        "--steps=4",
        "--validate_every=2",
        "--validation_problems=4",
    ]


@pytest.fixture(scope="session")
def run():
    """Runs a Python program of ours in a process of its own."""

    def run(program: Path, *flags: str, **kwargs) -> subprocess.CompletedProcess:
        command = [sys.executable, str(program), *flags]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, **kwargs)

    return run


@pytest.fixture(scope="session")
def forked(tmp_path_factory):
    """Runs a program of ours as `run` does, in a fork of a process that has imported the libraries.

    A program that does little spends most of its time on that.
    """
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("forks.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    folder = tmp_path_factory.mktemp("forks")

    def forked(program: Path, *flags: str, cwd: Path = folder) -> subprocess.CompletedProcess:
        outputs = [folder / "stdout", folder / "stderr"]
        for path in outputs:
            path.write_bytes(b"")
        request = {"program": program, "flags": flags, "cwd": cwd}
        request |= {path.name: path for path in outputs}
        server.stdin.write(json.dumps(request, default=str) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(
            [program, *flags], status, *(path.read_text() for path in outputs)
        )

    yield forked
    server.stdin.close()
    server.wait()


class Job:
    """A program on so many ranks of this machine, while it runs.

    Args:
        ranks: how many; on one, without `horovodrun`.
        output: the file that takes what it says.
        arguments: the program's file, then its own arguments.
    """

    def __init__(self, ranks: int, output: Path, *arguments: str | Path):
        command = [sys.executable, *map(str, arguments)]
        if ranks > 1:
            launcher = Path(sys.executable).with_name("horovodrun")
            command = [str(launcher), "-np", str(ranks), "--start-timeout=300", *command]
        self.ranks, self._output = ranks, output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                # Shells have it ignored in what they run in the background, such as these tests.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def said(self) -> str:
        return self._output.read_text().replace("\r", "\n")

    def wait_for(self, path: Path) -> None:
        """Waits for a file of the job's."""
        started = time.monotonic()
        while not path.exists():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() - started < 240
            time.sleep(0.01)

    def rank(self, number: int) -> psutil.Process:
        """The process that does the work of a rank, the third of its own."""
        own = [psutil.Process(self.process.pid)]
        if self.ranks == 1:
            return own[0]
        for child in own[0].children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.environ().get("HOROVOD_RANK") == str(number):
                    own.append(child)
        return own[:4][-1]

    def end(self, number: signal.Signals, rank: int | None = None) -> str:
        """Sends a signal to a rank, or to the program that was started; it has 20 seconds to end.

        Returns:
            What it has said.
        """
        family = self._family()
        with contextlib.suppress(psutil.NoSuchProcess):
            started = psutil.Process(self.process.pid)
            (started if rank is None else self.rank(rank)).send_signal(number)
        ends = time.monotonic() + 20
        self.process.wait(20)
        _, alive = psutil.wait_procs(family, timeout=max(ends - time.monotonic(), 0.1))
        assert not alive, self.said()
        return self.said()

    def kill(self) -> None:
        """Kills every process of the job."""
        family = self._family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(30)
        psutil.wait_procs(family, timeout=30)

    def _family(self) -> list[psutil.Process]:
        """The job's processes: horovodrun puts each rank in a session of its own."""
        try:
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


@pytest.fixture
def start(horovodrun, tmp_path):
    """Starts a program of ours on several ranks; what still runs when the test ends is killed."""
    jobs = []

    def start(ranks: int, *arguments: str | Path) -> Job:
        jobs.append(Job(ranks, tmp_path / f"output{len(jobs)}", *arguments))
        return jobs[-1]

    yield start
    for job in jobs:
        job.kill()


@pytest.fixture(scope="session")
def weights_of():
    """Every number that a checkpoint holds."""

    def weights(path: Path) -> list[np.ndarray]:
        learner = checkpoints.load(path)
        return [np.asarray(v) for v in [*learner.variables, *learner.optimizer.variables]]

    return weights


@pytest.fixture(scope="session")
def assert_documented():
    """Asserts that docs/runs.md tells of every file of a run and every column of its metrics."""
    page = (Path(__file__).parents[2] / "docs" / "runs.md").read_text()
    named = {name for cell in re.findall(r"`([^`]+)`", page) for name in cell.split(", ")}

    def assert_documented(folder: Path) -> None:
        for path in folder.rglob("*.*"):
            name = re.sub(r"step_\d+", "step_N", str(path.relative_to(folder)))
            assert re.sub(r"tfevents\..*", "tfevents.*", name) in named
        row = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
        assert {*row, *row["training"], *row["validation"]} <= named

    return assert_documented
