"""Meta-trains an optimizer on optimization problems, and validates it on others.

    python tools/train_optimizer.py --flagfile=lstm_quadratic
    horovodrun -np 2 python tools/train_optimizer.py --flagfile=hierarchical_rnn_short

Under horovodrun the problems of every meta-iteration are split over the ranks. The last line on
standard output is one JSON object with the results; the output folder keeps checkpoints, metrics
and the flags.
"""

from pathlib import Path

from absl import flags

from tfmeta.environment.launch import launched_rank
from tfmeta.errors import ArgumentError
from tfmeta.registry import CLUSTER_UPDATES, OPTIMIZERS
from tfmeta.tools import program
from tfmeta.tools.options import clusters, data, outer_loop, problems, rules, runs, unrolls
from tfmeta.training.run_folder import as_json

FLAGS = flags.FLAGS
rules.define(OPTIMIZERS, "lstm")
clusters.define()
for _options in (runs, data, problems, outer_loop, rules, clusters, unrolls):
    flags.adopt_module_key_flags(_options)
program.define_count("steps", 1000, 1, "Outer steps in all: trainings of a batch of problems.")
flags.DEFINE_string(
    "start",
    None,
    "The output folder of a run of the same rule, with whose best parameters training begins. "
    "Default: random ones.",
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

_NAMES = (
    *(*runs.NAMES, *data.NAMES, *problems.NAMES, *outer_loop.NAMES, *rules.NAMES),
    *(*clusters.NAMES, *unrolls.NAMES, "steps", "start", "random_scaling"),
    *("validation_problem", "validation_problems", "target_accuracy"),
)

# Settings of a rule that may be others than in the run that --start names.
_FREE = ("name", "trainable", "dtype", "seed", "first_rates", "first_width")


def main() -> None:
    folder = outer_loop.folder(_NAMES, {"validation_problems", "start"}, length="steps")
    runs.check_ranks("meta_batch", "validation_problems")
    problems.check("problem", "validation_problem")
    unrolls.check()
    clusters.check_refresh(FLAGS.steps)
    rules.check(OPTIMIZERS)
    from tfmeta import distributed

    # It comes first: the images of problems go to the devices that this rank is given.
    # An unroll of clusters takes tenths of a second.
    distributed.init(cycle_milliseconds=5 if clusters.clustered() else 1)
    lengths = unrolls.lengths()
    families = problems.families("train", random_scaling=FLAGS.random_scaling)
    validated = "problem" if FLAGS.validation_problem is None else "validation_problem"
    validation = problems.families("validation", validated)
    families = [unrolls.with_batches(family) for family in families]
    if clusters.clustered() and FLAGS.meta_batch % len(families):
        raise ArgumentError(
            "meta_batch",
            FLAGS.meta_batch,
            f"clusters take as many problems of each of the {len(families)} families; give a "
            f"multiple of {len(families)}.",
        )
    if FLAGS.target_accuracy and FLAGS.target_accuracy > 100:
        raise ArgumentError(
            "target_accuracy", FLAGS.target_accuracy, "give at most 100 (per cent)."
        )
    if FLAGS.target_accuracy and not any(family.metric for family in validation):
        raise ArgumentError(
            "target_accuracy",
            FLAGS.target_accuracy,
            f"no problem of --{validated} has an accuracy; leave it out.",
        )
    from tfmeta.learners.optimizer import OptimizerLearner
    from tfmeta.learners.truncated_training import one_for_each
    from tfmeta.training import checkpoints
    from tfmeta.training.loop import train
    from tfmeta.training.optimizers import OptimizerTrainer, reached

    learner = OptimizerLearner(
        rules.rule(OPTIMIZERS),
        unrolls.meta_loss(),
        first_order=FLAGS.first_order,
        vectorized=FLAGS.stacked,
        in_graph=FLAGS.update_rule == "lstm" and not FLAGS.xla,  # XLA is better off with a loop
        xla=FLAGS.xla,
        estimator=unrolls.estimator(),
        families=len(families) if clusters.clustered() else 0,
    )
    # A checkpoint has its own parameters. But by how often they move in the first clusters goes the
    # outer rate, and these clusters may be those of the rule that training began with.
    kept = FLAGS.resume and checkpoints.Checkpoints(folder.checkpoints).any()
    if FLAGS.start and (not kept or FLAGS.clustering == "gradient"):
        _start(learner.rule)
    try:
        schedule = _schedule(learner, families) if clusters.clustered() else None
        learner.compile(outer_loop.optimizer(_updates(lengths, schedule)))
        clustered = _clustered(learner, families, schedule) if schedule else None
        trainings = [clustered] if clustered else one_for_each(learner, families, FLAGS.meta_batch)
    except ArgumentError as error:
        flag = {"problems": "meta_batch", "groups": "cluster_groups"}.get(error.argument)
        if flag is None:
            raise
        raise ArgumentError(flag, FLAGS[flag].value, error.problem) from None
    if launched_rank() == 0:
        folder.claim(FLAGS.resume)
    main_rank = distributed.is_main()
    outer_loop.begin(folder, _NAMES)
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
        cluster_anew=lambda: trainings[0].set_clusters(_clusters(learner, families)),
        refresh=FLAGS.refresh_clusters,
    )
    training = train(
        trainer,
        folder,
        steps=FLAGS.steps,
        validate_every=FLAGS.validate_every,
        resume=FLAGS.resume,
        shorter="; for less, lower --steps, --meta_batch or --problem_steps.",
    )
    if main_rank:
        checkpoints.restore(learner, checkpoints.Checkpoints(folder.checkpoints).best)
    distributed.broadcast(learner.variables)
    validation = trainer.validate()
    if not main_rank:
        return
    results = {
        "steps": FLAGS.steps,
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
        f"{validation['log_ratio']:.3f} +- {validation['ci95']:.3f} on the validation problems"
    )
    print(as_json(results), flush=True)


