"""Meta-gradients against formulas worked out by hand, in float64.

Both losses below are quadratic in the weights: the support loss of a task has the Hessian H and its
minimum at c, the query loss the Hessian B and its minimum at d. So the inner step
w <- w - alpha H (w - c) shrinks the distance to c by a constant matrix, and after K of them

    w_K - c = (I - alpha H)^K (w_0 - c),        d w_K / d w_0 = (I - alpha H)^K.

The query loss has the gradient B (w_K - d) in w_K. The meta-gradients of the task are therefore

    first order     B (w_K - d)
    second order    (I - alpha H)^K B (w_K - d)

(H is symmetric), and that of the meta-batch is their mean over the tasks.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmeta

ALPHA = 0.3
TASKS = 4

pytestmark = pytest.mark.usefixtures("float64")


def meta_gradient(learner: tfmeta.MAML, tasks: dict[str, np.ndarray]) -> list[np.ndarray]:
    """By how much one outer step of plain gradient descent at rate 1 moves each weight."""
    before = [variable.numpy() for variable in learner.trainable_variables]
    learner.fit(tf.data.Dataset.from_tensors(tasks), verbose=0)
    after = [variable.numpy() for variable in learner.trainable_variables]
    return [old - new for old, new in zip(before, after, strict=True)]


def by_hand(weights, inner_steps, first_order, tasks):
    """The mean over tasks (H, c, B, d) of the formula above; weights [n] or, in columns, [n, m]."""
    gradients = []
    for H, c, B, d in tasks:
        moves = np.linalg.matrix_power(np.eye(len(H)) - ALPHA * H, inner_steps)
        gradient = B @ (c + moves @ (weights - c) - d)
        gradients.append(gradient if first_order else moves @ gradient)
    return np.mean(gradients, axis=0)


def assert_equal(result, expected):
    assert result.dtype == np.float64
    assert np.linalg.norm(result - expected) < 1e-10 * np.linalg.norm(expected)


class Distance(keras.layers.Layer):
    """How far the inputs [examples, n] are from one learned point [n]."""

    def build(self, input_shape):
        self.point = self.add_weight(
            shape=[input_shape[-1]], initializer=keras.initializers.RandomNormal(seed=0)
        )

    def call(self, inputs):
        return self.point - inputs


def half_square(matrix, distance):
    """1/2 distance^T matrix distance, of [examples, n, n] and [examples, n]."""
    return 0.5 * tf.einsum("ei,eij,ej->e", distance, matrix, distance)


def quadratic(inner_steps, first_order, size=5):
    """The meta-gradient of a quadratic bowl, and the same by hand.

    The model's output is w - x; with x = c and y = H the loss is 1/2 (w - c)^T H (w - c).
    """
    random = np.random.default_rng(0)
    roots = random.normal(size=[2, TASKS, 1, size, size])
    hessians, query_hessians = roots @ np.swapaxes(roots, -1, -2) / size
    centers, query_centers = random.normal(size=[2, TASKS, 1, size])
    tasks = {
        "support_x": centers,
        "support_y": hessians,
        "query_x": query_centers,
        "query_y": query_hessians,
    }
    model = keras.Sequential([keras.Input([size]), Distance()])
    learner = tfmeta.MAML(model, ALPHA, inner_steps, first_order)
    learner.compile(keras.optimizers.SGD(1.0), loss=half_square)
    weights = model.weights[0].numpy()
    bowls = [
        (hessians[task, 0], centers[task, 0], query_hessians[task, 0], query_centers[task, 0])
        for task in range(TASKS)
    ]
    return meta_gradient(learner, tasks)[0], by_hand(weights, inner_steps, first_order, bowls)


def least_squares(inner_steps, first_order, inputs=3, outputs=2, examples=6):
    """The meta-gradient of a linear model under the mean squared error, and the same by hand.

    With the bias as a last row of W and a column of ones as the last of X, the loss
    |X W - Y|^2 / (examples outputs) has the Hessian H = 2 X^T X / (examples outputs) for each
    column of W, and its minimum at c = (X^T X)^-1 X^T Y.
    """
    random = np.random.default_rng(1)
    x = random.normal(size=[2, TASKS, examples, inputs])
    y = random.normal(size=[2, TASKS, examples, outputs])
    tasks = {"support_x": x[0], "support_y": y[0], "query_x": x[1], "query_y": y[1]}
    model = keras.Sequential(
        [
            keras.Input([inputs]),
            keras.layers.Dense(outputs, kernel_initializer=keras.initializers.GlorotUniform(0)),
        ]
    )
    learner = tfmeta.MAML(model, ALPHA, inner_steps, first_order)
    learner.compile(keras.optimizers.SGD(1.0), loss="mse")

    def bowl(x, y):
        x = np.concatenate([x, np.ones([examples, 1])], axis=1)
        return 2 * x.T @ x / (examples * outputs), np.linalg.solve(x.T @ x, x.T @ y)

    weights = np.vstack([variable.numpy() for variable in model.weights])
    bowls = [
        (*bowl(x[0, task], y[0, task]), *bowl(x[1, task], y[1, task])) for task in range(TASKS)
    ]
    kernel, bias = meta_gradient(learner, tasks)
    return np.vstack([kernel, bias]), by_hand(weights, inner_steps, first_order, bowls)


@pytest.mark.parametrize("first_order", [False, True], ids=["second_order", "first_order"])
@pytest.mark.parametrize("inner_steps", [1, 3])
@pytest.mark.parametrize("problem", [quadratic, least_squares])
def test_meta_gradient_is_that_worked_out_by_hand(problem, inner_steps, first_order):
    assert_equal(*problem(inner_steps, first_order))


@pytest.mark.parametrize("problem", [quadratic, least_squares])
def test_first_and_second_order_differ(problem):
    second, _ = problem(3, first_order=False)
    first, _ = problem(3, first_order=True)
    assert np.linalg.norm(second - first) > 0.1 * np.linalg.norm(second)
