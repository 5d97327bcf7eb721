"""Builds Horovod against the TensorFlow of this Python, verifies it, and installs it.

    python tools/build_horovod.py --backend=gloo

Horovod 0.28.1, a release of sources from before TensorFlow 2.21, misses three include paths of it
(see BUILD.md). The built wheel is named after the TensorFlow, the backend, the Python and the
platform that it is for, e.g. horovod-0.28.1+tensorflow2.21.0.gloo-cp311-cp311-linux_x86_64.whl:
its name is its key in the cache, and the version that pip knows tells whether the installed
Horovod is the right one. Only a wheel that passed its verification is cached or installed.

This program needs the standard library and pip alone, so that it can say in a sentence what is
missing.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path
from typing import NoReturn

HOROVOD = "0.28.1"
# Package: the first major version that is too new for Horovod, if any.
RUN_PACKAGES = {
    "setuptools": 81, "packaging": None, "cloudpickle": None, "psutil": None, "pyyaml": None,
}  # fmt: skip
BUILD_PACKAGES = {"wheel": None, "cmake": 4}
FREE_DISK_GB = 1
MEMORY_GB_PER_JOB = 2

# The header moved. Without a GPU the source that asks for it is empty otherwise; with one it also
# uses an alias that XLA has dropped, and others call a function that TensorFlow no longer has.
XLA_BUILDER = """\
#include "absl/status/statusor.h"
#include "xla/hlo/builder/xla_builder.h"
namespace xla {
template <typename T>
using StatusOr = absl::StatusOr<T>;
}
#if HAVE_CUDA
#include <cuda_runtime.h>
#include "xla/stream_executor/stream.h"
namespace stream_executor {
namespace gpu {
__attribute__((weak)) cudaStream_t AsGpuStreamValue(Stream* stream) {
  return static_cast<cudaStream_t>(stream->platform_specific_handle().stream);
}
}
}
#endif
"""

TWO_RANKS = """\
import horovod.tensorflow as hvd
import tensorflow as tf

hvd.init()
gpus = tf.config.list_physical_devices("GPU")
if gpus:
    tf.config.set_visible_devices(gpus[hvd.local_rank()], "GPU")
total = hvd.allreduce(tf.constant([1.0, 10.0]) * (hvd.rank() + 1), op=hvd.Sum).numpy().tolist()
if hvd.size() != 2 or total != [3.0, 30.0]:
    raise SystemExit(f"an allreduce over {hvd.size()} ranks gave {total}, not [3.0, 30.0]")
print("the allreduce is right")
"""


class SetupError(Exception):
    """What keeps Horovod from being built or used, in one sentence with the remedy."""


class Parser(argparse.ArgumentParser):
    """Answers a bad flag with one sentence, without the usage text."""

    def error(self, message: str) -> NoReturn:
        raise SetupError(f"{message} (--help lists the flags)")


def say(message: str) -> None:
    print(f"build_horovod: {message}", flush=True)


def version_of(package: str) -> str | None:
    """The version of an installed package, without importing it; None where it is missing."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def wanted_version(backend: str) -> str:
    """Horovod's version with what it is built for, e.g. "0.28.1+tensorflow2.21.0.gloo"."""
    for package in ("tensorflow", "tensorflow-cpu"):
        if version := version_of(package):
            return f"{HOROVOD}+{package.replace('-', '')}{version}.{backend}"
    raise SetupError(f"TensorFlow is not installed in {sys.executable}; pip install tensorflow")


def unmet(packages: dict[str, int | None]) -> list[str]:
    """The pip requirements among `packages` that this environment does not meet."""
    requirements = []
    for name, too_new in packages.items():
        version = version_of(name)
        if version is None or (too_new and int(version.split(".")[0]) >= too_new):
            requirements.append(f"{name}<{too_new}" if too_new else name)
    return requirements


