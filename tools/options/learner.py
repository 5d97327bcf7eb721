"""The flags of few-shot learners, and the learner that they name."""

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.registry import LEARNERS, RULES
from tfmeta.tools.options import clusters, network, rules
from tfmeta.tools.options.build import build, refuse_others
from tfmeta.tools.program import define_count, define_positive

FLAGS = flags.FLAGS
SUBJECT = "The learner"

flags.DEFINE_enum(
    "learner",
    "maml",
    list(LEARNERS),
    "The algorithm. reptile in its paper: --inner_learning_rate=0.001 --inner_steps=5 "
    "--outer_optimizer=sgd --outer_learning_rate=1 --outer_schedule=linear.",
)
define_positive(
    "inner_learning_rate",
    0.4,
    "Rate of the inner gradient descent, the first one of learned rates.",
)
define_count("inner_steps", 1, 1, "Inner steps in training.")
define_positive(
    "initial_variance",
    None,
    "First variance of the weights of gauss_newton. Default: --inner_learning_rate.",
)
flags.DEFINE_list(
    "head",
    None,
    "Names of the layers that anil adapts, with commas between them. Default: the last one.",
)
define_count(
    "inner_batch", None, 1, "Support examples of an inner step of reptile. Default: all of them."
)
flags.DEFINE_bool("stacked", False, "Run all tasks of a rank as one: for small dense networks.")
rules.define(RULES, None)

NAMES = (
    *("learner", "inner_learning_rate", "inner_steps", "initial_variance", "head", "inner_batch"),
    *("stacked", *rules.NAMES),
)


def learner(spec, optimizer):
    """The learner that the flags name, compiled.

    Args:
        spec: the `TaskSpec` of what it is to learn.
        optimizer: the outer Keras optimizer.

    Raises:
        ArgumentError: naming the flag.
    """
    kind = LEARNERS[FLAGS.learner]
    refuse_others("learner", kind, ("head", "inner_batch"))
    rules.check(RULES, initial_variance="variance")
    model, start = network.network(spec), clusters.start(spec)
    offered = {
        "inner_learning_rate": FLAGS.inner_learning_rate,
        "inner_steps": FLAGS.inner_steps,
        "test_inner_steps": FLAGS.test_inner_steps,
        "first_order": FLAGS.first_order,
        "head": FLAGS.head,
        "inner_batch": FLAGS.inner_batch,
        "vectorized": FLAGS.stacked,
        "update_rule": rules.rule(
            RULES,
            learning_rate=FLAGS.inner_learning_rate,
            variance=FLAGS.initial_variance or FLAGS.inner_learning_rate,
            steps=FLAGS.inner_steps,
        ),
    }
    try:
        made = build(kind, model, offered={**offered, "start": start})
    except ArgumentError as error:
        if error.argument != "routing":
            raise
        rule = build(kind, model, offered=offered).update_rule
        raise ArgumentError(
            "routing",
            FLAGS.routing,
            f"--update_rule={RULES.name_of(type(rule))} gives none; give --update_rule="
            f"{' or '.join(name for name, rule in RULES.items() if rule.gives_evidence)}.",
        ) from error
    made.compile(optimizer, **network.losses(spec))
    try:
        made.update_rule.check(made.loss)
    except ArgumentError as error:
        raise ArgumentError(
            "update_rule",
            FLAGS.update_rule,
            "its steps are those of the squared error; give regression tasks, such as "
            "--dataset=sinusoid, or another rule.",
        ) from error
    return made
