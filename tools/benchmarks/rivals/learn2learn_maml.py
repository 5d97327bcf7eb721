"""MAML in learn2learn 0.2.0, on its own Omniglot network: the rival of the speed benchmark.

A worker (see `answering`) for a Python that has torch and learn2learn, and no TensorFlow. The
training loop is that of learn2learn's `examples/vision/maml_omniglot.py`, without the validation
task that the example adapts beside every training task.
"""

import random
import time
from typing import Any

import learn2learn
import numpy as np
import torch

from ..answering import serve
from ..settings import MAMLSetting


class Episodes:
    """N-way, k-shot episodes: arrays are drawn from once for a whole meta-batch.

    learn2learn's own Taskset collates a task from single images, and is slower.

    Args:
        images: uint8 [total, height, width, 1], all images of a class next to each other.
        counts: the number of images of each class.
    """

    def __init__(self, images: np.ndarray, counts: np.ndarray, ways: int, shots: int, queries: int):
        # PyTorch wants contiguous NCHW: with one channel that is the same memory.
        self.images = torch.from_numpy(images).reshape(-1, 1, *images.shape[1:3])
        self.rows = [
            range(end - count, end) for end, count in zip(np.cumsum(counts), counts, strict=True)
        ]
        self.ways, self.shots, self.queries = ways, shots, queries

    def meta_batch(self, tasks: int) -> list[tuple[torch.Tensor, ...]]:
        """For each task support images and labels, query images and labels, class by class."""
        examples = self.shots + self.queries
        rows = torch.tensor(
            [
                [random.sample(rows, examples) for rows in random.sample(self.rows, self.ways)]
                for _ in range(tasks)
            ]
        )
        labels = torch.arange(self.ways)
        support_y, query_y = (labels.repeat_interleave(n) for n in (self.shots, self.queries))
        support_x = self._pixels(rows[..., : self.shots])
        query_x = self._pixels(rows[..., self.shots :])
        return [(s, support_y, q, query_y) for s, q in zip(support_x, query_x, strict=True)]

    def _pixels(self, rows: torch.Tensor) -> torch.Tensor:
        return self.images[rows.flatten(start_dim=1)].to(torch.get_default_dtype()) / 255


class Rival:
    """learn2learn's MAML around its OmniglotCNN, trained with Adam.

    Args:
        threads: of PyTorch's operations.
        setting: the fields of `MAMLSetting`.
    """

    def __init__(self, threads: int, **setting: Any):
        s = MAMLSetting(**setting)
        torch.set_num_threads(threads)
        torch.set_default_dtype(getattr(torch, s.dtype))
        torch.manual_seed(s.seed)
        random.seed(s.seed)
        images, counts = np.load(s.images), np.load(s.counts)
        self.episodes = Episodes(images, counts, s.ways, s.shots, s.queries)
        network = learn2learn.vision.models.OmniglotCNN(s.ways, hidden_size=64)
        self.maml = learn2learn.algorithms.MAML(network, lr=s.inner_learning_rate)
        self.optimizer = torch.optim.Adam(self.maml.parameters(), s.learning_rate)
        self.loss = torch.nn.CrossEntropyLoss()
        self.tasks, self.inner_steps = s.meta_batch, s.inner_steps

    def meta_gradient(self, tasks: list[tuple[torch.Tensor, ...]]) -> tuple[float, float]:
        """Leaves the meta-gradient in the parameters; returns the mean loss and accuracy."""
        self.optimizer.zero_grad()
        total_loss = total_accuracy = 0.0
        for support_x, support_y, query_x, query_y in tasks:
            learner = self.maml.clone()
            for _ in range(self.inner_steps):
                learner.adapt(self.loss(learner(support_x), support_y))
            prediction = learner(query_x)
            loss = self.loss(prediction, query_y)
            loss.backward()
            total_loss += loss.item()
            total_accuracy += (prediction.argmax(dim=1) == query_y).float().mean().item()
        for parameter in self.maml.parameters():
            parameter.grad.mul_(1 / len(tasks))
        return total_loss / len(tasks), total_accuracy / len(tasks)

    def train(self, steps: int) -> dict[str, float]:
        """Seconds of a meta-step, sampling included; loss and accuracy of the last one."""
        start = time.perf_counter()
        for _ in range(steps):
            loss, accuracy = self.meta_gradient(self.episodes.meta_batch(self.tasks))
            self.optimizer.step()
        seconds = (time.perf_counter() - start) / steps
        return {"seconds": seconds, "loss": loss, "accuracy": accuracy}

    def gradient(self, weights: str, tasks: str, gradient: str) -> dict[str, float]:
        """The meta-gradient at given weights on a given meta-batch.

        Args:
            weights: path of an .npz file of the arrays of the Keras model, in its order and
                layout: of each block kernel [3, 3, in, out], bias, gamma, beta; then the linear
                layer's kernel [in, out] and bias.
            tasks: path of an .npz file with support_x, query_x [tasks, examples, height, width,
                1] and support_y, query_y [tasks, examples].
            gradient: path of the .npz file to write, in the order and layout of `weights`.
        """
        parameters = self._in_keras_order()
        with np.load(weights) as file, torch.no_grad():
            for name, parameter in zip(file, parameters, strict=True):
                parameter.copy_(_from_keras(torch.from_numpy(file[name])))
        dtype = torch.get_default_dtype()
        with np.load(tasks) as file:
            support_x, query_x = (
                torch.from_numpy(file[name]).permute(0, 1, 4, 2, 3).contiguous().to(dtype)
                for name in ("support_x", "query_x")
            )
            support_y, query_y = (
                torch.from_numpy(file[name]).long() for name in ("support_y", "query_y")
            )
        loss, accuracy = self.meta_gradient(
            list(zip(support_x, support_y, query_x, query_y, strict=True))
        )
        np.savez(gradient, *[_to_keras(parameter.grad).numpy() for parameter in parameters])
        return {"loss": loss, "accuracy": accuracy}

    def _in_keras_order(self) -> list[torch.nn.Parameter]:
        network = self.maml.module
        parameters = []
        for block in network.base:
            for layer in (block.conv, block.normalize):
                parameters += [layer.weight, layer.bias]
        return [*parameters, network.classifier.weight, network.classifier.bias]


def _from_keras(array: torch.Tensor) -> torch.Tensor:
    """Kernels to PyTorch's order of axes: [h, w, in, out] to [out, in, h, w], [in, out] to T."""
    return array.permute(3, 2, 0, 1) if array.ndim == 4 else array.T if array.ndim == 2 else array


def _to_keras(array: torch.Tensor) -> torch.Tensor:
    return array.permute(2, 3, 1, 0) if array.ndim == 4 else array.T if array.ndim == 2 else array


if __name__ == "__main__":
    serve(Rival, {"learn2learn": learn2learn.__version__, "torch": torch.__version__})
