"""The flags of task clustering."""

from collections.abc import Iterable

from absl import flags

from tfmeta.errors import ArgumentError
from tfmeta.registry import ALGORITHMS, PROBLEM_SIGNATURES, ROUTINGS, SIGNATURES, STARTS
from tfmeta.tools.options.build import refuse
from tfmeta.tools.program import define_count

FLAGS = flags.FLAGS
SUBJECT = "Clusters of tasks"

# Of every binary that clusters tasks, and of the few-shot learners alone.
NAMES = ("clustering", "num_clusters", "cluster_algorithm", "refresh_clusters", "average_over")
FEW_SHOT_NAMES = (*NAMES, "cluster_pool", "pretrain_steps", "cluster_start", "routing")


def define() -> None:
    """Defines the flags of every binary that clusters tasks."""
    flags.DEFINE_enum(
        "clustering",
        "none",
        list(dict.fromkeys(["none", *PROBLEM_SIGNATURES, *SIGNATURES])),
        "By what tasks are clustered: their type (of optimization problems), the gradient of their "
        "support loss, their adapted weights, or the number that mixed data carries.",
    )
    define_count("num_clusters", None, 1, "Clusters. Default: as many as the silhouette suggests.")
    flags.DEFINE_enum("cluster_algorithm", "kmeans", list(ALGORITHMS), "How clusters are found.")
    define_count(
        "refresh_clusters",
        None,
        1,
        "Outer steps after which clusters are formed anew. Default: never.",
    )
    flags.DEFINE_enum(
        "average_over",
        "clusters",
        ["clusters", "tasks"],
        "What counts once in the merged gradient: each cluster or each task.",
    )


def define_few_shot() -> None:
    """Defines these, and those of the few-shot learners."""
    define()
    define_count("cluster_pool", 500, 2, "Tasks that clusters are fitted on.")
    define_count("pretrain_steps", 0, 0, "Outer steps before clusters are formed.")
    flags.DEFINE_enum(
        "cluster_start",
        "own",
        list(STARTS),
        "Whether each cluster has an initialization of its own.",
    )
    flags.DEFINE_enum(
        "routing",
        "hard",
        list(ROUTINGS),
        "Whether a task starts from the initialization of the nearest cluster, from a mixture, "
        "from the one from which inner steps fit its support set best, or (with "
        "--update_rule=gauss_newton) from the one that its support set surprises least.",
    )


def clustered() -> bool:
    """Whether there are to be clusters."""
    return FLAGS.clustering != "none"


def check(names: Iterable[str]) -> None:
    """Refuses flags of clusters where there are none.

    Args:
        names: of the flags.

    Raises:
        ArgumentError: naming the first such flag.
    """
    if not clustered():
        refuse(names, "there are no clusters; give --clustering too, or leave it out.")


def check_refresh(steps: int, first: int = 0) -> None:
    """Refuses to form clusters anew after the end of training.

    Args:
        steps: outer steps in all.
        first: those before clusters are formed first.

    Raises:
        ArgumentError: naming the flag.
    """
    if FLAGS.refresh_clusters is not None and first + FLAGS.refresh_clusters >= steps:
        raise ArgumentError(
            "refresh_clusters",
            FLAGS.refresh_clusters,
            f"clusters would never be formed anew in {steps} steps; lower it, or leave it out.",
        )


def check_few_shot(steps: int) -> None:
    """Refuses flags that few-shot learners cannot do with.

    Args:
        steps: outer steps in all.

    Raises:
        ArgumentError: naming the flag.
    """
    check(FEW_SHOT_NAMES)
    if not clustered():
        return
    if FLAGS.clustering not in SIGNATURES:
        raise ArgumentError(
            "clustering",
            FLAGS.clustering,
            "only optimization problems have types; label is the number of each task's data set.",
        )
    if FLAGS.num_clusters is not None and FLAGS.num_clusters > FLAGS.cluster_pool:
        raise ArgumentError(
            "num_clusters",
            FLAGS.num_clusters,
            f"there are {FLAGS.cluster_pool} tasks to make them of; lower it, or raise "
            "--cluster_pool.",
        )
    if FLAGS.pretrain_steps >= steps:
        raise ArgumentError(
            "pretrain_steps",
            FLAGS.pretrain_steps,
            f"clusters would never be formed in {steps} steps; lower it, or raise --steps.",
        )
    check_refresh(steps, FLAGS.pretrain_steps)


def start(spec):
    """Where tasks begin, as the learners take it: None without clusters.

    Args:
        spec: the `TaskSpec` of the tasks.

    Raises:
        ArgumentError: naming the flag.
    """
    if not clustered():
        return None
    if FLAGS.clustering == "label" and not spec.families:
        raise ArgumentError(
            "clustering",
            "label",
            f"the tasks of {FLAGS.dataset} carry no label; mix data sets with +, or take another.",
        )
    return STARTS[FLAGS.cluster_start](
        clustering=FLAGS.clustering,
        num_clusters=FLAGS.num_clusters,
        cluster_algorithm=FLAGS.cluster_algorithm,
        routing=FLAGS.routing,
        average_over=FLAGS.average_over,
        cluster_seed=FLAGS.seed,
    )


def trainer(learner, *arguments):
    """The trainer of `learner`.

    Args:
        learner: a few-shot learner.
        *arguments: of `FewShotTrainer`.
    """
    from tfmeta.training.clusters import ClusteredFewShotTrainer
    from tfmeta.training.few_shot import FewShotTrainer

    if not clustered():
        return FewShotTrainer(learner, *arguments)
    return ClusteredFewShotTrainer(
        learner,
        *arguments,
        pool=FLAGS.cluster_pool,
        pretrain_steps=FLAGS.pretrain_steps,
        refresh=FLAGS.refresh_clusters,
    )


def found(learner, source):
    """How the learner's clusters divide unseen tasks, on every rank; None without clusters."""
    from tfmeta.evaluation.clusters import clustered as divided

    return divided(learner, source, FLAGS.cluster_pool) if clustered() else None
