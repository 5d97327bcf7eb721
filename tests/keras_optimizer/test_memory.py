"""A rule that remembers more than memory holds says so before it takes any."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta
from tfmeta import updates
from tfmeta.environment import memory


class Hoarder(updates.GradientRule):
    """Remembers 2^48 numbers of each weight."""

    def initial_state(self, parameters, weights, seed):
        return tf.zeros([2**48, sum(weight.shape.num_elements() for weight in weights)])

    def update(self, parameters, weights, gradients, state):
        return list(weights), state


def network():
    return keras.Sequential([keras.Input([3]), keras.layers.Dense(4), keras.layers.Dense(1)])


def test_the_sentence_names_rule_optimizer_both_numbers_and_the_remedy():
    model = network()
    model.compile(optimizer=tfmeta.LearnedOptimizer(Hoarder(), name="mine"), loss="mse")
    expected = r"rule=Hoarder: mine would remember 23.6 PB of 21 weights, .* but [\d.]+ .B of "
    with pytest.raises(tfmeta.ArgumentError, match=f"^{expected}memory are available; .*freeze"):
        model.fit(np.zeros([2, 3]), np.zeros([2, 1]), verbose=0)
    assert len(model.optimizer.variables) == 2  # how many steps, and the rate


@pytest.mark.slow
def test_a_device_without_room_is_told_of_in_the_same_words(monkeypatch):
    """As a GPU, whose memory is not the machine's."""
    monkeypatch.setattr(memory, "available", lambda: 2**62)
    optimizer = tfmeta.LearnedOptimizer(Hoarder(), name="mine")
    expected = r"rule=Hoarder: mine would remember 7.9 PB of 7 weights, .* the device has no room"
    with pytest.raises(tfmeta.ArgumentError, match=f"^{expected}.*freeze"):
        optimizer.build([keras.Variable(tf.zeros([7]))])


@pytest.mark.parametrize(
    "rule, numbers",
    [
        pytest.param(updates.CoordinatewiseLSTM(), 80, marks=pytest.mark.slow),
        (updates.HierarchicalRNN("gru"), 24),
        pytest.param(updates.HierarchicalRNN("lstm"), 34, marks=pytest.mark.slow),
        (updates.Adam(0.1), 2),
        pytest.param(updates.Momentum(0.1), 1, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_rule_of_ours_is_measured_on_a_hundred_million_weights(monkeypatch, rule, numbers):
    """On a machine that has room for the weights and a little more, without filling it."""
    weights = keras.Variable(tf.zeros([10_000, 10_000]))
    monkeypatch.setattr(memory, "available", lambda: 500_000_000)
    size = memory.readable(1e8 * numbers * 4)
    with pytest.raises(tfmeta.ArgumentError, match=f"{size} of 100,000,000 weights.* 500.0 MB"):
        tfmeta.LearnedOptimizer(rule).build([weights])


def test_what_is_available_is_less_than_all_and_more_than_what_is_taken_next():
    before = memory.available()
    taken = np.ones(25_000_000)  # 200 MB, written to
    assert 0 < memory.available() < before + 50_000_000 - taken.nbytes / 2


def test_a_container_s_limit_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_CONTROL_GROUPS", tmp_path)
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("4000\n")
    (tmp_path / "memory.stat").write_text("anon 3000\ninactive_file 500\n")
    assert memory.available() == 1500
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available() > 1_000_000
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("700")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text("600")
    (tmp_path / "memory" / "memory.stat").write_text("total_inactive_file 0\n")
    assert memory.available() == 100


def test_numbers_are_readable():
    sizes = (0, 999, 1000, 12_340_000, 32e9, 2.5e15)
    assert [memory.readable(size) for size in sizes] == [
        "0 bytes", "999 bytes", "1.0 kB", "12.3 MB", "32.0 GB", "2.5 PB",
    ]  # fmt: skip
