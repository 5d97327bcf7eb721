import numpy as np
import pytest

from tfmeta.errors import ArgumentError
from tfmeta.problems.fully_connected import FullyConnectedNetworks


@pytest.mark.parametrize("hidden, activation", [((8, 5), "sigmoid"), ((4, 5, 6), "relu")])
def test_derivatives(check_derivatives, hidden, activation):
    check_derivatives(FullyConnectedNetworks(6, hidden, 20, activation, dtype="float64"))


def test_samples_are_split_700_to_300_and_of_two_equal_classes():
    data = FullyConnectedNetworks(12, dtype="float64").batch(0, 0, 20)["data"]
    x = np.concatenate([data["x"], data["held_out_x"]], axis=1)
    y = np.concatenate([data["y"], data["held_out_y"]], axis=1)
    assert data["x"].shape == (20, 700, 12) and data["held_out_x"].shape == (20, 300, 12)
    assert abs(x.mean()) < 0.01 and abs(x.std() - 1) < 0.01
    np.testing.assert_array_equal(np.sum(y, axis=1), np.full(20, 500))
    assert np.all(np.abs(np.mean(data["held_out_y"], axis=1) - 0.5) < 0.12)


def test_the_labels_can_be_learned_and_hold_on_held_out_samples():
    """Nearest neighbors agree more often than chance: labels are a function of the sample."""
    data = FullyConnectedNetworks(5).batch(0, 0, 10)["data"]
    agreement = []
    for x, y, held_out_x, held_out_y in zip(
        *(data[name].numpy() for name in ("x", "y", "held_out_x", "held_out_y")), strict=True
    ):
        nearest = ((held_out_x[:, None] - x) ** 2).sum(-1).argmin(1)
        agreement.append((y[nearest] == held_out_y).mean())
    assert np.mean(agreement) > 0.8


def test_losses_of_a_network_transcribed():
    family = FullyConnectedNetworks(3, (4, 2), 10, dtype="float64")
    tasks = family.batch(0, 0, 1)
    weights = [tensor[0] for tensor in tasks["weights"]]
    data = {name: tensor[0] for name, tensor in tasks["data"].items()}
    assert [w.shape for w in weights] == [(3, 4), (4,), (4, 2), (2,), (2, 2), (2,)]

    def logits(x):
        w1, b1, w2, b2, w3, b3 = (w.numpy() for w in weights)
        hidden = 1 / (1 + np.exp(-(x @ w1 + b1)))
        hidden = 1 / (1 + np.exp(-(hidden @ w2 + b2)))
        return hidden @ w3 + b3

    def cross_entropy(x, y):
        z = logits(x)
        return (np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]).mean()

    penalty = 1e-3 * np.mean([np.sum(w.numpy() ** 2) for w in weights])
    x, y, held_x, held_y = (data[n].numpy() for n in ("x", "y", "held_out_x", "held_out_y"))
    np.testing.assert_allclose(family.full_loss(weights, data), cross_entropy(x, y) + penalty)
    np.testing.assert_allclose(family.held_out_loss(weights, data), cross_entropy(held_x, held_y))
    expected = (logits(held_x).argmax(1) == held_y).mean()
    np.testing.assert_allclose(family.score(weights, data), expected)


def test_names_tell_networks_apart():
    families = [
        FullyConnectedNetworks(8, (8, 5)),
        FullyConnectedNetworks(8, (8, 5), activation="relu"),
        FullyConnectedNetworks(8, (8,)),
    ]
    assert [family.name for family in families] == [
        "fully_connected_8_8_5",
        "fully_connected_8_8_5_relu",
        "fully_connected_8_8",
    ]


def test_bad_arguments():
    with pytest.raises(ArgumentError, match="^activation=tanh: give sigmoid or relu"):
        FullyConnectedNetworks(activation="tanh")
