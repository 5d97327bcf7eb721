"""Meta-trains a learner, evaluates it on classes never seen in training, and reports.

    python tools/train.py --flagfile=quickstart --output_dir=runs/first
    horovodrun -np 2 python tools/train.py --flagfile=omniglot_5w1s

Under horovodrun every meta-batch is split over the ranks. The last line on standard output is one
JSON object with the results; the output folder keeps checkpoints, metrics, the flags and a
picture.
"""

import warnings

from absl import flags

from tfmeta.environment.launch import launched_rank
from tfmeta.errors import DataWarning
from tfmeta.tools import program
from tfmeta.tools.options import clusters, data, learner, network, outer_loop, rules, runs, tasks
from tfmeta.training.run_folder import as_json

FLAGS = flags.FLAGS
clusters.define_few_shot()
for _options in (runs, data, tasks, network, outer_loop, learner, rules, clusters):
    flags.adopt_module_key_flags(_options)
program.define_count("steps", 1000, 1, "Outer steps in all.")
program.define_count("validation_episodes", 200, 2, "Tasks of a validation.")

_NAMES = (
    *(*runs.NAMES, *data.NAMES, *tasks.NAMES, *network.NAMES, *outer_loop.NAMES),
    *(*learner.NAMES, *clusters.FEW_SHOT_NAMES, "steps", "validation_episodes"),
)
# Those of the flagfile photos that were measured, and the size of data that they were measured on.
_MEASURED = ("image_size", "filters", "max_pool", "inner_learning_rate", "inner_steps")
_FEW = 500
# What ends the sentence that says how long the training will take.
_SHORTER = (
    "; for less, lower --steps, --meta_batch, --image_size, --filters or --inner_steps, give "
    "--first_order, or start a rank for each core or GPU."
)


def main() -> None:
    folder = outer_loop.folder(_NAMES, {"episodes", "validation_episodes"}, length="steps")
    runs.check_ranks("meta_batch", "episodes", "validation_episodes", "cluster_pool")
    clusters.check_few_shot(FLAGS.steps)
    given = tasks.Tasks()
    _tell_of_settings(given.sets)
    if launched_rank() == 0:
        folder.claim(FLAGS.resume)

    from tfmeta import distributed
    from tfmeta.evaluation.few_shot import evaluate
    from tfmeta.training import checkpoints
    from tfmeta.training.loop import train

    distributed.init(cycle_milliseconds=5)
    (_, source), (_, validation), (tested_on, test) = given.sources(
        ["train"], ["validation", "test"], ["test", "validation"]
    )
    trained = learner.learner(source.spec, outer_loop.optimizer(FLAGS.steps))
    main_rank = distributed.is_main()
    outer_loop.begin(folder, _NAMES)
    training = train(
        clusters.trainer(trained, source, validation, FLAGS.meta_batch, FLAGS.validation_episodes),
        folder,
        steps=FLAGS.steps,
        validate_every=FLAGS.validate_every,
        resume=FLAGS.resume,
        shorter=_SHORTER,
    )
    if main_rank:
        checkpoints.restore(trained, checkpoints.Checkpoints(folder.checkpoints).best)
    distributed.broadcast(trained.variables)
    evaluation = evaluate(trained, test, FLAGS.episodes, trained.test_inner_steps)
    found = clusters.found(trained, test)
    if not main_rank:
        return
    results = {
        "steps": FLAGS.steps,
        "ranks": distributed.size(),
        "seconds": training.seconds,
        "tasks_per_second": training.tasks_per_second,
        "tested_on": tested_on,
        "batch_norm": FLAGS.batch_norm,
        **evaluation.results(),
        **(found.results() if found else {}),
    }
    folder.write_results(results)
    _draw(folder, trained, test, training.rows, evaluation, found)
    print(f"{evaluation.sentence()}, on {FLAGS.episodes} {tested_on} tasks")
    print(as_json(results), flush=True)


def _tell_of_settings(sets) -> None:
    """Names the flagfile for few photos, where those are trained on with no settings chosen."""
    chosen = any(FLAGS[name].value != FLAGS[name].default for name in _MEASURED)
    trained_on = [parts["train"] for parts in sets if "train" in parts]
    few = any(c.image_shape[2] == 3 and c.counts.sum() < _FEW for c in trained_on)
    if few and not chosen:
        warnings.warn(
            f"Training has fewer than {_FEW} photos: --flagfile=photos has settings for so few.",
            DataWarning,
            stacklevel=2,
        )


def _draw(folder, trained, test, rows, evaluation, found) -> None:
    from tfmeta.evaluation.few_shot import examples
    from tfmeta.reports import clusters as cluster_report
    from tfmeta.reports import run as report

    # A few tasks are shown where there are pictures of them: images, or functions of one number.
    shown = tuple(test.spec.x.shape) == (1,) or len(test.spec.x.shape) > 1
    report.draw(
        folder.report,
        rows,
        evaluation.results(),
        examples(trained, test) if shown else None,
        title=f"{type(trained).__name__} on {FLAGS.dataset}",
    )
    if found:
        cluster_report.draw(folder.clusters, found, f"Clusters of {FLAGS.dataset}")


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
