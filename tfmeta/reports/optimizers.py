"""The picture of how optimizers minimize problems: a curve for each of the best."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from tfmeta.evaluation.comparison import Comparison
from tfmeta.evaluation.statistics import interval95
from tfmeta.evaluation.trials import COSINE
from tfmeta.evaluation.tuning import log10_loss
from tfmeta.reports import figure as drawing
from tfmeta.reports.figure import BLUE, GREEN, ORANGE, PINK, RED, SMALL

_HEIGHT = 3.8  # inches, of a row of panels
# Of the learned rule, then of the best hand-designed optimizers.
_COLORS = (BLUE, RED, GREEN, ORANGE, PINK)


def draw(path: Path | str, comparisons: Sequence[Comparison], title: str = "") -> None:
    """Draws a PNG file, which is there whole or not at all.

    Each family has a panel with its losses, and beside it, if it has a metric, one with that: of
    the learned rule, and of the hand-designed optimizers with the best scores in tuning, one for
    each rule. A curve is a mean over the problems (for losses, of logarithms) with its 95 %
    interval; it has a gap where a problem diverged.

    Args:
        path: the file to write.
        comparisons: one for each family.
        title: one line at the top.
    """
    panels: list[tuple[Comparison, bool] | None] = []
    for comparison in comparisons:
        if comparison.metric:
            panels += [None] * (len(panels) % 2)  # so that its two stand side by side
            panels += [(comparison, False), (comparison, True)]
        else:
            panels.append((comparison, False))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = drawing.figure(title, _HEIGHT * rows)
    places = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in places:
        axes.axis("off")
    for axes, panel in zip(places, panels, strict=False):
        if panel is not None:
            axes.axis("on")
            _draw_curves(axes, *panel)
    drawing.save(figure, path)


def _shown(comparison: Comparison) -> list[str]:
    """The optimizers in the order of their colors."""
    better: dict[str, str] = {}
    for name in comparison.ranked():
        better.setdefault(name.removesuffix(f"_{COSINE}"), name)
    return ["learned", *better.values()]


def _draw_curves(axes: Axes, comparison: Comparison, of_metric: bool) -> None:
    means = []
    for name, color in zip(_shown(comparison), _COLORS, strict=False):
        run = comparison.runs[name]
        values = 100 * run.scores if of_metric else log10_loss(run.losses)
        values = np.where(np.isfinite(values), values, np.nan)
        mean, width = values.mean(axis=0), interval95(values)
        curves = np.stack([mean, mean - width, mean + width])
        middle, low, high = curves if of_metric else 10**curves
        axes.fill_between(run.steps, low, high, color=color, alpha=0.2, linewidth=0)
        means.append(middle)
        thickness = 2.5 if name == "learned" else 1.5
        label = name.replace("_", " ")
        axes.plot(run.steps, middle, color=color, linewidth=thickness, label=label)
    drawing.frame(axes, comparison.family.replace("_", " "))
    axes.set_xlabel("steps")
    if of_metric:
        axes.set_ylabel(f"held-out {comparison.metric} (%)")
    else:
        axes.set_ylabel("loss (geometric mean)")
        # An interval may be much wider than that, where a rule is about to diverge.
        drawing.make_logarithmic(axes, np.nanmin(means), np.nanmax(means))
    axes.legend(frameon=False, fontsize=SMALL)
