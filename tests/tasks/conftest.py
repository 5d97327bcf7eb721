"""Where the real data is, for tests that read it."""

import os
import pathlib

import pytest


@pytest.fixture
def shared_data():
    """Gives the path of a file of real data; the test is skipped where that is missing."""

    def path(name: str) -> pathlib.Path:
        beside_the_checkout = pathlib.Path(__file__).parents[3] / "shared" / "data"
        folder = pathlib.Path(os.environ.get("TFMETA_TEST_DATA", beside_the_checkout))
        if not (folder / name).exists():
            pytest.skip(f"needs {name} in {folder}, or in the folder TFMETA_TEST_DATA")
        return folder / name

    return path
