"""Evaluates the best weights of a training run, on its own data or on other data.

    python tools/evaluate.py --output_dir=runs/first --episodes=600
    python tools/evaluate.py --output_dir=runs/first --dataset=folder:photos --shots=5

Flags that are not given are those of the run. The last line on standard output is one JSON object
with the results.
"""

import time

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.tools import program
from tfmeta.tools.options import data, runs, tasks
from tfmeta.training.run_folder import as_json

FLAGS = flags.FLAGS
for _options in (runs, data, tasks):
    flags.adopt_module_key_flags(_options)
flags.DEFINE_enum(
    "part",
    None,
    ["train", "validation", "test", "all"],
    "Which classes to take tasks from. Default: test (validation where the split has no test), or "
    "all where --dataset is given.",
)

_NAMES = (*runs.NAMES, *data.NAMES, *tasks.NAMES)


def main() -> None:
    folder = runs.folder()
    stored = folder.read_flags()
    if not any(line.startswith("--learner=") for line in stored):
        raise ArgumentError(
            "output_dir", FLAGS.output_dir, "holds no run of train.py; give one that does."
        )
    part = FLAGS.part or ("all" if FLAGS["dataset"].present else "test")
    runs.adopt(stored, _NAMES, changeable=_NAMES)
    runs.check_ranks("episodes")

    from tfmeta import distributed
    from tfmeta.evaluation.few_shot import evaluate
    from tfmeta.training import checkpoints

    distributed.init(cycle_milliseconds=5)
    learner = checkpoints.load(checkpoints.Checkpoints(folder.checkpoints).best)
    shape = learner.model.input_shape[1:]
    channels = shape[-1] if len(shape) == 3 else None
    given = tasks.Tasks(channels, whole=part == "all", run=runs.values(stored))
    ((part, source),) = given.sources(["test", "validation"] if part == "test" else [part])
    _check_fits(learner, source.spec)
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
    print(as_json(results), flush=True)


def _check_fits(learner, spec) -> None:
    """Refuses tasks that the network of the run does not fit."""
    shape, outputs = learner.model.input_shape[1:], learner.model.output_shape[-1]
    given = tuple(spec.x.shape)
    if len(given) != len(shape):
        raise ArgumentError(
            "dataset", FLAGS.dataset, "the run was trained on another kind of task; give such data."
        )
    if len(given) == 1 and given != shape:
        raise ArgumentError(
            "dataset", FLAGS.dataset, "the run was trained on functions of other inputs."
        )
    if given != shape:
        raise ArgumentError(
            "image_size",
            FLAGS.image_size,
            f"the network of the run takes {shape[0]}; give {shape[0]}.",
        )
    # A network with an output for each of more classes tells fewer apart, too.
    fits = spec.kind == "classification" and spec.outputs < outputs
    if spec.outputs != outputs and not fits:
        raise ArgumentError(
            "ways",
            FLAGS.ways,
            f"the network of the run tells {outputs} classes apart; give at most {outputs}.",
        )


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
