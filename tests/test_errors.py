import pickle

import keras
import pytest

from tfmeta.errors import ArgumentError


def test_the_sentence_names_argument_value_and_remedy():
    error = ArgumentError("steps", 0, "give a whole number of at least 1.")
    assert str(error) == "steps=0: give a whole number of at least 1."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


class Refusing(keras.layers.Layer):
    def call(self, x):
        raise ArgumentError("x", "a picture", "give a number.")


@pytest.mark.parametrize("x", [keras.ops.zeros([1, 1]), keras.Input([1])], ids=["eager", "shapes"])
def test_it_passes_through_a_layer_of_keras_s_as_it_is(x):
    """Keras makes another error of one, of a text alone, where it infers shapes."""
    with pytest.raises(ArgumentError, match="^x=a picture: give a number.$") as refusal:
        Refusing()(x)
    assert refusal.value.argument == "x"