def execute(command: list[str], log: Path, env: dict[str, str], failure: str) -> None:
    """Runs a command with its output in `log`, and shows how far CMake is.

    Raises:
        SetupError: `failure` and the place of the log, when the status is not 0.
    """
    shown = 0
    with log.open("a") as file:
        print(f"\n$ {shlex.join(command)}", file=file, flush=True)
        with subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            for line in process.stdout or []:
                file.write(line)
                percent = re.match(r"\s*\[ *(\d+)%\]", line)
                if percent and int(percent[1]) // 20 > shown:
                    shown = int(percent[1]) // 20
                    say(f"  compiled {percent[1]} %")
    if process.returncode:
        raise SetupError(f"{failure} (status {process.returncode}); its output is in {log}")


def pip(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]


def install_packages(packages: dict[str, int | None], log: Path, env: dict[str, str]) -> None:
    if requirements := unmet(packages):
        say(f"installing {', '.join(requirements)}")
        execute(pip("install", *requirements), log, env, f"pip could not install {requirements}")


def tensorflow_include() -> Path:
    """The folder of TensorFlow's headers, asked of TensorFlow itself in a process of its own."""
    script = "import tensorflow as tf; print(tf.sysconfig.get_include())"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if answer.returncode:
        reason = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise SetupError(f"TensorFlow cannot be imported by {sys.executable}: {reason}")
    return Path(answer.stdout.strip().splitlines()[-1])


def check_compiler() -> None:
    command = shlex.split(os.environ.get("CXX", "c++"))
    for program in (command[0], "make"):
        if shutil.which(program) is None:
            raise SetupError(
                f"{program} is not on PATH; install a C++ compiler and make (Debian: apt-get "
                "install g++ make), or name your compiler in CXX"
            )
    command += ["-std=c++17", "-x", "c++", "-fsyntax-only", "-"]
    if subprocess.run(command, input=b"#include <optional>\n", capture_output=True).returncode:
        raise SetupError(f"{shlex.join(command)} fails on C++17; install a newer compiler")


def check_folder(folder: Path) -> None:
    free = shutil.disk_usage(folder).free / 1e9
    if free < FREE_DISK_GB:
        raise SetupError(
            f"--cache_dir={folder.parent}: {free:.1f} GB are free there and the build takes "
            f"{FREE_DISK_GB}; make room or name another folder"
        )
    if " " in str(folder):
        raise SetupError(
            f"--cache_dir={folder.parent}: Horovod's build cannot take a space in a path; name "
            "another folder"
        )


def check_mpi() -> None:
    for program in ("mpicxx", "mpirun"):
        if shutil.which(program) is None:
            raise SetupError(
                f"{program} is not on PATH; install an MPI (Debian: apt-get install libopenmpi-dev "
                "openmpi-bin)"
            )


def cuda_home() -> Path:
    """The CUDA toolkit: CUDA_HOME, or /usr/local/cuda."""
    home = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
    for part in ("bin/nvcc", "include/cuda_runtime.h"):
        if not (home / part).exists():
            raise SetupError(
                f"{home / part} does not exist; install CUDA, or name its folder in CUDA_HOME"
            )
    return home


def nccl_home() -> Path:
    """The folder of NCCL's include/ and lib/: NCCL_HOME, or that of its Python package."""
    home = Path(os.environ.get("NCCL_HOME", Path(sysconfig.get_path("platlib"), "nvidia/nccl")))
    if not (home / "include/nccl.h").exists() or not list((home / "lib").glob("libnccl.so*")):
        raise SetupError(
            f"{home} lacks include/nccl.h or lib/libnccl.so.2; pip install nvidia-nccl-cu12, or "
            "name NCCL's folder in NCCL_HOME"
        )
    return home


