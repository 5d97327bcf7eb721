"""Few classes and unequal ones: the tasks that the data gives, and what is said of them."""

import json
from pathlib import Path

import pytest
from PIL import Image

TOOLS = Path(__file__).parents[2] / "tools"

PROGRAM = """
import json
from absl import flags
from tfmeta.tools import program
from tfmeta.tools.options import tasks
def main():
    given = tasks.Tasks()
    choices = ["train"], ["validation", "test"], ["test", "validation"]
    sources = given.sources(*choices)
    sizes = {name: len(classes) for name, classes in given.sets[0].items()}
    used = [name for name, _ in sources]
    (task,) = {(source.ways, source.queries) for _, source in sources}
    assert task == (flags.FLAGS.ways, flags.FLAGS.queries)
    print(json.dumps({"sizes": sizes, "used": used, "task": task}))
program.start(main)
"""


@pytest.fixture
def found(forked, tmp_path):
    """What a program makes of a folder with so many images in each class, and what it says."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def found(counts, *flags):
        for name, count in counts.items():
            folder = tmp_path / "my + photos" / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("L", (16, 16), number).save(folder / f"{number}.png")
        result = forked(program, f"--dataset=folder:{tmp_path / 'my + photos'}", *flags)
        if result.returncode:
            assert result.returncode == 2 and result.stdout == ""
            return result.stderr
        return json.loads(result.stdout), result.stderr

    return found


def classes(number, images=6):
    return {f"class{i:02}": images for i in range(number)}


@pytest.mark.parametrize(
    ("number", "ways", "sizes"),
    [(6, 2, [2, 2, 2]), (12, 3, [6, 3, 3]), (20, 5, [10, 5, 5])],
)
def test_few_classes_are_divided_so_that_all_parts_have_tasks(found, number, ways, sizes):
    told, said = found(classes(number))
    assert list(told["sizes"].values()) == sizes
    assert told["task"] == [ways, 5]
    assert said == ""


@pytest.mark.parametrize("number", [2, 5])
def test_the_fewest_classes_are_shared_aloud(found, number):
    told, said = found(classes(number))
    assert told["task"] == [2, 5] and told["used"] == ["train", "validation", "test"]
    assert f"{number} classes are too few" in said and len(said.splitlines()) == 1


def test_a_part_that_is_missing_is_replaced_aloud(found):
    told, said = found({f"{part}/{part}{i}": 6 for part in ("train", "eval") for i in range(3)})
    assert told["task"][0] == 3 and told["used"] == ["train", "test", "test"]
    assert said == "The split has no classes for validation; those for test take their place.\n"


def test_classes_give_as_many_queries_as_they_have(found):
    told, said = found(classes(8) | {"small": 3}, "--shots=1")
    assert told["task"] == [2, 2]
    assert said == ""


def test_fewer_queries_than_asked_for_are_told_of(found):
    told, said = found(classes(8) | {"small": 3}, "--shots=2", "--queries=4")
    assert told["task"] == [2, 1]
    assert "has 3 images" in said and "1, not 4, as queries; --min_images" in said


def test_small_classes_can_be_left_out(found):
    told, said = found(classes(8) | {"small": 3, "tiny": 1}, "--min_images=6")
    assert told["task"] == [2, 5] and sum(told["sizes"].values()) == 8
    assert said == "2 of 10 classes have fewer than 6 images and are left out.\n"
    assert found({}, "--min_images=7").startswith("--min_images=7: no class has as many images")


def test_a_class_too_small_is_told_with_its_part_and_the_remedy(found):
    data = {f"{part}/{part}{i}": 4 for part in ("train", "val", "test") for i in range(3)}
    sentence = found(data | {"val/small": 2}, "--shots=2")
    assert sentence == (
        "--shots=2: with a query a class needs 3 images, and class 'small' of the validation part "
        "has 2; lower it to 1, add images, or leave such classes out by --min_images=3.\n"
    )


def test_a_part_too_small_is_told_with_the_remedy(found):
    data = {f"{part}/{part}{i}": 4 for part in ("train", "val", "test") for i in range(3)}
    assert found(data | {"train/more": 4}, "--ways=4") == (
        "--ways=4: a task needs as many classes, and the validation part has 3; lower it to 3, add "
        "classes, or divide them otherwise by --split.\n"
    )


def test_other_tasks_are_taken_from_the_split_of_the_run(found, tmp_path):
    """Three ways leave three classes to test on, of which an evaluation in two ways stays."""
    told, _ = found(classes(11) | {"small": 3})
    program = tmp_path / "program.py"
    program.write_text(program.read_text().replace("Tasks()", "Tasks(run={'ways': 3})"))
    again, _ = found({}, "--ways=2", "--shots=3", "--min_images=4")
    assert told["sizes"] == {"train": 6, "validation": 3, "test": 3}
    assert sum(again["sizes"].values()) == 11  # the small one is missing from its part
    assert all(again["sizes"][part] in (size, size - 1) for part, size in told["sizes"].items())
    assert again["task"] == [2, 3]


@pytest.mark.parametrize(("mode", "flags"), [("RGB", ()), ("RGB", ("--filters=8",)), ("L", ())])
def test_settings_for_few_photos_are_named_where_none_are_chosen(forked, tmp_path, mode, flags):
    for name in classes(9):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new(mode, (16, 16), number).save(tmp_path / name / f"{number}.png")
    ends = "--output_dir=/proc/none/run"  # which cannot be made
    said = forked(TOOLS / "train.py", f"--dataset=folder:{tmp_path}", ends, *flags).stderr
    told = "Training has fewer than 500 photos: --flagfile=photos has settings for so few.\n"
    assert (told in said) == (mode == "RGB" and not flags)
