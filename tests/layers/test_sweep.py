"""Every layer of Keras's and ours is meta-learned exactly, or refused, as docs/layers.md says."""

import pytest
import sweep
from layer_cases import CASES, VARIANTS, classes

# What a daily test holds: the kinds of second derivatives that are ours, and some of Keras's.
DAILY = ["tfmeta.BatchNormalization", "tfmeta.Conv2D", "Dropout", "Embedding"]
DAILY_VARIANTS = ["conv2d strided", "lstm unrolled", "upsampling bicubic"]


def test_every_layer_has_a_row():
    """A layer that is new in Keras needs a case; then `python tests/layers/sweep.py` writes it."""
    assert set(classes()) == set(CASES) == set(sweep.rows_of_page())


@pytest.mark.parametrize("name", DAILY)
def test_the_meta_gradient_through_a_layer_is_exact(name):
    sweep.second_order(name)


@pytest.mark.parametrize(
    "name",
    [n if n in DAILY_VARIANTS else pytest.param(n, marks=pytest.mark.slow) for n in VARIANTS],
)
def test_the_meta_gradient_through_a_variant_is_exact(name):
    sweep.second_order(name)


def test_normalization_by_keras_would_be_off(monkeypatch):
    monkeypatch.setattr("tfmeta.inner.model_checks.check", lambda *args, **kwargs: None)
    with pytest.raises(AssertionError, match="the meta-gradient is off"):
        sweep.second_order("BatchNormalization")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_page_says_what_a_layer_does(name):
    assert str(sweep.sweep(name)) == sweep.rows_of_page()[name]
