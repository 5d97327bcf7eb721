"""Registries: every row is right, names need no TensorFlow, and unknown names are refused."""

import subprocess
import sys

import pytest

from tfmeta.errors import ArgumentError
from tfmeta.registry import LEARNERS, REGISTRIES, RULES, Registry


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, rows in REGISTRIES.items() for name in rows]
)
def test_each_row_names_what_there_is(kind, name):
    assert REGISTRIES[kind][name] is not None


@pytest.mark.programs
def test_names_need_no_tensorflow():
    program = (
        "import sys\nfrom tfmeta.registry import REGISTRIES\n"
        "print([name in rows for rows in REGISTRIES.values() for name in rows])\n"
        "assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_member_is_imported_when_it_is_looked_up():
    registry = Registry({"here": "json:dumps", "nowhere": "no_such_module:Thing"})
    assert list(registry) == ["here", "nowhere"] and len(registry) == 2
    assert "nowhere" in registry and "elsewhere" not in registry
    assert registry["here"]([1]) == "[1]"
    with pytest.raises(ModuleNotFoundError):
        registry["nowhere"]


def test_a_class_is_known_by_its_name():
    assert RULES.name_of(RULES["lstm"]) == "lstm"
    with pytest.raises(KeyError, match="builtins:int"):
        RULES.name_of(int)


@pytest.mark.parametrize("name", ["mamal", None, ["maml"]])
def test_unknown_names_are_refused(name):
    with pytest.raises(ArgumentError, match="learner=.*: give one of maml, anil, reptile"):
        LEARNERS.check("learner", name)
    assert LEARNERS.check("learner", "anil") == "anil"
