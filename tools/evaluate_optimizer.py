"""Compares a trained optimizer with tuned hand-designed ones, on problems that it has never seen.

    python tools/evaluate_optimizer.py --output_dir=runs/lstm
    horovodrun -np 2 python tools/evaluate_optimizer.py --output_dir=runs/lstm --problem_steps=200

Gradient descent, momentum, Nesterov's momentum, RMSProp, Adam and AdamW, each at a constant rate
and at one that falls to zero along a cosine, are tuned for each family on training problems: by
`--trials` trials of each, one half drawn from wide ranges and the other around the best so far.
The best of the twelve on these problems is what the learned optimizer is judged against: it wins a
family where the interval of the mean difference in log10 of the final loss, unseen problem by
unseen problem, lies below zero.

Flags that are not given are those of the run. `--problem_steps` takes several numbers, such as
100,200,1000, each with a tuning of its own. What was tuned is kept in `rivals.json` in the folder
of the run, or in the file that `--rivals` names, and is taken from there when the same is asked for
again. The folder gets `optimizers.json` and, with the curves, `optimizers_STEPS.png`. The last line
on standard output is the same JSON object. In it `after` has, by number of steps, `families` and
`types`. A family has, by name of the optimizer (`learned`, `gradient_descent`,
`gradient_descent_cosine`, `momentum` and so on), how the unseen problems ended:

    final_loss, ci95            mean of the loss on all training data, and its 95 % interval
    median                      of the same
    mean_log10, mean_log10_ci95 mean of its log10, where losses below 1e-12 count as 1e-12
    diverged                    on how many problems it is not finite: means are then null
    held_out_loss, accuracy     means on held-out data, the latter in per cent, where the problems
                                have any; each with its interval, held_out_loss_ci95 and so on
    numbers, at_end             of the tuned ones: the numbers found, and which of them lie in the
                                first or last twentieth of their range
    tuning_log10                of the tuned ones: mean_log10 on the problems they were tuned on
    best_hand_made              of `learned`: the optimizer with the least tuning_log10,
    paired_log10, paired_ci95   the mean difference of log10 to it, problem by problem,
    paired_problems             over how many: those on which best_hand_made did not diverge
    verdict                     win, loss (also where `learned` diverged), or neither

The last four are also what each type of problems has, over the problems of all its families.
"""

import json
import time
from pathlib import Path

from absl import flags

from tfmeta.files import check_writable, write_whole
from tfmeta.tools import program
from tfmeta.tools.options import data, problems, runs

FLAGS = flags.FLAGS
for _options in (runs, data, problems):
    flags.adopt_module_key_flags(_options)
program.define_counts("problem_steps", None, "Steps of a problem's training; one or several.")
program.define_count("test_problems", 100, 2, "Unseen problems of each family.")
program.define_count("tuning_problems", 32, 1, "Problems of each family to tune on.")
program.define_count("trials", 100, 1, "Trials of each hand-designed optimizer.")
flags.DEFINE_string(
    "rivals", None, "File of the tuned numbers. Default: rivals.json in --output_dir."
)

_ADOPTED = (*runs.NAMES, *data.NAMES, *problems.NAMES, "problem_steps")


def main() -> None:
    folder = runs.folder()
    runs.adopt(folder.read_flags(), _ADOPTED, changeable=_ADOPTED)
    runs.check_ranks("test_problems", "tuning_problems")
    problems.check("problem")

    from tfmeta import distributed
    from tfmeta.evaluation.tuned_numbers import TunedNumbers
    from tfmeta.training import checkpoints

    distributed.init()
    distributed.on_main(lambda: check_writable("output_dir", folder.path))
    rule = checkpoints.load(checkpoints.Checkpoints(folder.checkpoints).best).rule
    families = list(zip(problems.families("train"), problems.families("test"), strict=True))
    tuned = TunedNumbers(Path(FLAGS.rivals or folder.path / "rivals.json"))
    started = time.monotonic()
    comparisons = {steps: _compared(rule, families, steps, tuned) for steps in FLAGS.problem_steps}
    if distributed.is_main():
        _report(folder.path, type(rule).__name__, comparisons, time.monotonic() - started)


def _compared(rule, families, steps, tuned):
    """The comparisons of all families after so many steps."""
    from tfmeta import distributed
    from tfmeta.evaluation.comparison import compare, sentences_of_types
    from tfmeta.evaluation.tuning import tune

    def say(sentence):
        if distributed.is_main():
            print(f"{steps} steps, {sentence}", flush=True)

    comparisons = []
    for training, test in families:
        settings = {
            "family": training.name,
            "seed": training.seed,
            "problem_steps": steps,
            "tuning_problems": FLAGS.tuning_problems,
            "trials": FLAGS.trials,
        }
        if "image" in training.name:
            settings["images"] = runs.lines(data.NAMES)
        found = tuned.get(
            settings,
            lambda training=training: tune(training, steps, FLAGS.tuning_problems, FLAGS.trials),
        )
        program.keep(f"the numbers tuned so far are in {tuned.path}")
        comparisons.append(compare(rule, test, steps, FLAGS.test_problems, found))
        say(comparisons[-1].sentence())
    for sentence in sentences_of_types(comparisons):
        say(sentence)
    return comparisons


def _report(path, rule, comparisons, seconds):
    """Writes the files and the last line."""
    from tfmeta import distributed
    from tfmeta.evaluation.comparison import of_types
    from tfmeta.reports import optimizers as optimizer_report

    results = {
        "rule": rule,
        "problem_steps": FLAGS.problem_steps,
        "test_problems": FLAGS.test_problems,
        "tuning_problems": FLAGS.tuning_problems,
        "trials": FLAGS.trials,
        "ranks": distributed.size(),
        "seconds": seconds,
        "after": {
            str(steps): {
                "families": {comparison.family: comparison.results() for comparison in compared},
                "types": of_types(compared),
            }
            for steps, compared in comparisons.items()
        },
    }
    write_whole(path / "optimizers.json", json.dumps(results, indent=2) + "\n")
    for steps, compared in comparisons.items():
        title = f"{rule} and tuned optimizers, {steps} steps, {FLAGS.test_problems} unseen problems"
        optimizer_report.draw(path / f"optimizers_{steps}.png", compared, title)
    print(json.dumps(results), flush=True)


def run() -> None:
    program.start(main, onednn=True)


if __name__ == "__main__":
    run()
