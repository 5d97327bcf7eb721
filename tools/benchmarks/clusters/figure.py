"""The picture of tools/benchmark_clusters.py: its ratios beside those of the paper."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tfmeta.reports import figure as drawing
from tfmeta.reports.figure import BLUE, GRAY, GREEN, INK, ORANGE, PINK, RED, SMALL

from .forms import FORMS, PAPER_CLUSTERS, PAPER_TASKS
from .results import MEASURES, budgets, ratios, trainings

_COLORS = dict(
    zip(
        (form for form in FORMS if form not in ("baseline", "one_rank", "two_ranks_whole")),
        (ORANGE, PINK, GREEN, GRAY, RED, BLUE),
        strict=True,
    )
)


def draw(path: Path, known: Mapping[str, Any]) -> None:
    """Draws a PNG file, which is there whole or not at all.

    Args:
        path: the file to write.
        known: what has been measured, by name of the cell.
    """
    figure = drawing.figure("Clusters of tasks, and all together, against one task at a time", 8.0)
    (by_clusters, by_tasks), (fronts, ranks) = figure.subplots(2, 2)
    _draw_ratios(by_clusters, known, "clusters", PAPER_CLUSTERS)
    _draw_ratios(by_tasks, known, "tasks", PAPER_TASKS)
    by_tasks.legend(frameon=False, fontsize=SMALL, ncols=2)
    _draw_fronts(fronts, known)
    _draw_ranks(ranks, known)
    drawing.save(figure, path)


def _draw_ratios(
    axes: Axes, known: Mapping[str, Any], kind: str, paper: Mapping[int, float]
) -> None:
    cells = {n: known[f"{kind}_{n}"] for n in paper if f"{kind}_{n}" in known}
    values = [1.0, *paper.values()]
    for form, color in _COLORS.items():
        numbers = [number for number, cell in cells.items() if form in cell]
        if not numbers:
            continue
        by_cell = np.array([ratios(cells[number], "baseline", form) for number in numbers])
        medians = np.median(by_cell, axis=1)
        values += medians.tolist()
        axes.plot(numbers, medians, color=color, marker="o", label=form.replace("_", " "))
        axes.fill_between(
            numbers,
            by_cell.min(axis=1),
            by_cell.max(axis=1),
            color=color,
            alpha=0.2,
            linewidth=0,
        )
    axes.plot(
        list(paper),
        list(paper.values()),
        color=INK,
        linestyle="--",
        marker="s",
        label="the paper",
    )
    drawing.frame(axes, f"steps of a problem: times as fast as the baseline, by {kind}")
    axes.set_xticks(list(paper))
    axes.set_xlabel(kind)
    drawing.make_logarithmic(axes, min(values), max(values))


def _draw_fronts(axes: Axes, known: Mapping[str, Any]) -> None:
    colors = {"baseline": INK, "compiled": ORANGE, "all": BLUE}
    quality = MEASURES["softmax_score"]
    for form, color in colors.items():
        points = [
            [(training["seconds"], -quality(known, training)) for training in of_budget]
            for of_budget in (trainings(known, form, budget) for budget in budgets(known))
        ]
        if points:
            means = [np.mean(of_budget, axis=0) for of_budget in points]
            axes.plot(*np.transpose(means), color=color, label=form)
            seconds, scores = np.concatenate(points).T
            axes.scatter(seconds, scores, color=color, s=8)
    axes.axhline(0.0, color=GRAY, linewidth=1)
    drawing.frame(axes, "unseen softmax regressions: log10 of the loss, less the best optimizer's")
    axes.set_xlabel("seconds of training")
    axes.set_xscale("log")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=SMALL)


def _draw_ranks(axes: Axes, known: Mapping[str, Any]) -> None:
    """Busy and idle time of each rank, as bars from left to right."""
    rows = []
    for clusters in PAPER_CLUSTERS:
        cell = known.get(f"clusters_{clusters}", {})
        for form, label in (("two_ranks_whole", "whole"), ("two_ranks", "split")):
            if form in cell:
                busy = np.median(np.array(cell[form]["busy"]), axis=0)
                rows += [
                    (f"{clusters} {label}, rank {rank}", seconds / max(busy))
                    for rank, seconds in enumerate(busy)
                ]
    for number, (_, busy) in enumerate(rows):
        axes.barh(number, busy, color=BLUE)
        axes.barh(number, 1 - busy, left=busy, color=RED, alpha=0.4)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    axes.invert_yaxis()
    drawing.frame(axes, "two groups: share of a meta-iteration at work (blue) and idle (red)")
    axes.tick_params(axis="y", labelsize=6)
