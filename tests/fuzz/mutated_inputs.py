"""Inputs with a few bytes changed or cut off, by a seed, and what reads each kind of them.

`problem(kind, seed, folder)` makes one, has it read, and says what went wrong: anything but an
answer or one sentence.
"""

import functools
import io
import re
import signal
import traceback
import warnings
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from tfmeta.data.folder import load_folder
from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.loader import LoadOptions
from tfmeta.data.npz import load_npz
from tfmeta.data.splits import split_classes
from tfmeta.errors import ArgumentError
from tfmeta.training import checkpoints
from tfmeta.training.run_folder import RunFolder

SECONDS = 30  # after which an input counts as one that hangs

FORMATS = (
    "PNG",
    "JPEG",
    "GIF",
    "BMP",
    "TIFF",
    "WEBP",
    "PPM",
    "TGA",
    "ICO",
    "JPEG2000",
    "PCX",
    "DDS",
)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with one to three changes."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        start = int(rng.integers(len(data) + 1))
        # Headers decide most, and they come first.
        start = start if rng.random() < 0.5 else min(start, int(rng.integers(64)))
        stop = min(start + int(rng.choice([1, 1, 1, 2, 4, 8, 100])), len(data))
        part = data[start:stop]
        match rng.integers(7):
            case 0:
                del data[start:]
            case 1:
                data[start:stop] = bytes(byte ^ (1 << int(rng.integers(8))) for byte in part)
            case 2:
                data[start:stop] = rng.bytes(len(part))
            case 3:
                data[start:stop] = bytes(len(part))
            case 4:
                data[start:stop] = b"\xff" * len(part)
            case 5:
                del data[start:stop]
            case 6:
                data[start:start] = part
    return bytes(data)


Use = Callable[[], object]


def images(folder: Path, rng: np.random.Generator) -> Use:
    form = str(rng.choice(FORMATS))
    for name in "ab":
        (folder / name).mkdir()
        (folder / name / "whole.png").write_bytes(_picture("PNG", 0))
    path = folder / "b" / f"mutated.{form.lower()}"
    path.write_bytes(mutated(_picture(form, int(rng.integers(4))), rng))
    size = None if rng.random() < 0.2 else 16
    return lambda: load_folder(str(folder), LoadOptions(size))


@functools.cache
def _picture(form: str, look: int) -> bytes:
    rng = np.random.default_rng(look)
    pixels = rng.integers(0, 256, [24, 24, 3], np.uint8)
    picture = Image.fromarray(pixels).convert(("RGB", "L", "P", "RGBA")[look])
    try:
        return _written(picture, form)
    except (OSError, ValueError, KeyError):  # not every format has every mode
        return _written(picture.convert("RGB"), form)


def _written(picture: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    options = {"exif": _turned_by_exif()} if form in ("PNG", "JPEG", "TIFF", "WEBP") else {}
    picture.save(file, form, **options)
    return file.getvalue()


def _turned_by_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def archives(folder: Path, rng: np.random.Generator) -> Use:
    """The file as it is on the disk, or an array in it, which then has a true checksum."""
    members = _members(float(rng.random()) < 0.5)
    compression = zipfile.ZIP_DEFLATED if rng.random() < 0.5 else zipfile.ZIP_STORED
    inside = rng.random() < 0.7
    chosen = str(rng.choice(sorted(members)))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            changed = inside and name == chosen
            archive.writestr(f"{name}.npy", mutated(content, rng) if changed else content)
    path = folder / "data.npz"
    path.write_bytes(file.getvalue() if inside else mutated(file.getvalue(), rng))
    return lambda: load_npz(str(path), LoadOptions(8 if rng.random() < 0.5 else None))


@functools.cache
def _members(floats: bool) -> dict[str, bytes]:
    pixels = np.arange(4 * 3 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 3, 8, 8, 3)
    arrays = {
        "images": pixels.astype(np.float32) / 255 if floats else pixels,
        "class_names": np.array(["a", "b", "c", "d"]),
        "split": np.array(["train", "val", "test", "test"]),
    }
    members = {}
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array)
        members[name] = file.getvalue()
    return members