def base_environment() -> dict[str, str]:
    """This environment, with the programs of Python packages (CMake is one) before all others."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}


def build_environment(backend: str, version: str, include: Path, work: Path) -> dict[str, str]:
    """The variables that Horovod's build reads, with what it misses put into the folder `work`."""
    header = work / "include/tensorflow/compiler/xla/client/xla_builder.h"
    header.parent.mkdir(parents=True)
    header.write_text(XLA_BUILDER)
    missed = ("external/highwayhash", "external/farmhash_archive/src")
    folders = [*(include / folder for folder in missed), work / "include"]

    env = base_environment()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    jobs = max(1, min(len(os.sched_getaffinity(0)), int(memory / MEMORY_GB_PER_JOB)))
    controller, other = ("MPI", "GLOO") if backend == "mpi" else ("GLOO", "MPI")
    env |= {
        "CXXFLAGS": " ".join([env.get("CXXFLAGS", ""), *(f"-isystem {path}" for path in folders)]),
        "HOROVOD_LOCAL_VERSION": version.partition("+")[2],
        "HOROVOD_WITH_TENSORFLOW": "1",
        "HOROVOD_WITHOUT_PYTORCH": "1",
        "HOROVOD_WITHOUT_MXNET": "1",
        f"HOROVOD_WITH_{controller}": "1",
        f"HOROVOD_WITHOUT_{other}": "1",
        "MAKEFLAGS": f"-j{jobs}",
        "TMPDIR": str(work),
    }
    if backend == "nccl":
        env |= nccl_environment(work)
    return env


def nccl_environment(work: Path) -> dict[str, str]:
    nccl = nccl_home()
    # The linker asks for libnccl.so, and the Python package has libnccl.so.2 alone.
    link = work / "nccl/libnccl.so"
    link.parent.mkdir()
    link.symlink_to(min((nccl / "lib").glob("libnccl.so*")).resolve())
    return {
        "HOROVOD_GPU_OPERATIONS": "NCCL",
        "HOROVOD_CUDA_HOME": str(cuda_home()),
        "HOROVOD_NCCL_INCLUDE": str(nccl / "include"),
        "HOROVOD_NCCL_LIB": str(link.parent),
        "HOROVOD_NCCL_LINK": "SHARED",
        "HOROVOD_BUILD_CUDA_CC_LIST": os.environ.get("HOROVOD_BUILD_CUDA_CC_LIST", "80,90"),
        "CUDAFLAGS": "-std=c++17",
        # Where the package's library is, seen from site-packages/horovod/tensorflow.
        "LDFLAGS": "-Wl,-rpath,$ORIGIN/../../nvidia/nccl/lib",
    }


def build(backend: str, version: str, work: Path, log: Path) -> Path:
    """Checks what the build needs, then makes the wheel in the folder `work`; returns its place."""
    say("checking the compiler, the disk and " + ("TensorFlow" if backend == "gloo" else backend))
    check_compiler()
    check_folder(work)
    if backend == "mpi":
        check_mpi()
    elif backend == "nccl":
        cuda_home()
        nccl_home()
    include = tensorflow_include()
    install_packages(BUILD_PACKAGES, log, base_environment())
    env = build_environment(backend, version, include, work)
    execute(["cmake", "--version"], log, env, "cmake does not run; pip install 'cmake<4'")

    # From a file: asked for by its number, pip refuses a wheel whose version names a TensorFlow.
    say(f"fetching the sources of Horovod {HOROVOD}")
    options = ["--no-deps", "--no-build-isolation", "--no-cache-dir"]
    command = pip("download", *options, "--no-binary=horovod", f"--dest={work}",
                  f"horovod=={HOROVOD}")  # fmt: skip
    execute(command, log, base_environment(), "pip could not fetch Horovod's sources")
    (source,) = work.glob("horovod-*.tar.gz")

    # Not with pip's cache, whose key is the version of the sources: it would bring back a Horovod
    # that was built against another TensorFlow.
    say(f"building Horovod {version}, which takes minutes; the compiler's output is in {log}")
    command = pip("wheel", "-v", *options, f"--wheel-dir={work}", str(source))
    execute(command, log, env, "Horovod's build failed")
    (wheel,) = work.glob("horovod-*.whl")
    return wheel


