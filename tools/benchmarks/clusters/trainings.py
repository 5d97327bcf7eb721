"""The time of training until unseen problems reach an accuracy."""

from collections.abc import Mapping
from typing import Any

from ..asking import Worker
from .forms import FAMILIES, FORMS, TARGET, TRAINED, cell
from .kept import Results
from .results import reached, targets

_PROBLEM_STEPS = 100
_EVALUATED = 5  # problems of each of the four sizes
_EVALUATE_EVERY = 0.1  # of the seconds so far
_RATES = (3e-3, 1e-2, 3e-2, 1e-1)


class Trainings:
    """Trainings of the forms of `TRAINED`, each with the meta-rate that suits it.

    Args:
        jobs: Workers of `jobs.clusters` by their number of ranks.
        results: What is known, and where to keep more.
        seeds: How many trainings to make of each form.
        limit: Seconds after which a training gives up.
    """

    def __init__(self, jobs: Mapping[int, Worker], results: Results, seeds: int, limit: float):
        self.jobs, self.results, self.seeds, self.limit = jobs, results, seeds, limit

    def measure(self) -> None:
        """Measures what is not known yet."""
        results = self.results
        results.once("accuracies", self._accuracies)
        # The compiled baseline makes the same updates as the baseline, sooner.
        for form in TRAINED:
            if form != "baseline":
                results.once(f"rate_{form}", self._best_rate, form)
        results.once("rate_baseline", lambda: results.known["rate_compiled"])
        # Seed by seed, so that the forms take turns.
        for seed in range(self.seeds):
            for form in TRAINED:
                results.once(f"training_{form}_{seed}", self._training, form, seed)

    def _accuracies(self) -> dict[str, float]:
        """The held-out accuracy of the untrained rule, and of Adam tuned for these problems."""
        accuracies = self.jobs[1].call(
            "accuracies", problem_steps=_PROBLEM_STEPS, problems=_EVALUATED
        )
        print("  " + ", ".join(f"{name} {value:.1f} %" for name, value in accuracies.items()))
        return accuracies

    def _best_rate(self, form: str) -> float:
        """The rate that reaches the accuracy soonest, or comes closest; on a seed of its own."""

        def merit(rate: float) -> tuple[float, float]:
            name = f"tuning_{form}_{rate:g}"
            self.results.once(name, self._training, form, self.seeds, rate)
            curve = self.results.known[name]["curve"]
            return (reached(curve, TARGET) or float("inf"), -curve[-1][2])

        return min(_RATES, key=merit)

    def _training(self, form: str, seed: int, rate: float | None = None) -> dict[str, Any]:
        """A training to the first target where the rate is tuned, else to all of them."""
        known = self.results.known
        training = self.jobs[FORMS[form]["ranks"]].call(
            "learn",
            problem_steps=_PROBLEM_STEPS,
            evaluate_every=_EVALUATE_EVERY,
            problems_of_type=_EVALUATED,
            target=TARGET if rate else max(targets(known).values()),
            limit=self.limit,
            rate=rate or known[f"rate_{form}"],
            seed=seed,
            **cell(form, FAMILIES, 1),
        )
        soonest = reached(training["curve"], TARGET)
        seconds, updates, accuracy = training["curve"][-1]
        print(
            f"  {TARGET:g} % after {soonest and round(soonest, 2)} s; {accuracy:.1f} % after "
            f"{seconds:.1f} s, {updates} updates of the rule",
            flush=True,
        )
        return training
