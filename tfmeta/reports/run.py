"""The picture of a run: how it learned, how it adapts, and a few episodes."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from tfmeta.reports import figure as drawing
from tfmeta.reports.figure import BLUE, DOTS_PER_INCH, GRAY, GREEN, INK, RED, SMALL, TINY, WIDTH

Arrays = Mapping[str, np.ndarray]
Rows = Sequence[Mapping[str, Any]]

_EPISODES = 3  # as many as stand side by side
_CLASSES, _SUPPORT, _QUERIES = 10, 5, 5  # of an episode, images of each class: more are too small

_CURVES_HEIGHT, _FUNCTIONS_HEIGHT = 3.8, 3.4  # inches, as all lengths of the figure are
_LARGEST_IMAGE = 0.5


def draw(
    path: Path | str,
    rows: Rows,
    results: Mapping[str, Any],
    episodes: Arrays | None = None,
    title: str = "",
) -> None:
    """Draws a run into a PNG file, which is there whole or not at all.

    Args:
        path: the file to write.
        rows: the validations in order, as `Training.rows` has them: `step`, `validation` (as
            `Evaluation.results`), and `training`, the means since the row before: `accuracy` (a
            share, 0 to 1), or for regression `loss`, the mean squared error.
        results: the final evaluation, as `Evaluation.results`.
        episodes: a few tasks, of which the first three are drawn, as `evaluation.examples` has
            them. Classification: `support_x` and `query_x` [tasks, examples, height, width, 1 or
            3 channels] in [0, 1], integer `support_y` and `query_y` [tasks, examples], and
            `prediction` [tasks, query examples, ways], of which the largest counts. Regression of
            one number on another: `support_x` and `support_y` [tasks, shots, 1], and `query_x`,
            `query_y`, `before` (prediction without adaptation) and `prediction` (after it)
            [tasks, queries, 1].
        title: one line at the top.
    """
    if episodes is None:
        figure = drawing.figure(title, _CURVES_HEIGHT)
        _draw_curves(figure, rows, results)
    else:
        classification = np.issubdtype(episodes["query_y"].dtype, np.integer)
        height = _grid(episodes).figure_height() if classification else _FUNCTIONS_HEIGHT
        figure = drawing.figure(title, _CURVES_HEIGHT + height)
        halves = figure.add_gridspec(2, 1, height_ratios=[_CURVES_HEIGHT, height])
        _draw_curves(figure.add_subfigure(halves[0]), rows, results)
        draw_episodes = _draw_images if classification else _draw_functions
        draw_episodes(figure.add_subfigure(halves[1]), episodes)
    drawing.save(figure, path)


# Curves.


def _draw_curves(figure: FigureBase, rows: Rows, results: Mapping[str, Any]) -> None:
    learning, adaptation = figure.subplots(1, 2)
    measure = "accuracy" if "accuracy" in results else "mse"
    _draw_learning(learning, rows, measure)
    _draw_adaptation(adaptation, results, measure)


def _draw_learning(axes: Axes, rows: Rows, measure: str) -> None:
    steps = np.array([row["step"] for row in rows])
    if measure == "accuracy":
        training = np.array([row["training"]["accuracy"] for row in rows])
    else:
        training = np.array([row["training"]["loss"] for row in rows])
    # A validation in which a task diverged leaves a gap.
    mean = _finite_or_nan([row["validation"][measure] for row in rows])
    width = _finite_or_nan([row["validation"]["ci95"] for row in rows])
    marker = "o" if len(rows) <= 25 else None
    axes.fill_between(steps, mean - width, mean + width, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(steps, training, color=GRAY, marker=marker, markersize=3, label="training")
    label = "validation, with 95 % interval"
    axes.plot(steps, mean, color=BLUE, marker=marker, markersize=4, label=label)
    _finish(axes, "Learning curve", "outer steps", measure, [*training, *mean])
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _draw_adaptation(axes: Axes, results: Mapping[str, Any], measure: str) -> None:
    means = _finite_or_nan(results[f"{measure}_by_step"])
    widths = _finite_or_nan(results["ci95_by_step"])
    label = "mean over tasks, with 95 % interval"
    steps = np.arange(len(means))
    axes.errorbar(
        steps, means, widths, color=BLUE, marker="o", markersize=4, capsize=4, label=label
    )
    form, unit = (".1f", " %") if measure == "accuracy" else (".3g", "")
    before, after, width = (f"{value:{form}}" for value in (means[0], means[-1], widths[-1]))
    title = f"Adaptation to unseen tasks: {before}{unit} → {after} ± {width}{unit}"
    _finish(axes, title, "inner steps", measure, means)


def _finite_or_nan(values: Sequence[float]) -> np.ndarray:
    array = np.array(values, np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def _finish(axes: Axes, title: str, x: str, measure: str, values: Iterable[float]) -> None:
    drawing.frame(axes, title)
    axes.set_xlabel(x)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.legend(frameon=False, fontsize=SMALL)
    if measure == "accuracy":
        axes.set_ylabel("query accuracy (%)")
        return
    axes.set_ylabel("query mean squared error")
    finite = [value for value in values if np.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    if 0 < low < high / 10:
        # On a linear axis the first steps would dwarf all later progress.
        drawing.make_logarithmic(axes, low, high)
    else:
        axes.set_ylim(bottom=0)


# Episodes of classification: a row for each class, support images left and query images right.


class _Grid(NamedTuple):
    """What is drawn of an episode, and where; in pixels of the episode's images.

    Attributes:
        classes: rows.
        support: support images in a row.
        queries: query images in a row.
        height: of an image.
        width: of an image.
    """

    classes: int
    support: int
    queries: int
    height: int
    width: int

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Top and left of an image; the query images follow the support images."""
        gap = self.width // 2 if column >= self.support else 0
        return row * (self.height + self.below), column * (self.width + self.width // 8) + gap

    @property
    def below(self) -> int:
        """Room below an image, for the prediction."""
        return self.height // 2

    @property
    def left(self) -> int:
        """Room on the left of the images, for the class."""
        return self.width // 2

    def size(self) -> tuple[int, int]:
        """Height and width of all."""
        return self.corner(self.classes, self.support + self.queries)

    def scale(self) -> float:
        """Inches of a pixel."""
        panel = WIDTH / _EPISODES - 0.3
        return min(_LARGEST_IMAGE / self.width, panel / (self.left + self.size()[1]))

    def figure_height(self) -> float:
        """Of the drawn episodes in inches, with room for the words above and below."""
        return self.scale() * self.size()[0] + 1.3


def _grid(episodes: Arrays) -> _Grid:
    ways = episodes["prediction"].shape[-1]
    shots, queries = (episodes[name].shape[1] // ways for name in ("support_y", "query_y"))
    height, width, _ = episodes["query_x"].shape[2:]
    return _Grid(min(ways, _CLASSES), min(shots, _SUPPORT), min(queries, _QUERIES), height, width)


def _draw_images(figure: FigureBase, episodes: Arrays) -> None:
    grid = _grid(episodes)
    panels = figure.subplots(1, _EPISODES)
    for axes in panels:
        axes.axis("off")
    for task, axes in enumerate(panels[: len(episodes["prediction"])]):
        episode = {name: tensor[task] for name, tensor in episodes.items()}
        right, asked = _draw_grid(axes, episode, grid)
        drawing.head(axes, f"Episode {task + 1}: {right} of {asked} queries right")
    legend = "Below each query image: the class predicted after adaptation, ✓ right or ✗ wrong."
    figure.supxlabel(f"{legend}\n{_what_is_shown(episodes, grid)}", fontsize=SMALL, color=INK)


def _what_is_shown(episodes: Arrays, grid: _Grid) -> str:
    """A sentence where it is not all."""
    ways = episodes["prediction"].shape[-1]
    parts = [
        f"first {shown} of {whole} {name}"
        for shown, whole, name in (
            (grid.classes, ways, "classes"),
            (grid.support, episodes["support_y"].shape[1] // ways, "support images of a class"),
            (grid.queries, episodes["query_y"].shape[1] // ways, "query images of a class"),
        )
        if shown < whole
    ]
    return f"Shown: {', '.join(parts)}." if parts else ""


def _draw_grid(axes: Axes, episode: Arrays, grid: _Grid) -> tuple[int, int]:
    """Draws one episode; returns how many of its queries are right, and how many there are."""
    predicted = episode["prediction"].argmax(axis=-1)
    right = predicted == episode["query_y"]
    (height, width), channels = grid.size(), episode["query_x"].shape[-1]
    canvas = np.ones([height, width, channels], np.float32)
    borders = []

    def place(image, row, column, color, line):
        y, x = grid.corner(row, column)
        canvas[y : y + grid.height, x : x + grid.width] = image
        corner = (x - 0.5, y - 0.5)  # a pixel's own coordinates are those of its middle
        borders.append(
            Rectangle(corner, grid.width, grid.height, fill=False, color=color, linewidth=line)
        )
        return y, x

    def write(x, y, text, **style):
        # The words lie within the axes: the layout need not measure each of them.
        axes.text(x, y, text, in_layout=False, **{"fontsize": SMALL, "color": INK, **style})

    for label in range(grid.classes):
        of_support, of_query = (
            np.flatnonzero(episode[name] == label) for name in ("support_y", "query_y")
        )
        for column, i in enumerate(of_support[: grid.support]):
            y, _ = place(episode["support_x"][i], label, column, GRAY, 0.5)
        write(-grid.left / 2, y + grid.height / 2, str(label), ha="center", va="center")
        for column, i in enumerate(of_query[: grid.queries], grid.support):
            color, mark = (GREEN, "✓") if right[i] else (RED, "✗")
            y, x = place(episode["query_x"][i], label, column, color, 1.5)
            x, y, text = x + grid.width / 2, y + 1.08 * grid.height, f"{mark} {predicted[i]}"
            write(x, y, text, ha="center", va="top", fontsize=TINY, color=color)
    for column, name in ((0, "support"), (grid.support, "query")):
        write(grid.corner(0, column)[1], -0.15 * grid.height, name, va="bottom")
    # Small images show their pixels as they are; of large ones no pixel may be passed over.
    interpolation = "nearest" if grid.scale() * DOTS_PER_INCH >= 1 else "hanning"
    pixels = canvas[..., 0] if channels == 1 else canvas
    axes.imshow(pixels.clip(0, 1), cmap="gray", vmin=0, vmax=1, interpolation=interpolation)
    axes.add_collection(PatchCollection(borders, match_original=True))
    axes.set(xlim=(-grid.left, width), ylim=(height, -0.7 * grid.height), anchor="NW")
    return int(right.sum()), right.size


# Episodes of regression.


def _draw_functions(figure: FigureBase, episodes: Arrays) -> None:
    panels = figure.subplots(1, _EPISODES, sharey=True)
    count = len(episodes["prediction"])
    for axes in panels[count:]:
        axes.axis("off")
    for task, axes in enumerate(panels[:count]):
        support_x, support_y, query_x, true, before, after = (
            episodes[name][task, :, 0]
            for name in ("support_x", "support_y", "query_x", "query_y", "before", "prediction")
        )
        order = query_x.argsort()
        for values, label, style in (
            (true, "true", {"color": INK, "linewidth": 1}),
            (before, "before adaptation", {"color": RED, "linestyle": "--"}),
            (after, "after adaptation", {"color": BLUE, "linewidth": 2}),
        ):
            # Between few points the straight lines are not what the function is: mark the points.
            marker = "." if len(query_x) < 30 else None
            axes.plot(query_x[order], values[order], marker=marker, label=label, **style)
        axes.plot(support_x, support_y, "o", color=INK, markersize=6, label="support")
        errors = [np.mean(np.square(values - true)) for values in (before, after)]
        drawing.frame(axes, f"Episode {task + 1}: squared error {errors[0]:.3g} → {errors[1]:.3g}")
        axes.set_xlabel("x")
    panels[0].set_ylabel("y")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=SMALL,
    )
