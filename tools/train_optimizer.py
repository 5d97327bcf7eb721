"""Meta-trains an optimizer on optimization problems, and shows how it does on unseen ones.

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
from tfmeta.tools import clusters, optimizees, options, outer_loop, program, rules

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(options)
flags.adopt_module_key_flags(optimizees)
flags.adopt_module_key_flags(outer_loop)
rules.define("lstm", ["lstm", "hierarchical_rnn"])
clusters.define()

_NAMES = (
    *options.NAMES,
    *optimizees.NAMES,
    *outer_loop.NAMES,
    *rules.NAMES,
    *clusters.NAMES,
    *("cluster_groups", "within_cluster", "stacked_clusters", "parallel_batches"),
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
flags.DEFINE_enum(
    "cluster_groups",
    "split",
    ["split", "whole"],
    "With --clustering: whether a cluster that costs more than a rank's share is split.",
)
flags.DEFINE_enum(
    "within_cluster",
    "accumulate",
    ["accumulate", "update"],
    "With --clustering: one update by the gradients of all problems of all clusters, or a copy of "
    "the rule for each cluster, updated problem by problem, and the changes averaged.",
)
flags.DEFINE_bool(
    "stacked_clusters", True, "Whether like problems run as one, rather than one after the other."
)
program.define_count(
    "parallel_batches", 1, 1, "Batches of data in a step, whose gradients are averaged."
)


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
        # An unroll of clusters takes tenths of a second.
        distributed.init(cycle_milliseconds=1 if FLAGS.clustering == "none" else 5)
        lengths = _lengths()
        families = optimizees.families("train", random_scaling=FLAGS.random_scaling)
        validated = "problem" if FLAGS.validation_problem is None else "validation_problem"
        validation = optimizees.families("validation", validated)
        families = [_with_batches(family) for family in families]
    if FLAGS.clustering != "none" and FLAGS.meta_batch % len(families):
        raise ArgumentError(
            "meta_batch",
            FLAGS.meta_batch,
            f"clusters take as many problems of each of the {len(families)} families; give a "
            f"multiple of {len(families)}.",
        )
    if FLAGS.target_accuracy and not any(family.metric for family in validation):
        raise ArgumentError(
            "target_accuracy",
            FLAGS.target_accuracy,
            f"no problem of --{validated} has an accuracy; leave it out.",
        )
    with program.libraries_loading():
        from tfmeta.learners.optimizer import OptimizerLearner
        from tfmeta.learners.truncated_training import one_for_each
        from tfmeta.training import checkpoints
        from tfmeta.training.loop import train
        from tfmeta.training.optimizers import OptimizerTrainer, reached

    learner = OptimizerLearner(
        rules.rule(),
        FLAGS.meta_loss,
        first_order=FLAGS.first_order,
        vectorized=FLAGS.stacked_clusters,
        in_graph=FLAGS.update_rule == "lstm",
        xla=FLAGS.xla,
    )
    updates = sum(len(lengths(step).steps) for step in range(FLAGS.meta_iterations))
    learner.compile(outer_loop.optimizer(updates))
    if FLAGS.clustering == "none":
        clustered, trainings = None, one_for_each(learner, families, FLAGS.meta_batch)
    else:
        clustered = _clustered(learner, families)
        trainings = [clustered]
    if launched_rank() == 0:
        folder.claim(FLAGS.resume)
    main_rank = distributed.is_main()
    if main_rank:
        folder.write_flags(options.lines(_NAMES))
        print(f"{distributed.size()} rank(s), output in {folder.path}", flush=True)
    trainer = OptimizerTrainer(
        learner,
        trainings,
        validation,
        lengths,
        meta_batch=FLAGS.meta_batch,
        validation_problems=FLAGS.validation_problems,
        validation_steps=FLAGS.problem_steps,
        by_accuracy=FLAGS.target_accuracy is not None,
        seed=FLAGS.seed,
        cluster_anew=lambda: clustered.set_clusters(_clusters(learner, families)),
        refresh=FLAGS.refresh_clusters,
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
    if clustered is not None:
        results |= _of_clusters(clustered)
    folder.write_results(results)
    if clustered is not None and clustered.schedule.comparisons:
        from tfmeta.reports import schedule as schedule_report

        names = [family.name for family in families]
        schedule_report.draw(folder.path / "schedule.png", clustered.schedule, names)
    print(
        f"log of the loss after {FLAGS.problem_steps} steps over the first one: "
        f"{validation['log_ratio']:.3f} +- {validation['ci95']:.3f} on unseen problems"
    )
    print(json.dumps(results), flush=True)


def _with_batches(family):
    """The family, each step on so many batches."""
    from tfmeta.problems.parallel_batches import ParallelBatches

    if FLAGS.parallel_batches == 1:
        return family
    return ParallelBatches(family, FLAGS.parallel_batches, FLAGS.stacked_clusters)


def _clustered(learner, families):
    """The training of all families in clusters."""
    from tfmeta.registry import CLUSTER_UPDATES
    from tfmeta.scheduling.balance import BalancedSchedule

    clusters = _clusters(learner, families)
    problems = FLAGS.meta_batch // len(families)
    try:
        schedule = BalancedSchedule(clusters, problems, FLAGS.cluster_groups)
        return CLUSTER_UPDATES[FLAGS.within_cluster](
            learner, families, schedule, FLAGS.average_over, FLAGS.seed
        )
    except ArgumentError as error:
        if error.argument == "groups":
            raise ArgumentError("cluster_groups", FLAGS.cluster_groups, error.problem) from None
        raise


def _clusters(learner, families):
    from tfmeta.training.problem_clusters import cluster

    return cluster(
        families,
        FLAGS.clustering,
        learner,
        FLAGS.num_clusters,
        FLAGS.cluster_algorithm,
        FLAGS.seed,
    )


def _of_clusters(training):
    """What to tell of clusters and of their schedule."""
    from tfmeta.scheduling.schedule import idle_share

    names = [family.name for family in training.families]
    schedule = training.schedule
    comparisons = schedule.comparisons
    return {
        "clusters": {name: load.cluster for name, load in zip(names, schedule.loads, strict=True)},
        "schedule": [
            [[names[part.family], part.start, part.stop] for part in slices]
            for slices in schedule.slices
        ],
        "comparisons": comparisons,
        "idle_share": idle_share(comparisons[-1]["measured"]) if comparisons else None,
    }


def _lengths():
    from tfmeta.scheduling.truncation import FixedUnrolls, RandomUnrolls

    if FLAGS.unroll_lengths == "random":
        return RandomUnrolls(seed=FLAGS.seed)
    return FixedUnrolls(FLAGS.problem_steps, FLAGS.unroll)


def run() -> None:
    program.start(main, onednn=True)


if __name__ == "__main__":
    run()
