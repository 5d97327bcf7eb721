"""Small data and small runs for the tests of the binaries."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
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


@pytest.fixture(scope="session")
def small(characters):
    """Flags of a training that takes a moment."""
    return [
        f"--dataset={characters}",
        "--image_size=16",
        "--filters=4",
        "--queries=2",
        "--meta_batch=4",
        "--steps=4",
        "--validate_every=4",
        "--validation_episodes=8",
        "--episodes=8",
    ]


@pytest.fixture(scope="session")
def small_problems():
    """Flags of the training of an optimizer that takes a moment."""
    return [
        "--problem=quadratic",
        "--problem_steps=4",
        "--unroll=2",
        "--meta_batch=5",
        "--meta_iterations=4",
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


@pytest.fixture(scope="session")
def weights_of():
    """Every number that a checkpoint holds."""

    def weights(path: Path) -> list[np.ndarray]:
        learner = checkpoints.load(path)
        return [np.asarray(v) for v in [*learner.variables, *learner.optimizer.variables]]

    return weights
