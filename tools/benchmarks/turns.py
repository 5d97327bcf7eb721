"""Sides that take turns, so that what else a machine does meets all of them alike."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

K = TypeVar("K")
T = TypeVar("T")


def orders(sides: Iterable[T], blocks: int) -> Iterator[list[T]]:
    """The order of the sides in each block: the given one, in every other block the opposite."""
    there = list(sides)
    for block in range(blocks):
        yield there if block % 2 == 0 else there[::-1]


def in_turns(names: Iterable[K], turn: Callable[[K], T], blocks: int) -> dict[K, list[T]]:
    """What a turn of each gives, block by block, in the order of `orders`."""
    taken: dict[K, list[T]] = {name: [] for name in names}
    for order in orders(taken, blocks):
        for name in order:
            taken[name].append(turn(name))
    return taken


def take_turns(sides: Mapping[str, Callable[[], float]], blocks: int) -> dict[str, Any]:
    """Measures sides in turns, in the order of `orders`.

    Args:
        sides: What measures ours, then the others, by name. Each returns the seconds of a step.
        blocks: How many turns each side has.

    Returns:
        `ratios`: for each other side the median over the blocks of our time over its own in the
        same block; `spread`: the smallest and the largest; `milliseconds`: the median of each side.
    """
    ours, *others = sides
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for block, order in enumerate(orders(sides, blocks)):
        for name in order:
            seconds[name].append(sides[name]())
        times = ", ".join(f"{name} {1e3 * taken[-1]:.3g} ms" for name, taken in seconds.items())
        print(f"block {block + 1}: {times}", flush=True)
    ratios = {
        other: [a / b for a, b in zip(seconds[ours], seconds[other], strict=True)]
        for other in others
    }
    return {
        "ratios": {other: statistics.median(found) for other, found in ratios.items()},
        "spread": {other: [min(found), max(found)] for other, found in ratios.items()},
        "milliseconds": {name: 1e3 * statistics.median(taken) for name, taken in seconds.items()},
    }
