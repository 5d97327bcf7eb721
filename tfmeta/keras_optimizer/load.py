"""A trained update rule, shipped with tfmeta or read from the run that trained it."""

import os
from pathlib import Path
from typing import Any

from tfmeta.errors import ArgumentError
from tfmeta.keras_optimizer import shipped
from tfmeta.keras_optimizer.learned_optimizer import LearnedOptimizer
from tfmeta.training import checkpoints
from tfmeta.training.run_folder import RunFolder
from tfmeta.updates import GradientRule


def load_optimizer(path: str | Path, learning_rate: Any = 1.0, **settings: Any) -> LearnedOptimizer:
    """A trained rule as a Keras optimizer: one of tfmeta's, or one that you have trained.

    Args:
        path: `"lstm"` or `"hierarchical_rnn"`, the rules that are part of tfmeta, whatever there is
            in the working folder (a folder of that name is `"./lstm"`); or the output folder of a
            run of `tools/train_optimizer.py`, whose best checkpoint is taken; or a checkpoint, a
            `.keras` file.
        learning_rate: multiplies the rule's steps: a number, a schedule of Keras's, or a function
            without arguments. 1 is the rule as it was trained; where the loss of a layer of many
            hundreds of inputs does not fall, try 0.3.
        settings: any other of `LearnedOptimizer`, such as `clipnorm` or `use_ema`.

    Raises:
        ArgumentError: there is no such rule or checkpoint, it is damaged, it holds no trained rule,
            or a later version of tfmeta has made the run; or a setting is unknown or out of range.
    """
    names = shipped.names()
    if isinstance(path, str) and path in names:
        return LearnedOptimizer(shipped.load(path), learning_rate, **{"name": path, **settings})
    if isinstance(path, str) and Path(path).name == path and not os.path.exists(path):
        raise ArgumentError(
            "path",
            path,
            f"neither a trained rule of tfmeta's nor a file or folder is there; give "
            f"{' or '.join(names)}, or the output folder of tools/train_optimizer.py.",
        )
    return LearnedOptimizer(_trained_rule(Path(path)), learning_rate, **settings)


def ship(name: str, run: str | Path) -> Path:
    """Makes the rule that a run has trained part of tfmeta, for developers in a checkout.

        python -c 'from tfmeta.keras_optimizer.load import ship; ship("lstm", "runs/lstm")'

    Args:
        name: by which `load_optimizer` finds it; the flagfile of that name made the run.
        run: the output folder, whose best checkpoint is taken.

    Returns:
        The file that was written.

    Raises:
        ArgumentError: there is no such run, or it holds no trained rule.
    """
    return shipped.save(name, _trained_rule(Path(run)), RunFolder(run).read_flags())


def _trained_rule(path: Path) -> GradientRule:
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
    return rule