def verify(backend: str, wheel: Path, work: Path, log: Path) -> None:
    """Unpacks the wheel into `work` and runs it there: two ranks, one sum, and its result checked.

    NCCL wants a GPU for each rank; with fewer than two, the library is loaded and not run.
    """
    say("verifying")
    site = work / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    env = base_environment()
    env["PYTHONPATH"] = os.pathsep.join([str(site), *filter(None, [env.get("PYTHONPATH")])])
    if backend != "nccl":
        env["CUDA_VISIBLE_DEVICES"] = ""
    elif "NCCL_HOME" not in env:
        # NCCL's package, where it will be beside Horovod.
        (site / "nvidia").symlink_to(nccl_home().parent)
    if backend == "nccl" and gpus() < 2:
        load = "import horovod.tensorflow as hvd; assert hvd.nccl_built()"
        execute([sys.executable, "-c", load], log, env, "the built Horovod cannot be loaded")
        say("compiled, linked and loaded; NOT RUN, since two ranks on NCCL need two GPUs")
        return
    program = work / "two_ranks.py"
    program.write_text(TWO_RANKS)
    launcher = "--mpi" if backend == "mpi" else "--gloo"
    horovodrun = [sys.executable, "-m", "horovod.runner.launch", launcher, "--start-timeout=300"]
    execute([*horovodrun, "-np", "2", sys.executable, str(program)], log, env,
        "two ranks of the built Horovod did not give the right sum")  # fmt: skip
    say("two ranks ran, and their sum is right")


def gpus() -> int:
    if shutil.which("nvidia-smi") is None:
        return 0
    return subprocess.run(["nvidia-smi", "-L"], capture_output=True).stdout.count(b"UUID: GPU")


def main(arguments: list[str]) -> None:
    parser = Parser(description="Builds, verifies and installs Horovod for this TensorFlow.")
    parser.add_argument(
        "--backend", choices=("gloo", "mpi", "nccl"), default="gloo",
        help="what carries the tensors: Gloo (no GPU, nothing else to install), MPI (no GPU), or "
        "NCCL (GPUs)",
    )  # fmt: skip
    parser.add_argument(
        "--cache_dir", type=Path, default=os.environ.get("TFMETA_CACHE", "~/.cache/tfmeta"),
        help="folder for built wheels and their logs; the build itself takes place there, too "
        "(default: $TFMETA_CACHE, or ~/.cache/tfmeta)",
    )  # fmt: skip
    flags = parser.parse_args(arguments)
    version = wanted_version(flags.backend)
    if version_of("horovod") == version and not unmet(RUN_PACKAGES):
        say(f"Horovod {version} is installed already")
        return

    if importlib.util.find_spec("pip") is None:
        raise SetupError(f"{sys.executable} has no pip; {sys.executable} -m ensurepip brings it")
    cache: Path = flags.cache_dir.expanduser().absolute()
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
    cached = cache / f"horovod-{version}-{python}-{python}-{platform}.whl"
    log = cached.with_suffix(".log")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        log.write_text("")
    except OSError as error:
        raise SetupError(f"--cache_dir={cache}: {error.strerror}; name another folder") from error

    with tempfile.TemporaryDirectory(prefix="build-", dir=cache) as name:
        work = Path(name)
        install_packages(RUN_PACKAGES, log, base_environment())
        if cached.exists():
            say(f"found {cached} (delete it to build anew)")
            verify(flags.backend, cached, work, log)
        else:
            wheel = build(flags.backend, version, work, log)
            verify(flags.backend, wheel, work, log)
            os.replace(wheel, cached)
    say(f"installing {cached}")
    command = pip("install", "--no-deps", "--no-index", "--force-reinstall", str(cached))
    execute(command, log, base_environment(), "pip could not install it")
    say(f"Horovod {version} is installed in {sys.prefix}")


def run() -> None:
    try:
        main(sys.argv[1:])
    except SetupError as error:
        print(f"build_horovod: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    run()
