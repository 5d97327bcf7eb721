"""When a training has reached an accuracy: not by a single lucky evaluation."""

from collections.abc import Sequence


def first_lasting(accuracies: Sequence[float], target: float) -> int | None:
    """The place of the first of three accuracies in a row that are at least the target, or None."""
    for place in range(len(accuracies) - 2):
        if all(accuracy >= target for accuracy in accuracies[place : place + 3]):
            return place
    return None
