"""A learned optimizer inside Horovod's DistributedOptimizer trains one model on all ranks.

Two ranks are started once and do everything; see ranks/learn_with_keras.py.
"""

from pathlib import Path

import keras
import numpy as np
import pytest

import tfmeta

PROGRAM = Path(__file__).parent / "learn_with_keras.py"


@pytest.fixture(scope="module")
def results(learned):
    return learned(2)


@pytest.mark.parametrize("name", ["together", "state", "uninterrupted", "resumed"])
def test_all_ranks_have_the_same(results, name):
    np.testing.assert_array_equal(results[name][0], results[name][1])


def test_ranks_learn_from_each_other_s_halves_what_one_learns_from_the_whole(results):
    together, alone = results["together"][0], results["alone"][0]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)


def test_rows_that_no_rank_looked_up_are_kept(results):
    np.testing.assert_array_equal(results["last row"], 0)


def test_saved_loaded_and_wrapped_again_it_goes_on_bit_for_bit(results):
    np.testing.assert_array_equal(results["resumed"], results["uninterrupted"])
    assert all("wrap it again" in said for said in results["said"].ravel())
    assert results["said"].size == 2


def test_what_would_train_ranks_apart_is_refused(results):
    for accumulation, scaling in results["refusals"]:
        assert accumulation.startswith("backward_passes_per_step=2: give the optimizer")
        assert scaling.startswith("optimizer=LossScaleOptimizer: one rank could leave a step out")


def test_damaged_data_of_one_rank_stop_all_at_the_weights_before_them(results):
    for sentence in results["sentence"]:
        assert sentence.startswith("mine left out step 3: gradients are not finite, though")
    np.testing.assert_array_equal(results["moved"], 0)


@pytest.mark.filterwarnings("error::UserWarning:tfmeta")
def test_alone_the_saved_model_loads_without_horovod(results):
    model = keras.models.load_model(results["path"] / "model.keras")
    assert type(model.optimizer) is tfmeta.LearnedOptimizer
    assert int(model.optimizer._iterations) == 3
