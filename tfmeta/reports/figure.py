"""What all pictures have in common: sizes, colors, frames, and how they are written."""

import io
import os
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, NullLocator

WIDTH = 12.0  # inches
DOTS_PER_INCH = 150
HEADING, SMALL, TINY = 11, 9, 7  # points

# Colors of Okabe and Ito, which people of any color vision tell apart, and two grays.
BLUE, GREEN, RED, ORANGE, PINK = "#0072b2", "#009e73", "#d55e00", "#e69f00", "#cc79a7"
INK, GRAY = "#222222", "#767676"


def figure(title: str, height: float) -> Figure:
    """An empty figure with one line at the top, so many inches high."""
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06)
    empty = Figure(figsize=(WIDTH, height), layout=layout, dpi=DOTS_PER_INCH)
    # Titles have paths in them: with dollar signs, and in any encoding.
    title = title.encode(errors="surrogateescape").decode(errors="replace")
    empty.suptitle(title, parse_math=False, fontsize=14, fontweight="bold", color=INK)
    return empty


def frame(axes: Axes, title: str) -> None:
    """Gives a panel of curves its heading, its grid and its axes."""
    head(axes, title)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)


def head(axes: Axes, title: str) -> None:
    """Writes the heading of a panel."""
    axes.set_title(title, fontsize=HEADING, loc="left", color=INK)


def make_logarithmic(axes: Axes, low: float, high: float) -> None:
    """Makes the y axis of a panel logarithmic, its ticks plain numbers, for values low to high."""
    axes.set_yscale("log")
    # Between decades there is room for ticks if they are few.
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1e5 * low else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(low / 1.5, high * 1.5)


def save(figure: Figure, path: Path | str, **metadata: str) -> None:
    """Writes a figure into a PNG file, which is there whole or not at all.

    Args:
        figure: the figure.
        path: of the file.
        **metadata: texts that the file keeps beside the picture, such as `Source`.
    """
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata=metadata)
    path = Path(path)
    unfinished = path.with_name(f".unfinished-{path.name}")
    unfinished.write_bytes(picture.getvalue())
    os.replace(unfinished, path)
