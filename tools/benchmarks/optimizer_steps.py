"""What a step of a shipped optimizer takes and remembers, beside Adam's."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

import tfmeta
from tfmeta.keras_optimizer import shipped

from .turns import take_turns

# A matrix and its biases, together 100 000 weights.
_SHAPES = ([999, 100], [100])
_WEIGHTS = 100_000


def optimizer_steps(blocks: int, steps: int) -> dict[str, Any]:
    """Steps of the optimizers alone, compiled by XLA as in `fit`, in turns with Adam's.

    Args:
        blocks: How often a rule and Adam take turns.
        steps: Of a turn.

    Returns:
        For each rule `times_adam`, the median ratio of CPU times, with its `spread`;
        `nanoseconds` and `numbers`, of memory, for each weight.
    """
    results = {}
    for name in shipped.names():
        print(name, flush=True)
        rule, adam = tfmeta.load_optimizer(name), keras.optimizers.Adam()
        sides = {name: _turn(rule, steps), "adam": _turn(adam, steps)}
        found = take_turns(sides, blocks)
        results[name] = {
            "times_adam": found["ratios"]["adam"],
            "spread": found["spread"]["adam"],
            "nanoseconds": 1e6 * found["milliseconds"][name] / _WEIGHTS,
            "numbers": sum(math.prod(part.shape) for part in rule.variables) // _WEIGHTS,
        }
    return results


def _turn(optimizer, steps: int) -> Callable[[], float]:
    """What takes so many steps of an optimizer, and returns the CPU seconds of one."""
    variables = [keras.Variable(tf.random.normal(shape, stddev=0.1)) for shape in _SHAPES]
    gradients = [tf.random.normal(shape, stddev=1e-3) for shape in _SHAPES]
    optimizer.build(variables)

    @tf.function(jit_compile=True)
    def step():
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    def turn() -> float:
        started = time.process_time()
        for _ in range(steps):
            step()
        return (time.process_time() - started) / steps

    step()
    return turn
