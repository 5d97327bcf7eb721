import numpy as np
import pytest

from tfmeta.data.names import part_named, read_names, readable


def test_parts_are_named_in_any_case():
    names = ("Train", "VALID", "dev", "Testing", "eval", "trains", "")
    parts = ["train", "validation", "validation", "test", "test", None, None]
    assert [part_named(name) for name in names] == parts


@pytest.mark.parametrize("name", ["cafe\u0301", "caf\xe9", "caf\udce9"])
def test_a_name_reads_the_same_however_it_was_written(name):
    assert readable(name) == "caf\xe9"


def test_lines_of_any_bytes_are_names_that_can_be_written(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "train.txt"
    for mark in (b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"):
        for size in range(100):
            path.write_bytes(mark + rng.bytes(size))
            for name in read_names(str(path)):
                assert name.strip() and name.encode() and readable(name) == name