def lists(folder: Path, rng: np.random.Generator) -> Use:
    names = ("Greek/alpha", "Größe", "犬", "d e", "a+b", "x")
    classes = ImageClasses(np.zeros([6, 2, 2, 1], np.uint8), np.ones(6, int), names)
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16"]))
    chosen = str(rng.choice(["train", "validation", "test"]))
    for part, listed in zip(
        ("train", "validation", "test"), np.split(np.array(names), 3), strict=True
    ):
        content = "\n".join(listed).encode(encoding)
        if part == chosen:
            content = mutated(content, rng)
        (folder / f"{part}.txt").write_bytes(content)
    return lambda: split_classes(classes, str(folder))


def texts_of_runs(folder: Path, rng: np.random.Generator) -> Use:
    """`flags.txt` and `metrics.jsonl`, as they are read to go on."""
    run = RunFolder(folder)
    run.write_flags(["--dataset=glyphs", "--ways=5", "--norotations", "--learner=maml"])
    row = {"seconds": 1.5, "training": {"loss": 0.3}, "validation": {"accuracy": 90.0}}
    run.write_metrics({"step": step, **row} for step in (10, 20, 30))
    run.write_part({"step": 35, "taken": 5, "seconds": 1.5, "training": {"loss": 0.3}})
    path = (run.flags, run.metrics, run.part)[rng.integers(3)]
    path.write_bytes(mutated(path.read_bytes(), rng))

    def read():
        run.read_flags()
        run.read_part()
        for row in run.read_metrics(20):
            assert row["step"] <= 20

    return read


def checkpoints_of_runs(folder: Path, rng: np.random.Generator) -> Use:
    """The newest of two checkpoints, on the disk, or a file within it that has a true checksum."""
    saved = checkpoints.Checkpoints(folder)
    for step in (10, 20):
        (folder / f"step_{step:08d}.keras").write_bytes(_checkpoint())
    path = folder / "step_00000020.keras"
    if rng.random() < 0.5:
        path.write_bytes(mutated(path.read_bytes(), rng))
    else:
        chosen = str(rng.choice(["config.json", "metadata.json"]))
        with zipfile.ZipFile(io.BytesIO(_checkpoint())) as whole, zipfile.ZipFile(path, "w") as cut:
            for name in whole.namelist():
                content = whole.read(name)
                cut.writestr(name, mutated(content, rng) if name == chosen else content)

    def read():
        step, newest = saved.newest_whole()
        assert step in (10, 20)
        checkpoints.load(newest)

    return read


@functools.cache
def _checkpoint() -> bytes:
    import tempfile

    import keras

    import tfmeta

    learner = tfmeta.MAML(tfmeta.models.mlp((2,), 1, hidden=(3,)), inner_learning_rate=0.1)
    learner.compile(keras.optimizers.Adam(), loss="mse")
    learner.build_for(np.zeros([1, 2], np.float32))
    learner.optimizer.build(learner.trainable_variables)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "whole.keras"
        learner.save(path)
        return path.read_bytes()


KINDS: dict[str, Callable[[Path, np.random.Generator], Use]] = {
    "images": images,
    "archives": archives,
    "lists": lists,
    "texts_of_runs": texts_of_runs,
    "checkpoints_of_runs": checkpoints_of_runs,
}


def problem(kind: str, seed: int, folder: Path) -> str | None:
    """What is wrong with how a mutated input is read; None if nothing is.

    Args:
        kind: one of `KINDS`.
        seed: of the mutation.
        folder: an empty folder.
    """
    use = KINDS[kind](folder, np.random.default_rng([*kind.encode(), seed]))
    before = contents(folder)
    try:
        with deadline(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            use()
    except ArgumentError as error:
        if "\n" in str(error) or not re.search(r"[;.].*\.?$", error.problem):
            return f"no sentence: {error}"
    except Exception:
        return traceback.format_exc()
    return None if contents(folder) == before else "files have changed"


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def deadline(seconds: int):
    """Raises TimeoutError where the work within takes longer."""

    def stop(*_):
        raise TimeoutError(f"after {seconds} seconds")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
