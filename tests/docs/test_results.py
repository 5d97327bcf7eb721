"""The published figures are the same in docs/results.json, in the pages, and in the pictures."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfmeta.tools import draw_results

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "results.json"
TABLES = json.loads(FILE.read_text(encoding="utf-8"))["tables"]
OF_SEEDS = [name for name in TABLES if {"seed 0", "mean"} <= set(TABLES[name]["columns"])]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
# A minus is a sign where no digit stands before it.
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?")


def commands_of_page():
    """The lines of its code blocks, continued lines joined, without comments."""
    text = "\n".join(re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [re.sub(r"\s+#.*", "", line) for line in lines]


def rows_of_page():
    """For each table of the page: the numbers of its rows, by the text of their first cell."""
    tables = []
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        rows = [
            [cell.strip() for cell in line.strip(" |").split("|")] for line in block.splitlines()
        ]
        tables.append(
            {first: [float(n) for n in NUMBER.findall(" ".join(rest))] for first, *rest in rows[2:]}
        )
    return tables


@pytest.mark.parametrize("name", TABLES)
def test_the_page_has_the_figures_of_the_file(name):
    expected = {
        row: [number for number in numbers if number is not None]
        for row, numbers in TABLES[name]["rows"].items()
    }
    assert expected in rows_of_page()


def test_the_file_has_the_figures_of_the_page():
    assert len(rows_of_page()) == len(TABLES)


def test_the_headlines_of_the_readme_are_figures_of_the_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Results\n")[2]
    found = re.findall(r"[\d.]+ ± [\d.]+|\([\d.]+-[\d.]+\)", text)
    assert len(found) >= 5 and all(figure.strip("()") in PAGE for figure in found)


@pytest.mark.parametrize("name", TABLES)
def test_every_figure_has_its_command_and_its_seeds(name):
    table = TABLES[name]
    of_rows = table.get("commands", {})
    assert table["seeds"] and set(of_rows) <= set(table["rows"])
    found = [*of_rows.values(), *([table["command"]] if "command" in table else [])]
    assert found and ("command" in table or set(of_rows) == set(table["rows"]))
    assert set(found) <= set(commands_of_page())


@pytest.mark.parametrize("name", OF_SEEDS)
def test_a_mean_is_that_of_its_seeds(name):
    """But for what rounding the seeds and the mean to two digits leaves."""
    for numbers in TABLES[name]["rows"].values():
        row = dict(zip(TABLES[name]["columns"], numbers, strict=True))
        if row["mean"] is not None:
            seeds = [row[f"seed {seed}"] for seed in range(3)]
            assert row["mean"] == pytest.approx(np.mean(seeds), abs=0.01)


@pytest.mark.parametrize("name", draw_results.PICTURES)
def test_a_picture_is_drawn_from_the_figures_of_the_file(name):
    """Else `python tools/draw_results.py` has to be run again."""
    _, source = draw_results.read(FILE)
    with Image.open(ROOT / "docs" / "images" / f"{name}.png") as picture:
        assert picture.info["Source"] == source


def test_the_program_draws_all_pictures_but_the_report_of_quickstart(tmp_path):
    tables, source = draw_results.read(FILE)
    draw_results.draw(tables, tmp_path, source)
    assert {path.stem for path in tmp_path.iterdir()} == set(draw_results.PICTURES)
    assert {path.stem for path in (ROOT / "docs" / "images").iterdir()} == {
        *draw_results.PICTURES,
        "quickstart",
    }
