"""A training on the images of a folder, in memory or mapped, see `answering`."""

import time
from pathlib import Path

import keras
import tensorflow as tf

import tfmeta

from ..answering import peak_memory_mb, serve


class Photos:
    """Second-order MAML on tasks of five classes, one image of each, and one to answer.

    Args:
        path: folder of a folder for each class.
        image_size: height and width.
        cache_dir: folder of decoded images; None for memory.
        load_only: whether no training follows.
    """

    def __init__(self, path: str, image_size: int, cache_dir: str | None, load_only: bool):
        Path("/proc/self/clear_refs").write_text("5")  # lets the peak begin anew
        before, started = peak_memory_mb(), time.perf_counter()
        classes = tfmeta.load_image_classes(f"folder:{path}", image_size, cache_dir=cache_dir)
        self.loading = {
            "seconds": time.perf_counter() - started,
            "peak_mb": peak_memory_mb() - before,
            "array_mb": classes.stored.nbytes / 2**20,
        }
        if load_only:
            return
        keras.utils.set_random_seed(0)
        self.data = tfmeta.Episodes(classes, ways=5, shots=1, queries=1).batches(meta_batch=4)
        network = tfmeta.models.conv4(
            classes.image_shape, ways=5, filters=16, max_pool=True, batch_norm="transductive"
        )
        self.learner = tfmeta.MAML(network, inner_learning_rate=0.01)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.learner.compile("adam", loss)

    def loaded(self) -> dict[str, float]:
        """Seconds of loading, the memory it took at most, and that of the array, in MiB."""
        return self.loading

    def train(self, steps: int) -> dict[str, float]:
        """Seconds of a meta-step, sampling included."""
        started = time.perf_counter()
        self.learner.fit(self.data, steps_per_epoch=steps, verbose=0)
        return {"seconds": (time.perf_counter() - started) / steps}


if __name__ == "__main__":
    serve(Photos, {"tensorflow": tf.__version__, "keras": keras.__version__})
