"""How the training of a problem is cut into unrolls."""

from functools import partial

import numpy as np
import pytest

from tfmeta.errors import ArgumentError
from tfmeta.scheduling.truncation import FixedUnrolls, InTurn, RandomHorizons, RandomUnrolls


def test_fixed_unrolls_make_up_the_training():
    for step in (0, 7):
        lengths = FixedUnrolls(100, 20)(step)
        assert lengths.steps == [20] * 5 and lengths.fixed


@pytest.mark.parametrize(
    ("problem_steps", "unroll", "refused"),
    [
        (100, 30, "unroll=30"),
        (0, 20, "problem_steps=0"),
        (100, -5, "unroll=-5"),
        (10, 20, "unroll=20"),
    ],
)
def test_unrolls_that_do_not_make_up_the_training_are_refused(problem_steps, unroll, refused):
    with pytest.raises(ArgumentError, match=f"^{refused}"):
        FixedUnrolls(problem_steps, unroll)


def test_random_horizons_are_even_in_their_logarithm():
    """Of 1 to 15 unrolls: as many below 4 as from 4 on, since log 16 is twice log 4."""
    drawn = [RandomHorizons(300, 20)(step) for step in range(2000)]
    assert all(one.fixed and set(one.steps) == {20} for one in drawn)
    unrolls = np.array([len(one.steps) for one in drawn])
    assert (unrolls.min(), unrolls.max()) == (1, 15)
    assert np.mean(unrolls < 4) == pytest.approx(0.5, abs=0.04)
    assert np.mean(unrolls < 2) == pytest.approx(0.25, abs=0.04)


def test_random_unrolls_are_those_published():
    """1 + Exp(40) unrolls of 50 + Exp(200) steps; a mean of 2000 draws is off by 2 % or so."""
    lengths = RandomUnrolls()
    drawn = [lengths(step) for step in range(2000)]
    assert not any(one.fixed for one in drawn)
    unrolls = np.array([len(one.steps) for one in drawn])
    assert unrolls.min() == 1
    assert unrolls.mean() == pytest.approx(41, rel=0.1)
    assert np.std(unrolls) == pytest.approx(40, rel=0.1)
    steps = np.concatenate([one.steps for one in drawn])
    assert steps.min() == 50
    assert steps.mean() == pytest.approx(250, rel=0.02)
    assert np.std(steps) == pytest.approx(200, rel=0.02)


@pytest.mark.parametrize("make", [RandomUnrolls, partial(RandomHorizons, 10_000, 1)])
def test_random_lengths_depend_on_seed_and_number_alone(make):
    one, same, other = make(seed=1), make(seed=1), make(seed=2)
    assert [one(step) for step in range(5)] == [same(step) for step in (0, 1, 2, 3, 4)]
    assert one(3) != one(4)
    assert one(3) != other(3)


@pytest.mark.parametrize(
    "arguments",
    [
        {"least_unrolls": 0},
        {"least_steps": -1},
        {"more_unrolls": -1.0},
        {"more_steps": float("inf")},
        {"seed": -1},
    ],
)
def test_random_unrolls_out_of_range_are_refused(arguments):
    with pytest.raises(ArgumentError, match=f"^{next(iter(arguments))}="):
        RandomUnrolls(**arguments)


def test_meta_iterations_take_turns():
    lengths = InTurn([FixedUnrolls(100, 20), FixedUnrolls(100, 50)])
    assert [lengths(step).steps for step in range(3)] == [[20] * 5, [50] * 2, [20] * 5]
    assert lengths(1).fixed
