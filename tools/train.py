"""Meta-trains a learner, evaluates it on classes never seen in training, and reports.

    python tools/train.py --flagfile=quickstart --output_dir=runs/first
    horovodrun -np 2 python tools/train.py --flagfile=omniglot_5w1s

Under horovodrun every meta-batch is split over the ranks. The last line on standard output is one
JSON object with the results; the output folder keeps checkpoints, metrics, the flags and a
picture.
"""

import json

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.launch import launched_rank
from tfmeta.tools import clusters, options, outer_loop, program, rules

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(options)
flags.adopt_module_key_flags(outer_loop)
clusters.define_few_shot()
rules.define(
    "gradient_descent",
    ["gradient_descent", "meta_sgd", "layer_rates", "gauss_newton", "lstm", "hierarchical_rnn"],
)

_NAMES = (
    *options.NAMES,
    *outer_loop.NAMES,
    *rules.NAMES,
    *clusters.FEW_SHOT_NAMES,
    *(
        "inner_learning_rate",
        "inner_steps",
        "filters",
        "hidden",
        "max_pool",
        "batch_norm",
        "dtype_policy",
    ),
    *("stacked", "steps", "validation_episodes"),
)
program.define_positive(
    "inner_learning_rate",
    0.4,
    "Rate of the inner gradient descent, the first one of learned rates.",
)
program.define_count("inner_steps", 1, 1, "Inner steps in training.")
program.define_count("filters", 64, 1, "Filters of each convolution.")
program.define_count("hidden", 40, 1, "Units of each of the two hidden layers, in regression.")
flags.DEFINE_bool("max_pool", False, "Halve images by max-pooling (mini-ImageNet), not by strides.")
flags.DEFINE_enum(
    "batch_norm",
    "transductive",
    ["transductive", "running"],
    "Batch normalization by the statistics of the batch at hand, always, or by running averages "
    "in evaluation.",
)
flags.DEFINE_enum(
    "dtype_policy", "float32", ["float32", "mixed_bfloat16", "float64"], "Keras's dtype policy."
)
flags.DEFINE_bool("stacked", False, "Run all tasks of a rank as one: for small dense networks.")
program.define_count("steps", 1000, 1, "Outer steps in all.")
program.define_count("validation_episodes", 200, 2, "Tasks of a validation.")


def main() -> None:
    folder = outer_loop.folder(_NAMES, {"episodes", "validation_episodes"}, length="steps")
    options.check_ranks("meta_batch", "episodes", "validation_episodes", "cluster_pool")
    clusters.check_few_shot()
    if FLAGS.update_rule == "gauss_newton" and FLAGS.dataset not in options.REGRESSION:
        raise ArgumentError(
            "update_rule",
            "gauss_newton",
            "its steps are those of the squared error; give --dataset=sinusoid or six_families, or "
            "another rule.",
        )
    with program.libraries_loading():
        data = options.Data()
    if launched_rank() == 0:
        folder.claim(FLAGS.resume)

    with program.libraries_loading():
        import keras

        from tfmeta import distributed
        from tfmeta.evaluation.few_shot import evaluate, examples
        from tfmeta.reports import clusters as cluster_report
        from tfmeta.reports import run as report
        from tfmeta.training import checkpoints
        from tfmeta.training.loop import train

        distributed.init(cycle_milliseconds=5)
    _, source = data.source("train")
    _, validation = data.source("validation", "test")
    tested_on, test = data.source("test", "validation")
    keras.config.set_dtype_policy(FLAGS.dtype_policy)
    learner = clusters.learner(
        _model(data),
        inner_learning_rate=FLAGS.inner_learning_rate,
        inner_steps=FLAGS.inner_steps,
        first_order=FLAGS.first_order,
        test_inner_steps=FLAGS.test_inner_steps,
        stacked=FLAGS.stacked,
        update_rule=rules.rule(FLAGS.inner_learning_rate, FLAGS.inner_steps),
    )
    _compile(learner)
    main_rank = distributed.is_main()
    if main_rank:
        folder.write_flags(options.lines(_NAMES))
        print(f"{distributed.size()} rank(s), output in {folder.path}", flush=True)
    training = train(
        clusters.trainer(learner, source, validation, FLAGS.meta_batch, FLAGS.validation_episodes),
        folder,
        steps=FLAGS.steps,
        validate_every=FLAGS.validate_every,
        resume=FLAGS.resume,
    )
    if main_rank:
        checkpoints.restore(learner, checkpoints.Checkpoints(folder.checkpoints).best)
    distributed.broadcast(learner.variables)
    evaluation = evaluate(learner, test, FLAGS.episodes, learner.test_inner_steps)
    found = clusters.found(learner, test)
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
    report.draw(
        folder.report,
        training.rows,
        evaluation.results(),
        None if FLAGS.dataset == options.SIX_FAMILIES else examples(learner, test),
        title=f"MAML on {FLAGS.dataset}",
    )
    if found:
        cluster_report.draw(folder.clusters, found, f"Clusters of {FLAGS.dataset}")
    print(f"{evaluation.sentence()}, on {FLAGS.episodes} {tested_on} tasks")
    print(json.dumps(results), flush=True)


def _model(data: options.Data):
    from tfmeta.models import conv4, mlp

    if FLAGS.dataset == options.SINUSOID:
        return mlp((1,), 1, hidden=(FLAGS.hidden,) * 2, seed=FLAGS.seed)
    if FLAGS.dataset == options.SIX_FAMILIES:
        return mlp((2,), 1, hidden=(FLAGS.hidden,) * 2, seed=FLAGS.seed)
    return conv4(
        data.image_shape,
        FLAGS.ways,
        filters=FLAGS.filters,
        max_pool=FLAGS.max_pool,
        batch_norm=FLAGS.batch_norm,
        seed=FLAGS.seed,
    )


def _compile(learner) -> None:
    import keras

    optimizer = outer_loop.optimizer(FLAGS.steps)
    if FLAGS.dataset in options.REGRESSION:
        learner.compile(optimizer, loss="mse")
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        learner.compile(optimizer, loss=loss, metrics=["accuracy"])


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
