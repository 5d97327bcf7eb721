"""Damaged inputs end with one sentence, soon, and stay as they are.

`MUTATIONS=first:last pytest tests/fuzz -m slow` tries other seeds; what they find joins `FOUND`.
"""

import faulthandler
import os

import pytest
from mutated_inputs import KINDS, problem

# Seeds that have found a fault, by kind.
FOUND = {
    "archives": [0, 83, 160, 192, 330, 356],
    "texts_of_runs": [0, 6, 12, 17, 34, 38],
    "checkpoints_of_runs": [4, 6, 31, 59],
}
COUNTS = {
    "images": 350,
    "archives": 250,
    "lists": 100,
    "texts_of_runs": 100,
    "checkpoints_of_runs": 50,
}


@pytest.mark.parametrize("kind, seed", [(kind, seed) for kind in FOUND for seed in FOUND[kind]])
def test_a_seed_that_has_found_something(kind, seed, tmp_path):
    assert problem(kind, seed, tmp_path) is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_seeds(kind, tmp_path):
    first, last = map(int, os.environ.get("MUTATIONS", f"0:{COUNTS[kind]}").split(":"))
    # Where even a signal does not end a read, the process ends.
    faulthandler.dump_traceback_later(1800, exit=True)
    found = {}
    for seed in range(first, last):
        folder = tmp_path / str(seed)
        folder.mkdir()
        found[seed] = problem(kind, seed, folder)
    faulthandler.cancel_dump_traceback_later()
    problems = {seed: problem for seed, problem in found.items() if problem}
    assert not problems
