"""However a program ends on several ranks, one tells why, once, and all end within a minute.

Each case of ranks/end.py needs a start of its own. What of it one process can tell is tested first.
"""

import re
import time
from pathlib import Path

import keras
import pytest
import tensorflow as tf

import tfmeta
from tfmeta import distributed
from tfmeta.distributed import world

PROGRAM = Path(__file__).parent / "end.py"


def test_ranks_that_have_not_joined_are_told_so(monkeypatch):
    monkeypatch.setenv("HOROVOD_SIZE", "2")
    for function in (distributed.rank, distributed.size, distributed.is_main):
        with pytest.raises(tfmeta.RanksError, match=r"call tfmeta.init\(\).* HOROVOD_SIZE"):
            function()


def test_init_after_the_first_operation_warns_once(monkeypatch):
    """As in a notebook: a process that has computed, and in which init has not been called."""
    tf.zeros([1]) + 1
    monkeypatch.setattr(world, "_devices_taken", False)
    with pytest.warns(UserWarning, match="call init first"):
        tfmeta.init()
    tfmeta.init()


def test_a_data_set_without_meta_batches_is_refused():
    learner = tfmeta.MAML(tfmeta.models.mlp((2,), 1, (8,), seed=0))
    learner.compile("sgd", loss="mse")
    none = tfmeta.SixFamilies(5, 5).batches(4, 0, 3).take(0)
    for method in (learner.fit, learner.evaluate):
        with pytest.raises(tfmeta.ArgumentError, match="at least one meta-batch"):
            method(none)


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("forgotten", "2 ranks were started, but each would train alone; call tfmeta.init()"),
        pytest.param("alone", "rank 0 has waited 40 seconds", marks=pytest.mark.slow),
        pytest.param("gone", "another rank has ended", marks=pytest.mark.slow),
        pytest.param("binary", "another rank has ended", marks=pytest.mark.slow),
        pytest.param("fault", "OSError: the disk is full", marks=pytest.mark.slow),
    ],
)
def test_one_rank_tells_why_and_all_end(horovodrun, case, sentence):
    begun = time.monotonic()
    ended = horovodrun(2, [PROGRAM, case], timeout=150)
    assert time.monotonic() - begun < 60 + 30  # to start the ranks
    assert f"Exit code: {2 if case == 'binary' else 1}" in ended.stderr
    assert ended.stderr.count(sentence) == 1, ended.stderr
    # The traceback that there is besides is of horovodrun itself.
    tracebacks = len(re.findall(r">:Traceback", ended.stderr))
    assert tracebacks == (case == "fault"), ended.stderr
    assert ("end.py, line" in ended.stderr) == (case not in ("fault", "binary"))


def test_every_callback_of_keras_is_known():
    """A new one has to be looked at: does it write?"""
    from tfmeta.learners.rank_callbacks import WRITERS

    write = {kind.__name__ for kind in WRITERS}
    act_alike = {
        *("Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback"),
        *("LearningRateScheduler", "ReduceLROnPlateau", "SwapEMAWeights", "TerminateOnNaN"),
    }
    public = {name for name in dir(keras.callbacks) if name[0].isupper()}
    assert public == write | act_alike | {"BackupAndRestore"}
