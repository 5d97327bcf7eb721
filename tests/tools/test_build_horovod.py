"""The Horovod build, run as the program that it is, up to the point where it would compile."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tfmeta.tools import build_horovod

pytestmark = pytest.mark.programs

PROGRAM = Path(__file__).parents[2] / "tools" / "build_horovod.py"


def other_backend() -> str:
    """A backend whose Horovod is not the installed one, so that the program goes to work."""
    installed = build_horovod.version_of("horovod") or ""
    return "gloo" if installed.endswith("mpi") else "mpi"


def build(*flags: str, python: tuple[str, ...] = (sys.executable,), **variables: str):
    return subprocess.run(
        [*python, str(PROGRAM), *flags],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


def only_these_programs(folder: Path, *names: str) -> str:
    """A PATH on which nothing but the named programs is found."""
    folder.mkdir()
    for name in names:
        program = shutil.which(name)
        if program is None:
            pytest.skip(f"{name} is not installed here")
        (folder / name).symlink_to(program)
    return str(folder)


def assert_one_sentence(answer: subprocess.CompletedProcess, *parts: str) -> None:
    assert answer.returncode == 2, answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    for part in parts:
        assert part in answer.stderr


def test_a_bad_flag_is_answered_with_one_sentence():
    assert_one_sentence(build("--backend=smoke-signals"), "--backend", "smoke-signals", "gloo")
    assert_one_sentence(build("--cash_dir=x"), "--cash_dir")


def test_tensorflow_must_be_installed():
    without_packages = (sys.executable, "-I", "-S")
    assert_one_sentence(build(python=without_packages), "TensorFlow is not installed")


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()
    answer = build(f"--backend={other_backend()}", f"--cache_dir={file}")
    assert_one_sentence(answer, f"--cache_dir={file}")


def test_a_space_in_the_cache_folder_is_refused(tmp_path):
    answer = build(f"--backend={other_backend()}", f"--cache_dir={tmp_path / 'my cache'}")
    assert_one_sentence(answer, "my cache", "space")


def test_a_missing_compiler_is_named(tmp_path):
    answer = build(f"--backend={other_backend()}", f"--cache_dir={tmp_path}", CXX="no-such-c++")
    assert_one_sentence(answer, "no-such-c++", "CXX")


def test_a_missing_mpi_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", only_these_programs(tmp_path / "bin", "c++", "make"))
    with pytest.raises(build_horovod.SetupError, match="mpicxx .* libopenmpi-dev"):
        build_horovod.check_mpi()


def test_a_missing_cuda_is_named(tmp_path):
    answer = build("--backend=nccl", f"--cache_dir={tmp_path}", CUDA_HOME=str(tmp_path))
    assert_one_sentence(answer, str(tmp_path / "bin/nvcc"), "CUDA_HOME")


def test_a_missing_nccl_is_named(tmp_path):
    cuda = tmp_path / "cuda"
    for part in ("bin/nvcc", "include/cuda_runtime.h"):
        (cuda / part).parent.mkdir(parents=True)
        (cuda / part).touch()
    answer = build(
        "--backend=nccl", f"--cache_dir={tmp_path}", CUDA_HOME=str(cuda), NCCL_HOME=str(tmp_path)
    )
    assert_one_sentence(answer, "nccl.h", "NCCL_HOME")


def test_horovod_is_named_after_its_tensorflow_and_backend():
    version = build_horovod.wanted_version("mpi")
    assert version.startswith("0.28.1+tensorflow")
    assert version.endswith(f"{importlib.metadata.version('tensorflow')}.mpi")


def test_packages_that_are_missing_or_too_new_are_asked_for():
    assert build_horovod.unmet({"pytest": None, "no-such-package": None, "pip": 1}) == [
        "no-such-package",
        "pip<1",
    ]


def test_a_second_run_does_nothing_and_does_not_load_tensorflow():
    installed = build_horovod.version_of("horovod") or ""
    backend = installed.rpartition(".")[2]
    if "+" not in installed or installed != build_horovod.wanted_version(backend):
        pytest.skip("the installed Horovod was not built by this program")
    answer = build(f"--backend={backend}", python=(sys.executable, "-X", "importtime"))
    assert answer.returncode == 0
    assert f"{installed} is installed already" in answer.stdout
    assert "tensorflow" not in answer.stderr


def test_a_wheel_that_does_not_run_is_not_installed(tmp_path):
    before = build_horovod.version_of("horovod")
    backend = other_backend()
    flags = (f"--backend={backend}", f"--cache_dir={tmp_path}")
    # The log's name is that of the wheel, which this first run stops short of building.
    build(*flags, CXX="no-such-c++")
    (log,) = tmp_path.glob("*.log")
    with zipfile.ZipFile(log.with_suffix(".whl"), "w") as wheel:
        wheel.writestr("horovod/__init__.py", "raise ImportError('damaged')")
    answer = build(*flags)
    assert_one_sentence(answer, "two ranks", str(log))
    assert "damaged" in log.read_text()
    assert build_horovod.version_of("horovod") == before
    assert not list(tmp_path.glob("build-*"))


@pytest.mark.slow
def test_a_built_horovod_runs_two_ranks(tmp_path):
    version = build_horovod.wanted_version("gloo")
    log = tmp_path / "log"
    wheel = build_horovod.build("gloo", version, tmp_path, log)
    assert wheel.name.startswith(f"horovod-{version}-")
    build_horovod.verify("gloo", wheel, tmp_path, log)
