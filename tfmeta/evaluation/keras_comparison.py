"""Learned optimizers beside Adam on Keras models, over several seeds."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from tfmeta.data.image_classes import ImageClasses
from tfmeta.evaluation.comparison import mean_and_width, paired
from tfmeta.evaluation.keras_models import KerasTask
from tfmeta.evaluation.tuning import log10_loss

ADAM, TUNED_ADAM = "adam", "tuned_adam"
# Rates to choose from, the first the default: of Adam, and of rules, whose steps they multiply.
_RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
_RATES_OF_RULES = (1.0, 0.3, 0.1)


def compare_on_keras(
    task: KerasTask,
    learned: Mapping[str, Callable[[float], keras.optimizers.Optimizer]],
    seeds: range,
    images: ImageClasses | None = None,
    epochs: int | None = None,
) -> dict[str, dict[str, Any]]:
    """Trains a model by learned optimizers and by Adam, at their default rates and at tuned ones.

    Each seed divides the data, starts the model and orders the batches alike for all optimizers.
    A rate is tuned by the training loss on a seed of its own, the one after the last: of five rates
    of Adam, and of three that multiply the steps of a learned rule.

    Args:
        task: the model and its data.
        learned: what makes the learned optimizers of a rate, by name.
        seeds: of the trainings.
        images: for a task that needs them.
        epochs: by default those of the task.

    Returns:
        By name of the optimizer, and again with `tuned_` before it: the means of what
        `KerasTask.train` returns, each with its 95 % interval (`loss_ci95` and so on), None if a
        training diverged; `diverged`, how many did; of the tuned the `learning_rate`; and of
        learned optimizers, `against_adam` and `against_tuned_adam`: the differences in log10 of
        the training loss, seed by seed, in the keys of `comparison.paired`.
    """
    data = {seed: task.data(seed, images) for seed in (*seeds, seeds.stop)}
    makers = {**learned, ADAM: keras.optimizers.Adam}

    @functools.cache
    def trained(name: str, rate: float, seed: int) -> dict[str, float]:
        return task.train(data[seed], makers[name](rate), seed, epochs)

    results: dict[str, dict[str, Any]] = {}
    logs = {}
    for name in makers:
        rates = _RATES if name == ADAM else _RATES_OF_RULES
        losses = {rate: trained(name, rate, seeds.stop)["loss"] for rate in rates}
        tuned = min(losses, key=losses.__getitem__)
        for called, rate in ((name, rates[0]), (f"tuned_{name}", tuned)):
            run = [trained(name, rate, seed) for seed in seeds]
            results[called] = _means(run)
            logs[called] = log10_loss(np.array([one["loss"] for one in run]))
        results[f"tuned_{name}"]["learning_rate"] = tuned
    for name in logs.keys() - {ADAM, TUNED_ADAM}:
        for rival in (ADAM, TUNED_ADAM):
            finite = np.isfinite(logs[rival])
            results[name][f"against_{rival}"] = paired(logs[name][finite] - logs[rival][finite])
    return results


TABLE_HEAD = (
    "| model | optimizer | training loss | held-out loss | held-out accuracy (%) | "
    "against Adam, tuned Adam |\n|---|---|---|---|---|---|"
)


def rows(model: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The results of a model as rows of a table in Markdown, below `TABLE_HEAD`."""
    lines = []
    for name, measures in results.items():
        verdicts = [
            measures[f"against_{rival}"]["verdict"]
            for rival in (ADAM, TUNED_ADAM)
            if f"against_{rival}" in measures
        ]
        rate = f" at {measures['learning_rate']:g}" if "learning_rate" in measures else ""
        cells = [
            model,
            name + rate,
            _cell(measures, "loss", 4),
            _cell(measures, "held_out_loss", 4),
            _cell(measures, "held_out_accuracy", 1),
            ", ".join(verdicts),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(measures: Mapping[str, Any], name: str, digits: int) -> str:
    if name not in measures:
        return ""
    if measures[name] is None:
        return "diverged"
    return f"{measures[name]:.{digits}f} ± {measures[f'{name}_ci95']:.{digits}f}"


def _means(run: list[dict[str, float]]) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for name in run[0]:
        values = np.array([one[name] for one in run])
        means |= mean_and_width(name, values, f"{name}_ci95")
    means["diverged"] = int(sum(not np.isfinite(one["loss"]) for one in run))
    return means
