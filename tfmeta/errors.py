"""What tfmeta says when it is asked for something that cannot be done."""

import sys


class ArgumentError(ValueError):
    """An argument that cannot be used: its name, its value, and what to do about it.

    The library raises it before any work starts; a binary prints it with the name as a flag and
    exits with status 2.

    Args:
        argument: name of the argument (and of the flag, where there is one).
        value: the value as given.
        problem: the rest of the sentence: what is wrong, and the remedy.
    """

    # Keras exchanges an exception without it, raised within a layer or an operation, for one that
    # tells of the call, and of this one no more than its first argument.
    _keras_call_info_injected = True

    argument: str
    value: object
    problem: str

    def __init__(self, argument: str, value: object = None, problem: str = ""):
        met = sys.exc_info()[1]
        if not problem and isinstance(met, ArgumentError):
            # Keras makes an exception that it meets while it infers a shape anew, of a text alone.
            argument, value, problem = met.argument, met.value, met.problem
        super().__init__(argument, value, problem)
        self.argument = argument
        self.value = value
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.argument}={self.value}: {self.problem}"


class DataWarning(UserWarning):
    """What the user should know of the data, and can change; the same on every rank."""


class RanksError(RuntimeError):
    """Ranks that do not do the same, or of which one has ended.

    Args:
        sentence: what is wrong, and the remedy.
        of_another: whether this rank only heard of it, because another one has ended.
    """

    def __init__(self, sentence: str, of_another: bool = False):
        super().__init__(sentence)
        self.of_another = of_another


class StoppedError(RuntimeError):
    """A training that was asked to end, and has kept all that it did.

    Args:
        steps: how many outer steps it took, those before it was resumed included.
    """

    def __init__(self, steps: int):
        super().__init__(steps)
        self.steps = steps

    def __str__(self) -> str:
        return f"stopped after {self.steps} steps"


class NonFiniteError(ArithmeticError):
    """A meta-loss that is not a finite number any more.

    Args:
        step: the outer step (0 is the first) at which it was seen.
        loss: the value.
    """

    def __init__(self, step: int, loss: float):
        super().__init__(step, loss)
        self.step = step
        self.loss = loss

    def __str__(self) -> str:
        return (
            f"the meta-loss became {self.loss} at step {self.step}; lower the inner or the outer "
            "learning rate"
        )


class DivergedError(ArithmeticError):
    """A model's training that a learned optimizer cannot go on with.

    The step at which it was seen is left out, and any after it: weights, and what the optimizer
    remembers, are as they were before.

    Args:
        optimizer: its name.
        step: the step of the optimizer, the first is 1.
        problem: the rest of the sentence: what is not finite, and the remedy.
    """

    _keras_call_info_injected = True  # see ArgumentError

    def __init__(self, optimizer: str, step: int, problem: str):
        super().__init__(optimizer, step, problem)
        self.optimizer = optimizer
        self.step = step
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.optimizer} left out step {self.step}: {self.problem}"
