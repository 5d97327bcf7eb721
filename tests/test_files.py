"""Files that are there whole or not at all."""

from pathlib import Path

import pytest

from tfmeta.errors import ArgumentError
from tfmeta.files import check_writable


def test_a_folder_that_takes_no_file_is_refused(tmp_path):
    check_writable("output_dir", tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ArgumentError, match="^output_dir=/proc: cannot be written to"):
        check_writable("output_dir", Path("/proc"))
