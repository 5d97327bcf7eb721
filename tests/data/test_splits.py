import unicodedata

import numpy as np
import pytest

from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.npz import load_npz
from tfmeta.data.splits import (
    TEST_ALPHABETS,
    TRAIN_ALPHABETS,
    VALIDATION_ALPHABETS,
    split_classes,
)
from tfmeta.errors import ArgumentError, DataWarning


def named(names, split=None):
    images = np.arange(len(names), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return ImageClasses(images, np.ones(len(names), int), tuple(names), split)


def names_of(parts):
    return {part: list(classes.names) for part, classes in parts.items()}


def test_given_split():
    data = named("abcd", ("test", "train", "validation", "train"))
    assert names_of(split_classes(data, "given")) == {
        "train": ["b", "d"],
        "validation": ["c"],
        "test": ["a"],
    }
    assert names_of(split_classes(data)) == names_of(split_classes(data, "given"))


def test_images_go_with_their_classes():
    data = named("abcd", ("test", "train", "validation", "train"))
    assert split_classes(data)["train"].images.ravel().tolist() == [1, 3]


def test_seeded_split_has_the_proportions_of_mini_imagenet():
    parts = split_classes(named([f"{i:03}" for i in range(100)]), "seeded")
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 64,
        "validation": 16,
        "test": 20,
    }
    together = [name for part in parts.values() for name in part.names]
    assert len(set(together)) == 100


def test_seeded_split_depends_on_names_and_seed_only():
    names = [f"{i:03}" for i in range(100)]
    split = names_of(split_classes(named(names), "seeded", seed=3))
    backwards = names_of(split_classes(named(names[::-1]), "seeded", seed=3))
    assert {part: sorted(backwards[part]) for part in backwards} == split
    assert names_of(split_classes(named(names), "seeded", seed=4)) != split


@pytest.mark.parametrize("split", [None, ("train",) * 10])
def test_without_two_given_parts_the_default_is_seeded(split):
    data = named("abcdefghij", split)
    assert names_of(split_classes(data)) == names_of(split_classes(data, "seeded"))
    assert set(split_classes(data)) == {"train", "validation", "test"}


def test_parts_without_classes_are_left_out():
    assert set(split_classes(named("ab"), "seeded")) == {"train", "test"}


@pytest.mark.parametrize(
    ("classes", "ways", "sizes"),
    [(9, 3, (3, 3, 3)), (12, 3, (6, 3, 3)), (20, 5, (10, 5, 5)), (100, 5, (64, 16, 20))],
)
def test_every_part_has_enough_classes_for_a_task(classes, ways, sizes):
    parts = split_classes(named([f"{i:03}" for i in range(classes)]), "seeded", ways=ways)
    assert tuple(map(len, parts.values())) == sizes
    assert len({name for part in parts.values() for name in part.names}) == classes


@pytest.mark.parametrize(
    ("classes", "ways", "sizes", "sentence"),
    [
        (12, 5, (7, 7, 5), "validation has the 7 classes of training.*; lower ways to 4 or add"),
        (5, 2, (3, 3, 2), "validation has the 3 classes of training.*; add classes"),
        (7, 5, (7, 7, 7), "validation and test have the 7 classes of training.*; lower ways to 2"),
        (2, 2, (2, 2, 2), "validation and test have the 2 classes of training.*; add classes"),
    ],
)
def test_parts_that_share_classes_are_told_of(classes, ways, sizes, sentence):
    with pytest.warns(DataWarning, match=sentence):
        parts = split_classes(named("abcdefghijkl"[:classes]), "seeded", ways=ways)
    assert [len(parts[name]) for name in ("train", "validation", "test")] == list(sizes)
    assert parts["validation"].names == parts["train"].names
    shared = set(parts["test"].names) & set(parts["train"].names)
    assert len(shared) == (len(parts["train"]) if "test have" in sentence else 0)


