"""What both sides of a comparison are built with; standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MAMLSetting:
    """A meta-step of second-order MAML on episodes of images.

    Attributes:
        images: path of an .npy file, uint8 [total, height, width, 1], all images of a class next
            to each other.
        counts: path of an .npy file, the number of images of each class.
        ways: classes of an episode.
        shots: support examples of a class.
        queries: query examples of a class.
        meta_batch: tasks of a meta-step.
        inner_learning_rate: of gradient descent.
        inner_steps: how many.
        learning_rate: of Adam, the outer optimizer.
        seed: of weights and episodes.
        dtype: of the weights: "float32" or "float64".
    """

    images: str
    counts: str
    ways: int
    shots: int
    queries: int
    meta_batch: int
    inner_learning_rate: float
    inner_steps: int
    learning_rate: float
    seed: int
    dtype: str


@dataclass(frozen=True)
class LSTMSetting:
    """Meta-iterations of the coordinatewise LSTM with the paper's settings, first order.

    Attributes:
        images: path of an .npy file, uint8 [total, height, width, 1], all images of a class next
            to each other, for a network to classify; None for quadratics instead.
        counts: path of an .npy file, the number of images of each class, or None.
        meta_batch: problems that are trained at once.
        unroll: steps between two updates of the LSTM.
        unrolls: of a problem's training.
        learning_rate: of Adam, the outer optimizer.
        seed: of the first parameters and the problems.
        dtype: of everything: "float32" or "float64".
    """

    images: str | None
    counts: str | None
    meta_batch: int
    unroll: int
    unrolls: int
    learning_rate: float
    seed: int
    dtype: str
