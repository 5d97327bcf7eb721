"""Draws the published figures of docs/results.json as the pictures of docs/.

    python tools/draw_results.py

Each picture keeps the SHA-256 of the file of figures in its metadata (`Source`), so that a test can
tell whether it was drawn from the figures that are there now.
"""

import hashlib
import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from matplotlib.axes import Axes

from tfmeta.errors import ArgumentError
from tfmeta.reports import figure as drawing
from tfmeta.reports.figure import BLUE, GRAY, GREEN, INK, ORANGE, RED, SMALL
from tfmeta.tools import program

FLAGS = flags.FLAGS
flags.DEFINE_string("results", "docs/results.json", "The file of figures.")
flags.DEFINE_string("output_dir", "docs/images", "The folder of the pictures.")


class Table:
    """A table of figures.

    Args:
        table: as the file has it: the names of its `columns`, and a list of numbers for each row.
    """

    def __init__(self, table: dict[str, Any]):
        self.title = table["title"]
        self._columns, self._rows = table["columns"], table["rows"]

    @property
    def names(self) -> list[str]:
        """The names of the rows."""
        return list(self._rows)

    def number(self, row: str, column: str) -> float:
        """One number; NaN where the table has none."""
        value = self._rows[row][self._columns.index(column)]
        return float("nan") if value is None else float(value)

    def column(self, name: str, rows: Sequence[str] | None = None) -> list[float]:
        """The numbers of a column, of all rows or of these."""
        return [self.number(row, name) for row in (self.names if rows is None else rows)]


Tables = dict[str, Table]


