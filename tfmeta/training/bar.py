"""How far a training is, for the person who waits for it."""

import sys
import time
from collections.abc import Mapping

import tqdm

from tfmeta import distributed
from tfmeta.evaluation.units import in_unit, written
from tfmeta.training.forecast import duration

# Seconds between two lines of a log: each twice the one before, up to the last.
_FIRST, _LAST = 5.0, 80.0


class Bar:
    """On rank 0 a bar on a terminal, and elsewhere, as under `horovodrun`, a line now and then.

    Args:
        first_step: how many outer steps there have been.
        steps: outer steps in all.
        meta_batch: tasks of a step.
    """

    def __init__(self, first_step: int, steps: int, meta_batch: int):
        self.steps, self.meta_batch = steps, meta_batch
        self.shown = distributed.is_main()
        self.bar = None
        if self.shown and sys.stderr.isatty():
            self.bar = tqdm.tqdm(
                total=steps * meta_batch,
                initial=first_step * meta_batch,
                unit=" tasks",
                file=sys.stderr,
                mininterval=0.5,
            )
        self.pause_between = _FIRST
        self.said: tuple[float, int] | None = None

    def update(self, step: int, logs: Mapping[str, float]) -> None:
        """A step has ended.

        Args:
            step: how many outer steps there have been.
            logs: what it measured, as Keras gives it.
        """
        if not self.shown:
            return
        if self.bar is not None:
            self.bar.set_postfix_str(_measures(logs), refresh=False)
            self.bar.update(self.meta_batch)
            return
        now = time.monotonic()
        if self.said is None:  # the first step builds graphs
            self.said = now, step
        elif now - self.said[0] >= self.pause_between:
            pace = (step - self.said[1]) / (now - self.said[0])
            left = duration((self.steps - step) / pace)
            print(
                f"step {step} of {self.steps}: {_measures(logs)}; "
                f"{pace * self.meta_batch:.3g} tasks/s, {left} left",
                file=sys.stderr,
                flush=True,
            )
            self.said = now, step
            self.pause_between = min(2 * self.pause_between, _LAST)

    def tell(self, sentence: str) -> None:
        """Prints a line on standard output, above the bar."""
        if self.bar is not None:
            self.bar.write(sentence, file=sys.stdout)
        elif self.shown:
            print(sentence, flush=True)

    def close(self) -> None:
        """Ends the bar."""
        if self.bar is not None:
            self.bar.close()


def _measures(logs):
    return ", ".join(written(name, in_unit(name, float(value))) for name, value in logs.items())
