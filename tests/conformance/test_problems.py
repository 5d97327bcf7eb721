"""What every family of optimization problems must do, for each type in the registry."""

import numpy as np
import pytest
import tensorflow as tf

from tfmeta import engine
from tfmeta.data.glyphs import glyphs
from tfmeta.distributed import share
from tfmeta.problems import ImageNetworks, NoisyGradients, Quadratics, ScaledCoordinates
from tfmeta.problems.parallel_batches import ParallelBatches
from tfmeta.problems.registry import PROBLEMS, problems_named

STEP = 1e-5
IMAGES = glyphs(classes=10, examples=5, size=8)

# Altered families that no type names. The types without a row of their own here are made of others.
ALTERED = {
    "scaled": lambda seed: [ScaledCoordinates(Quadratics(4, seed=seed), 3.0)],
    "parallel_batches": lambda seed: [
        ParallelBatches(problems_named("softmax_regression", seed)[0], 2)
    ],
}
MIXED = ("wichrowska", "five_types", "other_sizes")
TYPES = [name for name in PROBLEMS if not name.endswith(MIXED)] + [*ALTERED]
# Noise is added to all types alike: one of them in the daily tests.
every_type = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow)
        if name.startswith("noisy_") and name != "noisy_fully_connected"
        else name
        for name in TYPES
    ],
)


def families(name, seed=0):
    return ALTERED[name](seed) if name in ALTERED else problems_named(name, seed, IMAGES)


def smallest(name):
    """The family with the fewest weights, in float64."""

    def size(family):
        return sum(tensor.shape.num_elements() for tensor in family.batch(0, 0, 1)["weights"])

    family = min(families(name), key=size)
    if isinstance(family, ImageNetworks):
        # It has made tensors of its images already.
        hidden = tuple(units for (units,) in family.shapes[1:-1:2])
        return ImageNetworks(IMAGES, hidden, family.activation, dtype="float64")
    made_of = family
    while hasattr(made_of, "problems"):
        made_of = made_of.problems
    made_of.dtype = "float64"
    return family


def assert_equal(left, right):
    tf.nest.map_structure(np.testing.assert_array_equal, left, right)


def assert_unrelated(left, right):
    """Asserts that no problem of a batch starts where one of another batch does."""
    for tensor, other in zip(left["weights"], right["weights"], strict=True):
        for start in tensor:
            assert not np.isclose(start, other).reshape(len(other), -1).all(axis=1).any()


@pytest.mark.parametrize("name", PROBLEMS)
def test_names_are_unique_and_seeds_are_passed_on(name):
    found = families(name, seed=5)
    assert len({family.name for family in found}) == len(found) > 0
    assert all(family.seed == 5 for family in found)


@every_type
def test_a_problem_depends_on_its_address_alone(name):
    # The first five of a type; the others of the largest types differ from them in sizes alone.
    for family, other in zip(families(name)[:5], families(name, seed=1)[:5], strict=True):
        whole = family.batch(2, 0, 3)
        shares = [share(3, rank, 2) for rank in range(2)]
        parts = [family.batch(2, part.start, part.stop) for part in shares]
        joined = tf.nest.map_structure(lambda *tensors: np.concatenate(tensors), *parts)
        assert_equal(joined, whole)
        assert_unrelated(parts[0], parts[1])
        assert_unrelated(whole, family.batch(3, 0, 3))
        assert_unrelated(whole, other.batch(2, 0, 3))


@every_type
def test_losses_start_finite_and_not_negative(name):
    for family in families(name):
        task = tf.nest.map_structure(lambda tensor: tensor[0], family.batch(0, 0, 1))
        problem = task["weights"], task["data"]
        loss = family.loss(*problem, task["seed"])
        for value in (loss, family.full_loss(*problem), family.held_out_loss(*problem)):
            assert value.shape == () and np.isfinite(value) and value >= 0
        assert loss == family.loss(*problem, task["seed"])
        if family.metric:
            assert 0 <= family.score(*problem) <= 1
        else:
            with pytest.raises(NotImplementedError, match="has no metric"):
                family.score(*problem)


@every_type
def test_gradients_are_central_differences(name):
    family = smallest(name)
    task = tf.nest.map_structure(lambda tensor: tensor[0], family.batch(0, 0, 1))
    weights = task["weights"]
    assert {tensor.dtype for tensor in weights} == {tf.float64}
    # The gradient of noisy families is not that of their loss, by design.
    noisy = isinstance(family, NoisyGradients)

    def loss(weights):
        if noisy:
            return family.full_loss(weights, task["data"])
        return family.loss(weights, task["data"], task["seed"])

    with tf.GradientTape() as tape:
        tape.watch(weights)
        value = loss(weights)
    gradients = tape.gradient(value, weights)
    # Half along the gradient, where the slope is far from 0, and half anywhere.
    rng = np.random.default_rng(0)
    random = [tf.constant(rng.normal(size=tensor.shape)) for tensor in weights]
    directions = [
        gradient / tf.linalg.global_norm(gradients) + part / tf.linalg.global_norm(random)
        for gradient, part in zip(gradients, random, strict=True)
    ]
    slope = sum(
        tf.reduce_sum(gradient * direction).numpy()
        for gradient, direction in zip(gradients, directions, strict=True)
    )
    ahead, behind = (
        loss([w + side * d for w, d in zip(weights, directions, strict=True)]).numpy()
        for side in (STEP, -STEP)
    )
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * STEP), rtol=1e-6)


@every_type
def test_problems_give_the_same_one_by_one_and_vectorized(name):
    family = smallest(name)
    tasks = family.batch(0, 0, 3)

    def of_one(task):
        with tf.GradientTape() as tape:
            tape.watch(task["weights"])
            loss = family.loss(task["weights"], task["data"], task["seed"])
        held_out = family.held_out_loss(task["weights"], task["data"])
        return [loss, held_out, *tape.gradient(loss, task["weights"])]

    together = engine.vectorize(of_one, tasks)
    for number in range(3):
        alone = of_one(tf.nest.map_structure(lambda tensor, i=number: tensor[i], tasks))
        for value, expected in zip(together, alone, strict=True):
            scale = np.abs(expected).max()
            np.testing.assert_allclose(value[number], expected, rtol=0, atol=1e-12 * scale)
