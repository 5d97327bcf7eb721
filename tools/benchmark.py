"""Measures tfmeta beside its rivals, in turns, after checking that both do the same work.

    python tools/benchmark.py --workload=omniglot_5w1s --rival_python=PATH
    python tools/benchmark.py --workload=lstm_quadratics --rival_python=PATH
    python tools/benchmark.py --workload=hierarchical_rnn
    python tools/benchmark.py --workload=collectives

omniglot_5w1s and omniglot_5w1s_5steps are one second-order MAML meta-step (32 tasks, 5 ways, 1
shot, 1 query, and 1 or 5 inner steps) against learn2learn's MAML on learn2learn's network.
lstm_quadratics (128 quadratics in 10 dimensions) and lstm_network (one network of 15 910 weights on
images) are an unroll of 20 steps of the coordinatewise LSTM, with the meta-gradient and the update
by Adam, against the same in eager PyTorch. BUILD.md says how to install the rivals. Each side has
a process of its own, samples its own tasks within the time, and waits while the other one works.

Two workloads compare tfmeta with itself: ranks is the meta-step of omniglot_5w1s on two ranks, one
core each, against one rank on one core; hierarchical_rnn is a step of a problem in unrolls of the
hierarchical RNN, for a family of each type of problem, compiled by XLA, vectorized, and one by one,
and with LSTM cells.

collectives measures what two, three and four ranks of this machine pay for a sum and for a gather,
and predicts the meta-step of omniglot_5w1s on up to 1000 ranks.

adapt is a call of `adapt` on 25 examples, of 5 inner steps, by a dense and by a convolutional
network: the first, later ones that fill a model made before, and later ones that make a new one.

optimizer_steps is a step of each optimizer that tfmeta ships, on 100 000 weights, beside Adam's.

loading reads 10 000 and 100 000 photos that it writes: seconds and peak memory, of decoding into
memory, into --cache_dir's file, and of that file again; then MAML's step on either, in turns.

The workloads of learned optimizers run on one core, and their time is that of the CPU: the time on
the clock, were there no other work. Only ratios hold on a machine with other work. The last line on
standard output is one JSON object.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from absl import flags

from tfmeta.data.image_classes import ImageClasses
from tfmeta.data.load import load_image_classes
from tfmeta.tools import program
from tfmeta.tools.benchmarks.against_itself import hierarchical_rnn, two_ranks
from tfmeta.tools.benchmarks.against_rivals import as_optimizers_are_trained, compare
from tfmeta.tools.benchmarks.collectives import collectives
from tfmeta.tools.benchmarks.comparisons import COMPARISONS
from tfmeta.tools.benchmarks.loading import loading

FLAGS = flags.FLAGS

flags.DEFINE_enum(
    "workload",
    "omniglot_5w1s",
    [
        *(*COMPARISONS, "ranks", "hierarchical_rnn", "collectives", "adapt", "loading"),
        "optimizer_steps",
    ],
    "What to measure.",
)
flags.DEFINE_string(
    "rival_python", None, "The Python of an environment with the rival, see BUILD.md."
)
flags.DEFINE_string("dataset", "glyphs", "Image classes: as the flag of tools/train.py.")
flags.DEFINE_string("data_dir", None, "Folder of prepared TensorFlow Datasets, for tfds:NAME.")
program.define_count("blocks", 7, 1, "How often the sides take turns.")
program.define_count("steps", 10, 1, "Meta-steps, meta-iterations or unrolls of a turn.")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = _measured(Path(folder))
    print(json.dumps({"workload": FLAGS.workload, **results}), flush=True)


def _measured(folder: Path) -> dict[str, Any]:
    turns = {"blocks": FLAGS.blocks, "steps": FLAGS.steps}
    if FLAGS.workload == "ranks":
        return two_ranks(folder, _images, **turns)
    if FLAGS.workload == "collectives":
        return collectives(folder, _images, **turns)
    if FLAGS.workload == "adapt":
        from tfmeta.tools.benchmarks.adapting import adapting

        return adapting(**turns)
    if FLAGS.workload == "optimizer_steps":
        as_optimizers_are_trained()
        from tfmeta.tools.benchmarks.optimizer_steps import optimizer_steps

        return optimizer_steps(**turns)
    if FLAGS.workload == "loading":
        return loading(folder, **turns)
    if FLAGS.workload == "hierarchical_rnn":
        return hierarchical_rnn(**turns)
    return compare(COMPARISONS[FLAGS.workload], FLAGS.rival_python, folder, _images, **turns)


def _images() -> ImageClasses:
    return load_image_classes(FLAGS.dataset, 28, 1, FLAGS.data_dir)


def run() -> None:
    program.start(main)


if __name__ == "__main__":
    run()
