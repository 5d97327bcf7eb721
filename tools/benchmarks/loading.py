"""Loading of many images: seconds and memory, and steps on images in memory and mapped ones."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .against_rivals import turn
from .asking import Worker
from .turns import take_turns

COUNTS = (10_000, 100_000)
_OF_A_CLASS = 100
_DIFFERENT = 1000  # JPEG files, which are written many times
_IMAGE_SIZE = 84


def loading(folder: Path, blocks: int, steps: int, counts: tuple[int, ...] = COUNTS) -> dict:
    """Loads color photos of 100x100 pixels as 84x84, in processes of their own.

    Args:
        folder: An empty folder for files.
        blocks: How often training in memory and from the cache take turns.
        steps: Meta-steps of a turn.
        counts: Numbers of photos.

    Returns:
        For each number: `seconds` and `peak_mb`, the memory that was taken at most, of loading into
        `memory`, into the `cache`, and what is `cached`; `array_mb`, the size of the decoded
        images; and what `take_turns` returns of meta-steps.
    """
    return {str(count): _measured(folder / str(count), count, blocks, steps) for count in counts}


def _measured(folder: Path, count: int, blocks: int, steps: int) -> dict[str, Any]:
    _write_photos(folder / "photos", count)
    setting = {"path": str(folder / "photos"), "image_size": _IMAGE_SIZE}
    cache = str(folder / "cache")
    seconds, peaks = {}, {}
    for name, cache_dir in {"memory": None, "cache": cache, "cached": cache}.items():
        with Worker("jobs.photos") as worker:
            worker.call("build", **setting, cache_dir=cache_dir, load_only=True)
            loaded = worker.call("loaded")
        seconds[name], peaks[name] = loaded["seconds"], loaded["peak_mb"]
        print(f"{count} photos, {name}: {loaded}", flush=True)
    with Worker("jobs.photos") as mapped, Worker("jobs.photos") as in_memory:
        mapped.call("build", **setting, cache_dir=cache, load_only=False)
        in_memory.call("build", **setting, cache_dir=None, load_only=False)
        turns = {"mapped": turn(mapped, steps), "in_memory": turn(in_memory, steps)}
        steps_of = take_turns(turns, blocks)
    return {"seconds": seconds, "peak_mb": peaks, "array_mb": loaded["array_mb"], **steps_of}


def _write_photos(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    photos = []
    for _ in range(min(count, _DIFFERENT)):
        coarse = Image.fromarray(rng.integers(0, 256, [10, 10, 3], np.uint8))
        file = io.BytesIO()
        coarse.resize((100, 100), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        photos.append(file.getvalue())
    for number in range(count):
        path = folder / f"class{number // _OF_A_CLASS:04d}" / f"{number % _OF_A_CLASS:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photos[number % len(photos)])