def test_literature_knows_fifty_alphabets():
    sizes = [len(part) for part in (TRAIN_ALPHABETS, VALIDATION_ALPHABETS, TEST_ALPHABETS)]
    assert sizes == [25, 5, 20]
    assert len({*TRAIN_ALPHABETS, *VALIDATION_ALPHABETS, *TEST_ALPHABETS}) == 50


def test_literature_split_by_alphabets():
    data = named(["Avesta/character01", "Greek/character01", "Tagalog/character01"])
    assert names_of(split_classes(data, "alphabets")) == {
        "train": ["Greek/character01"],
        "validation": ["Tagalog/character01"],
        "test": ["Avesta/character01"],
    }


def test_literature_split_of_the_background_set(shared_data):
    omniglot = load_npz(str(shared_data("omniglot_background_28.npz")))
    parts = split_classes(omniglot, "alphabets")
    assert {name: len(part) for name, part in parts.items()} == {"train": 883, "validation": 81}
    sizes = {}
    for name in omniglot.names:
        alphabet = name.rpartition("/")[0]
        sizes[alphabet] = sizes.get(alphabet, 0) + 1
    assert set(sorted(sizes, key=sizes.get)[:5]) == set(VALIDATION_ALPHABETS)


def test_listed_split(tmp_path):
    (tmp_path / "train.txt").write_text("d\n b \n\n")
    (tmp_path / "val.txt").write_text("a\n")
    assert names_of(split_classes(named("abcd"), str(tmp_path))) == {
        "train": ["b", "d"],
        "validation": ["a"],
    }


@pytest.mark.parametrize(
    ("file", "part"),
    [
        *(("Train.txt", "train"), ("training.TXT", "train"), ("valid.txt", "validation")),
        *(("dev.txt", "validation"), ("Testing.txt", "test"), ("eval.txt", "test")),
    ],
)
def test_lists_go_by_the_usual_names_of_parts(tmp_path, file, part):
    (tmp_path / file).write_text("a\n")
    (tmp_path / "notes.txt").write_text("no list\n")
    assert names_of(split_classes(named("ab"), str(tmp_path))) == {part: ["a"]}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lists_of_any_encoding_and_form(tmp_path, form, encoding, end):
    """Such as Windows and macOS write, for folders of the other form."""
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    data = named([unicodedata.normalize(form, name) for name in ("thé au lait", "x+y ", "café")])
    lines = [unicodedata.normalize(other, name) for name in ("café", "x+y", "")]
    if encoding == "latin-1":
        lines = [unicodedata.normalize("NFC", line) for line in lines]
    (tmp_path / "train.txt").write_bytes(end.join(lines).encode(encoding))
    assert [len(part) for part in split_classes(data, str(tmp_path)).values()] == [2]


def test_a_folder_of_lists_may_begin_with_a_tilde(tmp_path, monkeypatch):
    (tmp_path / "my + lists").mkdir()
    (tmp_path / "my + lists" / "test.txt").write_text("b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert names_of(split_classes(named("ab"), "~/my + lists")) == {"test": ["b"]}


def refused(data, split, problem):
    with pytest.raises(ArgumentError) as refusal:
        split_classes(data, split)
    assert (refusal.value.argument, refusal.value.value) == ("split", split)
    assert problem in refusal.value.problem
    assert ";" in refusal.value.problem  # what is wrong; what to do


def test_what_cannot_be_split_is_refused(tmp_path):
    data = named("abcd")
    refused(data, "given", "no split of its own")
    refused(data, "alphabets", "class 'a' is in no alphabet of Omniglot")
    refused(data, "thirds", "no such split and no such folder; use given, alphabets, seeded")
    refused(data, str(tmp_path), "the folder lists no class")
    (tmp_path / "train.txt").write_text("a\ne\n")
    refused(data, str(tmp_path), "no class 'e', which train.txt lists")
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "test.txt").write_text("b\na\n")
    refused(data, str(tmp_path), "class 'a' is listed for train and for test")
