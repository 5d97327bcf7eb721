"""The coordinatewise LSTM in eager PyTorch: the rival of the benchmark of learned optimizers.

A worker (see `answering`) for a Python that has torch, and no TensorFlow. PyTorch has no program of
its own for it, so this one is ours, written for speed: one matrix product for all gates of a layer
and all coordinates of all problems, one backward pass for the meta-gradient, and nothing computed
twice for the optimizees' gradients.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..answering import serve
from ..settings import LSTMSetting

Weights = list[torch.Tensor]

_UNITS, _LAYERS, _P, _OUTPUT_SCALE = 20, 2, 10.0, 0.1
_CLASSES, _BATCH, _HIDDEN = 10, 128, 20


class Quadratics:
    """|W x - y|^2 of many problems, w `[problems, n, n]`, y `[problems, n]`."""

    def __init__(self, w: torch.Tensor, y: torch.Tensor):
        self.w, self.y = w, y[..., None]

    def loss(self, weights: Weights, step: int) -> torch.Tensor:
        """The sum over the problems."""
        return torch.baddbmm(self.y, self.w, weights[0][..., None], beta=-1).square().sum()


class Network:
    """A network with one layer of sigmoid units; `batch(step)` gives x and y of a step."""

    def __init__(self, batch: Callable[[int], tuple[torch.Tensor, torch.Tensor]]):
        self.batch = batch

    def loss(self, weights: Weights, step: int) -> torch.Tensor:
        x, y = self.batch(step)
        hidden = torch.sigmoid(torch.addmm(weights[1], x, weights[0]))
        return torch.nn.functional.cross_entropy(torch.addmm(weights[3], hidden, weights[2]), y)


class LSTM:
    """The update rule.

    Attributes:
        parameters: kernel and bias of each layer, kernel and bias of the output.
    """

    def __init__(self) -> None:
        self.parameters = []
        for layer in range(_LAYERS):
            inputs = (_UNITS if layer else 2) + _UNITS
            limit = math.sqrt(6 / (inputs + 4 * _UNITS))
            kernel = torch.empty(inputs, 4 * _UNITS).uniform_(-limit, limit)
            self.parameters += [kernel, torch.zeros(4 * _UNITS)]
        self.parameters += [0.01 * torch.randn(_UNITS, 1), torch.zeros(1)]
        for parameter in self.parameters:
            parameter.requires_grad_()

    def step(
        self, gradient: torch.Tensor, state: list[torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The step of each coordinate and the new state, from gradients `[coordinates]`."""
        size, least = gradient.abs(), math.exp(-_P)
        signal = torch.stack(
            [
                size.clamp_min(least).log() / _P,
                torch.where(size >= least, gradient.sign(), gradient / least),
            ],
            dim=1,
        )
        *cells, output_kernel, output_bias = self.parameters
        new_state = []
        for layer in range(_LAYERS):
            kernel, bias = cells[2 * layer : 2 * layer + 2]
            h, c = state[2 * layer : 2 * layer + 2]
            gates = torch.addmm(bias, torch.cat([signal, h], dim=1), kernel)
            i, f, g, o = gates.chunk(4, dim=1)
            c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
            signal = torch.sigmoid(o) * torch.tanh(c)
            new_state += [signal, c]
        step = torch.addmm(output_bias, signal, output_kernel)
        return _OUTPUT_SCALE * step[:, 0], new_state


