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


PROGRAMS = {
    "train": ["--ways=N", "--learner=maml|anil|reptile", "--[no]rotations", "--steps=N"],
    "evaluate": ["--part=train|validation|test|all", "--episodes=N", "--output_dir=TEXT"],
    "train_optimizer": ["--problem=A,B,...", "--steps=N", "--[no]stacked"],
    "evaluate_optimizer": ["--tuning_problems=N", "--data_dir=TEXT"],
    "compare_on_keras": ["--optimizers=A,B,...", "--images=TEXT"],
    "benchmark": ["--workload=NAME", "--rival_python=TEXT"],
    "benchmark_clusters": ["--limit=X", "--measures=A,B,..."],
    "draw_results": ["--results=TEXT"],
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_tells_all_flags_with_their_defaults(forked, tmp_path, program):
    """The same in the checkout and of a script that only imports the binary, as pip makes them."""
    script = tmp_path / f"tfmeta-{program}"
    script.write_text(f"from tfmeta.tools.{program} import run\nrun()\n")
    source = (TOOLS / f"{program}.py").read_text()
    texts = []
    for path, question in ((TOOLS / f"{program}.py", "--help"), (script, "--helpfull")):
        result = forked(path, question)
        assert result.returncode == 0 and result.stderr == ""
        texts.append(result.stdout)
    assert texts[0] == texts[1]
    assert texts[0].startswith(source.removeprefix('"""').split("\n")[0])
    lines = texts[0].split("\n")
    heads = {line.strip().split("=")[0]: line.strip() for line in lines if line[:4] == "  --"}
    for expected in PROGRAMS[program]:
        assert expected in heads.values()
    # Each of its own flags, and of the options that all who take them define.
    imported = re.search(r"from tfmeta.tools.options import (.*)", source)
    for name in imported[1].split(", ") if imported else ():
        if name not in ("clusters", "rules"):
            source += (TOOLS / "options" / f"{name}.py").read_text()
    for name in re.findall(r"(?:DEFINE_\w+|define_\w+)\(\s*\"(\w+)\"", source):
        assert f"--{name}" in heads or f"--[no]{name}" in heads
    assert texts[0].count("Default") >= len(heads) - 1
    assert "absl" not in texts[0] and "helpfull" not in texts[0]


def test_help_tells_the_subjects_and_the_flagfiles_of_a_program(forked):
    text = forked(TOOLS / "train_optimizer.py", "--help").stdout
    subjects = re.findall(r"^(\w.*):\n  --", text, re.MULTILINE)
    assert {"This program", "The run", "Problems", "The outer loop"} <= set(subjects)
    assert "lstm_quadratic," in text and "quickstart" not in text
    assert "--ways" not in text and "--shots" not in text  # few-shot tasks are no problems
    assert "Outer steps between validations and checkpoints. Default: 500." in text
