"""The flags that choose an update rule."""

from absl import flags

from tfmeta.registry import Registry
from tfmeta.tools.options.build import build, refuse_others
from tfmeta.tools.program import define_count, define_positive, define_positives

FLAGS = flags.FLAGS
SUBJECT = "The update rule"

NAMES = (
    "update_rule",
    "cell",
    "first_rates",
    "first_width",
    "lstm_inputs",
    "log_sign_p",
    "output_scale",
)
# Of rules, where a flag has a longer name.
_ARGUMENTS = {"lstm_inputs": "inputs", "log_sign_p": "p"}


def define(rules: Registry, default: str | None) -> None:
    """Defines them for the rules that a binary takes.

    Args:
        rules: to choose from.
        default: the name of one; None for the rule that the learner has itself.
    """
    own = "" if default else " Default: the learner's own."
    text = f"How weights move in an inner step.{own}"
    flags.DEFINE_enum("update_rule", default, list(rules), text)
    flags.DEFINE_enum("cell", "gru", ["gru", "lstm"], "Cells of the hierarchical RNN.")
    define_positives(
        "first_rates",
        [1e-6, 1e-2],
        "Least and greatest of the rates that the hierarchical RNN draws for a problem's start.",
    )
    define_count(
        "first_width",
        None,
        1,
        "Inputs up to which a kernel starts at the whole of such a rate, one of more at width / "
        "inputs of it. Default: all start alike.",
    )
    flags.DEFINE_enum(
        "lstm_inputs", "log_sign", ["log_sign", "scaled"], "How the LSTM is shown a gradient."
    )
    define_positive("log_sign_p", 10.0, "p of the LSTM's log-sign inputs.")
    define_positive("output_scale", 0.1, "Factor of the LSTM's output.")


def check(rules: Registry, **more: str) -> None:
    """Refuses flags that say nothing to the rule.

    Args:
        rules: where it is looked up.
        **more: further flags, each with the argument of rules that it gives.

    Raises:
        ArgumentError: naming the first such flag.
    """
    kind = None if FLAGS.update_rule is None else rules[FLAGS.update_rule]
    refuse_others("update_rule", kind, (*NAMES[1:], *more), {**_ARGUMENTS, **more})


def rule(rules: Registry, **numbers: float | None):
    """The rule that the flags name.

    Args:
        rules: where it is looked up.
        **numbers: arguments of rules that the flags above do not give.

    Returns:
        None for the learner's own.
    """
    if FLAGS.update_rule is None:
        return None
    return build(
        rules[FLAGS.update_rule],
        offered={
            **{_ARGUMENTS.get(name, name): FLAGS[name].value for name in NAMES[1:]},
            "seed": FLAGS.seed,
            **numbers,
        },
    )