def draw(tables: Tables, folder: Path, source: str) -> None:
    """Draws every picture.

    Args:
        tables: by name.
        folder: where to.
        source: what the metadata are to say.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw_one in PICTURES.items():
        drawing.save(draw_one(tables), folder / f"{name}.png", Source=source)


def _speed(tables: Tables):
    picture = drawing.figure("Time of a step", 3.4)
    left, right = picture.subplots(1, 2, width_ratios=[1, 1.05])
    rows = [
        ("meta_step", "1 inner step", "MAML, 1 inner step\n(to learn2learn)", BLUE),
        ("meta_step", "5 inner steps", "MAML, 5 inner steps\n(to learn2learn)", BLUE),
        ("unroll", "128 quadratics", "LSTM on 128 quadratics\n(to eager PyTorch)", GREEN),
        ("unroll", "one network", "LSTM on one network\n(to eager PyTorch)", GREEN),
        ("meta_step", "two ranks to one", "MAML on two ranks\n(to one rank)", ORANGE),
    ]
    triples = [
        tuple(tables[table].number(row, column) for column in ("ratio", "from", "to"))
        for table, row, _, _ in rows
    ]
    _bars(left, [label for *_, label, _ in rows], triples, [color for *_, color in rows], "{:.2f}")
    left.axvline(1, color=INK, linewidth=1)
    left.set_xlim(0, 1.08)
    left.set_xlabel("ratio of times: median and range", fontsize=SMALL)
    drawing.head(left, "Beside others: less than 1 is faster")

    table = tables["problem_step"]
    labels = [name.replace("_", " ") for name in table.names]
    for column, color, marker in (
        ("one by one", GRAY, "D"),
        ("vectorized", ORANGE, "s"),
        ("vectorized and compiled", BLUE, "o"),
    ):
        right.plot(table.column(column), range(len(labels)), marker, color=color, label=column)
    for place, name in enumerate(table.names):
        right.text(
            table.number(name, "one by one") * 1.25,
            place,
            f"{table.number(name, 'times as fast'):g} times as fast",
            va="center",
            fontsize=SMALL,
            color=BLUE,
        )
    right.set_xscale("log")
    right.set_xlim(0.015, 20)
    right.xaxis.set_major_formatter("{x:g}")
    _name_rows(right, labels)
    right.set_ylim(len(labels) - 0.5, -0.5)
    right.legend(
        frameon=False, fontsize=SMALL, ncols=3, loc="lower left", bbox_to_anchor=(0, -0.38)
    )
    right.set_xlabel("milliseconds", fontsize=SMALL)
    drawing.head(right, "Hierarchical RNN: a training step of one problem")
    return picture


def _clusters(tables: Tables):
    picture = drawing.figure("Clusters of optimization problems", 6.6)
    forms, cells, tasks, quality = picture.subplots(2, 2).flat

    table = tables["cluster_forms"]
    triples = [
        tuple(table.number(name, column) for column in ("times as fast", "from", "to"))
        for name in table.names
    ]
    colors = [GRAY, *[BLUE] * (len(triples) - 2), GREEN]
    _bars(forms, table.names, triples, colors, "{:g}")
    forms.set_xlim(0, 42)
    forms.set_xlabel("times as fast as the baseline, and the range", fontsize=SMALL)
    drawing.head(forms, "Five clusters: a step of a problem, by form")

    for axes, name, what in (
        (cells, "cluster_counts", "Clusters of seven problems, by their number"),
        (tasks, "cluster_tasks", "Tasks of five types, by their number"),
    ):
        _beside_the_paper(axes, tables[name])
        drawing.head(axes, what)
        axes.set_ylabel("times as fast", fontsize=SMALL)
    tasks.legend(frameon=False, fontsize=SMALL, loc="lower right")

    table = tables["cluster_quality"]
    for form, color in (("baseline", GRAY), ("compiled", ORANGE), ("all together", GREEN)):
        rows = [name for name in table.names if name.startswith(f"{form}, ")]
        seconds = [float(name.split()[-2]) for name in rows]
        scores = table.column("softmax regression", rows)
        quality.errorbar(
            seconds,
            scores,
            table.column("softmax regression ±", rows),
            fmt="o-",
            color=color,
            capsize=3,
            label=form,
        )
    drawing.frame(quality, "")
    quality.axhline(0.0, color=INK, linewidth=1, linestyle=":")
    quality.set_xscale("log")
    quality.xaxis.set_major_formatter("{x:g}")
    quality.set_xlabel("seconds of training", fontsize=SMALL)
    quality.set_ylabel("log10 of the loss less the best's", fontsize=SMALL)
    quality.legend(frameon=False, fontsize=SMALL)
    drawing.head(quality, "Unseen softmax regressions, by form")
    return picture


def _beside_the_paper(axes: Axes, table: Table) -> None:
    """Speed-ups of the paper and of ours, on a logarithmic axis."""
    places = range(len(table.names))
    medians = table.column("all together")
    below = [m - low for m, low in zip(medians, table.column("from"), strict=True)]
    above = [high - m for m, high in zip(medians, table.column("to"), strict=True)]
    axes.errorbar(
        places,
        medians,
        [below, above],
        fmt="o",
        color=GREEN,
        capsize=4,
        label="all together, to the baseline",
    )
    axes.plot(
        places,
        table.column("to the compiled baseline"),
        "s",
        color=ORANGE,
        label="all together, to the compiled baseline",
    )
    axes.plot(
        places, table.column("the paper"), "D", color=GRAY, label="the paper, to its baseline"
    )
    drawing.frame(axes, "")
    drawing.make_logarithmic(axes, 0.7, 40)
    axes.set_xticks(places, [name.split()[0] for name in table.names])
    axes.set_xlim(-0.5, len(table.names) - 0.5)


def _accuracy(tables: Tables):
    picture = drawing.figure("Error and accuracy on unseen tasks", 3.6)
    left, right = picture.subplots(1, 2)
    error, accuracy = tables["six_families"], tables["mixed_images"]
    _points(left, error, error.names, {"eight clusters by evidence, Gauss-Newton steps": GREEN})
    left.set_xlim(0, 2.5)
    left.axvline(0.09, color=INK, linewidth=1, linestyle=":")
    left.text(0.11, -0.62, "noise alone", fontsize=SMALL, color=INK, va="center")
    left.set_xlabel("mean squared error: mean, interval, seeds", fontsize=SMALL)
    drawing.head(left, "Regression from six mixed families")
    _points(
        right,
        accuracy,
        ["MAML", "three clusters by adapted weights", "MAML as large as three clusters"],
        {"three clusters by adapted weights": GREEN},
    )
    right.set_xlabel("accuracy (%): mean, interval, seeds", fontsize=SMALL)
    drawing.head(right, "Three sets of images mixed, 5 ways, 1 shot")
    return picture


def _points(axes: Axes, table: Table, names: Sequence[str], colors: dict[str, str]) -> None:
    """The seeds of each row, their mean and its interval."""
    for place, name in enumerate(names):
        color = colors.get(name, BLUE)
        seeds = [table.number(name, f"seed {seed}") for seed in range(3)]
        axes.plot(seeds, [place + 0.22] * 3, ".", color=color, alpha=0.6, markersize=6)
        axes.errorbar(
            table.number(name, "mean"),
            place,
            xerr=table.number(name, "mean ±"),
            fmt="o",
            color=color,
            capsize=4,
        )
    _name_rows(axes, [textwrap.fill(name, 28) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.8)


def _optimizers(tables: Tables):
    picture = drawing.figure("Learned optimizers beside tuned hand-designed ones", 3.4)
    quadratics, network, others = picture.subplots(1, 3)
    for axes, name, column in (
        (quadratics, "quadratics", "mean"),
        (network, "image_network", "training loss"),
    ):
        table = tables[name]
        colors = [GREEN if row.startswith("LSTM") else GRAY for row in table.names]
        triples = [
            (
                table.number(row, column),
                table.number(row, column) - table.number(row, f"{column} ±"),
                table.number(row, column) + table.number(row, f"{column} ±"),
            )
            for row in table.names
        ]
        _bars(axes, table.names, triples, colors, "{:.3f}")
        axes.set_xlim(0, 1.3 * max(high for *_, high in triples))
        axes.set_xlabel("training loss after 100 steps", fontsize=SMALL)
    drawing.head(quadratics, "Unseen quadratics")
    drawing.head(network, "A network on Quick Draw")

    table = tables["image_network_others"]
    for place, name in enumerate(table.names):
        difference, width = (table.number(name, f"difference{end}") for end in ("", " ±"))
        color = GRAY if abs(difference) < width else GREEN if difference < 0 else RED
        others.errorbar(difference, place, xerr=width, fmt="o", color=color, capsize=4)
    others.axvline(0, color=INK, linewidth=1)
    _name_rows(others, table.names)
    others.set_ylim(len(table.names) - 0.5, -0.5)
    others.set_xlabel("log10 of the LSTM's loss minus Adam's", fontsize=SMALL)
    drawing.head(others, "The same on other networks")
    return picture


def _bars(axes: Axes, names, triples, colors, form: str) -> None:
    """Horizontal bars for (value, low, high), each with its value beside it."""
    for place, ((value, low, high), color) in enumerate(zip(triples, colors, strict=True)):
        axes.barh(place, value, 0.62, color=color)
        axes.plot([low, high], [place, place], color=INK, linewidth=1.2)
        end = value if high != high else max(value, high)
        axes.annotate(
            form.format(value),
            (end, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK,
        )
    _name_rows(axes, names)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Gives a panel of rows its axes, the first row at the top."""
    drawing.frame(axes, "")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_axisbelow(True)
    axes.invert_yaxis()


PICTURES: dict[str, Callable[[Tables], Any]] = {
    "speed": _speed,
    "clusters": _clusters,
    "accuracy": _accuracy,
    "optimizers": _optimizers,
}


def read(path: Path) -> tuple[Tables, str]:
    """The tables of a file of figures, and what the pictures' metadata say of it.

    Raises:
        ArgumentError: naming the flag `results`, there is no such file, or it has no tables.
    """
    try:
        text = path.read_bytes()
        tables = {name: Table(table) for name, table in json.loads(text)["tables"].items()}
    except (OSError, ValueError, KeyError) as error:
        raise ArgumentError("results", path, f"it has no figures ({error}).") from error
    return tables, f"sha256 {hashlib.sha256(text).hexdigest()}"


def main() -> None:
    tables, source = read(Path(FLAGS.results))
    draw(tables, Path(FLAGS.output_dir), source)


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
