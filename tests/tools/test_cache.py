"""A set of twice the memory that a training may take is trained from mapped images."""

import json
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

TRAIN = Path(__file__).parents[2] / "tools" / "train.py"
MEMORY = 10**9  # bytes, of which TensorFlow and a small training take most
SHAPE = (200, 475, 84, 84, 3)  # twice that


@pytest.fixture
def large(tmp_path):
    """A compressed archive of images by class; written class by class, as it is large."""
    assert np.prod(SHAPE, dtype=np.int64) > 2 * MEMORY
    path = tmp_path / "large.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("images.npy", "w", force_zip64=True) as file,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": SHAPE}
        np.lib.format.write_array_header_1_0(file, header)
        for level in range(SHAPE[0]):
            file.write(np.full(SHAPE[1:], level, np.uint8))
    return path


@pytest.mark.slow
def test_a_set_of_twice_the_memory_trains(large, tmp_path):
    def limited(*flags):
        return subprocess.run(
            [sys.executable, TRAIN, f"--dataset=npz:{large}", "--image_size=84", *flags],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY)),
            capture_output=True,
            text=True,
            timeout=300,
        )

    flags = [
        *("--ways=5", "--shots=1", "--queries=1", "--filters=4", "--meta_batch=2", "--steps=4"),
        *("--validate_every=2", "--validation_episodes=4", "--episodes=4", "--rotations"),
    ]
    refused = limited(*flags, f"--output_dir={tmp_path / 'refused'}")
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1
    assert refused.stderr.startswith(
        "--image_size=84: 95000 decoded images take 2.0 GB, and memory"
    )

    flags.append(f"--cache_dir={tmp_path / 'cache'}")
    trained = limited(*flags, f"--output_dir={tmp_path / 'run'}")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout.splitlines()[-1])["steps"] == 4
    (kept,) = (tmp_path / "cache").glob("*.npy")
    assert np.load(kept, mmap_mode="r").nbytes == np.prod(SHAPE)
