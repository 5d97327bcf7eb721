"""How long a training will take, by its first steps."""

# As many steps, or seconds, tell the time of a step well enough.
_STEPS = 5
_SECONDS = 2.0

_UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"))


class Forecast:
    """Says once, after a few steps, how long the others will take.

    Args:
        shorter: what would make them take less time; ends the sentence.
    """

    def __init__(self, shorter: str):
        self.shorter = shorter
        self._said = False

    def __call__(self, timed: int, seconds: float, left: int) -> str | None:
        """The sentence, the first time that the steps so far tell enough; else None.

        Args:
            timed: how many steps have been timed.
            seconds: how many seconds they took.
            left: how many steps are left.
        """
        if self._said or not left or (timed < _STEPS and seconds < _SECONDS):
            return None
        self._said = True
        each = seconds / timed
        steps = "step takes" if left == 1 else "steps take"
        return f"{left} more {steps} about {duration(left * each)}{self.shorter}"


def duration(seconds: float) -> str:
    """So many seconds in the largest unit of which there are two."""
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}s"
    return f"{max(1, round(seconds))} second{'s' if round(seconds) > 1 else ''}"
