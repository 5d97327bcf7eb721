"""The committed flagfiles are what trained the rules that tfmeta ships."""

import json
from pathlib import Path

import pytest

from tfmeta.keras_optimizer import shipped

FLAGS = Path(__file__).parents[2] / "flags"

# Tells the flags in which a run differs from the flags given. A flag that there was not yet when
# the run was made is at its default.
PROGRAM = """
import json
from tfmeta.tools import program, train_optimizer
from tfmeta.tools.options import runs

def main():
    given, run = runs.values(runs.lines(train_optimizer._NAMES)), runs.values({lines})
    for name in given.keys() - run.keys():
        run[name] = train_optimizer.FLAGS[name].default
    both = {{name: (run.get(name), given.get(name)) for name in given.keys() | run.keys()}}
    print(json.dumps({{name: values for name, values in both.items() if values[0] != values[1]}}))

program.start(main)
"""


@pytest.mark.parametrize("name", shipped.names())
def test_the_flagfile_of_its_name_made_it(forked, tmp_path, name):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(lines=shipped.flags_of(name)))
    told = forked(path, f"--flagfile={name}")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == {}
    other = forked(path, f"--flagfile={name}", "--seed=1", "--steps=7")
    assert json.loads(other.stdout).keys() == {"seed", "steps"}


@pytest.mark.parametrize("name", shipped.names())
def test_its_rule_has_the_settings_of_the_flagfile(name):
    lines = (FLAGS / f"{name}.flags").read_text().split("\n")
    given = dict(line[2:].split("=") for line in lines if "=" in line and line.startswith("--"))
    rule = shipped.load(name)
    assert given["update_rule"] == name
    expected = {"cell": given.get("cell"), "p": given.get("log_sign_p"),
                "output_scale": given.get("output_scale")}  # fmt: skip
    for argument, value in expected.items():
        if value is not None:
            assert str(getattr(rule, argument)) in (value, f"{value}.0")
