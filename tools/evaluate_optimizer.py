"""Compares a trained optimizer with tuned hand-designed ones, on problems that it has never seen.

    python tools/evaluate_optimizer.py --output_dir=runs/lstm
    horovodrun -np 2 python tools/evaluate_optimizer.py --output_dir=runs/lstm --problem_steps=200

Gradient descent, momentum, RMSProp and Adam are tuned by grid for each family, on training
problems: about 150 points, each a training of `--tuning_problems` problems. Where all problems
share their data, as networks on images do, 20 will do. Flags that are not given are those of the
run. The folder of the run gets `optimizers.json` and, with the curves, `optimizers.png`. The last
line on standard output is the same JSON object; in it `families` has, by name of the family and
then of the optimizer (`learned`, `gradient_descent`, `momentum`, `rmsprop`, `adam`), how the unseen
problems ended:

    final_loss, ci95            mean of the loss on all training data, and its 95 % interval
    median                      of the same
    mean_log10, mean_log10_ci95 mean of its log10, where losses below 1e-12 count as 1e-12
    diverged                    on how many problems it is not finite: means are then null
    held_out_loss, accuracy     means on held-out data, the latter in per cent, where the problems
                                have any; each with its interval, held_out_loss_ci95 and so on
    numbers, at_end             of the tuned ones: the numbers found, and which of them are the
                                first or last that was allowed
    best_hand_made              of `learned`: the hand-designed optimizer with the least mean_log10,
    paired_log10, paired_ci95   and the mean difference of log10 to it, problem by problem
"""

import json
import time

from absl import flags

from tfmeta.files import write_whole
from tfmeta.tools import program
from tfmeta.tools.options import data, problems, runs

FLAGS = flags.FLAGS
for _options in (runs, data, problems):
    flags.adopt_module_key_flags(_options)
program.define_count("problem_steps", None, 1, "Steps of a problem's training.")
program.define_count("test_problems", 100, 2, "Unseen problems of each family.")
program.define_count("tuning_problems", 200, 1, "Problems of each family to tune on.")

_ADOPTED = (*runs.NAMES, *data.NAMES, *problems.NAMES, "problem_steps")


def main() -> None:
    folder = runs.folder()
    runs.adopt(folder.read_flags(), _ADOPTED, changeable=_ADOPTED)
    runs.check_ranks("test_problems", "tuning_problems")

    from tfmeta import distributed
    from tfmeta.evaluation.comparison import compare
    from tfmeta.reports import optimizers as optimizer_report
    from tfmeta.training import checkpoints

    distributed.init()
    rule = checkpoints.load(checkpoints.Checkpoints(folder.checkpoints).best).rule
    families = zip(problems.families("train"), problems.families("test"), strict=True)
    main_rank = distributed.is_main()
    started = time.monotonic()
    comparisons = []
    for training, test in families:
        comparison = compare(
            rule, training, test, FLAGS.problem_steps, FLAGS.tuning_problems, FLAGS.test_problems
        )
        comparisons.append(comparison)
        if main_rank:
            print(comparison.sentence(), flush=True)
    if not main_rank:
        return
    results = {
        "rule": type(rule).__name__,
        "problem_steps": FLAGS.problem_steps,
        "test_problems": FLAGS.test_problems,
        "tuning_problems": FLAGS.tuning_problems,
        "ranks": distributed.size(),
        "seconds": time.monotonic() - started,
        "families": {comparison.family: comparison.results() for comparison in comparisons},
    }
    write_whole(folder.path / "optimizers.json", json.dumps(results, indent=2) + "\n")
    title = f"{results['rule']} and tuned optimizers on {FLAGS.test_problems} unseen problems"
    optimizer_report.draw(folder.path / "optimizers.png", comparisons, title)
    print(json.dumps(results), flush=True)


def run() -> None:
    program.start(main, onednn=True)


if __name__ == "__main__":
    run()
