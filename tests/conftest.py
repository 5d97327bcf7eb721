"""What tests of several ranks share."""

import functools
import gc
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

# Fixtures that start programs or ranks.
_STARTERS = {"run", "forked", "horovodrun", "learned", "start"}


def pytest_collection_finish():
    """Lets the collector pass over what lives to the end, which takes a tenth of the time."""
    gc.set_threshold(200_000, 20, 50)
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Marks the tests that start programs, see the markers in pyproject.toml."""
    for item in items:
        if not _STARTERS.isdisjoint(item.fixturenames):
            item.add_marker("programs")


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory):
    """Has libraries leave in pytest's folder, which is removed, what they leave behind."""
    folder = str(tmp_path_factory.mktemp("temporary"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)
        patch.setenv("TMPDIR", folder)  # for the programs that tests start
        yield folder


def run_ranks(
    ranks: int,
    arguments: Sequence[str | Path],
    timeout: float = 300,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess:
    """Runs a Python program on so many ranks of this machine; on one, without `horovodrun`.

    Args:
        ranks: how many.
        arguments: the program's file, then its own arguments.
        timeout: seconds, after which every process of it is killed and `TimeoutExpired` raised.
        cwd: folder to run in.
        env: variables to set beside those of this process.

    Returns:
        The exit status, and standard output and standard error as text.
    """
    command = [sys.executable, *map(str, arguments)]
    if ranks > 1:
        horovodrun = Path(sys.executable).with_name("horovodrun")
        command = [str(horovodrun), "-np", str(ranks), "--start-timeout=300", *command]
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except BaseException:
        _kill_family(process)
        raise
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def _kill_family(process: subprocess.Popen) -> None:
    """Kills a process and all below it: horovodrun puts each rank in a session of its own."""
    import psutil  # comes with Horovod

    parent = psutil.Process(process.pid)
    for member in [*parent.children(recursive=True), parent]:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


@pytest.fixture(scope="session")
def horovodrun():
    """`run_ranks`, where Horovod is installed."""
    if importlib.util.find_spec("horovod") is None:
        pytest.skip("Horovod is not installed; tools/build_horovod.py builds it")
    return run_ranks


@pytest.fixture(scope="module")
def learned(request, horovodrun, tmp_path_factory):
    """What so many ranks of the module's PROGRAM leave: arrays with a leading rank axis, by name.

    The program is given the file to write, in the folder `path`, and the module's ARGUMENTS, if
    any; each number of ranks is started once.
    """

    @functools.cache
    def learned(ranks):
        path = tmp_path_factory.mktemp(f"ranks{ranks}") / "results.npz"
        arguments = getattr(request.module, "ARGUMENTS", ())
        finished = horovodrun(ranks, [request.module.PROGRAM, path, *arguments])
        assert finished.returncode == 0, finished.stderr
        with np.load(path) as results:
            return {**results, "path": path.parent}

    return learned


@pytest.fixture(scope="module")
def assert_as_on_one_rank(learned):
    """Asserts that a result is the same on every rank, and that of one rank but for rounding."""

    def assert_as_on_one_rank(ranks, name, tolerance):
        several, alone = learned(ranks)[name], learned(1)[name][0]
        assert len(several) == ranks and several.dtype == alone.dtype
        assert (several == several[0]).all(), f"the ranks differ from each other: {name}"
        np.testing.assert_allclose(several[0], alone, rtol=0, atol=tolerance * np.abs(alone).max())

    return assert_as_on_one_rank


@pytest.fixture
def shared_data():
    """Gives the path of a file of real data; the test is skipped where that is missing."""

    def path(name: str) -> Path:
        beside_the_checkout = Path(__file__).parents[2] / "shared" / "data"
        folder = Path(os.environ.get("TFMETA_TEST_DATA", beside_the_checkout))
        if not (folder / name).exists():
            pytest.skip(f"needs {name} in {folder}, or in the folder TFMETA_TEST_DATA")
        return folder / name

    return path


@pytest.fixture
def float64():
    """Keras computes in float64 within a test, and in float32 again after it."""
    set_precision("float64")
    yield
    set_precision("float32")


def set_precision(dtype):
    import keras

    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
