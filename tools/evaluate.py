"""Evaluates the best weights of a training run, on its own data or on other data.

    python tools/evaluate.py --output_dir=runs/first --episodes=600
    python tools/evaluate.py --output_dir=runs/first --dataset=folder:photos --shots=5

Flags that are not given are those of the run. The last line on standard output is one JSON object
with the results.
"""

import json
import time

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.tools import options, program
from tfmeta.training.run_folder import RunFolder

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(options)
flags.DEFINE_enum(
    "part",
    None,
    ["train", "validation", "test", "all"],
    "Which classes to take tasks from. Default: test (validation where the split has no test), or "
    "all where --dataset is given.",
)


def main() -> None:
    if FLAGS.output_dir is None:
        raise ArgumentError("output_dir", None, "give the output folder of a training run.")
    folder = RunFolder(FLAGS.output_dir)
    part = FLAGS.part or ("all" if FLAGS["dataset"].present else "test")
    options.adopt(folder.read_flags(), options.NAMES, changeable=options.NAMES)
    options.check_ranks("episodes")

    with program.libraries_loading():
        from tfmeta import MAML, distributed
        from tfmeta.evaluation.few_shot import evaluate
        from tfmeta.training import checkpoints

        distributed.init(cycle_milliseconds=5)
    learner = checkpoints.load(checkpoints.Checkpoints(folder.checkpoints).best)
    if not isinstance(learner, MAML):
        raise ArgumentError(
            "output_dir", FLAGS.output_dir, "holds no run of train.py; give one that does."
        )
    *_, channels = learner.model.input_shape
    data = options.Data(channels, whole=part == "all")
    _check_fits(learner, data)
    part, source = data.source(*(("test", "validation") if part == "test" else (part,)))
    started = time.monotonic()
    steps = FLAGS.test_inner_steps or learner.test_inner_steps
    evaluation = evaluate(learner, source, FLAGS.episodes, steps)
    seconds = time.monotonic() - started
    if not distributed.is_main():
        return
    results = {
        "steps": int(learner.optimizer.iterations),
        "ranks": distributed.size(),
        "seconds": seconds,
        "tasks_per_second": FLAGS.episodes / seconds,
        "tested_on": part,
        **evaluation.results(),
    }
    print(f"{evaluation.sentence()}, on {FLAGS.episodes} {part} tasks")
    print(json.dumps(results), flush=True)


def _check_fits(learner, data: options.Data) -> None:
    regression = FLAGS.dataset in options.REGRESSION
    if regression != (len(learner.model.input_shape) == 2):
        raise ArgumentError(
            "dataset", FLAGS.dataset, "the run was trained on another kind of task; give such data."
        )
    if regression:
        inputs = 1 if FLAGS.dataset == options.SINUSOID else 2
        if learner.model.input_shape[-1] != inputs:
            raise ArgumentError(
                "dataset", FLAGS.dataset, "the run was trained on functions of other inputs."
            )
        return
    if learner.model.output_shape[-1] != FLAGS.ways:
        ways = learner.model.output_shape[-1]
        raise ArgumentError(
            "ways", FLAGS.ways, f"the network of the run tells {ways} classes apart; give {ways}."
        )
    size = learner.model.input_shape[1]
    if size != FLAGS.image_size:
        raise ArgumentError(
            "image_size", FLAGS.image_size, f"the network of the run takes {size}; give {size}."
        )


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
