"""What people do on two ranks comes out right; they are started once, see ranks/habits.py."""

from pathlib import Path

import keras
import numpy as np
import pytest

import tfmeta.learners  # noqa: F401  a saved learner is found by its registered name

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parent / "habits.py"
# Weights in bfloat16, about 1, are rounded by 1/256 of themselves.
EXPECTED = {
    "sizes differ": 1e-5,
    "sizes known to one": 0,
    "precisions mixed_bfloat16": 1e-3,
    "precisions bfloat16": 1e-2,
}


@pytest.fixture(scope="module")
def two(learned):
    """What both ranks have, by name; they have the same but for the warnings."""
    results = learned(2)
    for name, values in results.items():
        if name not in ("path", "late warnings"):
            assert (values == values[1]).all(), f"the ranks differ from each other: {name}"
    return {**results, **{n: v[0] for n, v in results.items() if n != "path"}}


@pytest.mark.parametrize("case", EXPECTED)
def test_a_step_moves_as_the_tasks_of_all_ranks_say(two, case):
    """Where the query sets differ in size, in what is known of them, and in bfloat16."""
    np.testing.assert_allclose(two[case], two[f"{case} expected"], rtol=0, atol=EXPECTED[case])


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16"])
def test_the_loss_is_over_the_tasks_of_all_ranks_in_any_precision(two, dtype):
    loss, expected = (two[f"precisions {name}"][-1] for name in (dtype, f"{dtype} expected"))
    assert loss == pytest.approx(expected, rel=1e-5)


def test_ranks_may_evaluate_different_numbers_of_meta_batches(two):
    np.testing.assert_allclose(two["evaluation uneven"], two["evaluation even"], rtol=1e-6)


def test_callbacks_that_write_run_on_rank_0_alone(two):
    folder = two["path"]
    assert not (folder / "rank1").exists()
    written = sorted(path.name for path in (folder / "rank0").iterdir())
    assert written == ["diary.txt", "last.keras", "log.csv", "logs"]
    assert len((folder / "rank0" / "diary.txt").read_text().splitlines()) == 3
    saved = keras.models.load_model(folder / "rank0" / "last.keras")
    # The last epoch ends with the averaged weights in the model, which stay there.
    weights = np.concatenate([np.ravel(v) for v in saved.trainable_variables])
    np.testing.assert_allclose(weights, two["callbacks weights"][:-1], rtol=1e-6)


def test_backup_and_restore_goes_on_as_if_nothing_had_happened(two):
    assert (two["backup whole epochs"], two["backup resumed epochs"]) == (4, 2)
    np.testing.assert_allclose(two["backup resumed"], two["backup whole"], rtol=1e-6)


def test_a_learned_optimizer_moves_all_ranks_alike_and_is_saved(two):
    assert two["learned optimizer loss falls"]
    np.testing.assert_array_equal(two["learned optimizer saved"], two["learned optimizer loaded"])


def test_init_is_late_but_joined_by_horovods_own(learned):
    """Rank 0 alone warns, once."""
    assert learned(2)["late size"].tolist() == [2, 2]
    assert learned(2)["late warnings"].tolist() == [1, 0]