class Rival:
    """The training of that LSTM.

    Args:
        threads: of PyTorch's operations.
        setting: the fields of `LSTMSetting`.
    """

    def __init__(self, threads: int, **setting: Any):
        s = self.setting = LSTMSetting(**setting)
        torch.set_num_threads(threads)
        torch.set_default_dtype(getattr(torch, s.dtype))
        torch.manual_seed(s.seed)
        self.lstm = LSTM()
        self.optimizer = torch.optim.Adam(self.lstm.parameters, s.learning_rate)
        if s.images is not None and s.counts is not None:
            counts = np.load(s.counts)[:_CLASSES]
            pixels = torch.from_numpy(np.load(s.images)[: counts.sum()]).flatten(start_dim=1)
            self.x = pixels.to(torch.get_default_dtype()) / 255
            self.y = torch.arange(_CLASSES).repeat_interleave(torch.from_numpy(counts))

    def problems(self) -> tuple[Weights, Quadratics | Network]:
        """New problems, and where they start."""
        if self.setting.images is None:
            n = self.setting.meta_batch
            return [0.01 * torch.randn(n, 10)], Quadratics(torch.rand(n, 10, 10), torch.rand(n, 10))
        sizes = [self.x.shape[1], _HIDDEN, _CLASSES]
        weights = [
            0.01 * torch.randn(shape)
            for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True)
            for shape in ((inputs, outputs), (outputs,))
        ]
        return weights, Network(self._batch)

    def _batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.randint(len(self.y), (_BATCH,))
        return self.x[rows], self.y[rows]

    def unroll(
        self,
        problems: Quadratics | Network,
        shapes: list[torch.Size],
        coordinates: torch.Tensor,
        state: list[torch.Tensor],
        first_step: int,
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """Some steps of the training of the problems.

        Returns:
            The sum of the losses along the way and of the last one; coordinates and state.
        """
        sizes = [shape.numel() for shape in shapes]

        def loss(step):
            parts = coordinates.split(sizes)
            weights = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
            return problems.loss(weights, step)

        coordinates.requires_grad_()
        total = torch.zeros(())
        for step in range(first_step, first_step + self.setting.unroll):
            now = loss(step)
            total = total + now
            # The graph is kept for the meta-gradient, which goes through the losses as well.
            [gradient] = torch.autograd.grad(now, coordinates, retain_graph=True)
            change, state = self.lstm.step(gradient, state)
            coordinates = coordinates + change
        return total + loss(first_step + self.setting.unroll), coordinates, state

    def meta_gradient(self, total: torch.Tensor) -> float:
        """Leaves the meta-gradient in the parameters; returns the mean loss."""
        self.optimizer.zero_grad()
        loss = total / self.setting.meta_batch
        loss.backward()
        return loss.item()

    def train(self, steps: int) -> dict[str, float]:
        """CPU seconds of an unroll in so many meta-iterations, with drawing the problems."""
        s = self.setting
        start = time.process_time()
        for _ in range(steps):
            weights, problems = self.problems()
            shapes, coordinates, state = self._start(weights)
            for number in range(s.unrolls):
                total, coordinates, state = self.unroll(
                    problems, shapes, coordinates.detach(), state, number * s.unroll
                )
                loss = self.meta_gradient(total)
                self.optimizer.step()
                state = [tensor.detach() for tensor in state]
        seconds = (time.process_time() - start) / (steps * s.unrolls)
        return {"seconds": seconds, "loss": loss}

    def gradient(self, weights: str, tasks: str, gradient: str) -> dict[str, float]:
        """The meta-gradient at given parameters on given problems.

        Args:
            weights: path of an .npz file of the LSTM's parameters, in the order and layout of ours.
            tasks: path of an .npz file of the first weights, weights_0, weights_1, ..., of w and y
                of quadratics, or of x `[steps, batch, pixels]` and y `[steps, batch]` of a network.
            gradient: path of the .npz file to write, in the order of `weights`.
        """
        with np.load(weights) as file, torch.no_grad():
            for name, parameter in zip(file, self.lstm.parameters, strict=True):
                parameter.copy_(torch.from_numpy(file[name]))
        with np.load(tasks) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in file}
        problems: Quadratics | Network
        if "w" in arrays:
            problems = Quadratics(arrays["w"], arrays["y"])
        else:
            x, y = arrays["x"], arrays["y"].long()
            problems = Network(lambda step: (x[step], y[step]))
        first = [tensor for name, tensor in arrays.items() if name.startswith("weights_")]
        total, _, _ = self.unroll(problems, *self._start(first), 0)
        loss = self.meta_gradient(total)
        np.savez(gradient, *[parameter.grad.numpy() for parameter in self.lstm.parameters])
        return {"loss": loss}

    def _start(self, weights: Weights) -> tuple[list[torch.Size], torch.Tensor, list[torch.Tensor]]:
        coordinates = torch.cat([tensor.flatten() for tensor in weights])
        state = [torch.zeros(len(coordinates), _UNITS) for _ in range(2 * _LAYERS)]
        return [tensor.shape for tensor in weights], coordinates, state


if __name__ == "__main__":
    serve(Rival, {"torch": torch.__version__})
