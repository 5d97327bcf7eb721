"""The committed flagfiles are what trained the rules that tfmeta ships."""

from pathlib import Path

import pytest

from tfmeta.keras_optimizer import shipped

FLAGS = Path(__file__).parents[2] / "flags"

# Prints the flags as a run writes them down.
PROGRAM = """
from tfmeta.tools import program, train_optimizer
from tfmeta.tools.options import runs
program.start(lambda: print(*runs.lines(train_optimizer._NAMES), sep="\\n"))
"""


@pytest.mark.parametrize("name", shipped.names())
def test_the_flagfile_of_its_name_made_it(forked, tmp_path, name):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    told = forked(path, f"--flagfile={name}")
    assert told.returncode == 0, told.stderr
    expected, of_run = set(told.stdout.split("\n")), set(shipped.flags_of(name))
    assert of_run <= expected
    # Flags that there were not yet have their defaults in the file.
    given = {line.partition("=")[0] for line in (FLAGS / f"{name}.flags").read_text().split("\n")}
    assert not given & {line.partition("=")[0] for line in expected - of_run if line}


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
