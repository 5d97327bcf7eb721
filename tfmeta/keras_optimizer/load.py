"""A trained update rule, read from the run that trained it."""

from pathlib import Path
from typing import Any

from tfmeta.errors import ArgumentError
from tfmeta.keras_optimizer.learned_optimizer import LearnedOptimizer
from tfmeta.training import checkpoints
from tfmeta.training.run_folder import RunFolder


def load_optimizer(path: str | Path, learning_rate: Any = 1.0, **settings: Any) -> LearnedOptimizer:
    """The rule that a run of `tools/train_optimizer.py` has trained, as a Keras optimizer.

    Args:
        path: the output folder of the run, whose best checkpoint is taken; or a checkpoint, a
            `.keras` file.
        learning_rate: multiplies the rule's steps: a number, a schedule of Keras's, or a function
            without arguments. 1 is the rule as it was trained.
        settings: any other of `LearnedOptimizer`, such as `clipnorm` or `use_ema`.

    Raises:
        ArgumentError: there is no such checkpoint, it is damaged, it holds no trained rule, or a
            later version of tfmeta has made the run; or a setting is unknown or out of range.
    """
    path = Path(path)
    try:
        if path.is_dir():
            folder = RunFolder(path)
            folder.check_version()
            path = checkpoints.Checkpoints(folder.checkpoints).best
        learner = checkpoints.load(path)
    except ArgumentError as error:
        raise ArgumentError("path", error.value, error.problem) from error
    rule = getattr(learner, "rule", None)
    if rule is None:
        raise ArgumentError(
            "path",
            path,
            f"it holds a {type(learner).__name__}, not a trained update rule; give the output "
            "folder of tools/train_optimizer.py.",
        )
    return LearnedOptimizer(rule, learning_rate, **settings)