def _start(rule):
    """Gives the rule the parameters of the one that --start names."""
    from tfmeta.keras_optimizer.load import load_optimizer

    try:
        trained = load_optimizer(Path(FLAGS.start)).rule
    except ArgumentError as error:
        raise ArgumentError("start", FLAGS.start, error.problem) from error
    own, found = (_settings(one) for one in (rule, trained))
    if own != found:
        others = {name: value for name, value in found.items() if own.get(name) != value}
        said = ", ".join(f"{name}={value}" for name, value in others.items())
        raise ArgumentError(
            "start",
            FLAGS.start,
            f"the rule there was trained with {said}; give the same flags of the update rule.",
        )
    rule.set_weights(trained.get_weights())


def _settings(rule):
    """All that a rule is made with, but for what its parameters have nothing to do with."""
    config = {"rule": type(rule).__name__, **rule.get_config()}
    return {name: value for name, value in config.items() if name not in _FREE}


def _schedule(learner, families):
    """Which rank computes what of the clusters."""
    from tfmeta.scheduling.balance import BalancedSchedule

    problems = FLAGS.meta_batch // len(families)
    learner.clusters.assign(_clusters(learner, families))
    return BalancedSchedule(learner.clusters.numpy(), problems, FLAGS.cluster_groups)


def _updates(lengths, schedule):
    """How often the rule moves in the whole training."""
    unrolls = sum(len(lengths(step).steps) for step in range(FLAGS.steps))
    return unrolls * (CLUSTER_UPDATES[FLAGS.within_cluster].moves(schedule) if schedule else 1)


def _clustered(learner, families, schedule):
    """The training of all families in clusters."""
    return CLUSTER_UPDATES[FLAGS.within_cluster](
        learner, families, schedule, FLAGS.average_over, FLAGS.seed
    )


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


def run() -> None:
    program.start(main, onednn=True)


if __name__ == "__main__":
    run()
