"""Meta-trains an optimizer on optimisation problems, and shows how it does on unseen ones.

    python tools/train_optimizer.py --flagfile=lstm_quadratic
    horovodrun -np 2 python tools/train_optimizer.py --flagfile=hierarchical_rnn_gru

Under horovodrun the problems of every meta-iteration are split over the ranks. The last line on
standard output is one JSON object with the results; the output folder keeps checkpoints, metrics
and the flags.
"""

import json

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.launch import launched_rank
from tfmeta.tools import optimizees, options, outer_loop, program, rules

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(options)
flags.adopt_module_key_flags(optimizees)
flags.adopt_module_key_flags(outer_loop)
rules.define("lstm", ["lstm", "hierarchical_rnn"])

_NAMES = (
    *options.NAMES,
    *optimizees.NAMES,
    *outer_loop.NAMES,
    *rules.NAMES,
    *("problem_steps", "unroll", "unroll_lengths", "meta_iterations", "meta_loss"),
    *("random_scaling", "validation_problem", "validation_problems", "target_accuracy", "xla"),
)
program.define_count("problem_steps", 100, 1, "Steps of a problem's training.")
program.define_count("unroll", 20, 1, "Steps between two updates of the rule.")
flags.DEFINE_enum(
    "unroll_lengths",
    "fixed",
    ["fixed", "random"],
    "Unrolls of --unroll steps, or (Wichrowska) 1 + Exp(40) unrolls of 50 + Exp(200) steps each.",
)
program.define_count("meta_iterations", 1000, 1, "Trainings of a batch of problems, in all.")
flags.DEFINE_enum(
    "meta_loss",
    "sum",
    ["sum", "log_ratio"],
    "The sum of the losses over an unroll (Andrychowicz), or the mean log ratio to the first "
    "(Wichrowska).",
)
program.define_positive(
    "random_scaling",
    None,
    "Train on problems whose coordinates are scaled by factors log-uniform in "
    "[exp(-x), exp(x)], with this x.",
)
flags.DEFINE_list(
    "validation_problem",
    None,
    "Names of problem types to validate on. Default: those of --problem.",
)
program.define_positive(
    "target_accuracy",
    None,
    "Report when the accuracy, in per cent, on validation problems was this in three validations "
    "in a row, and keep the parameters of the highest, not those of the lowest log ratio.",
)
program.define_count("validation_problems", 50, 2, "Problems of each family in a validation.")
flags.DEFINE_bool("xla", False, "Compile the unrolls with XLA: for small problems.")


def main() -> None:
    folder = outer_loop.folder(_NAMES, {"validation_problems"}, length="meta_iterations")
    options.check_ranks("meta_batch", "validation_problems")
    if FLAGS.xla and FLAGS.unroll_lengths == "random":
        raise ArgumentError(
            "xla", True, "it needs unrolls of one length; leave out --unroll_lengths=random."
        )
    with program.libraries_loading():
        from tfmeta import distributed

        # It comes first: the images of problems go to the devices that this rank is given.
        distributed.init()
        lengths = _lengths()
        families = optimizees.families("train", random_scaling=FLAGS.random_scaling)
        validated = "problem" if FLAGS.validation_problem is None else "validation_problem"
        validation = optimizees.families("validation", validated)
    if FLAGS.target_accuracy and not any(family.metric for family in validation):
        raise ArgumentError(
            "target_accuracy",
            FLAGS.target_accuracy,
            f"no problem of --{validated} has an accuracy; leave it out.",
        )
    if launched_rank() == 0:
        folder.claim(FLAGS.resume)

    with program.libraries_loading():
        from tfmeta import checkpoints
        from tfmeta.learners.optimizer_learner import OptimizerLearner
        from tfmeta.trainers.optimizer import OptimizerTrainer, reached
        from tfmeta.training import train

    learner = OptimizerLearner(
        rules.rule(),
        FLAGS.meta_loss,
        first_order=FLAGS.first_order,
        in_graph=FLAGS.update_rule == "lstm",
        xla=FLAGS.xla,
    )
    updates = sum(len(lengths(step).steps) for step in range(FLAGS.meta_iterations))
    learner.compile(outer_loop.optimizer(updates))
    main_rank = distributed.is_main()
    if main_rank:
        folder.write_flags(options.lines(_NAMES))
        print(f"{distributed.size()} rank(s), output in {folder.path}", flush=True)
    trainer = OptimizerTrainer(
        learner,
        families,
        validation,
        lengths,
        meta_batch=FLAGS.meta_batch,
        validation_problems=FLAGS.validation_problems,
        validation_steps=FLAGS.problem_steps,
        by_accuracy=FLAGS.target_accuracy is not None,
        seed=FLAGS.seed,
    )
    training = train(
        trainer,
        folder,
        steps=FLAGS.meta_iterations,
        validate_every=FLAGS.validate_every,
        resume=FLAGS.resume,
    )
    if main_rank:
        checkpoints.restore(learner, checkpoints.Checkpoints(folder.checkpoints).best)
    distributed.broadcast(learner.variables)
    validation = trainer.validate()
    if not main_rank:
        return
    results = {
        "meta_iterations": FLAGS.meta_iterations,
        "ranks": distributed.size(),
        "seconds": training.seconds,
        "problems_per_second": training.tasks_per_second,
        **validation,
    }
    if FLAGS.target_accuracy:
        results["reached"] = reached(training.rows, FLAGS.target_accuracy)
    folder.write_results(results)
    print(
        f"log of the loss after {FLAGS.problem_steps} steps over the first one: "
        f"{validation['log_ratio']:.3f} +- {validation['ci95']:.3f} on unseen problems"
    )
    print(json.dumps(results), flush=True)


def _lengths():
    from tfmeta.learners.unroll_lengths import FixedUnrolls, RandomUnrolls

    if FLAGS.unroll_lengths == "random":
        return RandomUnrolls(seed=FLAGS.seed)
    return FixedUnrolls(FLAGS.problem_steps, FLAGS.unroll)


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
