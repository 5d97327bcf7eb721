"""The quality of a trained rule against the time of its training, for each form.

What a training learns depends on its updates alone, and what it takes on their number and on the
form that makes them. So the time of an update is measured in each form, with nothing else running;
and trainings are run in the form that is quickest on one core, whatever else runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..asking import Worker
from .forms import LEARNINGS, QUALITY, cell
from .kept import Results
from .paces import updates_within
from .results import mean_score
from .trainings import TUNING_SEEDS, at_once, rivals, trained

_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
_FIRST_RATE = 1e-2  # whose neighbors are tried, for the shortest trainings


class Fronts:
    """Trainings by each of `LEARNINGS` to each budget, with the meta-rate that suits it.

    Args:
        learners: Workers of `jobs.clusters`, each on a core of its own.
        results: What is known, the time of an update among it, and where to keep more.
        seeds: How many trainings to make of each form and budget.
        budgets: Seconds of training of the baseline.
    """

    def __init__(
        self,
        learners: Sequence[Worker],
        results: Results,
        seeds: int,
        budgets: Sequence[float],
    ):
        self.learners, self.results, self.seeds = learners, results, seeds
        self.budgets = budgets

    def measure(self) -> None:
        """Measures what is not known yet, the shortest budgets first."""
        self.results.once("rivals", rivals, self.learners[0], QUALITY)
        at_once(self._front, LEARNINGS, self.learners)

    def _front(self, name: str, learner: Worker) -> None:
        """Tunes and trains by one of `LEARNINGS`."""
        best = _FIRST_RATE
        for budget in self.budgets:
            rate = f"rate_{name}_{budget:g}"
            self.results.once(rate, self._best_rate, name, learner, budget, best)
            best = self.results.known[rate]
            for seed in range(self.seeds):
                training = f"quality_{name}_{budget:g}_{seed}"
                self.results.once(training, self._training, name, learner, budget, seed, best)

    def _best_rate(self, name: str, learner: Worker, budget: float, near: float) -> float:
        """The rate of the best score, on seeds of its own.

        Args:
            name: Of `LEARNINGS`.
            learner: Its worker.
            budget: Seconds.
            near: What suited a shorter training; its neighbors are tried too.
        """

        def score(rate: float) -> float:
            found = []
            for seed in TUNING_SEEDS:
                tuning = f"tuning_{name}_{budget:g}_{rate:g}_{seed}"
                self.results.once(tuning, self._training, name, learner, budget, seed, rate)
                found.append(self.results.known[tuning])
            return sum(map(self._score, found))

        place = _RATES.index(near)
        return min(_RATES[max(0, place - 1) : place + 2], key=score)

    def _training(
        self, name: str, learner: Worker, budget: float, seed: int, rate: float
    ) -> dict[str, Any]:
        learning = LEARNINGS[name]
        return trained(
            learner,
            cell(learning.run, QUALITY, learning.problems),
            updates_within(self.results.known, "quality", name, budget),
            rate,
            seed,
            self._score,
        )

    def _score(self, training: Mapping[str, Any]) -> float:
        """Of all families that a rule is trained on, lest it be good at some of them alone."""
        return mean_score(training, self.results.known["rivals"], QUALITY)
