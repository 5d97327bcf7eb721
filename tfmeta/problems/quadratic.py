"""Random quadratic functions."""

import tensorflow as tf

from tfmeta import random_numbers
from tfmeta.errors import ArgumentError
from tfmeta.problems.base import ProblemFamily


class Quadratics(ProblemFamily):
    """f(x) = scale * |W x - y|^2 with random W and y.

    Two published families: `distribution="uniform"` with W and y from [0, 1), x from 0.01 N(0, 1)
    and scale 1 (Andrychowicz et al. 2016, as in their code; with `"normal"` W and y as in their
    text), and `distribution="normal"` with scale 0.5, x from N(0, 1) (Wichrowska et al. 2017).

    Args:
        dimensions: the length of x.
        distribution: `"uniform"` or `"normal"`, of the elements of W and y.
        scale: factor of the square.
        start: standard deviation of the elements of the first x.
        seed: seed of the problems.
        dtype: of everything.

    Raises:
        ArgumentError: an argument is out of range.
    """

    def __init__(
        self,
        dimensions: int = 10,
        distribution: str = "uniform",
        scale: float = 1.0,
        start: float = 0.01,
        seed: int = 0,
        dtype: str = "float32",
    ):
        super().__init__(seed)
        if type(dimensions) is not int or dimensions < 1:
            raise ArgumentError("dimensions", dimensions, "give a whole number of at least 1.")
        if distribution not in ("uniform", "normal"):
            raise ArgumentError("distribution", distribution, "give uniform or normal.")
        kind = "quadratic" if distribution == "uniform" else "quadratic_normal"
        self.name = f"{kind}_{dimensions}"
        self.dimensions, self.distribution = dimensions, distribution
        self.scale, self.start, self.dtype = scale, start, dtype

    def tasks(self, seeds):
        n = self.dimensions
        draw = random_numbers.uniform if self.distribution == "uniform" else random_numbers.normal
        w = draw(random_numbers.fold_in(seeds, 0), (n, n))
        y = draw(random_numbers.fold_in(seeds, 1), (n,))
        x = self.start * random_numbers.normal(random_numbers.fold_in(seeds, 2), (n,))
        w, y, x = (tf.cast(tensor, self.dtype) for tensor in (w, y, x))
        return {"weights": [x], "data": {"w": w, "y": y}}

    def loss(self, weights, data, seed):
        residual = tf.linalg.matvec(data["w"], weights[0]) - data["y"]
        return self.scale * tf.reduce_sum(tf.square(residual))
