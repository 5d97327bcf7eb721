"""The flags that choose an update rule."""

from absl import flags

from tfmeta.tools.program import define_positive

FLAGS = flags.FLAGS

NAMES = ("update_rule", "cell", "lstm_inputs", "log_sign_p", "output_scale")


def define(default: str, rules: list[str]) -> None:
    """Defines them, with the rules that a binary takes."""
    flags.DEFINE_enum("update_rule", default, rules, "How weights move in an inner step.")
    flags.DEFINE_enum("cell", "gru", ["gru", "lstm"], "Cells of the hierarchical RNN.")
    flags.DEFINE_enum(
        "lstm_inputs", "log_sign", ["log_sign", "scaled"], "How the LSTM is shown a gradient."
    )
    define_positive("log_sign_p", 10.0, "p of the LSTM's log-sign inputs.")
    define_positive("output_scale", 0.1, "Factor of the LSTM's output.")


def rule(learning_rate: float = 0.01, inner_steps: int = 1):
    """The rule that the flags name.

    Args:
        learning_rate: of gradient descent, the first one of learned rates, and the first variance
            of Gauss-Newton steps.
        inner_steps: that have learned rates or variances of their own.
    """
    from tfmeta.updates import (
        CoordinatewiseLSTM,
        GaussNewton,
        GradientDescent,
        HierarchicalRNN,
        LayerRates,
        MetaSGD,
    )

    match FLAGS.update_rule:
        case "gradient_descent":
            return GradientDescent(learning_rate)
        case "meta_sgd":
            return MetaSGD(learning_rate)
        case "layer_rates":
            return LayerRates(learning_rate, inner_steps)
        case "gauss_newton":
            return GaussNewton(learning_rate, inner_steps)
        case "lstm":
            return CoordinatewiseLSTM(
                inputs=FLAGS.lstm_inputs,
                p=FLAGS.log_sign_p,
                output_scale=FLAGS.output_scale,
                seed=FLAGS.seed,
            )
        case "hierarchical_rnn":
            return HierarchicalRNN(cell=FLAGS.cell, seed=FLAGS.seed)
    raise AssertionError(FLAGS.update_rule)
