"""The quality of a trained rule against the time of its training, for each form."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..asking import Worker
from .forms import FAMILIES, FORMS, PROBLEM_STEPS, TRAINED, cell
from .kept import Results
from .results import mean_accuracy, mean_score

_PROBLEMS = 20  # of each family, in an evaluation
_RATES = (1e-3, 3e-3, 1e-2)
_TUNING_SEED = 1000


class Fronts:
    """Trainings of the forms of `TRAINED` to each budget, with the meta-rate that suits it.

    Args:
        jobs: Workers of `jobs.clusters` by their number of ranks.
        results: What is known, and where to keep more.
        seeds: How many trainings to make of each form and budget.
        budgets: Seconds of training.
    """

    def __init__(
        self, jobs: Mapping[int, Worker], results: Results, seeds: int, budgets: Sequence[float]
    ):
        self.jobs, self.results, self.seeds, self.budgets = jobs, results, seeds, budgets

    def measure(self) -> None:
        """Measures what is not known yet, the shortest budgets first."""
        self.results.once("rivals", self._rivals)
        for budget in self.budgets:
            for form in TRAINED:
                self.results.once(f"rate_{form}_{budget:g}", self._best_rate, form, budget)
            # Seed by seed, so that the forms take turns.
            for seed in range(self.seeds):
                for form in TRAINED:
                    rate = self.results.known[f"rate_{form}_{budget:g}"]
                    name = f"quality_{form}_{budget:g}_{seed}"
                    self.results.once(name, self._training, form, budget, rate, seed)

    def _rivals(self) -> dict[str, float]:
        """How the best hand-designed optimizer ends on the problems of the evaluation."""
        return self.jobs[1].call("rivals", problem_steps=PROBLEM_STEPS, problems=_PROBLEMS)

    def _best_rate(self, form: str, budget: float) -> float:
        """The rate of the best mean score; on a seed of its own."""

        def score(rate: float) -> float:
            name = f"tuning_{form}_{budget:g}_{rate:g}"
            self.results.once(name, self._training, form, budget, rate, _TUNING_SEED)
            return mean_score(self.results.known[name], self.results.known["rivals"])

        return min(_RATES, key=score)

    def _training(self, form: str, budget: float, rate: float, seed: int) -> dict[str, Any]:
        training = self.jobs[FORMS[form]["ranks"]].call(
            "train",
            budget=budget,
            problem_steps=PROBLEM_STEPS,
            problems_of_family=_PROBLEMS,
            rate=rate,
            seed=seed,
            **cell(form, FAMILIES, 1),
        )
        score = mean_score(training, self.results.known["rivals"])
        print(
            f"  {training['updates']} updates in {training['seconds']:.1f} s at {rate:g}: score "
            f"{score:.3f}, {mean_accuracy(training):.1f} %",
            flush=True,
        )
        return training
