"""A picture of tasks, their signatures and their clusters."""

from pathlib import Path

import numpy as np

from tfmeta.evaluation.clusters import Clustered
from tfmeta.reports import figure as drawing
from tfmeta.reports.figure import BLUE, GRAY, GREEN, INK, ORANGE, PINK, RED, SMALL

_HEIGHT = 4.6  # inches
_COLORS = (BLUE, ORANGE, GREEN, PINK, RED, "#56b4e9", "#f0e442", GRAY)
_MARKERS = "os^Dv*PX"


def draw(path: Path | str, tasks: Clustered, title: str = "") -> None:
    """Draws tasks in the plane of their signatures into a PNG file, there whole or not at all.

    The plane is that of the first two principal components. Colors are clusters and marks are
    true families; beside it stands the table of families and clusters, where families are known.

    Args:
        path: the file to write.
        tasks: of `clustered`.
        title: one line at the top.
    """
    figure = drawing.figure(title, _HEIGHT)
    known = tasks.family is not None
    plane, *others = figure.subplots(1, 2 if known else 1, squeeze=False)[0]
    points, shares = _plane(tasks.signatures)
    for number in np.unique(tasks.labels):
        for family in np.unique(tasks.family) if tasks.family is not None else [0]:
            chosen = (tasks.labels == number) & (tasks.family == family if known else True)
            color, mark = _COLORS[number % 8], _MARKERS[family % 8]
            plane.scatter(*points[chosen].T, s=14, color=color, marker=mark, alpha=0.7)
        plane.scatter([], [], s=24, color=_COLORS[number % 8], label=f"cluster {number + 1}")
    if known:
        for family, name in enumerate(tasks.names):
            plane.scatter([], [], s=24, color=INK, marker=_MARKERS[family % 8], label=_short(name))
    drawing.frame(plane, "Tasks in the plane of their signatures")
    plane.set_xlabel(f"first principal component ({shares[0]:.0%} of variance)")
    plane.set_ylabel(f"second ({shares[1]:.0%})")
    plane.legend(frameon=False, fontsize=SMALL, loc="center left", bbox_to_anchor=(1, 0.5))
    if known:
        _draw_table(others[0], tasks)
    drawing.save(figure, path)


def _plane(signatures):
    """Coordinates [tasks, 2] along the first two principal components, and their shares."""
    centered = signatures - signatures.mean(axis=0)
    # One more column than needed: a signature may be a single number.
    centered = np.pad(centered, [[0, 0], [0, 1]])
    _, scales, directions = np.linalg.svd(centered, full_matrices=False)
    total = np.square(scales).sum() or 1.0
    return centered @ directions[:2].T, np.square(scales[:2]) / total


def _draw_table(axes, tasks):
    table = np.array(tasks.table())
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(table):
        color = "white" if shares[row, column] > 0.6 else INK
        axes.text(column, row, count, ha="center", va="center", fontsize=SMALL, color=color)
    index = tasks.results()["adjusted_rand_index"]
    drawing.head(axes, f"Families by cluster (Rand index {index:.2f})")
    axes.set_xticks(range(table.shape[1]), [str(n + 1) for n in range(table.shape[1])])
    axes.set_yticks(range(len(tasks.names)), [_short(name) for name in tasks.names])
    axes.tick_params(labelsize=SMALL, length=0)
    axes.set_xlabel("cluster")


def _short(name):
    """A name that fits: of a path its last part."""
    return name.rpartition("/")[2]
