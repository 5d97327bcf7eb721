"""Splits of classes into training, validation and test classes."""

import os
import warnings

import numpy as np

from tfmeta.data.image_classes import SPLITS, ImageClasses
from tfmeta.data.names import part_named, read_names, readable
from tfmeta.errors import ArgumentError, DataWarning

# Meta-Dataset (Triantafillou et al. 2020) validates on the five background alphabets of Omniglot
# with the fewest characters, 81 together, and trains on the 883 characters of the other 25.
VALIDATION_ALPHABETS = (
    "Alphabet_of_the_Magi",
    "Blackfoot_(Canadian_Aboriginal_Syllabics)",
    "Inuktitut_(Canadian_Aboriginal_Syllabics)",
    "Ojibwe_(Canadian_Aboriginal_Syllabics)",
    "Tagalog",
)
TRAIN_ALPHABETS = (
    "Anglo-Saxon_Futhorc",
    "Arcadian",
    "Armenian",
    "Asomtavruli_(Georgian)",
    "Balinese",
    "Bengali",
    "Braille",
    "Burmese_(Myanmar)",
    "Cyrillic",
    "Early_Aramaic",
    "Futurama",
    "Grantha",
    "Greek",
    "Gujarati",
    "Hebrew",
    "Japanese_(hiragana)",
    "Japanese_(katakana)",
    "Korean",
    "Latin",
    "Malay_(Jawi_-_Arabic)",
    "Mkhedruli_(Georgian)",
    "N_Ko",
    "Sanskrit",
    "Syriac_(Estrangelo)",
    "Tifinagh",
)
# The evaluation alphabets of Lake et al. 2015.
TEST_ALPHABETS = (
    "Angelic",
    "Atemayar_Qelisayer",
    "Atlantean",
    "Aurek-Besh",
    "Avesta",
    "Ge_ez",
    "Glagolitic",
    "Gurmukhi",
    "Kannada",
    "Keble",
    "Malayalam",
    "Manipuri",
    "Mongolian",
    "Old_Church_Slavonic_(Cyrillic)",
    "Oriya",
    "Sylheti",
    "Syriac_(Serto)",
    "Tengwar",
    "Tibetan",
    "ULOG",
)


def split_classes(
    classes: ImageClasses, split: str | None = None, seed: int = 0, ways: int | None = None
) -> dict[str, ImageClasses]:
    """Splits classes into "train", "validation" and "test".

    Args:
        classes: all classes.
        split: how to split them:
            `"given"`: as the data says.
            `"alphabets"`: Omniglot by alphabets, as in the literature: the validation alphabets of
                Meta-Dataset and, for testing, the evaluation alphabets of Lake et al. 2015.
            `"seeded"`: 64, 16 and 20 % of the classes at random, mini-ImageNet's proportions.
            A folder: its files train.txt, validation.txt and test.txt list one class name per
                line, see docs/images.md. Classes in none of them are left out.
            None: `"given"` if the data names more than one part, else `"seeded"`.
        seed: seed of `"seeded"`. The same names and seed give the same split.
        ways: classes that each part of `"seeded"` has at least. Where there are not enough for
            three parts, first validation and then test have the classes of training, and a
            `DataWarning` says so. None takes the proportions as they are.

    Returns:
        The classes of each part by its name. Empty parts are left out.

    Raises:
        ArgumentError: naming `split`, if the classes cannot be split that way.
    """
    if split is None:
        split = "given" if is_given(classes) else "seeded"
    if split == "given":
        parts = _given(classes)
    elif split == "alphabets":
        parts = _alphabets(classes)
    elif split == "seeded":
        parts = _seeded(classes, seed, ways)
    elif os.path.isdir(os.path.expanduser(split)):
        parts = _listed(classes, os.path.expanduser(split))
    else:
        raise ArgumentError(
            "split",
            split,
            "there is no such split and no such folder; use given, alphabets, seeded, or a folder "
            "with train.txt, validation.txt and test.txt.",
        )
    members = {name: [i for i, part in enumerate(parts) if part == name] for name in SPLITS}
    found = {name: classes.subset(indices) for name, indices in members.items() if indices}
    return _shared(found, ways) if split == "seeded" and ways else found


