"""Seeds of any size that a flag takes make first weights, each its own."""

import numpy as np
import pytest

import tfmeta


def _rule(rule):
    def weights(seed):
        made = rule(seed=seed)
        made.build([])
        return made.get_weights()

    return weights


@pytest.mark.parametrize(
    "weights",
    [
        lambda seed: tfmeta.models.mlp((3,), 2, seed=seed).get_weights(),
        lambda seed: tfmeta.models.conv4((16, 16, 1), 2, seed=seed).get_weights(),
        _rule(tfmeta.updates.CoordinatewiseLSTM),
        _rule(tfmeta.updates.HierarchicalRNN),
    ],
    ids=["mlp", "conv4", "lstm", "hierarchical_rnn"],
)
def test_any_seed_makes_first_weights(weights):
    first, again, other = map(weights, (2**61 - 1, 2**61 - 1, 2**61 - 2))
    np.testing.assert_array_equal(first[0], again[0])
    assert np.any(first[0] != other[0])
