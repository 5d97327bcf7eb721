"""The flags of how problems are trained while an optimizer is meta-trained on them."""

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.registry import CLUSTER_UPDATES, ESTIMATORS, META_LOSSES, PACKINGS, TRUNCATIONS
from tfmeta.tools.options import clusters
from tfmeta.tools.options.build import build, refuse, refuse_others
from tfmeta.tools.program import define_count, define_counts, define_positive

FLAGS = flags.FLAGS
SUBJECT = "Trainings of problems"

define_count("problem_steps", 100, 1, "Steps of a problem's training.")
define_counts(
    "unroll",
    [20],
    "Steps between two updates of the rule; of several numbers, meta-iterations take turns.",
)
flags.DEFINE_enum(
    "unroll_lengths",
    "fixed",
    list(TRUNCATIONS),
    "Unrolls of --unroll steps, up to --problem_steps or up to a number that is drawn below it "
    "for each meta-iteration; or (Wichrowska) 1 + Exp(40) unrolls of 50 + Exp(200) steps each.",
)
flags.DEFINE_enum(
    "meta_loss",
    "sum",
    list(META_LOSSES),
    "The sum of the losses over an unroll (Andrychowicz), the mean log ratio to the first "
    "(Wichrowska), or that after the last step of the unroll.",
)
define_positive(
    "floor",
    None,
    "Ratio to the first loss below which a loss counts no more, of log_ratio and last_log_ratio.",
)
flags.DEFINE_enum(
    "estimator",
    "truncated",
    list(ESTIMATORS),
    "How the gradient of an unroll's meta-loss is found: by differentiating through it, or from "
    "copies of the rule with other parameters (evolution strategies that reuse their noise).",
)
define_positive("problem_clip", None, "Of truncated: bound of the length of a problem's gradient.")
define_positive("noise", None, "Of noise_reuse: deviation of the copies' parameters.")
define_count("noise_pairs", None, 1, "Of noise_reuse: pairs of copies for each problem.")
flags.DEFINE_bool("xla", False, "Compile the unrolls with XLA: for small problems.")
flags.DEFINE_enum(
    "cluster_groups",
    "split",
    list(PACKINGS),
    "With --clustering: whether a cluster that costs more than a rank's share is split.",
)
flags.DEFINE_enum(
    "within_cluster",
    "accumulate",
    list(CLUSTER_UPDATES),
    "With --clustering: one update by the gradients of all problems of all clusters, or a copy of "
    "the rule for each cluster, updated problem by problem, and the changes averaged.",
)
flags.DEFINE_bool(
    "stacked", True, "Whether like problems run as one, rather than one after the other."
)
define_count("parallel_batches", 1, 1, "Batches of data in a step, whose gradients are averaged.")

_OF_META_LOSSES = ("floor",)
_OF_ESTIMATORS = ("problem_clip", "noise", "noise_pairs")
NAMES = (
    *("cluster_groups", "within_cluster", "stacked", "parallel_batches"),
    *("problem_steps", "unroll", "unroll_lengths", "meta_loss", "estimator", "xla"),
    *(*_OF_META_LOSSES, *_OF_ESTIMATORS),
)


def check() -> None:
    """Refuses flags that exclude each other.

    Raises:
        ArgumentError: naming one of them.
    """
    if FLAGS.xla and not lengths()(0).fixed:
        lacking = f"leave out --unroll_lengths={FLAGS.unroll_lengths}."
        raise ArgumentError("xla", True, f"it needs unrolls of one length; {lacking}")
    clusters.check((*clusters.NAMES, "cluster_groups", "within_cluster"))
    if FLAGS.clustering in ("type", "label"):
        always = f"problems of one {FLAGS.clustering} always are a cluster; leave it out."
        refuse(("cluster_algorithm", "refresh_clusters"), always)
    if FLAGS.first_order and FLAGS.estimator == "noise_reuse":
        raise ArgumentError(
            "first_order",
            True,
            "--estimator=noise_reuse differentiates nothing, and has no use for it; leave it out.",
        )
    refuse_others("unroll_lengths", TRUNCATIONS[FLAGS.unroll_lengths], ["unroll"])
    refuse_others("estimator", ESTIMATORS[FLAGS.estimator], _OF_ESTIMATORS)
    refuse_others("meta_loss", META_LOSSES[FLAGS.meta_loss], _OF_META_LOSSES)


def meta_loss():
    """By which an unroll is judged."""
    return build(META_LOSSES[FLAGS.meta_loss], offered=_given(_OF_META_LOSSES))


def estimator():
    """Of the gradient of the meta-loss."""
    return build(ESTIMATORS[FLAGS.estimator], offered=_given(_OF_ESTIMATORS))


def _given(names):
    """Those of some flags that have a value; classes have defaults of their own."""
    return {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}


def lengths():
    """The lengths of the unrolls of each meta-iteration."""
    from tfmeta.scheduling.truncation import InTurn

    offered = {"problem_steps": FLAGS.problem_steps, "seed": FLAGS.seed}
    way = TRUNCATIONS[FLAGS.unroll_lengths]
    return InTurn([build(way, offered={**offered, "unroll": unroll}) for unroll in FLAGS.unroll])


def with_batches(family):
    """The family, each step on so many batches."""
    from tfmeta.problems.parallel_batches import ParallelBatches

    if FLAGS.parallel_batches == 1:
        return family
    return ParallelBatches(family, FLAGS.parallel_batches, FLAGS.stacked)