def is_given(classes: ImageClasses) -> bool:
    """Whether the data names more than one part."""
    return len(set(classes.split or ())) > 1


def _shared(parts: dict[str, ImageClasses], ways: int) -> dict[str, ImageClasses]:
    """The parts, of which those that are missing have the classes of training."""
    missing = [name for name in SPLITS if name not in parts]
    count, train = sum(map(len, parts.values())), len(parts["train"])
    if missing and train >= ways:
        both = "test" in missing
        fewer = f"lower ways to {count // 3} or " if count >= 6 else ""
        warnings.warn(
            f"{count} classes are too few for three parts of {ways}: "
            f"{'validation and test have' if both else 'validation has'} the {train} classes of "
            f"training, so that {'their' if both else 'its'} accuracy is not one on classes never "
            f"seen; {fewer}add classes.",
            DataWarning,
            stacklevel=3,
        )
    return parts | dict.fromkeys(missing, parts["train"])


def _given(classes: ImageClasses) -> list[str | None]:
    if classes.split is None:
        raise ArgumentError("split", "given", "the data has no split of its own; use seeded.")
    return list(classes.split)


def _alphabets(classes: ImageClasses) -> list[str | None]:
    part_of = dict.fromkeys(TRAIN_ALPHABETS, "train")
    part_of |= dict.fromkeys(VALIDATION_ALPHABETS, "validation")
    part_of |= dict.fromkeys(TEST_ALPHABETS, "test")
    parts: list[str | None] = []
    for name in classes.names:
        alphabet = name.rpartition("/")[0]
        if alphabet not in part_of:
            raise ArgumentError(
                "split",
                "alphabets",
                f"class '{name}' is in no alphabet of Omniglot; use seeded for other data.",
            )
        parts.append(part_of[alphabet])
    return parts


def _seeded(classes: ImageClasses, seed: int, ways: int | None) -> list[str | None]:
    count = len(classes)
    parts = np.repeat(SPLITS, _sizes(count, ways))
    parts = parts[np.random.default_rng(seed).permutation(count)]
    rank = {name: i for i, name in enumerate(sorted(classes.names))}
    return [str(parts[rank[name]]) for name in classes.names]


def _sizes(count: int, ways: int | None) -> tuple[int, int, int]:
    """How many of so many classes are for training, validation and test."""
    train, validation = round(0.64 * count), round(0.16 * count)
    test = count - train - validation
    if ways is not None:
        # Validation is the first to go: the accuracy in test is that of a run.
        validation = max(ways, validation) if count >= 3 * ways else 0
        test = max(ways, test) if count >= 2 * ways else 0
    return count - validation - test, validation, test


def _listed(classes: ImageClasses, folder: str) -> list[str | None]:
    part_of: dict[str, str] = {}
    known = {readable(name).strip(): name for name in classes.names}
    for part, file in _lists(folder):
        for listed in read_names(os.path.join(folder, file)):
            if listed not in known:
                raise ArgumentError(
                    "split",
                    folder,
                    f"the data has no class '{listed}', which {file} lists; mend it.",
                )
            name = known[listed]
            if part_of.setdefault(name, part) != part:
                raise ArgumentError(
                    "split",
                    folder,
                    f"class '{name}' is listed for {part_of[name]} and for {part}; keep one.",
                )
    if not part_of:
        raise ArgumentError(
            "split",
            folder,
            "the folder lists no class; put train.txt, validation.txt and test.txt there, with the "
            "name of a class per line.",
        )
    return [part_of.get(name) for name in classes.names]


def _lists(folder: str) -> list[tuple[str, str]]:
    """The files of a folder that list classes, each after the part that it is for."""
    lists = []
    for file in sorted(os.listdir(folder)):
        stem, suffix = os.path.splitext(file)
        part = part_named(stem)
        if part is not None and suffix.lower() == ".txt":
            lists.append((part, file))
    return sorted(lists, key=lambda found: SPLITS.index(found[0]))
