"""The picture of a schedule: what each rank computes of which cluster, and how long it waits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from tfmeta.reports import figure as drawing
from tfmeta.reports.figure import BLUE, GRAY, GREEN, ORANGE, PINK, RED, SMALL, TINY
from tfmeta.scheduling.balance import BalancedSchedule
from tfmeta.scheduling.schedule import predicted, seconds_of

# Of clusters, over again where there are more.
_COLORS = (BLUE, ORANGE, GREEN, PINK, RED)


def draw(path: Path | str, schedule: BalancedSchedule, families: Sequence[str]) -> None:
    """Draws a PNG file, which is there whole or not at all.

    Args:
        path: the file to write.
        schedule: one that has compared the times of the ranks.
        families: their names.
    """
    figure = drawing.figure("The schedule of the clusters", 3.6)
    timeline, history = figure.subplots(1, 2)
    _draw_timeline(timeline, schedule, families)
    _draw_history(history, schedule.comparisons)
    drawing.save(figure, path)


def _draw_timeline(axes: Axes, schedule: BalancedSchedule, families: Sequence[str]) -> None:
    """A bar for each rank, by the predicted times, and one line for the measured one."""
    ranks = len(schedule.slices)
    measured = schedule.comparisons[-1]["measured"]
    for rank, slices in enumerate(schedule.slices):
        left = 0.0
        for part in slices:
            width = 1e3 * seconds_of(part, schedule.loads)
            color = _COLORS[schedule.loads[part.family].cluster % len(_COLORS)]
            axes.barh(rank, width, left=left, height=0.6, color=color, edgecolor="white")
            axes.text(
                left + width / 2,
                rank,
                f"{families[part.family].replace('_', ' ')}\n{part.tasks}",
                ha="center",
                va="center",
                fontsize=TINY,
                rotation=90 if ranks < 4 else 0,
            )
            left += width
        axes.plot([1e3 * measured[rank]] * 2, [rank - 0.4, rank + 0.4], color="black")
    axes.set_yticks(range(ranks), [f"rank {rank}" for rank in range(ranks)])
    axes.invert_yaxis()
    drawing.frame(axes, "a meta-iteration: predicted (bars, a color a cluster), measured (lines)")
    axes.set_xlabel("milliseconds")
    axes.set_xlim(0, 1.15e3 * max(*predicted(schedule.slices, schedule.loads), *measured))


def _draw_history(axes: Axes, comparisons: list[dict[str, Any]]) -> None:
    steps = [comparison["step"] for comparison in comparisons]
    for rank, color in zip(range(len(comparisons[0]["measured"])), _COLORS * 100, strict=False):
        idle = [100 * (1 - c["measured"][rank] / max(c["measured"])) for c in comparisons]
        axes.plot(steps, idle, color=color, marker=".", label=f"rank {rank}")
    for comparison in comparisons:
        if comparison["packed_anew"]:
            axes.axvline(comparison["step"], color=GRAY, linestyle=":")
    drawing.frame(axes, "idle share of each rank (dotted: packed anew)")
    axes.set_xlabel("meta-iteration")
    axes.set_ylabel("%")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=SMALL)
