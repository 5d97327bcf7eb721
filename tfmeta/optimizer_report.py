"""The picture of how optimizers minimise problems: a curve for each."""

import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from tfmeta.evaluation import interval95
from tfmeta.minimisation import Minimised
from tfmeta.tuning import log10_loss

# Of each optimizer in turn, the first being the learned one: Okabe and Ito's colours.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7")
_INK = "#222222"
_WIDTH, _HEIGHT = 12.0, 3.8  # inches, of the figure and of a row
_DOTS_PER_INCH = 150


def draw(
    path: Path | str,
    families: Mapping[str, Mapping[str, Minimised]],
    metrics: Mapping[str, str | None],
    title: str = "",
) -> None:
    """Draws a PNG file, which is there whole or not at all.

    Every family has a panel with the losses, and beside it, if it has a metric, one with that.
    A curve is a mean over the problems (of logarithms, for losses) with its 95 % interval, and has
    a gap where a problem diverged.

    Args:
        path: the file to write.
        families: what each optimizer did, by family and optimizer; the learned one comes first.
        metrics: the name of each family's metric, or None.
        title: one line at the top.
    """
    cells: list[tuple[str, bool] | None] = []
    for family in families:
        if metrics[family] and len(cells) % 2:
            cells.append(None)
        cells += [(family, False), (family, True)] if metrics[family] else [(family, False)]
    rows = -(-len(cells) // 2)
    figure = Figure(
        figsize=(_WIDTH, _HEIGHT * rows + 0.4),
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06),
        dpi=_DOTS_PER_INCH,
    )
    figure.suptitle(title, fontsize=14, fontweight="bold", color=_INK)
    panels = figure.subplots(rows, 2, squeeze=False).flatten()
    for axes in panels:
        axes.set_visible(False)
    for axes, cell in zip(panels, cells, strict=False):
        if cell is not None:
            family, scores = cell
            axes.set_visible(True)
            _draw_curves(axes, family, families[family], metrics[family] if scores else None)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    path = Path(path)
    unfinished = path.with_name(f".unfinished-{path.name}")
    unfinished.write_bytes(picture.getvalue())
    os.replace(unfinished, path)


def _draw_curves(
    axes: Axes, family: str, curves: Mapping[str, Minimised], metric: str | None
) -> None:
    for (name, run), colour in zip(curves.items(), _COLOURS, strict=True):
        values = run.scores if metric else log10_loss(run.losses)
        values = np.where(np.isfinite(values), values, np.nan)
        mean, width = values.mean(axis=0), interval95(values)
        low, high = mean - width, mean + width
        if not metric:
            mean, low, high = 10**mean, 10**low, 10**high
        axes.fill_between(run.steps, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(run.steps, mean, color=colour, label=name.replace("_", " "))
    if not metric:
        axes.set_yscale("log")
    axes.set_title(family.replace("_", " "), fontsize=11, loc="left", color=_INK)
    axes.set_xlabel("steps")
    axes.set_ylabel(f"held-out {metric}" if metric else "loss, geometric mean")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    axes.legend(frameon=False, fontsize=9)
