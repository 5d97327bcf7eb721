"""Compares a trained optimizer with tuned hand-made ones, on problems that it has never seen.

    python tools/evaluate_optimizer.py --output_dir=runs/lstm
    python tools/evaluate_optimizer.py --output_dir=runs/lstm --problem_steps=200

Gradient descent, momentum, RMSProp and Adam are tuned by grid, for each family on training
problems of its own. Flags that are not given are those of the run. The results are written to
`optimizers.json` in the folder of the run, the curves drawn in `optimizers.png`, and the results
are the last line on standard output too, one JSON object:

    families: by name of the family and of the optimizer ("learned", "gradient_descent",
        "momentum", "rmsprop", "adam"), on the unseen problems after the last step:
        final_loss, ci95: the mean of the loss on all training data, and its 95 % interval
        median, mean_log10, mean_log10_ci95: of the same; losses below 1e-12 count as 1e-12
        diverged: on how many problems it is not finite
        held_out_loss, held_out_loss_ci95: the mean on held-out data, where the problems have any
        accuracy, accuracy_ci95: likewise, a share of 1
        numbers, at_end: of the hand-made ones, what was found by tuning, and which numbers have
            none beyond them
        best_hand_made, paired_log10, paired_ci95: of the learned one, the hand-made one with the
            lowest mean_log10, and the mean of the difference of log10 to it, below 0 where the
            learned one is better
"""

import json
import time

import numpy as np
from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.run_folder import RunFolder, write_whole
from tfmeta.tools import optimizees, options, program

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(options)
flags.adopt_module_key_flags(optimizees)
program.define_count("problem_steps", None, 1, "Steps of a problem's training.")
program.define_count("test_problems", 100, 2, "Unseen problems of each family.")
program.define_count("tuning_problems", 200, 1, "Problems of each family to tune on.")

_ADOPTED = (*options.NAMES, *optimizees.NAMES, "problem_steps")
_POINTS_OF_A_CURVE = 200  # more than these would not show


def main() -> None:
    if FLAGS.output_dir is None:
        raise ArgumentError("output_dir", None, "give the output folder of a training run.")
    folder = RunFolder(FLAGS.output_dir)
    stored = folder.read_flags()
    if not any(line.startswith("--problem_steps=") for line in stored):
        raise ArgumentError(
            "output_dir", folder.path, "holds no run of train_optimizer.py; give one that does."
        )
    options.adopt(stored, _ADOPTED, changeable=_ADOPTED)
    options.check_ranks("test_problems", "tuning_problems")

    with program.libraries_loading():
        from tfmeta import checkpoints, distributed, optimizer_report

        distributed.init()
    rule = checkpoints.load(checkpoints.Checkpoints(folder.checkpoints).best).rule
    families = zip(optimizees.families("train"), optimizees.families("test"), strict=True)
    started = time.monotonic()
    results, curves, metrics = {}, {}, {}
    for training, test in families:
        results[test.name], curves[test.name] = _compare(rule, training, test)
        metrics[test.name] = test.metric
        if distributed.is_main():
            print(_sentence(test.name, results[test.name]), flush=True)
    if not distributed.is_main():
        return
    whole = {
        "rule": type(rule).__name__,
        "problem_steps": FLAGS.problem_steps,
        "test_problems": FLAGS.test_problems,
        "tuning_problems": FLAGS.tuning_problems,
        "ranks": distributed.size(),
        "seconds": time.monotonic() - started,
        "families": results,
    }
    write_whole(folder.path / "optimizers.json", json.dumps(whole, indent=2) + "\n")
    optimizer_report.draw(
        folder.path / "optimizers.png",
        curves,
        metrics,
        f"{type(rule).__name__} against tuned optimizers on {FLAGS.test_problems} unseen problems",
    )
    print(json.dumps(whole), flush=True)


def _compare(rule, training, test):
    """Results and curves of the learned rule and of the tuned ones, by name."""
    from tfmeta.minimisation import Minimiser
    from tfmeta.tuning import HAND_MADE, tune

    steps = FLAGS.problem_steps
    rules, tuned = {"learned": rule}, {}
    for name, (kind, _) in HAND_MADE.items():
        tuned[name] = tune(name, training, steps, FLAGS.tuning_problems)
        rules[name] = kind(**tuned[name].numbers)
    every = max(1, steps // _POINTS_OF_A_CURVE)
    curves = {
        name: Minimiser(rule, test, steps, every)(FLAGS.test_problems)
        for name, rule in rules.items()
    }
    results = {name: _measures(curves[name], test.metric) for name in curves}
    for name, found in tuned.items():
        results[name] |= {"numbers": found.numbers, "at_end": found.at_end}
    results["learned"] |= _paired(curves, results)
    return results, curves


def _measures(run, metric):
    from tfmeta.evaluation import interval95
    from tfmeta.tuning import log10_loss

    final, logarithms = run.losses[:, -1], log10_loss(run.losses[:, -1])
    measures = {
        "final_loss": float(final.mean()),
        "ci95": float(interval95(final)),
        "median": float(np.median(final)),
        "mean_log10": float(logarithms.mean()),
        "mean_log10_ci95": float(interval95(logarithms)),
        "diverged": int(np.sum(~np.isfinite(final))),
    }
    if metric:
        for name, values in (("held_out_loss", run.held_out), (metric, run.scores)):
            measures[name] = float(values[:, -1].mean())
            measures[f"{name}_ci95"] = float(interval95(values[:, -1]))
    return measures


def _paired(curves, results):
    from tfmeta.evaluation import interval95
    from tfmeta.tuning import HAND_MADE, log10_loss

    best = min(HAND_MADE, key=lambda name: results[name]["mean_log10"])
    learned, other = (log10_loss(curves[name].losses[:, -1]) for name in ("learned", best))
    return {
        "best_hand_made": best,
        "paired_log10": float((learned - other).mean()),
        "paired_ci95": float(interval95(learned - other)),
    }


def _sentence(family, results):
    learned = results["learned"]
    return (
        f"{family}: log10 of the loss after {FLAGS.problem_steps} steps "
        f"{learned['mean_log10']:.3f} +- {learned['mean_log10_ci95']:.3f}, less that of "
        f"{learned['best_hand_made']} {learned['paired_log10']:.3f} +- "
        f"{learned['paired_ci95']:.3f} (95 % intervals)"
    )


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
