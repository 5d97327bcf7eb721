"""Meta-trains a learner, evaluates it on classes never seen in training, and reports.

    python tools/train.py --flagfile=quickstart --output_dir=runs/first
    horovodrun -np 2 python tools/train.py --flagfile=omniglot_5w1s

Under horovodrun every meta-batch is split over the ranks. The last line on standard output is one
JSON object with the results; the output folder keeps checkpoints, metrics, the flags and a
picture.
"""

import datetime
import json

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.launch import launched_rank
from tfmeta.run_folder import RunFolder
from tfmeta.tools import options, program

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(options)

_NAMES = (
    *options.NAMES,
    *("inner_learning_rate", "inner_steps", "first_order", "filters", "max_pool", "batch_norm"),
    *("dtype_policy", "stacked", "meta_batch", "steps", "outer_learning_rate", "outer_schedule"),
    *("outer_clip", "validate_every", "validation_episodes"),
)
program.define_positive("inner_learning_rate", 0.4, "Rate of the inner gradient descent.")
program.define_count("inner_steps", 1, 1, "Inner steps in training.")
flags.DEFINE_bool("first_order", False, "First-order MAML: leave out second derivatives.")
program.define_count("filters", 64, 1, "Filters of each convolution.")
flags.DEFINE_bool("max_pool", False, "Halve images by max-pooling (mini-ImageNet), not by strides.")
flags.DEFINE_enum(
    "batch_norm",
    "transductive",
    ["transductive", "running"],
    "Batch normalisation by the statistics of the batch at hand, always, or by running averages "
    "in evaluation.",
)
flags.DEFINE_enum(
    "dtype_policy", "float32", ["float32", "mixed_bfloat16", "float64"], "Keras's dtype policy."
)
flags.DEFINE_bool("stacked", False, "Run all tasks of a rank as one: for small dense networks.")
program.define_count("meta_batch", 32, 1, "Tasks of an outer step, of all ranks together.")
program.define_count("steps", 1000, 1, "Outer steps in all.")
program.define_positive("outer_learning_rate", 1e-3, "Rate of Adam, the outer optimizer.")
flags.DEFINE_enum(
    "outer_schedule",
    "constant",
    ["constant", "cosine"],
    "Whether the outer rate stays, or falls to zero along a cosine over --steps.",
)
program.define_positive("outer_clip", None, "Bound of each element of the meta-gradient.")
program.define_count("validate_every", 500, 1, "Outer steps between validations and checkpoints.")
program.define_count("validation_episodes", 200, 2, "Tasks of a validation.")
flags.DEFINE_bool("resume", False, "Go on with the run in --output_dir, from its last checkpoint.")


def main() -> None:
    folder = RunFolder(FLAGS.output_dir or _new_folder())
    if FLAGS.resume:
        _adopt_run(folder)
    options.check_ranks("meta_batch", "episodes", "validation_episodes")
    with program.libraries_loading():
        data = options.Data()
    if launched_rank() == 0:
        folder.claim(FLAGS.resume)

    with program.libraries_loading():
        import keras

        from tfmeta import MAML, checkpoints, distributed, report
        from tfmeta.evaluation import evaluate, examples
        from tfmeta.training import train

        distributed.init()
    _, source = data.source("train")
    _, validation = data.source("validation", "test")
    tested_on, test = data.source("test", "validation")
    keras.config.set_dtype_policy(FLAGS.dtype_policy)
    learner = MAML(
        _model(data),
        inner_learning_rate=FLAGS.inner_learning_rate,
        inner_steps=FLAGS.inner_steps,
        first_order=FLAGS.first_order,
        test_inner_steps=FLAGS.test_inner_steps,
        stacked=FLAGS.stacked,
    )
    _compile(learner)
    main_rank = distributed.is_main()
    if main_rank:
        folder.write_flags(options.lines(_NAMES))
        print(f"{distributed.size()} rank(s), output in {folder.path}", flush=True)
    training = train(
        learner,
        source,
        validation,
        folder,
        steps=FLAGS.steps,
        meta_batch=FLAGS.meta_batch,
        validate_every=FLAGS.validate_every,
        validation_episodes=FLAGS.validation_episodes,
        resume=FLAGS.resume,
    )
    if main_rank:
        checkpoints.restore(learner, checkpoints.Checkpoints(folder.checkpoints).best)
    distributed.broadcast(learner.variables)
    evaluation = evaluate(learner, test, FLAGS.episodes, learner.test_inner_steps)
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
    }
    folder.write_results(results)
    report.draw(
        folder.report,
        training.rows,
        evaluation.results(),
        examples(learner, test),
        title=f"MAML on {FLAGS.dataset}",
    )
    print(f"{evaluation.sentence()}, on {FLAGS.episodes} {tested_on} tasks")
    print(json.dumps(results), flush=True)


def _new_folder() -> str:
    if FLAGS.resume:
        raise ArgumentError("output_dir", None, "--resume needs the folder of the run to resume.")
    return f"runs/{datetime.datetime.now():%Y%m%d-%H%M%S}"


def _adopt_run(folder: RunFolder) -> None:
    changeable = {"episodes", "validation_episodes"}
    stored = folder.read_flags()
    if "--outer_schedule=constant" in stored:
        changeable.add("steps")
    options.adopt(stored, _NAMES, changeable)


def _model(data: options.Data):
    from tfmeta.models import conv4, mlp

    if FLAGS.dataset == options.SINUSOID:
        return mlp((1,), 1, seed=FLAGS.seed)
    return conv4(
        data.parts["train"].images.shape[1:],
        FLAGS.ways,
        filters=FLAGS.filters,
        max_pool=FLAGS.max_pool,
        batch_norm=FLAGS.batch_norm,
        seed=FLAGS.seed,
    )


def _compile(learner) -> None:
    import keras

    rate = FLAGS.outer_learning_rate
    if FLAGS.outer_schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, FLAGS.steps)
    optimizer = keras.optimizers.Adam(rate, clipvalue=FLAGS.outer_clip)
    if FLAGS.dataset == options.SINUSOID:
        learner.compile(optimizer, loss="mse")
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        learner.compile(optimizer, loss=loss, metrics=["accuracy"])


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
