"""Flags as objects of the library; and `--help`, which tells all flags of a binary."""

import re
from pathlib import Path

import pytest

from tfmeta.tools.options.build import build, parameters

TOOLS = Path(__file__).parents[2] / "tools"


class Base:
    def __init__(self, size, seed=0):
        self.size, self.seed = size, seed


class Extended(Base):
    def __init__(self, size, more=1, **kwargs):
        super().__init__(size, **kwargs)
        self.more = more


class Closed(Base):
    def __init__(self, size):
        super().__init__(size)


def test_a_class_is_given_what_it_and_its_bases_take():
    assert parameters(Extended) >= {"size", "more", "seed"}
    assert "seed" not in parameters(Closed)
    made = build(Extended, 3, offered={"more": 2, "seed": 5, "other": 7})
    assert (made.size, made.more, made.seed) == (3, 2, 5)
    assert build(Closed, 3, offered={"seed": 5}).seed == 0


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [("constant", [0.5, 0.5, 0.5]), ("cosine", [0.5, 0.25, 0.0]), ("linear", [0.5, 0.25, 0.0])],
)
def test_the_outer_rate_falls_as_the_schedule_says(forked, schedule, rates, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "from tfmeta.tools import program\n"
        "from tfmeta.tools.options import outer_loop\n"
        "def main():\n"
        "    optimizer = outer_loop.optimizer(4)\n"
        "    for step in (0, 2, 4):\n"
        "        optimizer.iterations.assign(step)\n"
        "        print(type(optimizer).__name__, float(optimizer.learning_rate))\n"
        "program.start(main)\n"
    )
    flags = ["--outer_optimizer=sgd", "--outer_learning_rate=0.5", f"--outer_schedule={schedule}"]
    result = forked(program, *flags)
    assert result.returncode == 0, result.stderr
    names, numbers = zip(*(line.split() for line in result.stdout.splitlines()), strict=True)
    assert set(names) == {"SGD"}
    assert [float(number) for number in numbers] == pytest.approx(rates, abs=1e-7)


@pytest.mark.parametrize(
    ("program", "names"),
    [
        ("train", ["ways", "learner", "update_rule", "clustering", "steps", "seed", "filters"]),
        ("evaluate", ["part", "episodes", "output_dir"]),
        ("train_optimizer", ["problem", "update_rule", "cluster_groups", "unroll", "meta_batch"]),
        ("evaluate_optimizer", ["problem", "tuning_problems", "data_dir"]),
    ],
)
def test_help_tells_all_flags(forked, program, names):
    result = forked(TOOLS / f"{program}.py", "--help")
    assert set(names) <= set(re.findall(r"^  --(?:\[no\])?(\w+)", result.stdout, re.MULTILINE))


def test_help_of_a_script_that_only_imports_the_binary(forked, tmp_path):
    """As pip makes them."""
    script = tmp_path / "tfmeta-train"
    script.write_text("from tfmeta.tools.train import run\nrun()\n")
    result = forked(script, "--help")
    assert result.stdout.startswith("Meta-trains a learner")
    assert "--meta_batch:" in result.stdout and "--steps:" in result.stdout
